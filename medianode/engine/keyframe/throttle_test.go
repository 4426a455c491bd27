package keyframe

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func TestThrottle_story(t *testing.T) {
	th := New(Config{})
	due := func(ms int, want bool) {
		t.Helper()
		if got := th.Due(at(ms)); got != want {
			t.Errorf("due at %d ms: %v, want %v", ms, got, want)
		}
	}
	next := func(want time.Time) {
		t.Helper()
		if got := th.NextTimeout(); !got.Equal(want) {
			t.Errorf("next timeout %v, want %v", got.Sub(start), want.Sub(start))
		}
	}
	due(0, false)
	next(time.Time{})
	th.Ask(at(10))
	next(at(10))
	due(10, true) // the first at once
	due(10, false)
	th.Ask(at(100)) // waits for the same key frame
	due(100, false)
	next(at(510))
	due(509, false)
	due(510, true) // the request was lost: again
	th.Satisfied(at(550))
	next(time.Time{})
	due(2000, false)
	th.Ask(at(2000))
	due(2000, true)
	th.Satisfied(at(2050))
	th.Ask(at(2060)) // the key frame was damaged: later, but not never
	due(2060, false)
	next(at(2500))
	due(2499, false)
	due(2500, true)
}

func TestThrottle_repeatIsNotBelowSpacing(t *testing.T) {
	th := New(Config{Spacing: time.Second, Repeat: time.Millisecond})
	th.Ask(at(0))
	if !th.Due(at(0)) || th.Due(at(999)) || !th.Due(at(1000)) {
		t.Error("repeats before the spacing is over")
	}
}

// However it is asked: requests keep their distance, and every Ask is followed
// by a request or by a key frame within the spacing.
func TestThrottle_neverLosesARequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		th := New(Config{})
		now := start
		var last, waiting time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				th.Ask(now)
				if waiting.IsZero() {
					waiting = now
				}
			case 1:
				th.Satisfied(now)
				waiting = time.Time{}
			}
			timeout := th.NextTimeout()
			if th.Wanted() != !timeout.IsZero() || th.Wanted() != !waiting.IsZero() {
				t.Fatalf("wanted %v, waiting since %v, next timeout %v", th.Wanted(), waiting, timeout)
			}
			if timeout.After(now.Add(500 * time.Millisecond)) {
				t.Fatalf("the next request is %v away", timeout.Sub(now))
			}
			due := th.Due(now)
			if due != (!timeout.IsZero() && !now.Before(timeout)) {
				t.Fatalf("due %v at %v, next timeout was %v", due, now, timeout)
			}
			if due {
				if !last.IsZero() && now.Sub(last) < 500*time.Millisecond {
					t.Fatalf("%v between two requests", now.Sub(last))
				}
				last = now
			}
		}
	})
}

func TestThrottle_urgentWaitsLess(t *testing.T) {
	th := New(Config{})
	th.Ask(at(0))
	if !th.Due(at(0)) {
		t.Fatal("the first request waits")
	}
	th.Satisfied(at(30))
	th.AskUrgent(at(60)) // a viewer who joined missed that key frame
	if th.Due(at(149)) || !th.Due(at(150)) {
		t.Errorf("next timeout %v, want 150 ms after the request before", th.NextTimeout().Sub(start))
	}
	if th.Due(at(299)) || !th.Due(at(300)) { // the publisher ignored it
		t.Errorf("next timeout %v, want 150 ms after the request before", th.NextTimeout().Sub(start))
	}
	th.Satisfied(at(330))
	th.Ask(at(340)) // others keep the usual distance
	if th.Due(at(799)) || !th.Due(at(800)) {
		t.Errorf("next timeout %v, want 500 ms after the request before", th.NextTimeout().Sub(start))
	}
}
