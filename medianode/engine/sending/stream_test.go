package sending

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/reception"
)

var start = time.Unix(1_700_000_000, 0)

func TestSenderReport_withOwnClock(t *testing.T) {
	s := New(5, 48_000)
	if _, ok := s.SenderReport(start); ok {
		t.Error("reports on nothing")
	}
	s.Sent(start, 1<<16, 1000, 100)
	s.Sent(start.Add(20*time.Millisecond), 1<<16+1, 1960, 200)
	now := start.Add(1020 * time.Millisecond)
	r, ok := s.SenderReport(now)
	if !ok || r.SSRC != 5 || r.PacketCount != 2 || r.OctetCount != 300 || r.RTPTime != 1960+48_000 {
		t.Errorf("got %+v %v", r, ok)
	}
	if off := clock.Between(clock.NTP(now), r.NTPTime); off > time.Microsecond || off < -time.Microsecond {
		t.Errorf("NTP time is %v off", off)
	}
}

// A receiver plays two streams in step if both reports name one clock: the
// publisher's, however late its reports came and however far our clock is off.
func TestSenderReport_keepsAudioAndVideoInStep(t *testing.T) {
	ntp := clock.NTP(time.Unix(1_000, 0))
	audio, video := New(1, 48_000), New(2, 90_000)
	audio.Sent(start, 1<<16, 0, 1)
	video.Sent(start, 1<<16, 0, 1)
	audio.Align(clock.Mapping{NTP: ntp, Timestamp: 5000, At: start})
	video.Align(clock.Mapping{NTP: clock.Add(ntp, time.Second), Timestamp: 7000, At: start.Add(1300 * time.Millisecond)})
	a, _ := audio.SenderReport(start.Add(2 * time.Second))
	v, _ := video.SenderReport(start.Add(2 * time.Second))
	// By the audio report, which audio timestamp belongs to video's 7000?
	moment := clock.Between(v.NTPTime, clock.Add(ntp, time.Second)) // of 7000, from the report's
	if got := int64(int32(v.RTPTime-7000)) + clock.Ticks(moment, 90_000); got < -1 || got > 1 {
		t.Errorf("video report is %d ticks off its source", got)
	}
	if got := int64(int32(a.RTPTime-5000)) - clock.Ticks(clock.Between(ntp, a.NTPTime), 48_000); got < -1 || got > 1 {
		t.Errorf("audio report is %d ticks off its source", got)
	}
}

func TestHandleReception_roundTrip(t *testing.T) {
	s := New(5, 48_000)
	s.Sent(start, 1<<16, 0, 1)
	// The publisher's clock is years off ours.
	s.Align(clock.Mapping{NTP: 0x1234_5678_9abc_def0, Timestamp: 0, At: start})
	var last rtcp.SenderReport
	for i := range 3 {
		last, _ = s.SenderReport(start.Add(time.Duration(i) * time.Second))
	}
	r := rtcp.ReceptionReport{LastSenderReport: clock.Middle(last.NTPTime), Delay: 1 << 15, LastSequenceNumber: 0, Jitter: 480}
	q := s.HandleReception(start.Add(2*time.Second+580*time.Millisecond), r)
	if q.RTT != 80*time.Millisecond || q.Jitter != 10*time.Millisecond {
		t.Errorf("got %+v", q)
	}
	for name, r := range map[string]rtcp.ReceptionReport{
		"no report yet":     {},
		"a foreign report":  {LastSenderReport: 99},
		"held for too long": {LastSenderReport: clock.Middle(last.NTPTime), Delay: 1 << 20},
	} {
		if q := s.HandleReception(start.Add(3*time.Second), r); q.RTT != 0 {
			t.Errorf("%s: got %v, want 0", name, q.RTT)
		}
	}
}

func TestHandleReception_lossIsSigned(t *testing.T) {
	s := New(5, 0)
	q := s.HandleReception(start, rtcp.ReceptionReport{FractionLost: 64, TotalLost: 0xffffff})
	if q.Lost != -1 || q.FractionLost != 0.25 {
		t.Errorf("got %+v", q)
	}
}

// The receiver of the other package reports on what this one sent.
func TestHandleReception_highestOverWraps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, peer := New(5, 90_000), reception.New(5, 90_000)
		seq := 1<<16 + uint64(rapid.Uint16().Draw(t, "first"))
		var acknowledged uint64
		if q := s.HandleReception(start, peer.Report(start)); q.Highest != 0 {
			t.Fatalf("acknowledges %d before anything was sent", q.Highest)
		}
		for i := range rapid.IntRange(1, 300).Draw(t, "packets") {
			s.Sent(start, seq, 0, 1)
			// A longer gap is a new beginning to the receiver (RFC 3550 A.1).
			far := seq-acknowledged > 2000
			if i == 0 || far || rapid.IntRange(0, 3).Draw(t, "fate") > 0 {
				peer.Receive(start, uint16(seq), 0, 1)
				acknowledged = seq
			}
			if rapid.IntRange(0, 9).Draw(t, "report") == 0 {
				if q := s.HandleReception(start, peer.Report(start)); q.Highest != acknowledged {
					t.Fatalf("got %d, want %d", q.Highest, acknowledged)
				}
			}
			seq += rapid.Uint64Range(1, 1000).Draw(t, "step")
		}
		q := s.HandleReception(start, rtcp.ReceptionReport{LastSequenceNumber: uint32(uint16(seq + 30_000))})
		if q.Highest > seq {
			t.Fatalf("acknowledges %d, which was never sent", q.Highest)
		}
	})
}

func TestAllocations(t *testing.T) {
	s := New(5, 48_000)
	seq := uint64(1 << 16)
	if n := testing.AllocsPerRun(100, func() {
		seq++
		s.Sent(start, seq, uint32(seq), 100)
		s.SenderReport(start)
		s.HandleReception(start, rtcp.ReceptionReport{LastSequenceNumber: uint32(seq)})
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
