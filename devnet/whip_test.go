package devnet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc/orchestrator/signal"
)

// encoder is a foreign WHIP publisher: Opus and VP8 whose payloads name it.
type encoder struct {
	*client
	stop  chan struct{}
	done  chan struct{}
	level atomic.Int32 // of its sound, -dBov (RFC 6464)
}

const audioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

// speak makes this encoder loud and the other silent.
func (e *encoder) speak(other *encoder) {
	e.level.Store(10)
	other.level.Store(127)
}

// client is a session that WHIP or WHEP opened.
type client struct {
	s        *system
	pc       *webrtc.PeerConnection
	token    string
	location string
	tag      string
	answer   string
}

func (s *system) grant(identity string, grants ...string) string {
	s.t.Helper()
	token, err := signal.Token(s.ready.APIKey, s.ready.APISecret, signal.Grants{Identity: identity, Room: "r", Names: grants}, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// ask makes a request as a WHIP client does.
func (s *system) ask(method, path, token, kind, body, match string) (int, http.Header, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.ready.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// open offers what prepare adds to a connection.
func (s *system) open(path, token string, prepare func(*webrtc.PeerConnection)) *client {
	s.t.Helper()
	setting := webrtc.SettingEngine{}
	setting.SetIncludeLoopbackCandidate(true)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		s.t.Fatal(err)
	}
	if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: audioLevel}, webrtc.RTPCodecTypeAudio); err != nil {
		s.t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(setting), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = pc.Close() })
	prepare(pc)
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		s.t.Fatal(err)
	}
	status, header, answer := s.ask(http.MethodPost, path, token, "application/sdp", offer.SDP, "")
	if status != http.StatusCreated {
		s.t.Fatalf("POST %s: got %d %s, want 201", path, status, answer)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		s.t.Fatalf("POST %s: %v in %s", path, err, answer)
	}
	return &client{s: s, pc: pc, token: token, location: header.Get("Location"), tag: header.Get("ETag"), answer: answer}
}

func (c *client) end() {
	c.s.t.Helper()
	if status, _, body := c.s.ask(http.MethodDelete, c.location, c.token, "", "", ""); status != http.StatusOK {
		c.s.t.Errorf("DELETE: got %d %s, want 200", status, body)
	}
}

// publish sends 30 pictures and 50 sounds a second, each with name in it, until
// the encoder is stopped.
func (s *system) publish(path, token string, name byte) *encoder {
	s.t.Helper()
	var tracks []*webrtc.TrackLocalStaticRTP
	e := &encoder{stop: make(chan struct{}), done: make(chan struct{})}
	e.level.Store(127)
	e.client = s.open(path, token, func(pc *webrtc.PeerConnection) {
		for _, mime := range []string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8} {
			t, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "track "+mime[:5], "stream")
			if err != nil {
				s.t.Fatal(err)
			}
			if _, err := pc.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
				s.t.Fatal(err)
			}
			tracks = append(tracks, t)
		}
	})
	level := uint8(0)
	for _, x := range e.pc.GetSenders()[0].GetParameters().HeaderExtensions {
		if x.URI == audioLevel {
			level = uint8(x.ID)
		}
	}
	if level == 0 {
		s.t.Fatalf("POST %s: audio levels were not negotiated: %s", path, e.answer)
	}
	go func() {
		defer close(e.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := uint32(1); ; n++ {
			select {
			case <-e.stop:
				return
			case <-tick.C:
			}
			header := rtp.Header{Version: 2, SequenceNumber: uint16(n), Marker: true}
			header.Timestamp = n * 960
			sound := &rtp.Packet{Header: header, Payload: []byte{name, 1, 2, 3}}
			_ = sound.SetExtension(level, []byte{byte(e.level.Load())})
			_ = tracks[0].WriteRTP(sound)
			header.Timestamp = n * 1800
			// A whole VP8 frame with a 15-bit picture id; every tenth is a key frame.
			picture := binary.BigEndian.AppendUint16([]byte{0x90, 0x80}, 0x8000|uint16(n))
			picture = append(picture, byte(min(n%10, 1)), name, 0, 0, 0, 0)
			_ = tracks[1].WriteRTP(&rtp.Packet{Header: header, Payload: picture})
		}
	}()
	s.t.Cleanup(e.halt)
	return e
}

// halt stops sending.
func (e *encoder) halt() {
	select {
	case <-e.stop:
	default:
		close(e.stop)
	}
	<-e.done
}

// player is a foreign WHEP player. It notes whose media came last and whether
// each stream goes on without a hole.
type player struct {
	*client
	audio, video atomic.Uint64 // packets
	from         [2]atomic.Int32
	fault        atomic.Pointer[string]
	// restarted says that its own stack may have dropped packets.
	restarted atomic.Bool
}

func (s *system) play(path, token string) *player {
	s.t.Helper()
	p := &player{}
	p.client = s.open(path, token, func(pc *webrtc.PeerConnection) {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				s.t.Fatal(err)
			}
		}
		pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.read(t) })
	})
	return p
}

