package nodes

import (
	"testing"
	"time"
)

// A process that was stopped can't have heard anything.
func TestSilence_countsOnlyWhatItCouldHear(t *testing.T) {
	const limit = 1500 * time.Millisecond
	for _, c := range []struct {
		name  string
		looks []time.Duration // one after the other
		over  []int           // looks that say that it was too long
	}{
		{"looks in time", []time.Duration{slice, slice, slice, slice, slice, slice}, []int{5}},
		{"looks somewhat late", []time.Duration{400 * time.Millisecond, 400 * time.Millisecond, 400 * time.Millisecond, 400 * time.Millisecond}, []int{3}},
		{"stopped for a minute, then one more slice each", []time.Duration{time.Minute, slice, slice, slice, slice, slice}, []int{5}},
		{"stopped at the last moment, what waits is read first", []time.Duration{slice, slice, slice, slice, slice, time.Minute, slice}, []int{6}},
		{"always late, and the node is gone all the same", []time.Duration{
			time.Second, time.Second, time.Second, time.Second, time.Second, time.Second, time.Second,
		}, []int{6}},
		{"the clock stands", []time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, nil},
	} {
		now := time.Unix(1000, 0)
		s := silence{limit: limit}
		s.restart(now)
		var over []int
		for i, passed := range c.looks {
			now = now.Add(passed)
			if s.look(now) {
				over = append(over, i)
			}
		}
		if len(over) != len(c.over) || len(over) > 0 && over[0] != c.over[0] {
			t.Errorf("%s: too long at looks %v, want %v", c.name, over, c.over)
		}
	}
}

func TestSilence_looksAtTheLimitAndNotLater(t *testing.T) {
	now := time.Unix(1000, 0)
	s := silence{limit: 600 * time.Millisecond}
	s.restart(now)
	begun := now
	for range 3 {
		now = now.Add(s.next())
		if s.look(now) {
			break
		}
	}
	if got := now.Sub(begun); got != s.limit {
		t.Errorf("the silence was found after %v, want %v", got, s.limit)
	}
}
