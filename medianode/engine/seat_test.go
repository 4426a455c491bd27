package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// stage is a network with cameras TR_1, TR_2 and TR_3 of clients of their own,
// and a seat of client 9.
type stage struct {
	*network
	cams   map[drtc.TrackID]*camera
	viewer *client
}

const seat, seatSSRC, seatRTX = drtc.TrackID("video-0"), 7000, 7001

// newStage is one on which a source begins with its next key frame.
func newStage(t testing.TB) *stage { return openStage(newNetworkOf(t, engine.Config{NoReplay: true})) }

func openStage(n *network) *stage {
	s := &stage{network: n, cams: map[drtc.TrackID]*camera{}}
	for i, track := range []drtc.TrackID{"TR_1", "TR_2", "TR_3"} {
		s.publish(engine.PeerID(i+1), track)
	}
	s.viewer = s.join(9)
	s.must(s.core.OpenSeat(s.now, 9, engine.SeatConfig{ID: seat, Video: true, SSRC: seatSSRC, RTX: seatRTX}))
	s.must(s.core.SetSend(s.now, 9, []engine.SendSection{{Track: seat, Mid: "0", Codec: vp8, Active: true}}))
	return s
}

// publish gives a track a camera, whose numbers tell it from the others.
func (s *stage) publish(id engine.PeerID, track drtc.TrackID) {
	c := s.join(id).camera(track)
	c.ssrc = 1000 * uint32(id)
	c.seq = [3]uint16{uint16(id) * 10000, uint16(id) * 10000, uint16(id) * 10000}
	s.cams[track] = c
}

func (s *stage) show(track drtc.TrackID) {
	s.t.Helper()
	s.must(s.core.SetSource(s.now, 9, seat, track, 0, vp8))
	s.flush()
}

// from is the camera of the last packet that the viewer got.
func (s *stage) from() drtc.TrackID {
	if len(s.viewer.rtp) == 0 {
		return ""
	}
	p := s.viewer.rtp[len(s.viewer.rtp)-1].Payload
	return drtc.TrackID("TR_" + string('0'+byte((uint16(p[3])|uint16(p[4])<<8)/10000)))
}

// steady checks that the viewer sees one stream.
func (s *stage) steady(t interface {
	Helper()
	Fatalf(string, ...any)
}) {
	t.Helper()
	for i, p := range s.viewer.rtp {
		if p.SSRC != seatSSRC {
			t.Fatalf("packet %d: ssrc %d, want %d", i, p.SSRC, seatSSRC)
		}
		if i == 0 {
			continue
		}
		before := s.viewer.rtp[i-1]
		if p.SequenceNumber != before.SequenceNumber+1 {
			t.Fatalf("packet %d: sequence %d after %d", i, p.SequenceNumber, before.SequenceNumber)
		}
		if step := int32(p.Timestamp - before.Timestamp); step < 0 || step > 90000*30 {
			t.Fatalf("packet %d: timestamp moved by %d ticks", i, step)
		}
	}
}

// A source whose last key frame is in the ring is shown at once, and so is the
// next.
func TestSeat_showsWhatTheRingHolds(t *testing.T) {
	s := openStage(newNetwork(t))
	for _, track := range []drtc.TrackID{"TR_1", "TR_2", "TR_1", "TR_3"} {
		for _, c := range s.cams {
			c.frame(true)
			c.frame(false)
		}
		s.show(track)
		s.pass(20 * time.Millisecond)
		s.cams[track].frame(false)
		if got := s.from(); got != track {
			t.Fatalf("sent %q without a new key frame, want %q", got, track)
		}
	}
	s.steady(t)
}

func TestSeat_goesOnFromTrackToTrack(t *testing.T) {
	s := newStage(t)
	for range 3 {
		s.cams["TR_1"].frame(true)
	}
	if n := len(s.viewer.rtp); n != 0 {
		t.Fatalf("a seat without a source was sent %d packets", n)
	}
	s.show("TR_1")
	s.cams["TR_1"].frame(true)
	if got := s.from(); got != "TR_1" {
		t.Fatalf("after a key frame of TR_1: sent %q", got)
	}
	s.cams["TR_2"].frame(true) // live before it is chosen
	before := count[*rtcp.PictureLossIndication](s.cams["TR_2"].client)
	s.show("TR_2")
	s.pass(time.Second)
	if count[*rtcp.PictureLossIndication](s.cams["TR_2"].client) == before {
		t.Error("the new source was not asked for a key frame")
	}
	s.cams["TR_2"].frame(false)
	s.cams["TR_1"].frame(false)
	if got := s.from(); got != "TR_1" {
		t.Errorf("before the new source's key frame: sent %q, want the old one to go on", got)
	}
	s.cams["TR_2"].frame(true)
	s.cams["TR_1"].frame(true)
	if got := s.from(); got != "TR_2" {
		t.Errorf("after the new source's key frame: sent %q", got)
	}
	s.show("") // nothing
	n := len(s.viewer.rtp)
	s.cams["TR_2"].frame(true)
	if len(s.viewer.rtp) != n {
		t.Error("an empty seat was sent media")
	}
	s.show("TR_3")
	s.cams["TR_3"].frame(true)
	if got := s.from(); got != "TR_3" {
		t.Errorf("after a pause: sent %q, want TR_3", got)
	}
	s.steady(t)
}

