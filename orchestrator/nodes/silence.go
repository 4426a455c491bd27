package nodes

import (
	"sync"
	"time"
)

// slice is how much silence is counted at a time. Whoever was not looking, since
// the process was stopped or starved, can't say that a node was silent.
const slice = 250 * time.Millisecond

// silence is how long nothing came from a node while this process was able to
// hear it: a look that comes late by more than a slice counts one slice.
type silence struct {
	limit   time.Duration // above 0
	last    time.Time     // of the last look
	counted time.Duration
}

// restart counts from now on.
func (s *silence) restart(now time.Time) { s.last, s.counted = now, 0 }

// look counts what has passed. It reports whether the silence is over the limit;
// a late look only if the one before could have said so: what waits in the socket
// is to be read first.
func (s *silence) look(now time.Time) (over bool) {
	before, passed := s.counted, now.Sub(s.last)
	late := passed > 2*slice
	if late {
		passed = slice
	}
	s.last, s.counted = now, s.counted+max(0, passed)
	return before >= s.limit || !late && s.counted >= s.limit
}

// next is when to look again.
func (s *silence) next() time.Duration {
	if left := s.limit - s.counted; left > 0 {
		return min(slice, left)
	}
	return slice
}

// watchdog looks for silence in slices and bites once there is too much. It is
// safe for concurrent use.
type watchdog struct {
	mu      sync.Mutex // guards what follows
	silence silence
	timer   *time.Timer // nil while nobody is to be bitten
	over    bool
}

func newWatchdog(limit time.Duration) *watchdog {
	return &watchdog{silence: silence{limit: limit, last: time.Now()}}
}

// heard ends the silence.
func (w *watchdog) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silence.restart(time.Now())
	w.over = false
	if w.timer != nil {
		w.timer.Reset(w.silence.next())
	}
}

// watch has bite called when the silence is over the limit, until rest.
func (w *watchdog) watch(bite func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(0, func() {
		if w.tooLong() {
			bite()
		}
	})
}

func (w *watchdog) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.timer = nil
}

// tooLong looks and reports whether the silence is over the limit; if it is not
// it sets the timer again.
func (w *watchdog) tooLong() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = w.over || w.silence.look(time.Now())
	if !w.over && w.timer != nil {
		w.timer.Reset(w.silence.next())
	}
	return w.over
}
