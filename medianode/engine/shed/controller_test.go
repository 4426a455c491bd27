package shed_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/shed"
)

// period of a cgroup's quota: a confined process runs until its quota is used
// up and then sleeps until the next period.
const period = 100 * time.Millisecond

// server is a worker in virtual time: a queue of datagrams, of which every one
// costs a fixed time and each copy that is sent costs more.
type server struct {
	now     time.Time
	start   time.Time
	share   float64 // of a core: its quota
	viewers int
	video   float64 // datagrams a second from the publisher
	audio   float64
	control *shed.Controller

	queue              []datagram
	nextVideo          time.Time
	nextAudio          time.Time
	used               time.Duration // of the period's quota
	periodEnd          time.Time
	owed               float64       // copies of video that rounding has not sent yet
	worst              time.Duration // longest wait of an audio datagram since the last look
	audioIn, audioSent int
	idle               time.Time // when it had nothing more at hand
	ratios             []float64 // at the end of each period
}

type datagram struct {
	at    time.Time
	audio bool
}

const (
	receiveCost = 5 * time.Microsecond
	copyCost    = 4 * time.Microsecond
	drain       = 64 // datagrams in one call
)

func newServer(share, video float64, viewers int) *server {
	start := time.Unix(1_700_000_000, 0)
	return &server{
		now: start, start: start, share: share, viewers: viewers, video: video, audio: 50,
		control: shed.New(shed.Config{}), idle: start, nextVideo: start, nextAudio: start.Add(time.Millisecond), periodEnd: start.Add(period),
	}
}

// demand is the part of its quota that serving all would take.
func (s *server) demand() float64 {
	perVideo := receiveCost.Seconds() + float64(s.viewers)*copyCost.Seconds()
	return (s.video + s.audio) * perVideo / s.share
}

// audioDemand is the part that audio and receiving alone take.
func (s *server) audioDemand() float64 {
	perAudio := receiveCost.Seconds() + float64(s.viewers)*copyCost.Seconds()
	return (s.audio*perAudio + s.video*receiveCost.Seconds()) / s.share
}

func (s *server) arrive() {
	for next := &s.nextVideo; !s.nextVideo.After(s.now) && s.video > 0; *next = next.Add(time.Duration(float64(time.Second) / s.video)) {
		s.queue = append(s.queue, datagram{at: *next})
	}
	if s.video == 0 {
		s.nextVideo = s.now
	}
	for !s.nextAudio.After(s.now) {
		s.queue = append(s.queue, datagram{at: s.nextAudio, audio: true})
		s.nextAudio = s.nextAudio.Add(time.Duration(float64(time.Second) / s.audio))
		s.audioIn++
	}
}

// run lets the server work for a time.
func (s *server) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.arrive()
		if len(s.queue) == 0 {
			s.spend(0, 4*time.Millisecond)
			s.control.Tick(s.now)
			continue
		}
		s.work()
	}
}

// spend lets time pass, of which a part is work. When the quota of a period is
// used up, the next one is waited for.
func (s *server) spend(work, pause time.Duration) {
	s.now = s.now.Add(work + pause)
	s.used += work
	for quota := time.Duration(s.share * float64(period)); s.used >= quota || !s.now.Before(s.periodEnd); {
		if s.now.Before(s.periodEnd) {
			s.now = s.periodEnd // throttled
		}
		s.periodEnd, s.used = s.periodEnd.Add(period), max(s.used-quota, 0)
		s.ratios = append(s.ratios, s.control.Ratio())
	}
}

// work takes what waits, as one call does, and serves it.
func (s *server) work() {
	n := min(drain, len(s.queue))
	s.control.Observe(s.now, s.idle.Sub(s.queue[0].at))
	for _, d := range s.queue[:n] {
		copies := float64(s.viewers)
		if !d.audio {
			s.owed += copies * (1 - s.control.Ratio())
			copies = math.Floor(s.owed)
			s.owed -= copies
		} else {
			s.worst = max(s.worst, s.now.Sub(d.at))
			s.audioSent++
		}
		s.spend(receiveCost+time.Duration(copies)*copyCost, 0)
	}
	s.queue = s.queue[n:]
	s.idle = s.now
}

func TestController_sleepingForItsQuotaIsNoOverload(t *testing.T) {
	for _, share := range []float64{0.1, 0.3, 0.6, 1} {
		s := newServer(share, 300, 100)
		s.video *= 0.85 / s.demand()
		s.run(20 * time.Second)
		if got := s.control.Ratio(); got != 0 {
			t.Errorf("%v of a core used to %.0f %%: got %v shed, want none", share, 100*s.demand(), got)
		}
	}
}

func TestController_settlesBelowCapacityAndRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0.25, 1).Draw(t, "share of a core")
		over := rapid.Float64Range(1.2, 5).Draw(t, "load by capacity")
		s := newServer(share, 250, 50)
		s.video *= over / s.demand()
		s.run(10 * time.Second)

		s.worst, s.ratios = 0, nil
		s.run(30 * time.Second)
		sorted := slices.Sorted(slices.Values(s.ratios))
		var mean float64
		for _, r := range sorted {
			mean += r / float64(len(sorted))
		}
		need := max((s.demand()-1)/(s.demand()-s.audioDemand()), 0) // to shed at least
		if mean < need-0.05 || mean > need+0.15 {
			t.Errorf("got %.2f shed on average, want %.2f and a little", mean, need)
		}
		if low, high := sorted[len(sorted)/20], sorted[len(sorted)*19/20]; high-low > 0.45 {
			t.Errorf("shed between %.2f and %.2f under a load that stays", low, high)
		}
		if s.worst > 400*time.Millisecond {
			t.Errorf("audio waited up to %v", s.worst)
		}
		if waiting := s.audioIn - s.audioSent; waiting > int(s.audio/4) {
			t.Errorf("%d of %d audio datagrams were not sent", waiting, s.audioIn)
		}

		s.video *= 0.5 / s.demand()
		s.run(10 * time.Second)
		if got := s.control.Ratio(); got != 0 {
			t.Errorf("10 s after the load fell: still %.2f shed", got)
		}
	})
}

func TestController_reactsBeforeAudioIsLate(t *testing.T) {
	s := newServer(0.3, 250, 100)
	s.video *= 0.7 / s.demand()
	s.run(5 * time.Second)
	s.worst = 0
	s.video *= 3 / s.demand()
	s.run(5 * time.Second)
	if s.worst > 600*time.Millisecond {
		t.Errorf("audio waited up to %v when the load came", s.worst)
	}
	s.worst = 0
	s.run(5 * time.Second)
	if s.worst > 400*time.Millisecond {
		t.Errorf("audio waited up to %v after 5 s", s.worst)
	}
}

func TestController_triesWhatFailedLessAndLessOften(t *testing.T) {
	s := newServer(0.3, 250, 100)
	s.video *= 2 / s.demand()
	s.run(20 * time.Second)
	s.ratios = nil
	s.run(40 * time.Second)
	failures := 0
	for i, r := range s.ratios[2:] {
		if r > s.ratios[i+1] && s.ratios[i+1] < s.ratios[i] { // what was tried had failed
			failures++
		}
	}
	if failures > 10 {
		t.Errorf("got %d failures in 40 s, want at most one in 4 s", failures)
	}
}

// A single long wait, such as that of a thread that others held up, is nothing.
func TestController_chanceIsNoOverload(t *testing.T) {
	c := shed.New(shed.Config{})
	now := time.Unix(1_700_000_000, 0)
	for i := range 1000 {
		now = now.Add(20 * time.Millisecond)
		lag := time.Duration(0)
		if i%25 == 0 { // and nothing else came for a while
			now = now.Add(300 * time.Millisecond)
			lag = 200 * time.Millisecond
		}
		if c.Observe(now, lag) {
			t.Fatalf("after %d observations: got %v shed, want none", i, c.Ratio())
		}
	}
}

func TestController_idleIsCalm(t *testing.T) {
	c := shed.New(shed.Config{})
	now := time.Unix(1_700_000_000, 0)
	for i := range 100 { // a queue that only grows
		now = now.Add(10 * time.Millisecond)
		c.Observe(now, time.Duration(i)*9*time.Millisecond)
	}
	if c.Ratio() == 0 {
		t.Fatal("got nothing shed under a growing queue")
	}
	for end := now.Add(10 * time.Second); now.Before(end); {
		now = now.Add(10 * time.Millisecond)
		c.Tick(now)
	}
	if got := c.Ratio(); got != 0 {
		t.Errorf("10 s without any datagram: got %v shed, want none", got)
	}
}

// Without anybody to serve there are no calls. Who comes then finds a fresh start.
func TestController_forgetsAfterASilence(t *testing.T) {
	c := shed.New(shed.Config{})
	now := time.Unix(1_700_000_000, 0)
	for i := range 30 {
		now = now.Add(200 * time.Millisecond)
		c.Observe(now, time.Duration(i)*200*time.Millisecond)
	}
	if c.Ratio() == 0 {
		t.Fatal("got nothing shed under a growing queue")
	}
	if now = now.Add(time.Minute); !c.Tick(now) || c.Ratio() != 0 {
		t.Errorf("a minute later: got %v shed, want none", c.Ratio())
	}
}

func TestController_staysInRangeWhateverItSees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := shed.New(shed.Config{})
		now := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "step")))
			before := c.Ratio()
			var changed bool
			if rapid.Bool().Draw(t, "tick") {
				changed = c.Tick(now)
			} else {
				changed = c.Observe(now, time.Duration(rapid.Int64Range(-int64(time.Second), int64(time.Minute)).Draw(t, "lag")))
			}
			if r := c.Ratio(); r < 0 || r > 1 || math.IsNaN(r) || changed != (r != before) {
				t.Fatalf("got ratio %v after %v, changed %v", r, before, changed)
			}
		}
	})
}

func TestController_allocatesNothing(t *testing.T) {
	c := shed.New(shed.Config{})
	now := time.Unix(1_700_000_000, 0)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(50 * time.Millisecond)
		c.Observe(now, 20*time.Millisecond)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