func TestSeat_outlivesItsPublisher(t *testing.T) {
	s := newStage(t)
	s.show("TR_1")
	s.cams["TR_1"].frame(true)
	s.core.RemovePeer(s.now, 1)
	s.pass(3 * time.Second)
	s.publish(4, "TR_4")
	s.show("TR_4")
	s.cams["TR_4"].frame(true)
	if got := s.from(); got != "TR_4" {
		t.Errorf("after the publisher came back: sent %q, want TR_4", got)
	}
	// The new source ends before it began: the old one stays.
	s.cams["TR_2"].frame(true)
	s.show("TR_2")
	s.must(s.core.Unpublish(s.now, "TR_2"))
	s.cams["TR_4"].frame(false)
	if got := s.from(); got != "TR_4" {
		t.Errorf("after the next source ended: sent %q, want TR_4", got)
	}
	// The old source ends while the new one is awaited.
	s.show("TR_3")
	s.core.RemovePeer(s.now, 4)
	s.cams["TR_3"].frame(true)
	if got := s.from(); got != "TR_3" {
		t.Errorf("after the old source ended: sent %q, want TR_3", got)
	}
	s.steady(t)
}

func TestSeat_neverRetransmitsAnotherSource(t *testing.T) {
	s := newStage(t)
	s.show("TR_1")
	for range 4 {
		s.cams["TR_1"].frame(true)
	}
	lost := s.viewer.rtp[2]
	s.cams["TR_2"].frame(true)
	s.show("TR_2")
	nack := &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: seatSSRC, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}}}
	s.viewer.rtp = nil
	s.viewer.control(nack)
	if len(s.viewer.rtp) != 1 || string(s.viewer.rtp[0].Payload[2:]) != string(lost.Payload) {
		t.Fatalf("while the old source goes on: got %d packets, want the lost one again", len(s.viewer.rtp))
	}
	s.cams["TR_2"].frame(true)
	s.viewer.rtp = nil
	s.pass(time.Second)
	s.viewer.control(nack)
	if len(s.viewer.rtp) != 0 {
		t.Errorf("after the change: got payload %v for a packet of the old source", s.viewer.rtp[0].Payload)
	}
}

func TestSeat_refusesWhatItCannotShow(t *testing.T) {
	s := newStage(t)
	s.must(s.core.OpenSeat(s.now, 9, engine.SeatConfig{ID: "audio-0", SSRC: 7002, RTX: 7003}))
	for name, c := range map[string]struct {
		peer  engine.PeerID
		seat  drtc.TrackID
		track drtc.TrackID
		want  error
	}{
		"no such peer":     {77, seat, "TR_1", engine.ErrPeer},
		"no such seat":     {9, "video-1", "TR_1", engine.ErrSubscription},
		"no such track":    {9, seat, "TR_7", engine.ErrTrack},
		"video for audio":  {9, "audio-0", "TR_1", engine.ErrTrack},
		"a track, no seat": {9, "TR_1", "TR_2", engine.ErrSubscription},
	} {
		if err := s.core.SetSource(s.now, c.peer, c.seat, c.track, 0, vp8); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if err := s.core.OpenSeat(s.now, 9, engine.SeatConfig{ID: "video-1", Video: true, SSRC: seatSSRC, RTX: 1}); !errors.Is(err, engine.ErrSSRC) {
		t.Errorf("a second seat with the first one's SSRC: got %v, want ErrSSRC", err)
	}
}

// Whatever the sources do, the viewer sees one stream: of the source that it had,
// and from a key frame on of the one that it was given.
func TestSeat_isOneStreamForAnyHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStage(t)
		given, seen := drtc.TrackID(""), drtc.TrackID("")
		gone := map[drtc.TrackID]bool{}
		for range rapid.IntRange(20, 80).Draw(r, "steps") {
			track := rapid.SampledFrom([]drtc.TrackID{"TR_1", "TR_2", "TR_3"}).Draw(r, "track")
			switch rapid.SampledFrom([]string{"show", "frame", "none", "end", "mute", "show", "frame", "frame"}).Draw(r, "step") {
			case "show":
				if !gone[track] {
					s.show(track)
					given = track
				}
			case "none":
				s.show("")
				given, seen = "", ""
			case "end":
				if !gone[track] && rapid.IntRange(0, 3).Draw(r, "really") == 0 {
					gone[track] = true
					s.must(s.core.Unpublish(s.now, track))
				}
			case "mute":
				_ = s.core.MuteTrack(s.now, track, rapid.Bool().Draw(r, "muted")) // it may have ended
			case "frame":
				key := rapid.Bool().Draw(r, "key")
				n := len(s.viewer.rtp)
				s.cams[track].frame(key)
				if len(s.viewer.rtp) == n {
					continue
				}
				if got := s.from(); got != track || got != seen && !(key && got == given) || given == "" {
					r.Fatalf("sent %q by a frame of %q (key frame: %v) while the seat was given %q and showed %q", got, track, key, given, seen)
				}
				seen = track
			}
			s.steady(r)
		}
	})
}
