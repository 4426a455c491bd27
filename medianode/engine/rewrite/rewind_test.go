package rewrite

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
)

// A viewer that comes sees the frames since the key frame in quick succession,
// and from then on the stream runs as the publisher's clock does.
func TestStream_rewindAtTheBeginning(t *testing.T) {
	s := New(7, 1000, codec.H264, 90_000)
	now := time.Unix(1_700_000_000, 0)
	const live = 50_000 + 10*3000
	src := Source{Sequence: 500, Timestamp: 50_000}
	s.Rewind(now, src, live, clock.Mapping{}, clock.Mapping{})
	var stamps []uint32
	for i := range 13 {
		out, ok := s.Next(now, Source{Sequence: 500 + uint64(i), Timestamp: 50_000 + uint32(i)*3000})
		if !ok || out.Sequence != 7+uint16(i) {
			t.Fatalf("frame %d: got %+v %v, want sequence number %d", i, out, ok, 7+i)
		}
		stamps = append(stamps, out.Timestamp)
	}
	if stamps[0] != 1000 {
		t.Errorf("the first timestamp is %d, want 1000", stamps[0])
	}
	for i := range stamps[1:] {
		step, want := stamps[i+1]-stamps[i], uint32(300)
		if i >= 10 {
			want = 3000
		}
		if step != want {
			t.Errorf("from frame %d to the next: got %d ticks, want %d", i, step, want)
		}
	}
	if got := s.Timestamp(live); got != stamps[10] {
		t.Errorf("sender reports say %d for the live frame, it left with %d", got, stamps[10])
	}
}

// Whatever was sent before, timestamps ascend over a rewind, and live frames
// continue as if the switch had happened at the live frame.
func TestStream_rewindLikeASwitch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint32().Draw(t, "first")
		s, plain := New(0, first, codec.AV1, 90_000), New(0, first, codec.AV1, 90_000)
		now, a := time.Unix(1_700_000_000, 0), rapid.Uint32().Draw(t, "a")
		var last uint32
		for i := range rapid.IntRange(1, 5).Draw(t, "frames before") {
			src := Source{Sequence: 1<<20 + uint64(i), Timestamp: a + uint32(i)*3000}
			if i == 0 {
				s.Switch(now, src, clock.Mapping{}, clock.Mapping{})
				plain.Switch(now, src, clock.Mapping{}, clock.Mapping{})
			}
			out, _ := s.Next(now, src)
			plain.Next(now, src)
			last = out.Timestamp
			now = now.Add(33 * time.Millisecond)
		}
		now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond)
		b, frames := rapid.Uint32().Draw(t, "b"), rapid.IntRange(1, 60).Draw(t, "frames")
		step := uint32(90_000 / rapid.IntRange(5, 60).Draw(t, "rate"))
		live := b + uint32(frames)*step
		s.Rewind(now, Source{Sequence: 900, Timestamp: b}, live, clock.Mapping{}, clock.Mapping{})
		plain.Switch(now, Source{Sequence: 900 + uint64(frames), Timestamp: live}, clock.Mapping{}, clock.Mapping{})
		for i := range frames + 3 {
			src := Source{Sequence: 900 + uint64(i), Timestamp: b + uint32(i)*step}
			out, ok := s.Next(now, src)
			if !ok || int32(out.Timestamp-last) <= 0 {
				t.Fatalf("frame %d: got %d after %d", i, out.Timestamp, last)
			}
			last = out.Timestamp
			if i < frames {
				continue
			}
			if want, _ := plain.Next(now, src); out.Timestamp != want.Timestamp {
				t.Fatalf("live frame %d: got %d, want %d as after a switch", i, out.Timestamp, want.Timestamp)
			}
		}
	})
}
