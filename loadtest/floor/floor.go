package floor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/endpoint"
	"github.com/drtc-network/drtc/loadtest/traffic"
)

const transportWideURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

// Server is the sender with its HTTP side. New makes one.
type Server struct {
	listener net.Listener
	socket   *socket
	sender   *sender
	sessions endpoint.Sessions
}

// New listens at a TCP address, and at a free UDP port on loopback.
func New(listenAt string, mix traffic.Mix) (*Server, error) {
	if err := mix.Validate(); err != nil {
		return nil, err
	}
	udp, err := listen()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", listenAt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("floor: %w", err), udp.Close())
	}
	return &Server{listener: l, socket: udp, sender: newSender(udp, mix)}, nil
}

// URL is where it listens.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	iceMux := webrtc.NewICEUDPMux(nil, s.socket)
	routes := http.NewServeMux()
	routes.HandleFunc("POST /whep/{room}/{identity}", func(w http.ResponseWriter, r *http.Request) {
		settings := client.ServerSettings()
		settings.SetICEUDPMux(iceMux)
		s.play(w, r, settings)
	})
	routes.HandleFunc("POST /floor/publish/{identity}", func(w http.ResponseWriter, r *http.Request) {
		s.sender.publisher(r.PathValue("identity"))
		reply(w, 1)
	})
	routes.HandleFunc("POST /floor/window/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseUint(r.PathValue("id"), 10, 8)
		if err != nil {
			http.Error(w, "a window is a number from 0 to 255", http.StatusBadRequest)
			return
		}
		s.sender.open(uint8(id))
		reply(w, id)
	})
	routes.HandleFunc("POST /floor/sent", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.sender.sent.Load()) })

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		s.sender.run(ctx)
		return nil
	})
	group.Go(func() error { return s.sessions.Serve(ctx, s.listener, routes) })
	err := group.Wait()
	return errors.Join(err, iceMux.Close(), s.socket.Close())
}

func reply(w http.ResponseWriter, n uint64) {
	// Who does not read the answer asks again.
	_ = json.NewEncoder(w).Encode(n)
}

// play answers who plays a publisher. Its connection is pion's until it has
// keys and an address, and then the sender's.
func (s *Server) play(w http.ResponseWriter, r *http.Request, settings webrtc.SettingEngine) {
	identity := r.PathValue("identity")
	keys := &keying{}
	api, err := newAPI(settings, keys)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.sessions.Answer(w, r, api, func(pc *webrtc.PeerConnection) (func(), error) {
		audio, err := addTrack(pc, webrtc.MimeTypeOpus, "audio", identity)
		if err != nil {
			return nil, err
		}
		video, err := addTrack(pc, webrtc.MimeTypeVP8, "video", identity)
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
			d, err := newDestination(keys, audio, video)
			if err != nil {
				// The subscriber sees that nothing comes. Close waits for this
				// function to end.
				go func() { _ = pc.Close() }()
				return
			}
			remove = s.sender.play(s.sender.publisher(identity), d)
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
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, webrtc.RTPCodecTypeAudio),
		media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo),
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
	seal, err := keys.seal()
	if err != nil {
		return nil, err
	}
	pair, err := video.Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return nil, errors.Join(errors.New("floor: connected without an address"), err)
	}
	ip, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return nil, fmt.Errorf("floor: the subscriber's address: %w", err)
	}
	d := &destination{to: netip.AddrPortFrom(ip, pair.Remote.Port), seal: seal}
	for _, t := range []struct {
		sender *webrtc.RTPSender
		stream *stream
	}{{audio, &d.audio}, {video, &d.video}} {
		p := t.sender.GetParameters()
		if len(p.Encodings) == 0 || len(p.Codecs) == 0 {
			return nil, errors.New("floor: a track was not agreed")
		}
		*t.stream = stream{ssrc: uint32(p.Encodings[0].SSRC), payload: uint8(p.Codecs[0].PayloadType), index: 1}
		for _, extension := range p.HeaderExtensions {
			if extension.URI == transportWideURI {
				d.feedback = uint8(extension.ID)
			}
		}
	}
	return d, nil
}
