package twcc

import (
	"testing"
	"time"

	oracle "github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

// decoder reads feedback with pion and gathers what it says.
type decoder struct {
	// arrivals are in ticks since the first packet's reference time.
	arrivals map[uint64]int64
	missing  map[uint64]bool
	count    uint8
	last     uint64
	started  bool
}

func newDecoder() *decoder {
	return &decoder{arrivals: map[uint64]int64{}, missing: map[uint64]bool{}}
}

// fataler is what testing.T and rapid.T share.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (d *decoder) extend(seq uint16) uint64 {
	if !d.started {
		d.started, d.last = true, 1<<16+uint64(seq)
	}
	extended := d.last + uint64(int64(int16(seq-uint16(d.last))))
	d.last = max(d.last, extended)
	return extended
}

// read takes one RTCP packet and checks its form.
func (d *decoder) read(t fataler, b []byte) *rtcp.TransportLayerCC {
	t.Helper()
	var p rtcp.TransportLayerCC
	if err := p.Unmarshal(b); err != nil {
		t.Fatalf("pion refuses %x: %v", b, err)
	}
	if int(p.Header.Length+1)*4 != len(b) || len(b) > 1200 {
		t.Fatalf("length field %d in %d bytes", p.Header.Length, len(b))
	}
	if p.FbPktCount != d.count {
		t.Fatalf("feedback count %d, want %d", p.FbPktCount, d.count)
	}
	d.count++
	var symbols []uint16
	for _, c := range p.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				symbols = append(symbols, c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			symbols = append(symbols, c.SymbolList...)
		}
	}
	if len(symbols) < int(p.PacketStatusCount) || len(symbols) > int(p.PacketStatusCount)+13 {
		t.Fatalf("%d statuses for a count of %d", len(symbols), p.PacketStatusCount)
	}
	at := int64(int32(p.ReferenceTime<<8)>>8) * int64(reference)
	deltas := p.RecvDeltas
	for i, s := range symbols[:p.PacketStatusCount] {
		seq := d.extend(p.BaseSequenceNumber + uint16(i))
		if s == rtcp.TypeTCCPacketNotReceived {
			d.missing[seq] = true
			continue
		}
		at += deltas[0].Delta / 250
		deltas = deltas[1:]
		if _, twice := d.arrivals[seq]; twice {
			t.Fatalf("packet %d is reported twice", seq)
		}
		d.arrivals[seq] = at
	}
	if len(deltas) > 0 {
		t.Fatalf("%d deltas too many", len(deltas))
	}
	return &p
}

func (d *decoder) drain(t fataler, r *Recorder) {
	t.Helper()
	for r.Pending() > 0 {
		d.read(t, r.Feedback([]byte("before"), 11, 22)[len("before"):])
	}
}

func TestRecorder_simple(t *testing.T) {
	r := New()
	if b := r.Feedback(nil, 1, 2); b != nil {
		t.Errorf("feedback on nothing: %x", b)
	}
	r.Record(start, 65534)
	r.Record(start.Add(time.Millisecond), 65535)
	r.Record(start.Add(200*time.Millisecond), 1) // 0 is lost
	r.Record(start.Add(100*time.Millisecond), 1) // a duplicate
	d := newDecoder()
	p := d.read(t, r.Feedback(nil, 11, 22))
	if p.SenderSSRC != 11 || p.MediaSSRC != 22 || p.BaseSequenceNumber != 65534 || p.PacketStatusCount != 4 {
		t.Errorf("got %+v", p)
	}
	want := map[uint64]int64{1<<16 + 65534: 0, 1<<16 + 65535: 4, 2<<16 + 1: 800}
	if !equal(d.arrivals, want) || !d.missing[2<<16] || len(d.missing) != 1 {
		t.Errorf("got %v missing %v", d.arrivals, d.missing)
	}
	// The lost one comes after all: it is reported alone.
	r.Record(start.Add(300*time.Millisecond), 0)
	r.Record(start.Add(310*time.Millisecond), 2)
	late := d.read(t, r.Feedback(nil, 11, 22))
	if late.PacketStatusCount != 1 || late.BaseSequenceNumber != 0 {
		t.Errorf("late packet: %+v", late)
	}
	d.drain(t, r)
	want[2<<16], want[2<<16+2] = 1200, 1240
	if !equal(d.arrivals, want) {
		t.Errorf("got %v, want %v", d.arrivals, want)
	}
}

func equal(a, b map[uint64]int64) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func TestRecorder_longSilenceAndLongGap(t *testing.T) {
	r := New()
	r.Record(start, 0)
	r.Record(start.Add(time.Minute), 1)             // no delta holds a minute
	r.Record(start.Add(time.Minute), 4001)          // a gap that is told
	r.Record(start.Add(61*time.Second), 4001+20000) // a jump that is not
	d := newDecoder()
	d.drain(t, r)
	want := map[uint64]int64{1 << 16: 0, 1<<16 + 1: 240_000, 1<<16 + 4001: 240_000, 1<<16 + 24001: 244_000}
	if !equal(d.arrivals, want) || len(d.missing) != 3999 {
		t.Errorf("got %v and %d missing", d.arrivals, len(d.missing))
	}
}

