package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// Payload types that the clients offer.
const (
	payloadOpus = 111
	payloadVP8  = 96
	payloadRTX  = 97
)

// ExtensionLevel is the header extension of a microphone's loudness.
const ExtensionLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

// Options say what the clients negotiate.
type Options struct {
	// NACK asks for lost packets again, RTX has them come as a stream of their
	// own, TWCC numbers every packet and reports its arrival.
	NACK, RTX, TWCC bool
	// Layers lets cameras have simulcast layers.
	Layers bool
	// Levels lets microphones say how loud they are (RFC 6464): ExtensionLevel.
	Levels bool
	// Socket is open already, such as in another network namespace, and is used
	// instead of new ones. The API is then for one connection alone.
	Socket net.PacketConn
	// Interfaces are the only ones used when there are any; otherwise all are
	// but loopback.
	Interfaces []string
}

// Publisher is what a session publishes, and as whom.
type Publisher struct {
	Name         string
	Audio, Video webrtc.TrackLocal
	// Layers are the camera instead of Video, lowest first, and Sizes what they
	// are announced as. Only Signal.Join publishes layers; its API needs
	// Options.Layers.
	Layers []*Layer
	Sizes  []Size
	// KeyFrame is called for every request of a key frame, from any goroutine.
	KeyFrame func()
}

// Subscriber is who plays.
type Subscriber struct {
	Name string
	// Track is called with each track that arrives and must return soon.
	Track func(*webrtc.TrackRemote, *webrtc.RTPReceiver)
	// Failed is called when the transport is lost for good.
	Failed func()
}

// Sign makes a token for one participant.
type Sign func(identity string, publishes bool) (string, error)

// Session is one PeerConnection with what belongs to it.
type Session struct {
	pc     *webrtc.PeerConnection
	leave  func() // tells the server
	closer sync.Once
}

// Close ends the session here and at the server.
func (s *Session) Close() error {
	s.closer.Do(func() {
		if s.leave != nil {
			s.leave()
		}
		// Nothing can be done about a connection that does not close.
		_ = s.pc.Close()
	})
	return nil
}

// NewAPI returns the factory of the clients' PeerConnections. SRTP profiles are
// in pion's order, AES-GCM first.
func NewAPI(o Options) (*webrtc.API, error) {
	media, err := o.mediaEngine()
	if err != nil {
		return nil, fmt.Errorf("client: codecs: %w", err)
	}
	var registry interceptor.Registry
	if err := o.configure(media, &registry); err != nil {
		return nil, fmt.Errorf("client: interceptors: %w", err)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&registry),
		webrtc.WithSettingEngine(o.settings())), nil
}

// configure adds the interceptors that the options ask for. They log nothing:
// what fails when a connection closes is no news.
func (o Options) configure(media *webrtc.MediaEngine, registry *interceptor.Registry) error {
	log := quiet()
	err := webrtc.ConfigureRTCPReportsWithOptions(registry,
		[]report.ReceiverOption{report.WithReceiverLoggerFactory(log)}, report.WithSenderLoggerFactory(log))
	if err == nil && o.NACK {
		err = webrtc.ConfigureNackWithOptions(media, registry,
			[]nack.GeneratorOption{nack.WithGeneratorLoggerFactory(log)}, nack.WithResponderLoggerFactory(log))
	}
	if err == nil && o.TWCC {
		if err = webrtc.ConfigureTWCCHeaderExtensionSender(media, registry); err == nil {
			err = webrtc.ConfigureTWCCSenderWithOptions(media, registry, twcc.WithLoggerFactory(log))
		}
	}
	return err
}

// quiet makes pion's loggers say nothing.
func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

func (o Options) mediaEngine() (*webrtc.MediaEngine, error) {
	media := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack", Parameter: "pli"}}
	if o.NACK {
		feedback = append(feedback, webrtc.RTCPFeedback{Type: "nack"})
	}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	if err := media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: payloadOpus}, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}
	if err := media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: payloadVP8}, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	if o.RTX {
		rtx := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", payloadVP8)}
		if err := media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: rtx, PayloadType: payloadRTX}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	if o.Layers {
		if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: extensionRID}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	if o.Levels {
		if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: ExtensionLevel}, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		mid := webrtc.RTPHeaderExtensionCapability{URI: extensionMid}
		if err := media.RegisterHeaderExtension(mid, kind); err != nil {
			return nil, err
		}
	}
	return media, nil
}

