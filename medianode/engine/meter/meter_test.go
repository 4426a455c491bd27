package meter

import (
	"testing"

	"pgregory.net/rapid"
)

const first = 1<<16 + 65_530 // wraps soon

func counts(t *testing.T, m *Meter, sent, acknowledged uint64) {
	t.Helper()
	if got := m.Snapshot(); got != (Counters{ClientSent: sent, Client: acknowledged}) {
		t.Errorf("got %+v, want %d sent and %d acknowledged", got, sent, acknowledged)
	}
}

func paid(t *testing.T, s *Stream, highest uint64, lost int64, want uint64) {
	t.Helper()
	if got := s.Acknowledged(highest, lost); got != want {
		t.Errorf("report of %d with %d lost: %d became paid, want %d", highest-first, lost, got, want)
	}
}

func TestStream_withoutLossIsExact(t *testing.T) {
	m := New(Client)
	s := m.Stream()
	paid(t, s, first, 0, 0)
	for i := range uint64(20) {
		s.Sent(first+i, int(100+i))
	}
	counts(t, m, 2190, 0)
	paid(t, s, first+9, 0, 1045)
	paid(t, s, first+9, 0, 0)
	paid(t, s, first+4, 0, 0) // an old report
	paid(t, s, first+19, 0, 1145)
	counts(t, m, 2190, 2190)
	paid(t, s, first+500, 0, 0) // never sent
	counts(t, m, 2190, 2190)
}

func TestStream_lostIsNotPaidUntilItArrives(t *testing.T) {
	m := New(Client)
	s := m.Stream()
	for i := range uint64(10) {
		s.Sent(first+i, 100)
	}
	paid(t, s, first+9, 2, 800)
	paid(t, s, first+9, 1, 100) // it was only late
	paid(t, s, first+9, 2, 0)   // what is paid stays paid
	paid(t, s, first+9, -5, 100)
	paid(t, s, first+9, 1000, 0)
	counts(t, m, 1000, 1000)
}

// A packet that the publisher lost leaves a hole: the receiver counts it as
// lost, but it was never sent.
func TestStream_holesCostNothing(t *testing.T) {
	m := New(Client)
	s := m.Stream()
	s.Sent(first, 100)
	s.Sent(first+5, 100)
	paid(t, s, first+5, 4, 200)
	s.Sent(first+6, 100)
	s.Sent(first+2, 100) // it came late from the publisher
	paid(t, s, first+6, 3, 200)
	counts(t, m, 400, 400)
}

func TestStream_reportsSlowerThanTheWindow(t *testing.T) {
	m := New(Client)
	s := m.Stream()
	for i := range uint64(3 * window) {
		if i != 100 {
			s.Sent(first+i, 10)
		}
	}
	s.Sent(first+100, 10) // late, of long ago
	paid(t, s, first+10, 0, 0)
	paid(t, s, first+3*window-1, 0, 30*window)
	s.Sent(first+10*window, 10) // a long jump
	paid(t, s, first+10*window, 7*window, 10)
}

func TestMeter_relaysAndData(t *testing.T) {
	m := New(Relay)
	m.Data(500)
	s := m.Stream()
	s.Sent(first, 100)
	s.Acknowledged(first, 0)
	s.Sent(first+1, 100)
	total := Counters{ClientSent: 1, Client: 2, RelaySent: 3, Relay: 4}
	total.Add(m.Snapshot())
	if want := (Counters{ClientSent: 1, Client: 2, RelaySent: 703, Relay: 604}); total != want {
		t.Errorf("got %+v, want %+v", total, want)
	}
}

// Against a receiver that really loses packets: never more is paid than was
// sent, and with packets of one size exactly what arrived.
func TestStream_likeAReceiver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New(Client)
		s := m.Stream()
		const size = 1000
		seq := uint64(first)
		var sent, arrived, highest, span uint64
		check := func() {
			s.Acknowledged(highest, int64(span)-int64(arrived))
			got := m.Snapshot()
			if got.ClientSent != sent*size || got.Client > got.ClientSent {
				t.Fatalf("got %+v with %d packets sent", got, sent)
			}
			if got.Client != arrived*size {
				t.Fatalf("got %d bytes paid, %d packets arrived", got.Client, arrived)
			}
		}
		for i := range rapid.IntRange(1, 400).Draw(t, "packets") {
			seq += rapid.Uint64Range(0, 1).Draw(t, "hole")
			s.Sent(seq, size)
			sent++
			// The first arrives, or the receiver would not count from it.
			if i == 0 || rapid.IntRange(0, 4).Draw(t, "fate") > 0 {
				if i == 0 {
					span = 1
				} else {
					span += seq - highest
				}
				highest = seq
				arrived++
			}
			seq++
			if rapid.IntRange(0, 20).Draw(t, "report") == 0 {
				check()
			}
		}
		check()
	})
}

func TestAllocations(t *testing.T) {
	s := New(Client).Stream()
	seq := uint64(first)
	if n := testing.AllocsPerRun(2000, func() {
		seq++
		s.Sent(seq, 1200)
		s.Acknowledged(seq-5, 0)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkSent(b *testing.B) {
	s := New(Client).Stream()
	seq := uint64(first)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		s.Sent(seq, 1200)
	}
}