func TestRecorder_negativeDelta(t *testing.T) {
	r := New()
	r.Record(start, 10)
	r.Record(start.Add(70*time.Millisecond), 12)
	r.Record(start.Add(80*time.Millisecond), 11)
	d := newDecoder()
	d.drain(t, r)
	if want := (map[uint64]int64{1<<16 + 10: 0, 1<<16 + 11: 320, 1<<16 + 12: 280}); !equal(d.arrivals, want) {
		t.Errorf("got %v, want %v", d.arrivals, want)
	}
}

func TestRecorder_boundedWithoutFeedback(t *testing.T) {
	r := New()
	for i := range 3 * maxPending {
		r.Record(start, uint16(i))
	}
	if r.Pending() != maxPending {
		t.Errorf("%d arrivals wait, want %d", r.Pending(), maxPending)
	}
	newDecoder().drain(t, r)
}

// decode(encode(arrivals)) is arrivals, rounded to 250 us, whatever is lost,
// reordered, repeated or late, and over wraps.
func TestRecorder_anyArrivals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, d := New(), newDecoder()
		head := 1<<16 + uint64(rapid.Uint16().Draw(t, "first"))
		now, want := start, map[uint64]int64{}
		first, highest := head, head
		d.started, d.last = true, head
		for i := range rapid.IntRange(1, 500).Draw(t, "packets") {
			seq := head
			if i > 0 {
				now = now.Add(time.Duration(rapid.OneOf(
					rapid.IntRange(0, 3000), rapid.IntRange(0, 200_000), rapid.IntRange(0, 20_000_000),
				).Draw(t, "us")) * time.Microsecond)
				head += rapid.OneOf(rapid.Uint64Range(0, 1), rapid.Uint64Range(0, 20), rapid.Uint64Range(0, 3000)).Draw(t, "step")
				seq = head - rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 30)).Draw(t, "late")
			}
			if _, there := want[seq]; !there {
				want[seq] = int64((now.Sub(start) + 125*time.Microsecond) / (250 * time.Microsecond))
			}
			highest = max(highest, seq)
			r.Record(now, uint16(seq))
			if rapid.IntRange(0, 30).Draw(t, "flush") == 0 {
				d.drain(t, r)
			}
		}
		d.drain(t, r)
		if !equal(d.arrivals, want) {
			t.Fatalf("got %v, want %v", d.arrivals, want)
		}
		for seq := first; seq <= highest; seq++ {
			if _, came := want[seq]; !came && !d.missing[seq] {
				t.Fatalf("nothing is said about packet %d", seq)
			}
		}
	})
}

// TestRecorder_likePion gives pion's recorder the same arrivals.
func TestRecorder_likePion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, other := New(), oracle.NewRecorder(11)
		d, e := newDecoder(), newDecoder()
		seq, us := rapid.Uint16().Draw(t, "first"), int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			r.Record(start.Add(time.Duration(us)*time.Microsecond), seq)
			other.Record(22, seq, us)
			us += 250 * rapid.Int64Range(0, 200).Draw(t, "ticks") // whole ticks: rounding differs
			seq += uint16(rapid.IntRange(1, 5).Draw(t, "step"))
			if rapid.IntRange(0, 20).Draw(t, "flush") == 0 {
				compare(t, r, other, d, e)
			}
		}
		compare(t, r, other, d, e)
	})
}

func compare(t *rapid.T, r *Recorder, other *oracle.Recorder, d, e *decoder) {
	d.drain(t, r)
	for _, p := range other.BuildFeedbackPacket() {
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		e.read(t, b)
	}
	if !equal(d.arrivals, e.arrivals) {
		t.Fatalf("got %v, pion %v", d.arrivals, e.arrivals)
	}
	for seq := range d.missing {
		if !e.missing[seq] {
			t.Fatalf("packet %d is missing for us only", seq)
		}
	}
}

func TestAllocations(t *testing.T) {
	r := New()
	dst := make([]byte, 0, 1500)
	seq, now := uint16(0), start
	if n := testing.AllocsPerRun(500, func() {
		for range 20 {
			now = now.Add(3 * time.Millisecond)
			seq += 1 + seq%7/6
			r.Record(now, seq)
		}
		for r.Pending() > 0 {
			dst = r.Feedback(dst[:0], 1, 2)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzRecorder takes steps of (number, time) pairs from the input.
func FuzzRecorder(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 2, 255, 0xff, 3})
	f.Add([]byte{200, 0, 200, 0, 0, 0, 1, 90})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, d := New(), newDecoder()
		seq, now := uint16(65000), start
		for ; len(b) >= 2; b = b[2:] {
			seq += uint16(int16(int8(b[0]))) * uint16(b[1]%5)
			now = now.Add(time.Duration(b[1]) * time.Duration(b[1]) * 300 * time.Microsecond)
			r.Record(now, seq)
			if b[0] == b[1] {
				d.drain(t, r)
			}
		}
		d.drain(t, r)
	})
}

func BenchmarkRecordAndReport(b *testing.B) {
	r := New()
	dst := make([]byte, 0, 1500)
	seq, now := uint16(0), start
	b.ReportAllocs()
	for b.Loop() {
		now, seq = now.Add(3*time.Millisecond), seq+1
		r.Record(now, seq)
		if r.Pending() == 30 {
			dst = r.Feedback(dst[:0], 1, 2)
		}
	}
}
