package twcc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// match gives one feedback message to a history.
func match(t fataler, h *History, now time.Time, b []byte) *Report {
	t.Helper()
	s, err := ReadFeedback(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	r := &Report{}
	h.Match(now, s, r)
	return r
}

func TestHistory_tellsWhenPacketsLeftAndArrived(t *testing.T) {
	h, r := &History{}, New()
	for i := range 4 {
		sent := start.Add(time.Duration(i) * 10 * time.Millisecond)
		h.Sent(sent, uint16(65534+i), 1000+i)
		if i != 2 {
			r.Record(sent.Add(time.Duration(50+i)*time.Millisecond), uint16(65534+i))
		}
	}
	got := match(t, h, start.Add(200*time.Millisecond), r.Feedback(nil, 1, 2))
	if got.Received != 3 || got.Lost != 1 || got.Recovered != 0 || got.Unknown != 0 || got.Bytes != 1000+1001+1003 {
		t.Fatalf("got %+v", got)
	}
	for i, a := range got.Acks {
		if sent := start.Add(time.Duration(i) * 10 * time.Millisecond); !a.Sent.Equal(sent) || a.Size != 1000+i || a.Number != 1<<16+65534+uint64(i) {
			t.Errorf("packet %d: got %+v, want sent at %s", i, a, sent)
		}
		if a.Received != (i != 2) {
			t.Errorf("packet %d: got received %v", i, a.Received)
		}
	}
	if d := got.Acks[3].Arrival - got.Acks[0].Arrival; d != 33*time.Millisecond {
		t.Errorf("the last arrived %s after the first, want 33ms", d)
	}
	// The missing one comes after all, and then nothing is told twice.
	r.Record(start.Add(300*time.Millisecond), 0)
	b := r.Feedback(nil, 1, 2)
	if got = match(t, h, start.Add(400*time.Millisecond), b); got.Received != 1 || got.Recovered != 1 || !got.Acks[0].Recovered {
		t.Errorf("late: got %+v", got)
	}
	if got = match(t, h, start.Add(500*time.Millisecond), b); len(got.Acks) != 0 {
		t.Errorf("the same again: got %+v", got)
	}
}

func TestHistory_knowsNothingOfWhatWasNotSent(t *testing.T) {
	h, r := &History{}, New()
	for i := range 10 {
		r.Record(start, uint16(i))
	}
	b := r.Feedback(nil, 1, 2)
	if got := match(t, h, start, b); got.Unknown != 10 || len(got.Acks) != 0 {
		t.Errorf("nothing sent: got %+v", got)
	}
	h.Sent(start, 5, 100)
	h.Sent(start, 7, 100) // 6 was left out
	if got := match(t, h, start, b); got.Unknown != 8 || got.Received != 2 {
		t.Errorf("two sent: got %+v", got)
	}
}

func TestHistory_memoryFollowsThePacketRate(t *testing.T) {
	for _, c := range []struct {
		perSecond, want int
	}{{40, 64}, {160, 256}, {1500, 2048}, {50_000, maxDepartures}} {
		h := &History{}
		if h.entries != nil {
			t.Fatal("memory before the first packet")
		}
		for i := range 3 * c.perSecond {
			h.Sent(start.Add(time.Duration(i)*time.Second/time.Duration(c.perSecond)), uint16(i), 1200)
		}
		if len(h.entries) != c.want {
			t.Errorf("%d packets a second: %d entries, want %d", c.perSecond, len(h.entries), c.want)
		}
	}
}

func TestHistory_referenceTimeGoesRound(t *testing.T) {
	h := &History{}
	at := h.arrival(1<<23 - 1)
	if d := h.arrival(-1<<23) - at; d != 64*time.Millisecond {
		t.Errorf("got a step of %s, want 64ms", d)
	}
	if d := h.arrival(1<<23-2) - at; d != -64*time.Millisecond {
		t.Errorf("back: got %s, want -64ms", d)
	}
}

// Whatever the network does, each packet is told of once as missing at most and
// once as received at most, with its true send time and size, and arrivals that
// differ as they did. What arrives and is reported within a second is told of.
func TestHistory_anyNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type packet struct {
			sent, arrived time.Time
			size          int
		}
		h, r, out := &History{}, New(), &Report{}
		seq, now := rapid.Uint16().Draw(t, "first"), start
		lastRead := now
		first, packets, inFlight := seq, map[uint64]*packet{}, []uint64(nil)
		missing, got := map[uint64]bool{}, map[uint64]bool{}
		var origin *Ack
		number := 1<<16 + uint64(seq)
		read := func() {
			for r.Pending() > 0 {
				s, err := ReadFeedback(r.Feedback(nil, 1, 2))
				if err != nil {
					t.Fatal(err)
				}
				h.Match(now, s, out)
				for _, a := range out.Acks {
					p := packets[a.Number]
					if p == nil || !p.sent.Equal(a.Sent) || p.size != a.Size {
						t.Fatalf("packet %d: got %+v, want %+v", a.Number, a, p)
					}
					if !a.Received {
						if missing[a.Number] || got[a.Number] {
							t.Fatalf("packet %d is lost again", a.Number)
						}
						missing[a.Number] = true
						continue
					}
					if got[a.Number] || a.Recovered != missing[a.Number] {
						t.Fatalf("packet %d: got %+v, missing before: %v", a.Number, a, missing[a.Number])
					}
					got[a.Number] = true
					if origin == nil {
						origin = &a
					}
					want := p.arrived.Sub(packets[origin.Number].arrived)
					if d := a.Arrival - origin.Arrival - want; d < -tick || d > tick {
						t.Fatalf("packet %d arrived %s after packet %d, want %s", a.Number, a.Arrival-origin.Arrival, origin.Number, want)
					}
				}
			}
		}
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			now = now.Add(time.Duration(rapid.IntRange(0, 8000).Draw(t, "us")) * time.Microsecond)
			p := &packet{sent: now, size: rapid.IntRange(12, 1500).Draw(t, "size")}
			h.Sent(now, seq, p.size)
			packets[number] = p
			inFlight = append(inFlight, number)
			number++
			seq++
			if rapid.IntRange(0, 9).Draw(t, "deliver") > 3 && len(inFlight) > 0 {
				i := rapid.IntRange(0, min(len(inFlight)-1, 5)).Draw(t, "which")
				n := inFlight[i]
				inFlight = append(inFlight[:i], inFlight[i+1:]...)
				if now.Sub(packets[n].sent) < keep/2 {
					packets[n].arrived = now
					r.Record(now, uint16(n))
				}
			}
			if now.Sub(lastRead) > keep/4 || rapid.IntRange(0, 20).Draw(t, "report") == 0 {
				lastRead = now
				read()
			}
		}
		read()
		for n, p := range packets {
			if !p.arrived.IsZero() && !got[n] {
				t.Fatalf("packet %d of those from %d on arrived and is not acknowledged", n, first)
			}
		}
	})
}

