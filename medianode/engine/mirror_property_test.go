package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/clock"
)

// recorded is one media packet as the publisher sent it.
type recorded struct {
	layer     int
	index     int // among the media packets of its layer; a new source leaves a hole
	timestamp uint32
	captured  time.Time
	key       bool
	marker    bool
}

// studio is a camera that answers key frame requests, tells its clock, and
// remembers what it sent.
type studio struct {
	*camera
	sent    map[[3]byte]recorded // by the last bytes of the payload
	index   [3]int
	pending [3]bool
}

func (s *studio) picture(layers [3]bool, padding bool) {
	for _, p := range s.rtcp {
		if pli, ok := p.(*rtcp.PictureLossIndication); ok && pli.MediaSSRC-s.ssrc < 3 {
			s.pending[pli.MediaSSRC-s.ssrc] = true
		}
	}
	s.rtcp = nil
	for l := range 3 {
		if !layers[l] {
			continue
		}
		if padding {
			s.padding(l)
		}
		s.record(l, s.pending[l], false)
		s.record(l, false, true)
		s.pending[l] = false
	}
	s.n.pass(33 * time.Millisecond)
}

func (s *studio) record(l int, key, marker bool) {
	seq := s.seq[l]
	s.index[l]++
	s.sent[[3]byte{byte(l), byte(seq), byte(seq >> 8)}] = recorded{
		layer: l, index: s.index[l], timestamp: s.stamp(l), captured: s.n.now, key: key, marker: marker,
	}
	s.packet(l, key, marker, true)
}

func (s *studio) stamp(l int) uint32 { return uint32(s.n.now.UnixMilli()*90) + uint32(l)*777 }

// replace begins anew with other sources.
func (s *studio) replace() {
	s.ssrc += 10
	for l := range s.index {
		s.index[l] += 1000
		s.seq[l] += 3000
		s.pending[l] = true // an encoder begins with a key frame
	}
}

func (s *studio) report() {
	for l := range 3 {
		s.control(&rtcp.SenderReport{SSRC: s.ssrc + uint32(l), NTPTime: clock.NTP(s.n.now), RTPTime: s.stamp(l)})
	}
}

// source finds what a forwarded packet was.
func (s *studio) source(p *rtp.Packet) (recorded, error) {
	n := len(p.Payload)
	r, ok := s.sent[[3]byte(p.Payload[n-3:])]
	if !ok {
		return r, fmt.Errorf("payload %x was never sent", p.Payload)
	}
	return r, nil
}

// watchable says why a client could not show what it was sent, if so: numbers
// without a hole, each packet after the one on which it builds, timestamps as
// far apart as the pictures are. slack is by how much a change of the source may
// be off; if that is a second and more, the pictures need not be as far apart.
func (s *studio) watchable(packets []*rtp.Packet, slack time.Duration) error {
	var before recorded
	for i, p := range packets {
		now, err := s.source(p)
		if err != nil {
			return err
		}
		builds := i > 0 && now.layer == before.layer && now.index == before.index+1
		if !builds && !now.key {
			return fmt.Errorf("packet %d: %+v follows %+v", i, now, before)
		}
		if i > 0 {
			if p.SequenceNumber != packets[i-1].SequenceNumber+1 {
				return fmt.Errorf("packet %d: sequence %d after %d", i, p.SequenceNumber, packets[i-1].SequenceNumber)
			}
			if err := step(p.Timestamp-packets[i-1].Timestamp, before, now, builds && !now.key && slack < time.Second, slack); err != nil {
				return fmt.Errorf("packet %d: %w", i, err)
			}
		}
		if p.Marker != now.marker {
			return fmt.Errorf("packet %d: marker %v", i, p.Marker)
		}
		before = now
	}
	return nil
}

// step checks how far the timestamp went on between two packets: exactly as far
// as the source's did, or about as much time as passed.
func step(got uint32, before, now recorded, exact bool, slack time.Duration) error {
	if want := now.timestamp - before.timestamp; exact && got != want {
		return fmt.Errorf("timestamp went on by %d, want %d", int32(got), int32(want))
	}
	want := clock.Ticks(now.captured.Sub(before.captured), 90000)
	off := int64(int32(got)) - want
	if int32(got) < 0 || max(off, -off) > clock.Ticks(slack, 90000) {
		return fmt.Errorf("timestamp went on by %d, want about %d", int32(got), want)
	}
	return nil
}

