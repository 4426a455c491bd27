package loss

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

const first = 3<<16 - 2 // the next but one wraps

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// receive passes packets in, numbered from first.
func receive(t *testing.T, d *Detector, ms int, want Outcome, seqs ...int) {
	t.Helper()
	for _, seq := range seqs {
		if got := d.Receive(at(ms), uint64(first+seq)); got != want {
			t.Errorf("packet %d at %d ms: got outcome %d, want %d", seq, ms, got, want)
		}
	}
}

// due expects the packets to be asked for.
func due(t *testing.T, d *Detector, ms int, giveUp bool, seqs ...int) {
	t.Helper()
	got, gaveUp := d.Due(at(ms), 50*time.Millisecond, nil)
	var want []uint16
	for _, seq := range seqs {
		want = append(want, uint16(first+seq))
	}
	if !slices.Equal(got, want) || gaveUp != giveUp {
		t.Errorf("at %d ms: got %d give up %v, want %d %v", ms, got, gaveUp, want, giveUp)
	}
}

func timeout(t *testing.T, d *Detector, want time.Time) {
	t.Helper()
	if got := d.NextTimeout(); !got.Equal(want) {
		t.Errorf("next timeout: got %v, want %v", got.Sub(start), want.Sub(start))
	}
}

func TestDetector_asksAtOnceThenEachRoundTrip(t *testing.T) {
	d := New(Config{})
	receive(t, d, 0, Fresh, 0, 1)
	due(t, d, 0, false)
	timeout(t, d, time.Time{})
	receive(t, d, 10, Fresh, 4) // 2 and 3 are missing, over the wrap
	timeout(t, d, at(10))
	due(t, d, 10, false, 2, 3)
	due(t, d, 89, false) // a round trip of 50 ms and 30 more
	timeout(t, d, at(90))
	receive(t, d, 89, Recovered, 2)
	due(t, d, 90, false, 3)
	due(t, d, 170, false, 3)
	due(t, d, 249, false)
	due(t, d, 250, true)
	due(t, d, 250, false)
	timeout(t, d, time.Time{})
	receive(t, d, 300, Recovered, 3) // late, still of use
	receive(t, d, 300, Duplicate, 3, 2, 4)
}

func TestDetector_toleratesReordering(t *testing.T) {
	d := New(Config{Reorder: 2, Delay: 20 * time.Millisecond})
	receive(t, d, 0, Fresh, 0, 2)
	due(t, d, 0, false)
	timeout(t, d, at(20))
	receive(t, d, 5, Fresh, 3)
	due(t, d, 5, false)
	receive(t, d, 6, Fresh, 4) // overtaken by three
	due(t, d, 6, false, 1)
	receive(t, d, 7, Fresh, 6) // 5 is missing, nothing follows
	due(t, d, 26, false)
	due(t, d, 27, false, 5)
	receive(t, d, 30, Fresh, 8)
	receive(t, d, 31, Recovered, 7)
	due(t, d, 50, false)
}

func TestDetector_longJumpIsANewBeginning(t *testing.T) {
	d := New(Config{})
	receive(t, d, 0, Fresh, 0)
	receive(t, d, 1, Fresh, 2)
	receive(t, d, 2, Restart, 204)
	timeout(t, d, at(2))
	due(t, d, 2, true)
	due(t, d, 1000, false)
	receive(t, d, 1000, Fresh, 405) // 200 missing: just a gap
	if got, giveUp := d.Due(at(1000), 0, nil); len(got) != 200 || giveUp {
		t.Errorf("got %d packets, give up %v", len(got), giveUp)
	}
}

func TestDetector_boundedInOutstanding(t *testing.T) {
	d := New(Config{Outstanding: 10})
	receive(t, d, 0, Fresh, 0, 9, 14) // 8 and 4 missing
	due(t, d, 0, true, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13)
}

func TestDetector_forget(t *testing.T) {
	d := New(Config{})
	receive(t, d, 0, Fresh, 0, 5)
	d.Forget()
	due(t, d, 0, false)
	receive(t, d, 0, Fresh, 6)
	due(t, d, 0, false)
}

