package sequence

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/codec"
)

var start = time.Unix(1_700_000_000, 0)

func TestUnwrapper_wrapAndReorder(t *testing.T) {
	var u Unwrapper
	for _, c := range []struct {
		seq  uint16
		want uint64
	}{
		{65534, 1<<16 + 65534}, {65535, 1<<16 + 65535}, {1, 2<<16 + 1}, {0, 2 << 16},
		{65533, 1<<16 + 65533}, {2, 2<<16 + 2}, {30000, 2<<16 + 30000}, {60000, 2<<16 + 60000}, {5, 3<<16 + 5},
	} {
		if got := u.Unwrap(c.seq); got != c.want {
			t.Errorf("Unwrap(%d) = %d, want %d", c.seq, got, c.want)
		}
	}
	if got := u.Highest(); got != 3<<16+5 {
		t.Errorf("Highest() = %d", got)
	}
}

func TestUnwrapper_earlyReorderStaysPositive(t *testing.T) {
	var u Unwrapper
	if u.Highest() != 0 {
		t.Error("has a highest number before the first")
	}
	first := u.Unwrap(3)
	if got := u.Unwrap(65530); got != first-9 {
		t.Errorf("got %d, want %d", got, first-9)
	}
}

// Any walk of steps below 2^15 is followed exactly, from any start.
func TestUnwrapper_followsAnyWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u Unwrapper
		at := int64(1<<16) + int64(rapid.Uint16().Draw(t, "first"))
		highest := at
		u.Unwrap(uint16(at))
		for _, step := range rapid.SliceOf(rapid.Int64Range(-1<<15, 1<<15-1)).Draw(t, "steps") {
			at = highest + step
			if got := u.Unwrap(uint16(at)); got != uint64(at) {
				t.Fatalf("got %d, want %d", got, at)
			}
			highest = max(highest, at)
		}
	})
}

func TestMap_remembersItsWindow(t *testing.T) {
	m := NewMap(100) // 128
	entry := func(i int) Entry {
		return Entry{Source: uint64(i) + 500, Timestamp: uint32(i), Layer: 2, Picture: codec.Picture{ID: uint16(i)}}
	}
	const first = 65500
	for i := range 300 { // over the wrap
		m.Push(uint16(first+i), entry(i))
	}
	for i := range 300 {
		e, ok := m.Lookup(uint16(first + i))
		if want := i >= 300-128; ok != want {
			t.Errorf("packet %d remembered: %v, want %v", i, ok, want)
		}
		if ok && (e.Source != uint64(i)+500 || e.Timestamp != uint32(i) || e.Layer != 2 || e.Picture.ID != uint16(i)) {
			t.Errorf("packet %d: %+v", i, e)
		}
	}
}

func TestMap_holesAndStaleEntries(t *testing.T) {
	m := NewMap(64)
	m.Push(10, Entry{Source: 1})
	m.Push(12, Entry{Source: 3})
	if _, ok := m.Lookup(11); ok {
		t.Error("answers for a hole")
	}
	m.Push(11, Entry{Source: 2}) // late
	if e, ok := m.Lookup(11); !ok || e.Source != 2 {
		t.Errorf("late packet: %+v %v", e, ok)
	}
	// Once around: 10 must not be found again under its old entry.
	for seq := 13; seq < 1<<16+12; seq += 500 {
		m.Push(uint16(seq), Entry{Source: uint64(seq)})
	}
	m.Push(9, Entry{})
	m.Push(13, Entry{})
	if _, ok := m.Lookup(10); ok {
		t.Error("answers with an entry of 2^16 packets ago")
	}
}

func TestMap_pushTooOldIsIgnored(t *testing.T) {
	m := NewMap(64)
	m.Push(1000, Entry{Source: 1})
	m.Push(1000-64, Entry{Source: 2})
	if _, ok := m.Lookup(1000 - 64); ok {
		t.Error("remembers a packet older than the window")
	}
	if e, ok := m.Lookup(1000); !ok || e.Source != 1 {
		t.Error("an old packet took the place of the newest")
	}
}

func TestMap_retransmitOncePerRoundTripAndLimited(t *testing.T) {
	m := NewMap(64)
	m.Push(7, Entry{Source: 70})
	const rtt = 50 * time.Millisecond
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {49, false}, {50, true}, {60, false}, {100, true}, {1000, false}} {
		e, ok := m.Retransmit(start.Add(c.after*time.Millisecond), 7, rtt, 3)
		if ok != c.want {
			t.Errorf("after %d ms: %v, want %v", c.after, ok, c.want)
		}
		if ok && e.Source != 70 {
			t.Errorf("got %+v", e)
		}
	}
	if _, ok := m.Retransmit(start, 8, rtt, 3); ok {
		t.Error("retransmits what was never sent")
	}
}

func TestMap_growsWithUse(t *testing.T) {
	m := NewMap(1024)
	if _, ok := m.Lookup(7); ok {
		t.Error("an empty map remembers a packet")
	}
	for sent, want := range map[uint16]int{0: 0, 1: 64, 64: 64, 65: 256, 256: 256, 257: 1024, 3000: 1024} {
		m := NewMap(1024)
		for seq := range sent {
			m.Push(65500+seq, Entry{Source: uint64(seq)})
		}
		if got := len(m.entries); got != want {
			t.Errorf("memory for %d packets after %d, want %d", got, sent, want)
		}
		for seq := sent - min(sent, 1024); seq < sent; seq++ {
			if e, ok := m.Lookup(65500 + seq); !ok || e.Source != uint64(seq) {
				t.Fatalf("packet %d of %d: %+v, %v", seq, sent, e, ok)
			}
		}
	}
}

// Against a model that never forgets.
func TestMap_likeAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMap(256)
		model := map[uint64]uint64{}
		head := uint64(rapid.Uint16().Draw(t, "first")) + 1<<16
		var highest uint64
		for i := range rapid.IntRange(1, 2000).Draw(t, "packets") {
			head += 1 + rapid.Uint64Range(0, 40).Draw(t, "hole")/30*rapid.Uint64Range(0, 3000).Draw(t, "size")
			m.Push(uint16(head), Entry{Source: uint64(i)})
			model[head] = uint64(i)
			highest = head
		}
		for seq := highest; seq+300 > highest; seq-- {
			e, ok := m.Lookup(uint16(seq))
			source, want := model[seq]
			want = want && highest-seq < 256
			if ok != want || ok && e.Source != source {
				t.Fatalf("packet %d behind: got %+v %v, want %d %v", highest-seq, e, ok, source, want)
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	var u Unwrapper
	m := NewMap(512)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		m.Push(seq, Entry{Source: u.Unwrap(seq)})
		m.Lookup(seq - 3)
		m.Retransmit(start, seq-3, time.Second, 3)
	}); n != 0 {
		t.Errorf("got %v allocations a packet, want 0", n)
	}
}

func BenchmarkPush(b *testing.B) {
	m := NewMap(512)
	seq := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		m.Push(seq, Entry{Source: uint64(seq)})
	}
}