// What a viewer in another core is shown is as whole as what a viewer in the
// home core is, whatever the publisher, the viewers and the exchange between the
// cores do; and once all is quiet it is the same.
func TestMirror_showsWhatTheHomeShows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		replay := rapid.Bool().Draw(r, "replay")
		x := newNodeOf(t, 2, engine.Config{NoReplay: !replay})
		longest := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 20 * time.Millisecond}).Draw(r, "delay")
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(r, "delays")))
		x.delay = func() time.Duration { return time.Duration(random.Int64N(int64(longest) + 1)) }
		s := &studio{camera: x.cores[0].join(1).camera("TR_v"), sent: map[[3]byte]recorded{}}
		near, far := x.cores[0].join(2), x.cores[1].join(3)
		viewers := []*client{near, far}
		size := engine.Settings{Width: 640, Height: 360}
		watch := func() {
			for _, c := range viewers {
				c.watch("TR_v", size.Width, size.Height)
			}
		}
		alive := func() {
			for _, c := range []*client{s.client, near, far} {
				c.check(true)
			}
		}
		on, full, muted := [3]bool{true, true, true}, false, false
		watch()
		for range rapid.IntRange(1, 60).Draw(r, "commands") {
			alive()
			switch rapid.SampledFrom([]string{
				"pictures", "pictures", "pictures", "padding", "padding alone", "size", "off", "mute", "layers", "replace", "report", "full", "PLI", "again", "pause",
			}).Draw(r, "command") {
			case "pictures":
				for range rapid.IntRange(1, 20).Draw(r, "pictures") {
					s.picture(on, false)
				}
			case "padding":
				s.picture(on, true)
			case "padding alone":
				s.padding(rapid.IntRange(0, 2).Draw(r, "layer"))
				x.pass(time.Millisecond)
			case "size":
				size.Width = rapid.SampledFrom([]uint32{100, 320, 640}).Draw(r, "width")
				size.Height, size.Disabled = size.Width*9/16, false
				for _, c := range viewers {
					c.n.must(c.n.core.SetSettings(x.now, c.id, "TR_v", size))
				}
			case "off":
				size.Disabled = !size.Disabled
				for _, c := range viewers {
					c.n.must(c.n.core.SetSettings(x.now, c.id, "TR_v", size))
				}
			case "mute":
				muted = !muted
				s.n.must(s.n.core.MuteTrack(x.now, "TR_v", muted))
			case "layers":
				l := rapid.IntRange(0, 2).Draw(r, "layer")
				on[l] = !on[l]
				s.pending[l] = true
			case "replace":
				s.replace()
			case "report":
				s.report()
			case "full":
				if full = !full; full {
					x.slots = 0
				} else {
					x.slots = 64
				}
			case "PLI":
				for _, c := range viewers {
					c.control(&rtcp.PictureLossIndication{MediaSSRC: 5000})
				}
			case "again": // as new viewers
				for _, c := range viewers {
					c.n.must(c.n.core.Unsubscribe(x.now, c.id, "TR_v"))
					if err := s.watchable(c.rtp, slack(longest, replay)); err != nil {
						r.Fatalf("viewer %d: %v", c.id, err)
					}
					c.rtp = nil
				}
				size.Disabled = false
				watch()
			case "pause":
				x.pass(time.Duration(rapid.IntRange(1, 3000).Draw(r, "ms")) * time.Millisecond)
			}
		}
		// All is quiet.
		alive()
		x.slots = 64
		if muted {
			s.n.must(s.n.core.MuteTrack(x.now, "TR_v", false))
		}
		size.Disabled = false
		for _, c := range viewers {
			c.n.must(c.n.core.SetSettings(x.now, c.id, "TR_v", size))
		}
		for range 90 {
			s.picture([3]bool{true, true, true}, false)
		}
		for _, c := range viewers {
			if err := s.watchable(c.rtp, slack(longest, replay)); err != nil {
				r.Fatalf("viewer %d: %v", c.id, err)
			}
		}
		if len(near.rtp) < 40 || len(far.rtp) < 40 {
			r.Fatalf("got %d packets in the home core and %d in the other", len(near.rtp), len(far.rtp))
		}
		a, b := near.rtp[len(near.rtp)-40:], far.rtp[len(far.rtp)-40:]
		for i := range a {
			want, _ := s.source(a[i])
			if got, _ := s.source(b[i]); got != want {
				r.Fatalf("in the end, packet %d: got %+v, want %+v", i, got, want)
			}
		}
		if got, _ := last[engine.LayerDemand](s.n); fmt.Sprint(got.Layers) != fmt.Sprint(wanted(size)) {
			r.Fatalf("in the end: got demand %v of %dx%d", got.Layers, size.Width, size.Height)
		}
	})
}

// slack is how much a timestamp may be off at a change of the source: the least
// step, how much longer one parcel may take than another, and how old the
// pictures may be with which a viewer begins, which are shown quickly.
func slack(longest time.Duration, replay bool) time.Duration {
	if replay {
		longest += time.Second
	}
	return 34*time.Millisecond + longest
}

// wanted are the layers in demand for one size.
func wanted(size engine.Settings) []int {
	switch size.Width {
	case 100:
		return []int{0}
	case 320:
		return []int{0, 1}
	}
	return []int{0, 2}
}
