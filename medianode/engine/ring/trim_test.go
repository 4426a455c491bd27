package ring_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/ring"
)

// A stream of 8 Mbit/s becomes one of 80 kbit/s: the ring follows, and what is
// younger than the age can still be asked for.
func TestRing_givesMemoryBack(t *testing.T) {
	r := ring.New(ring.Config{})
	first := r.Size()
	now := time.Unix(1_700_000_000, 0)
	seq := uint64(1 << 16)
	run := func(d time.Duration, every time.Duration) {
		trim := now
		for end := now.Add(d); now.Before(end); now = now.Add(every) {
			seq++
			r.Put(now, seq, ring.Packet{Payload: bytes.Repeat([]byte{byte(seq)}, 1000)})
			if now.Sub(trim) >= time.Second {
				trim = now
				r.Trim(now)
				for _, back := range []uint64{0, uint64(900 * time.Millisecond / every)} {
					if p, ok := r.Get(now, seq-back); !ok || p.Payload[0] != byte(seq-back) {
						t.Fatalf("packet %d before the newest is not there any more", back)
					}
				}
			}
		}
	}
	run(10*time.Second, time.Millisecond)
	full := r.Size()
	if full < 1_000_000 {
		t.Fatalf("got %d bytes for a second of 8 Mbit/s, want it all", full)
	}
	run(10*time.Second, 100*time.Millisecond)
	if got := r.Size(); got > full/16 {
		t.Errorf("got %d bytes for 80 kbit/s, %d before", got, full)
	}
	for range 10 {
		now = now.Add(time.Second)
		r.Trim(now)
	}
	if got := r.Size(); got != first {
		t.Errorf("got %d bytes with nothing in it, want the %d of a new ring", got, first)
	}
}

func TestRing_burstsAreNotTrimmed(t *testing.T) {
	r := ring.New(ring.Config{})
	now := time.Unix(1_700_000_000, 0)
	for i := range 500 {
		r.Put(now, uint64(1<<16+i), ring.Packet{Payload: make([]byte, 1000)})
	}
	full := r.Size()
	for range 4 { // the next key frame is not long away
		now = now.Add(time.Second)
		r.Trim(now)
	}
	if got := r.Size(); got != full {
		t.Errorf("got %d bytes after 4 s, want the %d of before", got, full)
	}
}

// Trim never loses what Get would have found.
func TestRing_trimLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring.New(ring.Config{Packets: 256, Bytes: 64 << 10})
		now := time.Unix(1_700_000_000, 0)
		seq := uint64(1 << 16)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(t, "pause")))
			for range rapid.IntRange(0, 10).Draw(t, "burst") {
				seq += rapid.Uint64Range(1, 3).Draw(t, "ahead")
				late := rapid.Uint64Range(0, 1).Draw(t, "late")
				r.Put(now, seq-late, ring.Packet{
					Payload:    bytes.Repeat([]byte{byte(seq - late)}, rapid.IntRange(1, 1200).Draw(t, "size")),
					Descriptor: []byte{byte(seq - late), 7}, Timestamp: uint32(seq - late),
				})
			}
			type kept struct {
				seq  uint64
				size int
			}
			var before []kept
			for n := seq - 300; n <= seq; n++ {
				if p, ok := r.Get(now, n); ok {
					before = append(before, kept{n, len(p.Payload)})
				}
			}
			r.Trim(now)
			for _, k := range before {
				p, ok := r.Get(now, k.seq)
				if !ok || len(p.Payload) != k.size || p.Payload[0] != byte(k.seq) || p.Descriptor[0] != byte(k.seq) || p.Timestamp != uint32(k.seq) {
					t.Fatalf("packet %d is lost or changed", k.seq)
				}
			}
		}
	})
}