func TestDelivery(t *testing.T) {
	d := &Delivery{}
	if q := d.Close(start); q.Known || q.Rate != 0 {
		t.Errorf("at the beginning: got %+v", q)
	}
	d.Add(&Report{Received: 90, Lost: 10, Bytes: 90_000})
	if q := d.Close(start.Add(2 * time.Second)); !q.Known || q.Loss != 0.1 || q.Rate != 360_000 {
		t.Errorf("got %+v, want a loss of 0.1 at 360 kbit/s", q)
	}
	d.Add(&Report{Received: 50, Lost: 1, Recovered: 5, Bytes: 1})
	if q := d.Close(start.Add(4 * time.Second)); !q.Known || q.Loss != 0 {
		t.Errorf("more came back than was lost: got %+v, want no loss", q)
	}
	d.Add(&Report{Received: 2, Lost: 1})
	if q := d.Close(start.Add(6 * time.Second)); q.Known {
		t.Errorf("three packets: got %+v, want nothing known", q)
	}
}

func TestHistory_allocations(t *testing.T) {
	h, r, out := &History{}, New(), &Report{}
	b := make([]byte, 0, 1500)
	seq, now := uint16(0), start
	round := func() {
		for range 10 {
			now, seq = now.Add(5*time.Millisecond), seq+1
			h.Sent(now, seq, 1200)
			r.Record(now.Add(30*time.Millisecond), seq)
		}
		b = r.Feedback(b[:0], 1, 2)
		s, _ := ReadFeedback(b)
		h.Match(now, s, out)
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
	if out.Received != 10 {
		t.Errorf("got %+v: the test measures nothing", out)
	}
}

func BenchmarkHistory_Sent(b *testing.B) {
	h := &History{}
	seq, now := uint16(0), start
	b.ReportAllocs()
	for b.Loop() {
		now, seq = now.Add(5*time.Millisecond), seq+1
		h.Sent(now, seq, 1200)
	}
}

// BenchmarkHistory_Match is one message on ten packets, as a subscriber of 200
// packets a second sends every 50 ms.
func BenchmarkHistory_Match(b *testing.B) {
	r := New()
	for i := range 10 {
		r.Record(start.Add(time.Duration(i)*5*time.Millisecond), uint16(i))
	}
	message := r.Feedback(nil, 1, 2)
	h, out := &History{}, &Report{}
	for i := range 10 {
		h.Sent(start, uint16(i), 1200)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range h.entries[:16] {
			h.entries[i].state = unreported
		}
		s, _ := ReadFeedback(message)
		h.Match(start, s, out)
	}
}
