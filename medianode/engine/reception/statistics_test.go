package reception

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

const rate = 90_000

func TestReport_lossOverAWrap(t *testing.T) {
	s := New(77, rate)
	// 65530 to 65535, then 0 to 9 without 3, 4 and 5.
	for i := range 16 {
		if seq := uint16(65530 + i); seq < 3 || seq > 5 {
			s.Receive(start, seq, 0, 100)
		}
	}
	r := s.Report(start)
	if r.SSRC != 77 || r.LastSequenceNumber != 1<<16|9 || r.TotalLost != 3 || r.FractionLost != 3*256/16 {
		t.Errorf("got %+v", r)
	}
	// The next interval is counted by itself; one lost packet comes late.
	s.Receive(start, 10, 0, 100)
	s.Receive(start, 4, 0, 100)
	s.Receive(start, 12, 0, 100)
	r = s.Report(start)
	if r.LastSequenceNumber != 1<<16|12 || r.TotalLost != 3 || r.FractionLost != 0 {
		t.Errorf("got %+v", r)
	}
	if s.Packets() != 16 || s.Bytes() != 1600 || s.Lost() != 3 {
		t.Errorf("packets %d bytes %d lost %d", s.Packets(), s.Bytes(), s.Lost())
	}
}

func TestReport_beforeAndWithoutPackets(t *testing.T) {
	s := New(1, rate)
	if r := s.Report(start); r != (rtcp.ReceptionReport{SSRC: 1}) {
		t.Errorf("got %+v", r)
	}
	s.Receive(start, 5, 0, 1)
	s.Report(start)
	if r := s.Report(start); r.FractionLost != 0 || r.TotalLost != 0 {
		t.Errorf("nothing came and something is lost: %+v", r)
	}
}

func TestReport_duplicatesNeverMakeLossNegative(t *testing.T) {
	s := New(1, rate)
	for _, seq := range []uint16{1, 1, 1, 2, 2} {
		s.Receive(start, seq, 0, 1)
	}
	if r := s.Report(start); r.TotalLost != 0 || r.FractionLost != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestReport_allLostIsAtMost255(t *testing.T) {
	s := New(1, rate)
	s.Receive(start, 0, 0, 1)
	s.Report(start)
	s.Receive(start, 2000, 0, 1)
	if r := s.Report(start); r.FractionLost != 255 || r.TotalLost != 1999 {
		t.Errorf("got %+v", r)
	}
}

func TestReceive_farJumpNeedsTwoInARow(t *testing.T) {
	s := New(1, rate)
	s.Receive(start, 100, 0, 1)
	s.Receive(start, 20_000, 0, 1) // alone: ignored
	s.Receive(start, 101, 0, 1)
	if r := s.Report(start); r.LastSequenceNumber != 101 || r.TotalLost != 0 {
		t.Errorf("one stray packet: %+v", r)
	}
	s.Receive(start, 20_000, 0, 1)
	s.Receive(start, 20_001, 0, 1)
	s.Receive(start, 20_002, 0, 1)
	if r := s.Report(start); r.LastSequenceNumber != 20_002 || r.TotalLost != 0 {
		t.Errorf("the source began anew: %+v", r)
	}
}

// RFC 3550 A.8: J += (|D| - J) / 16 on arrivals that are 10 ms late by turns.
func TestJitter_followsTheRFC(t *testing.T) {
	s := New(1, rate)
	want, before := 0.0, 0
	for i := range 200 {
		late := i % 2 * 10
		s.Receive(start.Add(time.Duration(i*20+late)*time.Millisecond), uint16(i), uint32(i*20*90), 1)
		if i > 0 {
			d := float64(late-before) * 90
			want += (max(d, -d) - want) / 16
		}
		before = late
	}
	if got := float64(s.Report(start).Jitter); got < want-2 || got > want+2 {
		t.Errorf("got %v ticks, want %v", got, want)
	}
	if got := s.Jitter(); got < 9*time.Millisecond || got > 11*time.Millisecond {
		t.Errorf("got %v, want about 10ms", got)
	}
}

func TestJitter_burstOfOneFrameIsNone(t *testing.T) {
	s := New(1, rate)
	for frame := range 100 {
		for i := range 10 {
			at := start.Add(time.Duration(frame)*40*time.Millisecond + time.Duration(i)*3*time.Millisecond)
			s.Receive(at, uint16(frame*10+i), uint32(0xffff0000+frame*3600), 1)
		}
	}
	if got := s.Report(start).Jitter; got != 0 {
		t.Errorf("got %d ticks, want 0", got)
	}
}

func TestReport_answersSenderReports(t *testing.T) {
	s := New(1, rate)
	if !s.Clock().IsZero() {
		t.Error("knows a clock before the first report")
	}
	s.HandleSenderReport(start, &rtcp.SenderReport{NTPTime: 0x1111_2222_3333_4444, RTPTime: 9})
	r := s.Report(start.Add(1500 * time.Millisecond))
	if r.LastSenderReport != 0x2222_3333 || r.Delay != 3<<15 {
		t.Errorf("got %x %d", r.LastSenderReport, r.Delay)
	}
	if c := s.Clock(); c.NTP != 0x1111_2222_3333_4444 || c.Timestamp != 9 || !c.At.Equal(start) {
		t.Errorf("clock %+v", c)
	}
}

// Whatever is lost: the sum over the reports is the loss, and each report can
// be marshalled.
func TestReport_anyLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(1, rate)
		first := rapid.Uint16().Draw(t, "first")
		seq, received := uint64(first), uint64(1)
		s.Receive(start, first, 0, 1)
		for range rapid.IntRange(0, 500).Draw(t, "packets") {
			seq += 1 + rapid.Uint64Range(0, 50).Draw(t, "lost")/40*rapid.Uint64Range(0, 2000).Draw(t, "burst")
			s.Receive(start, uint16(seq), 0, 1)
			received++
			if rapid.IntRange(0, 50).Draw(t, "report") == 0 {
				s.Report(start)
			}
		}
		r := s.Report(start)
		want := seq - uint64(first) + 1 - received
		if uint64(r.TotalLost) != want || r.LastSequenceNumber != uint32(seq) {
			t.Fatalf("got %+v, want %d lost of %d", r, want, seq)
		}
		if _, err := r.Marshal(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAllocations(t *testing.T) {
	s := New(1, rate)
	seq, now := uint16(0), start
	if n := testing.AllocsPerRun(100, func() {
		seq++
		now = now.Add(5 * time.Millisecond)
		s.Receive(now, seq, uint32(seq)*450, 1200)
		s.Report(now)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
