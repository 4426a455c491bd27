package level

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// choir is voices that send a packet every 20 ms.
type choir struct {
	now    time.Time
	group  *Loudest
	voices []*Voice
	levels []byte
	swaps  int
	before []bool
}

func newChoir(count, limit int) *choir {
	c := &choir{now: time.Unix(1_700_000_000, 0), group: NewLoudest(), before: make([]bool, count)}
	c.group.SetLimit(c.now, limit)
	for range count {
		c.voices = append(c.voices, c.group.Add())
		c.levels = append(c.levels, silence)
	}
	return c
}

// sing lets time go by and returns who is heard in the end.
func (c *choir) sing(d time.Duration) (heard []int) {
	for range d / (20 * time.Millisecond) {
		c.now = c.now.Add(20 * time.Millisecond)
		heard = heard[:0]
		for i, v := range c.voices {
			is := v.Hears(c.now, []byte{c.levels[i]})
			if is {
				heard = append(heard, i)
			}
			if is && !c.before[i] {
				c.swaps++
			}
			c.before[i] = is
		}
	}
	return heard
}

func TestLoudest_story(t *testing.T) {
	c := newChoir(4, 2)
	expect := func(what string, d time.Duration, want ...int) {
		t.Helper()
		if got := c.sing(d); !slices.Equal(got, want) {
			t.Errorf("%s: %v are heard, want %v", what, got, want)
		}
	}
	expect("who comes first", 40*time.Millisecond, 0, 1)
	c.levels[3] = 30
	expect("a voice is heard within 60 ms", 60*time.Millisecond, 1, 3)
	c.levels[2] = 31
	expect("and another", 60*time.Millisecond, 2, 3)
	c.levels[0] = 29
	expect("one that is hardly louder must wait", 2*time.Second, 2, 3)
	c.levels[0] = 20
	expect("one that is clearly louder takes a place", time.Second, 0, 3)
	c.levels[3] = silence
	expect("who stops makes room", 2*time.Second, 0, 2)
	c.group.SetLimit(c.now, 1)
	expect("a lower limit keeps the loudest", 20*time.Millisecond, 0)
	c.group.SetLimit(c.now, 0)
	expect("no limit", 20*time.Millisecond, 0, 1, 2, 3)
}

// Two who speak by turns do not throw each other out with every word.
func TestLoudest_doesNotFlicker(t *testing.T) {
	c := newChoir(3, 1)
	for i := range 100 {
		c.levels[0], c.levels[1] = 25, silence
		if i%2 == 1 {
			c.levels[0], c.levels[1] = silence, 25
		}
		c.sing(200 * time.Millisecond)
	}
	if c.swaps > 41 { // 20 s with a stay of half a second
		t.Errorf("%d changes in 20 s", c.swaps)
	}
}

// Packets without a level are taken for speech, and those that stop for silence.
func TestLoudest_withoutLevels(t *testing.T) {
	g := NewLoudest()
	now := time.Unix(1_700_000_000, 0)
	g.SetLimit(now, 1)
	untold, quiet := g.Add(), g.Add()
	for range 50 {
		now = now.Add(20 * time.Millisecond)
		quiet.Hears(now, []byte{90})
		untold.Hears(now, nil)
	}
	if !untold.Hears(now, nil) || quiet.Hears(now, []byte{90}) {
		t.Error("a voice that tells no level is not heard")
	}
	for range 100 {
		now = now.Add(20 * time.Millisecond)
		quiet.Hears(now, []byte{50})
	}
	if !quiet.Hears(now, []byte{50}) {
		t.Error("who sends nothing keeps the place")
	}
	quiet.Leave()
	quiet.Leave()
	if g.Empty() {
		t.Error("the group lost more than one voice")
	}
	untold.Leave()
	if !g.Empty() {
		t.Error("the group is not empty")
	}
}

// Whatever they say and whoever comes and goes: never more than the limit are
// heard, never fewer than there are up to it, and the clearly loudest is among
// them once it has spoken for a second.
func TestLoudest_anyChoir(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		c := newChoir(rapid.IntRange(1, 6).Draw(t, "voices"), limit)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, len(c.voices)-1).Draw(t, "voice")
			switch rapid.IntRange(0, 3).Draw(t, "command") {
			case 0:
				c.voices[i].Leave()
				c.voices[i] = c.group.Add()
				c.before[i] = false
			default:
				c.levels[i] = byte(rapid.IntRange(0, 127).Draw(t, "level"))
			}
			got := c.sing(time.Duration(rapid.IntRange(1, 40).Draw(t, "packets")) * 20 * time.Millisecond)
			if want := min(limit, len(c.voices)); len(c.group.chosen) != want || len(got) > want+1 {
				t.Fatalf("%d are chosen and %v heard of %d, want %d", len(c.group.chosen), got, len(c.voices), want)
			}
		}
		c.levels[0] = 0
		for i := range c.levels[1:] {
			c.levels[1+i] = max(c.levels[1+i], 10)
		}
		if got := c.sing(3 * time.Second); !slices.Contains(got, 0) {
			t.Fatalf("the loudest is not among %v: %s", got, fmt.Sprint(c.levels))
		}
	})
}

func TestLoudest_allocatesNothing(t *testing.T) {
	c := newChoir(10, 3)
	element := []byte{20}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		c.now = c.now.Add(5 * time.Millisecond)
		element[0] = byte(i * 7 % 100)
		c.voices[i%10].Hears(c.now, element)
		i++
	}); n != 0 {
		t.Errorf("got %v allocations for a packet, want none", n)
	}
}