func TestDetector_oldPacketsBeforeTheFirst(t *testing.T) {
	d := New(Config{})
	receive(t, d, 0, Fresh, 10)
	receive(t, d, 0, Recovered, 8, 9)
	receive(t, d, 0, Duplicate, 8, 9, 10, 10-window)
	due(t, d, 0, false)
}

// However packets come: each is Fresh or Recovered once at most, what was lost
// is asked for at most Repeats times and what came never after it came.
func TestDetector_anyArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Reorder: rapid.IntRange(0, 3).Draw(t, "reorder")}
		d := New(cfg)
		next := uint64(first) + uint64(rapid.Uint16().Draw(t, "first"))
		now := start
		seen, asked := map[uint64]bool{}, map[uint16]int{}
		var flight []uint64
		lost := map[uint64]bool{}
		var lowest, highest uint64
		gaveUp := false
		for range rapid.IntRange(1, 190).Draw(t, "packets") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0: // lost
				lost[next] = true
				next++
				continue
			case 1: // overtaken
				flight = append(flight, next)
				next++
				continue
			case 2:
				if len(flight) > 0 {
					flight = append(flight, flight[0]) // twice
				}
			}
			batch := []uint64{next}
			next++
			if len(flight) > 0 && rapid.Bool().Draw(t, "lands") {
				batch = append(batch, flight[0])
				flight = flight[1:]
			}
			for _, seq := range batch {
				switch outcome := d.Receive(now, seq); {
				case seen[seq] && outcome != Duplicate:
					t.Fatalf("packet %d came again and is outcome %d", seq, outcome)
				case !seen[seq] && outcome == Duplicate:
					t.Fatalf("packet %d is new and taken for a duplicate", seq)
				}
				seen[seq] = true
				if lowest == 0 {
					lowest = seq
				}
				highest = max(highest, seq)
			}
			again, giveUp := d.Due(now, 40*time.Millisecond, nil)
			gaveUp = gaveUp || giveUp
			for _, n := range again {
				asked[n]++
				extended := next - uint64(uint16(next)-n)
				if seen[extended] {
					t.Fatalf("asks for %d, which is here", extended)
				}
			}
			if !slices.IsSorted(extend(next, again)) {
				t.Fatalf("asks out of order: %d", again)
			}
		}
		// In the end nothing hangs.
		for range 10 {
			now = now.Add(2 * time.Second)
			again, giveUp := d.Due(now, 40*time.Millisecond, nil)
			for _, n := range again {
				asked[n]++
			}
			gaveUp = gaveUp || giveUp
		}
		for seq := range lost {
			if seq > lowest && seq < highest && (asked[uint16(seq)] != 3 || !gaveUp) {
				t.Fatalf("asked for the lost packet %d %d times, gave up %v", seq, asked[uint16(seq)], gaveUp)
			}
		}
		for n, times := range asked {
			if times > 3 {
				t.Fatalf("asked for %d %d times", n, times)
			}
		}
		if got := d.NextTimeout(); !got.IsZero() {
			t.Fatalf("still waits for %v", got)
		}
	})
}

func extend(next uint64, seqs []uint16) (out []uint64) {
	for _, n := range seqs {
		out = append(out, next-uint64(uint16(next)-n))
	}
	return out
}

func TestAllocations(t *testing.T) {
	d := New(Config{})
	buffer := make([]uint16, 0, 256)
	seq, now := uint64(first), start
	if n := testing.AllocsPerRun(2000, func() {
		now = now.Add(5 * time.Millisecond)
		seq += 2
		d.Receive(now, seq)
		buffer, _ = d.Due(now, 20*time.Millisecond, buffer[:0])
		d.NextTimeout()
	}); n != 0 {
		t.Errorf("got %v allocations a packet, want 0", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	d := New(Config{})
	seq := uint64(first)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		d.Receive(start, seq)
	}
}