func (o Options) settings() webrtc.SettingEngine {
	const noMulticastDNS = 1 // ice.MulticastDNSModeDisabled
	s := webrtc.SettingEngine{LoggerFactory: quiet()}
	s.SetICEMulticastDNSMode(noMulticastDNS)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetIncludeLoopbackCandidate(len(o.Interfaces) > 0)
	if len(o.Interfaces) > 0 {
		s.SetInterfaceFilter(func(name string) bool { return slices.Contains(o.Interfaces, name) })
	}
	if o.Socket != nil {
		s.SetICEUDPMux(webrtc.NewICEUDPMux(quiet().NewLogger("ice"), o.Socket))
	}
	s.SetDTLSInsecureSkipHelloVerify(true)
	// The tally finds duplicates; a window would hide them.
	s.DisableSRTPReplayProtection(true)
	s.DisableSRTCPReplayProtection(true)
	return s
}

// ServerSettings are those of an SFU on loopback that is made of pion: ICE-lite
// and a UDP port for each peer.
func ServerSettings() webrtc.SettingEngine {
	s := Options{Interfaces: LoopbackInterfaces("localhost")}.settings()
	s.SetLite(true)
	return s
}

// newPeer makes a PeerConnection that calls failed when it is lost for good.
func newPeer(api *webrtc.API, failed func()) (*webrtc.PeerConnection, error) {
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, fmt.Errorf("client: new PeerConnection: %w", err)
	}
	if failed != nil {
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateFailed {
				failed()
			}
		})
	}
	return pc, nil
}

// attach adds what p publishes and listens for key frame requests until the
// connection closes. It returns the section of the camera.
func attach(pc *webrtc.PeerConnection, p Publisher) (video *webrtc.RTPTransceiver, err error) {
	camera := p.Video
	if len(p.Layers) > 0 {
		camera = p.Layers[0]
	}
	for _, track := range []webrtc.TrackLocal{p.Audio, camera} {
		video, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return nil, fmt.Errorf("client: adding a track: %w", err)
		}
		sender := video.Sender()
		go listen(sender.ReadRTCP, p.KeyFrame)
	}
	for i, layer := range p.Layers {
		if i == 0 {
			continue // the section has it
		}
		if err := video.Sender().AddEncoding(layer); err != nil {
			return nil, fmt.Errorf("client: adding a layer: %w", err)
		}
		go listen(func() ([]rtcp.Packet, interceptor.Attributes, error) {
			return video.Sender().ReadSimulcastRTCP(layer.RID())
		}, p.KeyFrame)
	}
	return video, nil
}

func listen(read func() ([]rtcp.Packet, interceptor.Attributes, error), keyFrame func()) {
	for {
		packets, _, err := read()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				keyFrame()
			}
		}
	}
}

// offer sets and returns a local offer with all candidates.
func offer(ctx context.Context, pc *webrtc.PeerConnection) (string, error) {
	description, err := pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("client: making an offer: %w", err)
	}
	return setLocal(ctx, pc, description)
}

// Answer sets a remote offer, and sets and returns the answer to it with all
// candidates.
func Answer(ctx context.Context, pc *webrtc.PeerConnection, sdp string) (string, error) {
	err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp})
	if err != nil {
		return "", fmt.Errorf("client: the other side's offer: %w", err)
	}
	description, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("client: making an answer: %w", err)
	}
	return setLocal(ctx, pc, description)
}

func setLocal(ctx context.Context, pc *webrtc.PeerConnection, description webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(description); err != nil {
		return "", fmt.Errorf("client: own description: %w", err)
	}
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", fmt.Errorf("client: gathering candidates: %w", ctx.Err())
	}
}

func setAnswer(pc *webrtc.PeerConnection, sdp string) error {
	err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
	if err != nil {
		return fmt.Errorf("client: the server's answer: %w", err)
	}
	return nil
}

// LoopbackInterfaces returns the names of the loopback interfaces when host is
// a loopback address or localhost, and nothing otherwise: for Options.
func LoopbackInterfaces(host string) []string {
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil // all interfaces do as well, they take longer
	}
	var names []string
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			names = append(names, i.Name)
		}
	}
	return names
}

// closeOnError closes pc and adds nothing to err when it is not nil.
func closeOnError(pc *webrtc.PeerConnection, err error) error {
	if err != nil {
		err = errors.Join(err, pc.Close())
	}
	return err
}
