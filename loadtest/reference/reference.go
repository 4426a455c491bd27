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
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"github.com/drtc-network/drtc/loadtest/client"
)

const (
	maxOffer = 1 << 20 // bytes
	// tracks is how many an identity publishes.
	tracks = 2
	// trackPatience is how long who plays waits for them.
	trackPatience = 5 * time.Second
	goodbye       = time.Second
)

// Server is the SFU. New makes one.
type Server struct {
	listener net.Listener
	api      *webrtc.API

	mu       sync.Mutex // guards what follows
	feeds    map[string]*feed
	sessions map[string]*webrtc.PeerConnection
	serial   int
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
	return &Server{listener: l, api: api, feeds: map[string]*feed{}, sessions: map[string]*webrtc.PeerConnection{}}, nil
}

// URL is where it listens.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/{room}/{identity}", s.publish)
	mux.HandleFunc("POST /whep/{room}/{identity}", s.play)
	mux.HandleFunc("DELETE /session/{id}", s.end)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("reference: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		// Requests that have not ended by then are cut.
		if server.Shutdown(bye) != nil {
			_ = server.Close()
		}
		s.closeAll()
		return nil
	})
	return group.Wait()
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
	s.answer(w, r, func(pc *webrtc.PeerConnection) error {
		f := &feed{pc: pc, ready: make(chan struct{})}
		pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { f.forward(t) })
		s.mu.Lock()
		defer s.mu.Unlock()
		s.feeds[key(r)] = f
		return nil
	})
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
	s.answer(w, r, f.send)
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
			return err
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
				// The publisher is asked again if it has gone.
				_ = f.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: f.video}})
			}
		}
	}
}

// answer makes a connection, has prepare add to it, and answers the offer.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, prepare func(*webrtc.PeerConnection) error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateFailed {
			go pc.Close()
		}
	})
	if err = prepare(pc); err == nil {
		var sdp string
		if sdp, err = client.Answer(r.Context(), pc, string(body)); err == nil {
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/session/"+s.add(pc))
			w.WriteHeader(http.StatusCreated)
			// Who does not read the answer does not connect.
			_, _ = io.WriteString(w, sdp)
			return
		}
	}
	http.Error(w, errors.Join(err, pc.Close()).Error(), http.StatusBadRequest)
}

func (s *Server) add(pc *webrtc.PeerConnection) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	id := strconv.Itoa(s.serial)
	s.sessions[id] = pc
	return id
}

func (s *Server) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	pc := s.sessions[r.PathValue("id")]
	delete(s.sessions, r.PathValue("id"))
	s.mu.Unlock()
	if pc == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	_ = pc.Close() // nothing can be done about it
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pc := range s.sessions {
		_ = pc.Close() // the process ends
	}
	clear(s.sessions)
}
