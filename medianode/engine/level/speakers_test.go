package level

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
)

var start = time.Unix(1_700_000_000, 0)

const packet = 20 * time.Millisecond

// talk feeds one packet of each track every 20 ms and returns the time after.
func talk(now time.Time, d time.Duration, levels map[*Track]uint8) time.Time {
	for end := now.Add(d); now.Before(end); now = now.Add(packet) {
		for t, level := range levels {
			t.Observe(now, level, false)
		}
	}
	return now
}

// expect checks the list and whether it is news.
func expect(t *testing.T, s *Speakers, now time.Time, changed bool, want ...drtc.TrackID) []Speaker {
	t.Helper()
	got, news := s.Speakers(now)
	var ids []drtc.TrackID
	for _, sp := range got {
		ids = append(ids, sp.Track)
		if sp.Level <= 0 || sp.Level > 1 {
			t.Errorf("level %v of %s", sp.Level, sp.Track)
		}
	}
	if !slices.Equal(ids, want) || news != changed {
		t.Errorf("got %v changed %v, want %v %v", ids, news, want, changed)
	}
	return got
}

func TestSpeakers_comeAndGo(t *testing.T) {
	s := New(Config{})
	a, b, c := s.Add("TR_a"), s.Add("TR_b"), s.Add("TR_c")
	now := talk(start, 80*time.Millisecond, map[*Track]uint8{a: 20, b: 60, c: 127})
	expect(t, s, now, false) // too short to be a speech
	now = talk(now, 400*time.Millisecond, map[*Track]uint8{a: 20, b: 60, c: 127})
	got := expect(t, s, now, true, "TR_a")
	if l := got[0].Level; l < 0.08 || l > 0.13 {
		t.Errorf("level of -20 dBov is %v, want about 0.1", l)
	}
	now = talk(now, 400*time.Millisecond, map[*Track]uint8{a: 20, b: 10, c: 127})
	expect(t, s, now, true, "TR_b", "TR_a") // the loudest first
	now = talk(now, 440*time.Millisecond, map[*Track]uint8{a: 127, b: 10, c: 127})
	expect(t, s, now, true, "TR_b", "TR_a") // a breath; only the level fell
	now = talk(now, 400*time.Millisecond, map[*Track]uint8{a: 127, b: 10, c: 127})
	expect(t, s, now, true, "TR_b")
	expect(t, s, now.Add(time.Second), true) // packets stopped
	expect(t, s, now.Add(2*time.Second), false)
}

func TestSpeakers_newsAtMostOnceAnInterval(t *testing.T) {
	s := New(Config{})
	a, b := s.Add("TR_a"), s.Add("TR_b")
	now := talk(start, 400*time.Millisecond, map[*Track]uint8{a: 9})
	expect(t, s, now, true, "TR_a")
	first := now
	now = talk(now, 200*time.Millisecond, map[*Track]uint8{a: 9, b: 9})
	expect(t, s, now, false, "TR_a", "TR_b") // too early, but not forgotten
	now = talk(now, 100*time.Millisecond, map[*Track]uint8{a: 9, b: 9})
	if now.Sub(first) != 300*time.Millisecond {
		t.Fatalf("at %v", now.Sub(first))
	}
	expect(t, s, now, true, "TR_a", "TR_b")
	now = talk(now, 400*time.Millisecond, map[*Track]uint8{a: 9, b: 9})
	expect(t, s, now, false, "TR_a", "TR_b")
}

func TestSpeakers_smallChangesAreNoNews(t *testing.T) {
	s := New(Config{})
	a := s.Add("TR_a")
	now := talk(start, time.Second, map[*Track]uint8{a: 30})
	expect(t, s, now, true, "TR_a")
	now = talk(now, time.Second, map[*Track]uint8{a: 31})
	expect(t, s, now, false, "TR_a")
	now = talk(now, time.Second, map[*Track]uint8{a: 18})
	expect(t, s, now, true, "TR_a")
}

func TestSpeakers_removed(t *testing.T) {
	s := New(Config{})
	a := s.Add("TR_a")
	now := talk(start, time.Second, map[*Track]uint8{a: 10})
	expect(t, s, now, true, "TR_a")
	s.Remove("TR_a")
	expect(t, s, now.Add(time.Second), true)
}

func TestTrack_voiceFlag(t *testing.T) {
	s := New(Config{})
	noise, voice := s.Add("TR_noise"), s.Add("TR_voice")
	now := start
	for i := range 100 {
		now = now.Add(packet)
		voice.Observe(now, 20, true)
		noise.Observe(now, 20, i == 0) // can tell voice, and says it is none
	}
	expect(t, s, now, true, "TR_voice")
}

func TestTrack_knockIsNoSpeech(t *testing.T) {
	s := New(Config{})
	a := s.Add("TR_a")
	now := talk(start, time.Second, map[*Track]uint8{a: 127})
	now = talk(now, 60*time.Millisecond, map[*Track]uint8{a: 0})
	now = talk(now, time.Second, map[*Track]uint8{a: 127})
	expect(t, s, now, false)
	// Nor is one packet after a long silence.
	a.Observe(now.Add(time.Hour), 0, false)
	a.Observe(now.Add(time.Hour+packet), 127, false)
	if got, _ := s.Speakers(now.Add(2 * time.Hour)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// Any levels: the list is sorted, its levels are in range, and news keep their
// distance.
func TestSpeakers_anyLevels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Config{})
		tracks := []*Track{s.Add("TR_a"), s.Add("TR_b"), s.Add("TR_c")}
		now, last := start, time.Time{}
		for range rapid.IntRange(1, 200).Draw(t, "packets") {
			now = now.Add(time.Duration(rapid.IntRange(0, 150).Draw(t, "ms")) * time.Millisecond)
			tr := tracks[rapid.IntRange(0, 2).Draw(t, "track")]
			tr.Observe(now, rapid.Byte().Draw(t, "level"), rapid.Bool().Draw(t, "voice"))
			got, news := s.Speakers(now)
			for i, sp := range got {
				if sp.Level <= 0 || sp.Level > 1 || i > 0 && got[i-1].Level < sp.Level {
					t.Fatalf("got %v", got)
				}
			}
			if news {
				if !last.IsZero() && now.Sub(last) < 300*time.Millisecond {
					t.Fatalf("news after %v", now.Sub(last))
				}
				last = now
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	s := New(Config{})
	a, now := s.Add("TR_a"), start
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(packet)
		a.Observe(now, 20, false)
		s.Speakers(now)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	s := New(Config{})
	a, now := s.Add("TR_a"), start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(packet)
		a.Observe(now, 20, false)
	}
}
