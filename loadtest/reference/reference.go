// Package reference is the smallest SFU that pion/webrtc makes: WHIP in, WHEP
// out, one shared local track for each published one, pion's default
// interceptors, nothing else. It is what a media server has to beat, and proves
// the load test's clients.
//
// Contract: who plays an identity gets every packet that it publishes.
//
//	POST /whip/{room}/{identity}  publishes (RFC 9725, without PATCH)
//	POST /whep/{room}/{identity}  plays what that identity publishes
//	DELETE /session/{id}          ends either
//
// Nobody is asked for a token, and IPv4 on loopback is all it uses: it is for
// measurements alone. A Server is safe for concurrent use.
package reference

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/endpoint"
)

const (
	// tracks is how many an identity publishes.
	tracks = 2
	// trackPatience is how long who plays waits for them.
	trackPatience = 5 * time.Second
)

// Server is the SFU. New makes one.
type Server struct {
	listener net.Listener
	api      *webrtc.API
	sessions endpoint.Sessions

	mu    sync.Mutex // guards what follows
	feeds map[string]*feed
}

// feed is what an identity publishes.
type feed struct {
	pc    *webrtc.PeerConnection
	ready chan struct{} // closed when all tracks are there

	mu    sync.Mutex // guards what follows
	local []*webrtc.TrackLocalStaticRTP
	video uint32 // SSRC
}

// New listens at a TCP address on loopback.
func New(listen string) (*Server, error) {
	api, err := newAPI()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return &Server{listener: l, api: api, feeds: map[string]*feed{}}, nil
}

// URL is where it listens.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/{room}/{identity}", s.publish)
	mux.HandleFunc("POST /whep/{room}/{identity}", s.play)
	return s.sessions.Serve(ctx, s.listener, mux)
}

// newAPI registers the codecs of the load test and every default interceptor.
func newAPI() (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
	}}
	var registry interceptor.Registry
	for _, err := range []error{
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, webrtc.RTPCodecTypeAudio),
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo),
		webrtc.RegisterDefaultInterceptors(media, &registry),
	} {
		if err != nil {
			return nil, fmt.Errorf("reference: codecs and interceptors: %w", err)
		}
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&registry),
		webrtc.WithSettingEngine(client.ServerSettings())), nil
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	s.sessions.Answer(w, r, s.api, func(pc *webrtc.PeerConnection) (func(), error) {
		f := &feed{pc: pc, ready: make(chan struct{})}
		pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { f.forward(t) })
		s.mu.Lock()
		defer s.mu.Unlock()
		s.feeds[key(r)] = f
		return func() { s.forget(key(r), f) }, nil
	})
}

// forget lets go of a feed, unless another has taken its name.
func (s *Server) forget(key string, f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds[key] == f {
		delete(s.feeds, key)
	}
}

func (s *Server) play(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.feeds[key(r)]
	s.mu.Unlock()
	if f == nil {
		http.Error(w, "nobody of this name publishes", http.StatusNotFound)
		return
	}
	select {
	case <-f.ready:
	case <-r.Context().Done():
		return
	case <-time.After(trackPatience):
		http.Error(w, "no media has come yet", http.StatusNotFound)
		return
	}
	s.sessions.Answer(w, r, s.api, func(pc *webrtc.PeerConnection) (func(), error) { return nil, f.send(pc) })
}

func key(r *http.Request) string { return r.PathValue("room") + "/" + r.PathValue("identity") }

// forward copies packets of a published track to all who play it.
func (f *feed) forward(t *webrtc.TrackRemote) {
	local, err := webrtc.NewTrackLocalStaticRTP(t.Codec().RTPCodecCapability, t.ID(), t.StreamID())
	if err != nil {
		return // only of a codec without a name
	}
	f.mu.Lock()
	if t.Kind() == webrtc.RTPCodecTypeVideo {
		f.video = uint32(t.SSRC())
	}
	if f.local = append(f.local, local); len(f.local) == tracks {
		close(f.ready)
	}
	f.mu.Unlock()
	for {
		packet, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		// An error is of one who plays and has gone.
		_ = local.WriteRTP(packet)
	}
}

// send adds the feed's tracks to the connection of who plays it, and passes
// requests for key frames on.
func (f *feed) send(pc *webrtc.PeerConnection) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.local {
		sender, err := pc.AddTrack(t)
		if err != nil {
			return fmt.Errorf("reference: adding a track: %w", err)
		}
		go f.passOn(sender)
	}
	return nil
}

func (f *feed) passOn(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if _, is := p.(*rtcp.PictureLossIndication); is {
				// It is asked for again if this one is lost.
				_ = f.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: f.video}})
			}
		}
	}
}
