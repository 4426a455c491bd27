package pacing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

func TestPassThrough_onlyReplaysWait(t *testing.T) {
	p := NewPassThrough()
	sent := 0
	for range 100 {
		for _, class := range []Class{Audio, Video, Retransmission, Probe} {
			if !p.Take(start, class, 1200) {
				t.Fatalf("class %d has to wait", class)
			}
		}
		if p.Take(start, Replay, 1200) {
			sent++
		}
	}
	if sent != 16 {
		t.Errorf("%d packets of a replay left at once, want 16", sent)
	}
	next := p.Next(start, Replay)
	if d := next.Sub(start); d != 10*time.Millisecond {
		t.Errorf("the next burst is due after %s, want 10ms", d)
	}
	for sent = 0; p.Take(next, Replay, 1200); sent++ {
		continue
	}
	if sent != 16 {
		t.Errorf("%d packets left in the second burst, want 16", sent)
	}
	if got := p.Next(start, Video); !got.Equal(start) {
		t.Errorf("video is due at %s, want now", got)
	}
}

// In no stretch of time does more leave than a burst and the rate allow, and
// at Next a whole burst may leave.
func TestBucket_anyDemand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &Bucket{Burst: rapid.IntRange(1, 40).Draw(t, "burst"), Interval: 10 * time.Millisecond}
		type taken struct {
			at time.Time
			n  int
		}
		var all []taken
		now := start
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 15_000).Draw(t, "us")) * time.Microsecond)
			n := rapid.IntRange(1, b.Burst).Draw(t, "n")
			if b.Take(now, n) {
				all = append(all, taken{now, n})
			} else if next := b.Next(now); next.Before(now) || next.Sub(now) > b.Interval {
				t.Fatalf("next is %s away", next.Sub(now))
			}
		}
		for i := range all {
			sum := 0
			for _, x := range all[i:] {
				sum += x.n
				allowed := float64(b.Burst) * (1 + float64(x.at.Sub(all[i].at))/float64(b.Interval))
				if float64(sum) > allowed+0.01 {
					t.Fatalf("%d left within %s, want %.1f at most", sum, x.at.Sub(all[i].at), allowed)
				}
			}
		}
		if next := b.Next(now).Add(time.Microsecond); !b.Take(next, b.Burst) {
			t.Fatal("no whole burst at Next")
		}
	})
}
