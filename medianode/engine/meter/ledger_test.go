package meter

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestLedger_foldsTheLeastRecentlyUsed(t *testing.T) {
	l := NewLedger(2)
	add := func(application string, bytes uint64) { l.Add(application, Counters{Client: bytes}) }
	add("a", 1)
	add("b", 2)
	add("a", 4)
	add("c", 8) // b was not heard of for longest
	add("", 16)
	want := []Usage{{"a", Counters{Client: 5}}, {"c", Counters{Client: 8}}, {Other, Counters{Client: 18}}}
	if got := l.Lines(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	add("b", 32) // comes back at zero
	want = []Usage{{"b", Counters{Client: 32}}, {"c", Counters{Client: 8}}, {Other, Counters{Client: 23}}}
	if got := l.Lines(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whatever comes and goes, no byte is lost and the number of lines is bounded.
func TestLedger_losesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		l := NewLedger(limit)
		meters := map[string]*Meter{}
		var total Counters
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			name := rapid.StringMatching("[a-h]?").Draw(t, "application")
			if meters[name] == nil {
				meters[name] = New(Receiver(rapid.IntRange(0, 1).Draw(t, "receiver")))
			}
			meters[name].Data(rapid.IntRange(0, 1000).Draw(t, "bytes"))
			if rapid.Bool().Draw(t, "take") {
				l.Add(name, meters[name].Take())
			}
		}
		for name, m := range meters {
			l.Add(name, m.Take())
			total.Add(m.Snapshot())
		}
		var sum Counters
		for _, line := range l.Lines() {
			sum.Add(line.Counters)
		}
		if sum != total {
			t.Errorf("got %+v in all lines, want %+v", sum, total)
		}
		if got := len(l.Lines()); got > limit+1 {
			t.Errorf("got %d lines, want %d applications and the others at most", got, limit)
		}
	})
}
