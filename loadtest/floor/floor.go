package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"

	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/endpoint"
)

// Payload types of the load test's clients, which are agreed to as offered.
const (
	payloadOpus = 111
	payloadVP8  = 96
)

const transportWideURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

// Server is the forwarder with its HTTP side. New makes one.
type Server struct {
	listener  net.Listener
	socket    *socket
	forwarder *forwarder
	sessions  endpoint.Sessions

	mu    sync.Mutex // guards what follows
	feeds map[string]*feed
}

// New listens at a TCP address, and at a free UDP port on loopback.
func New(listenAt string) (*Server, error) {
	udp, err := listen()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", listenAt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("floor: %w", err), udp.Close())
	}
	return &Server{listener: l, socket: udp, forwarder: newForwarder(udp), feeds: map[string]*feed{}}, nil
}

// URL is where it listens.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + 1) // the thread that forwards keeps its processor, as a node's does
	defer runtime.GOMAXPROCS(before)
	mux := webrtc.NewICEUDPMux(nil, s.socket)
	settings := client.ServerSettings()
	settings.SetICEUDPMux(mux)
	routes := http.NewServeMux()
	routes.HandleFunc("POST /whip/{room}/{identity}", func(w http.ResponseWriter, r *http.Request) { s.publish(w, r, settings) })
	routes.HandleFunc("POST /whep/{room}/{identity}", func(w http.ResponseWriter, r *http.Request) { s.play(w, r, settings) })
	err := s.sessions.Serve(ctx, s.listener, routes)
	return errors.Join(err, mux.Close(), s.socket.Close())
}

func key(r *http.Request) string { return r.PathValue("room") + "/" + r.PathValue("identity") }

// publish answers who publishes.
func (s *Server) publish(w http.ResponseWriter, r *http.Request, settings webrtc.SettingEngine) {
	s.answer(w, r, settings, func(pc *webrtc.PeerConnection, keys *keying) (connected func() (func(), error), err error) {
		return func() (func(), error) {
			one := newFeed()
			var err error
			if one.cipher, _, err = keys.ciphers(); err != nil {
				return nil, err
			}
			from, err := remote(pc.GetReceivers()[0].Transport())
			if err != nil {
				return nil, err
			}
			remove := s.forwarder.publish(from, one)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.feeds[key(r)] = one
			return func() {
				remove()
				s.forget(key(r), one)
			}, nil
		}, nil
	})
}

// forget lets go of a feed, unless another has taken its name.
func (s *Server) forget(key string, one *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds[key] == one {
		delete(s.feeds, key)
	}
}

// play answers who plays a feed.
func (s *Server) play(w http.ResponseWriter, r *http.Request, settings webrtc.SettingEngine) {
	s.mu.Lock()
	one := s.feeds[key(r)]
	s.mu.Unlock()
	if one == nil {
		http.Error(w, "nobody of this name publishes", http.StatusNotFound)
		return
	}
	s.answer(w, r, settings, func(pc *webrtc.PeerConnection, keys *keying) (connected func() (func(), error), err error) {
		audio, err := addTrack(pc, webrtc.MimeTypeOpus, "audio", r.PathValue("identity"))
		if err != nil {
			return nil, err
		}
		video, err := addTrack(pc, webrtc.MimeTypeVP8, "video", r.PathValue("identity"))
		if err != nil {
			return nil, err
		}
		return func() (func(), error) {
			d, err := newDestination(keys, audio, video)
			if err != nil {
				return nil, err
			}
			return s.forwarder.play(one, d), nil
		}, nil
	})
}

// answer answers an offer with a connection that is pion's until it has keys
// and an address. connected, which prepare returns, is called then; what it
// returns is called at the end.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, settings webrtc.SettingEngine,
	prepare func(*webrtc.PeerConnection, *keying) (connected func() (func(), error), err error)) {
	keys := &keying{}
	api, err := newAPI(settings, keys)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.sessions.Answer(w, r, api, func(pc *webrtc.PeerConnection) (func(), error) {
		connected, err := prepare(pc, keys)
		if err != nil {
			return nil, err
		}
		var mu sync.Mutex
		remove, ended := func() {}, false
		pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
			mu.Lock()
			defer mu.Unlock()
			if state != webrtc.PeerConnectionStateConnected || ended {
				return
			}
			end, err := connected()
			if err != nil {
				// The client sees that nothing comes. Close waits for this
				// function to end.
				go func() { _ = pc.Close() }()
				return
			}
			remove = end
		})
		return func() {
			mu.Lock()
			defer mu.Unlock()
			ended = true
			remove()
		}, nil
	})
}

// newAPI offers the codecs of the load test and no interceptor.
func newAPI(settings webrtc.SettingEngine, keys *keying) (*webrtc.API, error) {
	if err := keys.listen(&settings); err != nil {
		return nil, err
	}
	media := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "transport-cc"}}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, RTCPFeedback: feedback[2:]}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}
	for _, err := range []error{
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: payloadOpus}, webrtc.RTPCodecTypeAudio),
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: payloadVP8}, webrtc.RTPCodecTypeVideo),
		media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: transportWideURI}, webrtc.RTPCodecTypeAudio),
		media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: transportWideURI}, webrtc.RTPCodecTypeVideo),
	} {
		if err != nil {
			return nil, fmt.Errorf("floor: codecs: %w", err)
		}
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings)), nil
}

func addTrack(pc *webrtc.PeerConnection, mime, kind, identity string) (*webrtc.RTPSender, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, kind, identity)
	if err != nil {
		return nil, fmt.Errorf("floor: %s: %w", kind, err)
	}
	sender, err := pc.AddTrack(track)
	if err != nil {
		return nil, fmt.Errorf("floor: adding %s: %w", kind, err)
	}
	return sender, nil
}

// newDestination reads from a connected PeerConnection what it takes to send in
// its place.
func newDestination(keys *keying, audio, video *webrtc.RTPSender) (*destination, error) {
	d := &destination{}
	var err error
	if _, d.cipher, err = keys.ciphers(); err != nil {
		return nil, err
	}
	if d.to, err = remote(video.Transport()); err != nil {
		return nil, err
	}
	for _, t := range []struct {
		sender *webrtc.RTPSender
		stream *stream
	}{{audio, &d.audio}, {video, &d.video}} {
		p := t.sender.GetParameters()
		if len(p.Encodings) == 0 || len(p.Codecs) == 0 {
			return nil, errors.New("floor: a track was not agreed")
		}
		*t.stream = stream{ssrc: uint32(p.Encodings[0].SSRC), payload: uint8(p.Codecs[0].PayloadType), next: 1}
		for _, extension := range p.HeaderExtensions {
			if extension.URI == transportWideURI {
				d.feedback = uint8(extension.ID)
			}
		}
	}
	return d, nil
}

// remote is where the other side of a connected transport is.
func remote(t *webrtc.DTLSTransport) (netip.AddrPort, error) {
	pair, err := t.ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return netip.AddrPort{}, errors.Join(errors.New("floor: connected without an address"), err)
	}
	ip, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("floor: the client's address: %w", err)
	}
	return netip.AddrPortFrom(ip, pair.Remote.Port), nil
}
