package deadline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

func TestQueue_earliestFirstThenInOrder(t *testing.T) {
	var q Queue[string]
	if !q.Next().IsZero() {
		t.Error("an empty queue has a deadline")
	}
	entries := map[string]*Entry[string]{}
	for _, name := range []string{"late", "a", "b", "gone"} {
		entries[name] = &Entry[string]{Owner: name}
	}
	q.Set(entries["late"], start.Add(2*time.Second))
	q.Set(entries["a"], start.Add(time.Second))
	q.Set(entries["gone"], start)
	q.Set(entries["b"], start.Add(time.Second))
	q.Stop(entries["gone"])
	q.Stop(entries["gone"])
	if got := q.Next(); !got.Equal(start.Add(time.Second)) {
		t.Errorf("next: got %s", got.Sub(start))
	}
	if name, ok := q.Pop(start.Add(time.Second - 1)); ok {
		t.Errorf("%q is due too early", name)
	}
	for _, want := range []string{"a", "b"} {
		if got, ok := q.Pop(start.Add(time.Second)); got != want || !ok {
			t.Errorf("got %q %v, want %q", got, ok, want)
		}
	}
	if got, ok := q.Pop(start.Add(time.Second)); ok {
		t.Errorf("%q is due too early", got)
	}
	if entries["a"].IsSet() || !entries["late"].IsSet() || !entries["late"].At().Equal(start.Add(2*time.Second)) {
		t.Error("wrong entries are set")
	}
}

// TestQueue_likeAModel compares with a list that is searched each time.
func TestQueue_likeAModel(t *testing.T) {
	type timer struct {
		at     time.Time
		serial int
		set    bool
	}
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[int]
		entries := make([]Entry[int], rapid.IntRange(1, 40).Draw(t, "owners"))
		model := make([]timer, len(entries))
		for i := range entries {
			entries[i].Owner = i
		}
		earliest := func() int {
			first := -1
			for i, m := range model {
				if m.set && (first < 0 || m.at.Before(model[first].at) || m.at.Equal(model[first].at) && m.serial < model[first].serial) {
					first = i
				}
			}
			return first
		}
		now := start
		for serial := range rapid.IntRange(1, 300).Draw(t, "steps") {
			i := rapid.IntRange(0, len(entries)-1).Draw(t, "owner")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				at := now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(t, "in")) * time.Millisecond)
				q.Set(&entries[i], at)
				model[i] = timer{at: at, serial: serial, set: true}
			case 2:
				q.Stop(&entries[i])
				model[i].set = false
			case 3:
				now = now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "passed")) * time.Millisecond)
				for want := earliest(); want >= 0 && !model[want].at.After(now); want = earliest() {
					if got, ok := q.Pop(now); !ok || got != want {
						t.Fatalf("got owner %d %v, want %d", got, ok, want)
					}
					model[want].set = false
				}
				if got, ok := q.Pop(now); ok {
					t.Fatalf("owner %d is not due", got)
				}
			}
			first := earliest()
			switch next := q.Next(); {
			case first < 0 && !next.IsZero():
				t.Fatalf("next is %s and nothing is set", next.Sub(start))
			case first >= 0 && !next.Equal(model[first].at):
				t.Fatalf("next is %s, want %s", next.Sub(start), model[first].at.Sub(start))
			}
		}
	})
}

func TestQueue_allocations(t *testing.T) {
	var q Queue[int]
	entries := make([]Entry[int], 100)
	at := start
	round := func() {
		for i := range entries {
			at = at.Add(time.Millisecond)
			q.Set(&entries[i], at)
		}
		for _, ok := q.Pop(at); ok; _, ok = q.Pop(at) {
			continue
		}
	}
	round()
	if n := testing.AllocsPerRun(20, round); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	var q Queue[int]
	entries := make([]Entry[int], 1000)
	at := start
	for i := range entries {
		entries[i].Owner = i
		q.Set(&entries[i], at.Add(time.Duration(i)*time.Millisecond))
	}
	b.ReportAllocs()
	for b.Loop() { // the earliest is served and waits for another second
		at = at.Add(time.Millisecond)
		if i, ok := q.Pop(at); ok {
			q.Set(&entries[i], at.Add(time.Second))
		}
	}
}
