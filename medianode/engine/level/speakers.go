package level

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// Config tunes Speakers. Zero fields take their defaults.
type Config struct {
	// Quiet is the softest level that counts as voice, in -dBov, default 35.
	Quiet uint8
	// Attack is how much voice makes a speaker, default 100 ms.
	Attack time.Duration
	// Release is how much silence unmakes one, default 500 ms.
	Release time.Duration
	// Interval is the least time between two changed lists, default 300 ms.
	Interval time.Duration
}

func (c Config) withDefaults() Config {
	if c.Quiet == 0 {
		c.Quiet = 35
	}
	if c.Attack <= 0 {
		c.Attack = 100 * time.Millisecond
	}
	if c.Release <= 0 {
		c.Release = 500 * time.Millisecond
	}
	if c.Interval <= 0 {
		c.Interval = 300 * time.Millisecond
	}
	return c
}

const (
	// smoothing is the time constant of the reported level.
	smoothing = 100 * time.Millisecond
	// maxPacket is the longest time that one packet stands for.
	maxPacket = 120 * time.Millisecond
	// step is how finely a level is reported, in dB: a softer change is none.
	step = 3
	// silence is the softest level of RFC 6464, in -dBov.
	silence = 127
)

// Speaker is one who speaks.
type Speaker struct {
	Track drtc.TrackID
	// Level is the sound pressure, above 0 to 1, in steps of 3 dB.
	Level float32
}

// Speakers watches the audio tracks of a room. Use New.
type Speakers struct {
	cfg    Config
	tracks []*Track
	// pressure is the sound pressure of each level of RFC 6464.
	pressure      [silence + 1]float64
	now, reported []Speaker
	at            time.Time
}

// New returns a Speakers without tracks.
func New(cfg Config) *Speakers {
	s := &Speakers{cfg: cfg.withDefaults()}
	for i := range s.pressure {
		s.pressure[i] = math.Pow(10, -float64(i)/20)
	}
	return s
}

// Add begins to watch a track.
func (s *Speakers) Add(id drtc.TrackID) *Track {
	t := &Track{room: s, id: id}
	s.tracks = append(s.tracks, t)
	return t
}

// Remove forgets a track: it ended or was muted.
func (s *Speakers) Remove(id drtc.TrackID) {
	s.tracks = slices.DeleteFunc(s.tracks, func(t *Track) bool { return t.id == id })
}

// Speakers returns all who speak, the loudest first, and whether the list or a
// level in it changed since it was last returned with true. The slice is valid
// until the next call.
func (s *Speakers) Speakers(now time.Time) ([]Speaker, bool) {
	s.now = s.now[:0]
	for _, t := range s.tracks {
		t.expire(now)
		if t.speaking {
			s.now = append(s.now, Speaker{Track: t.id, Level: quantise(t.level)})
		}
	}
	slices.SortFunc(s.now, func(a, b Speaker) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(a.Track, b.Track))
	})
	early := !s.at.IsZero() && now.Sub(s.at) < s.cfg.Interval
	if early || slices.Equal(s.now, s.reported) {
		return s.now, false
	}
	s.at = now
	s.reported = append(s.reported[:0], s.now...)
	return s.now, true
}

// Track is one audio track. Use Speakers.Add.
type Track struct {
	room *Speakers
	id   drtc.TrackID
	// level is the smoothed sound pressure, voiced how much voice there was
	// lately, up to Attack.
	level    float64
	voiced   time.Duration
	speaking bool
	// flags says that the sender does set the voice flag.
	flags        bool
	last, loudAt time.Time
}

// Observe notes one packet: its level in -dBov, 0 the loudest and 127 silence,
// and the sender's voice flag. Many senders never set the flag; from the first
// time that one does, its packets without it count as silence.
func (t *Track) Observe(now time.Time, level uint8, voice bool) {
	passed := min(max(now.Sub(t.last), 0), maxPacket)
	if t.last.IsZero() {
		passed = 0
	}
	t.last = now
	t.flags = t.flags || voice
	weight := 1 - math.Exp(-float64(passed)/float64(smoothing))
	t.level += (t.room.pressure[min(level, silence)] - t.level) * weight
	cfg := &t.room.cfg
	if level > cfg.Quiet || t.flags && !voice {
		t.voiced = max(t.voiced-passed, 0)
		return
	}
	t.loudAt = now
	t.voiced = min(t.voiced+passed, cfg.Attack)
	t.speaking = t.speaking || t.voiced == cfg.Attack
}

// expire ends a speech after the release time, also when packets stop (DTX).
func (t *Track) expire(now time.Time) {
	if t.speaking && now.Sub(t.loudAt) >= t.room.cfg.Release {
		t.speaking, t.voiced, t.level = false, 0, 0
	}
}

// quantise rounds a sound pressure to whole steps, so that small changes are
// not news.
func quantise(pressure float64) float32 {
	dB := 20 * math.Log10(max(pressure, 1e-6))
	return float32(min(math.Pow(10, math.Round(dB/step)*step/20), 1))
}