func (p *player) read(t *webrtc.TrackRemote) {
	var last *rtp.Packet
	lastPicture := uint16(0)
	for {
		packet, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		fault := ""
		hole := last != nil && packet.SequenceNumber != last.SequenceNumber+1
		switch {
		case hole && p.restarted.Load() && int16(packet.SequenceNumber-last.SequenceNumber) < 0:
			continue // sent again
		case hole && p.restarted.Load():
			last = nil
		case hole:
			fault = fmt.Sprintf("%s: sequence %d after %d", t.Kind(), packet.SequenceNumber, last.SequenceNumber)
		}
		if last != nil && int32(packet.Timestamp-last.Timestamp) <= 0 {
			fault = fmt.Sprintf("%s: timestamp %d after %d", t.Kind(), packet.Timestamp, last.Timestamp)
		}
		if t.Kind() == webrtc.RTPCodecTypeVideo {
			picture := binary.BigEndian.Uint16(packet.Payload[2:]) & 0x7fff
			if last != nil && picture != (lastPicture+1)&0x7fff {
				fault = fmt.Sprintf("picture %d after %d", picture, lastPicture)
			}
			lastPicture = picture
			p.from[1].Store(int32(packet.Payload[5]))
			p.video.Add(1)
		} else {
			p.from[0].Store(int32(packet.Payload[0]))
			p.audio.Add(1)
		}
		if fault != "" {
			p.fault.CompareAndSwap(nil, &fault)
		}
		last = packet
	}
}

// sees waits for media of a publisher.
func (p *player) sees(what string, name byte) {
	p.s.t.Helper()
	for i, count := range []*atomic.Uint64{&p.audio, &p.video} {
		begin := count.Load()
		p.s.eventually(what, func() error {
			if got := p.from[i].Load(); got != int32(name) || count.Load() < begin+10 {
				return fmt.Errorf("%d packets, the last of %q, want 10 new ones of %q", count.Load()-begin, got, name)
			}
			return nil
		})
	}
	if fault := p.fault.Load(); fault != nil {
		p.s.t.Errorf("%s: %s", what, *fault)
	}
}

// restart restarts ICE by PATCH.
func (p *player) restart() {
	t := p.s.t
	t.Helper()
	offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	p.restarted.Store(true)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	var fragment strings.Builder
	for line := range strings.Lines(offer.SDP) {
		if strings.HasPrefix(line, "a=ice-ufrag") || strings.HasPrefix(line, "a=ice-pwd") {
			fragment.WriteString(line)
		}
	}
	status, header, body := p.s.ask(http.MethodPatch, p.location, p.token, "application/trickle-ice-sdpfrag", fragment.String(), "*")
	if status != http.StatusOK || header.Get("ETag") == p.tag || header.Get("ETag") == "" {
		t.Fatalf("ICE restart: got %d with ETag %s, %s", status, header.Get("ETag"), body)
	}
	p.tag = header.Get("ETag")
	fresh := map[string]string{}
	for line := range strings.Lines(body) {
		if key, _, ok := strings.Cut(line, ":"); ok {
			fresh[key] = line
		}
	}
	var answer bytes.Buffer
	for line := range strings.Lines(p.answer) {
		if key, _, _ := strings.Cut(line, ":"); key == "a=ice-ufrag" || key == "a=ice-pwd" {
			if fresh[key] == "" || fresh[key] == line {
				t.Fatalf("the fragment has no new %s: %s", key, body)
			}
			line = fresh[key]
		}
		answer.WriteString(line)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.String()}); err != nil {
		t.Fatal(err)
	}
}

// A whole life of WHIP and WHEP with a foreign WebRTC stack on both sides.
func TestNetwork_publishesByWHIPAndPlaysByWHEP(t *testing.T) {
	s := startSystem(t)
	admin := s.grant("admin", "roomAdmin")
	early := s.play("/whep/r/cam", admin) // nobody is there yet
	cam := s.publish("/whip/r/cam", admin, 'A')
	early.sees("an early player", 'A')
	room := s.play("/whep/r", s.grant("eve", "!canPublish"))
	late := s.play("/whep/r/cam", admin) // the same token again
	room.sees("a player of the room", 'A')
	late.sees("a late player", 'A')
	early.sees("an early player after others came", 'A')

	status, _, body := s.ask(http.MethodPatch, late.location, admin, "application/trickle-ice-sdpfrag",
		"a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n", late.tag)
	if status != http.StatusNoContent {
		t.Errorf("a candidate: got %d %s, want 204", status, body)
	}
	late.restart()
	late.sees("a player after its ICE restart", 'A')

	other := s.publish("/whip/r/other", admin, 'B')
	other.speak(cam)
	room.sees("a player of the room when another one speaks", 'B')
	cam.speak(other)
	room.sees("a player of the room when the first one speaks again", 'A')

	cam.halt()
	cam.end()
	s.eventually("the publisher's connection ends", func() error {
		if state := cam.pc.ConnectionState(); state != webrtc.PeerConnectionStateClosed && state != webrtc.PeerConnectionStateFailed && state != webrtc.PeerConnectionStateDisconnected {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
	if status, _, _ := s.ask(http.MethodDelete, cam.location, admin, "", "", ""); status != http.StatusNotFound {
		t.Errorf("a second DELETE: got %d, want 404", status)
	}
	room.sees("a player of the room after the publisher left", 'B')
	again := s.publish("/whip/r/cam", admin, 'C')
	early.sees("an early player after the publisher came back", 'C')
	late.sees("a late player after the publisher came back", 'C')

	for _, p := range []*client{early.client, room.client, late.client, other.client, again.client} {
		p.end()
	}
	s.eventually("no session is left", func() error {
		_, metrics, err := get(s.ready.Orchestrator.Metrics)
		if err != nil {
			return err
		}
		if !strings.Contains(metrics, "drtc_orchestrator_whip_sessions 0") || !strings.Contains(metrics, "drtc_orchestrator_sessions 0") {
			return fmt.Errorf("sessions are left")
		}
		return nil
	})
}
