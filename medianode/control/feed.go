package control

import (
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

// feedKey says whose a feed is: one of an owner's members.
type feedKey struct {
	owner  drtc.NodeID
	member string
}

// feed is the sequence of events for one Orchestrator: the newest maxEvents
// stay for a stream that breaks and comes back. Beside it go the reports, which
// wake no stream.
type feed struct {
	mu      sync.Mutex
	events  []*medianodev1.EventsResponse // in order, events[i].Sequence rises by one
	origins []origin                      // of each
	last    uint64
	wake    chan struct{} // closed and replaced at every event
	stream  chan struct{} // closed when a newer stream takes over
	// Since when no stream is open; zero while one is.
	idleSince time.Time
	leaseEnd  time.Time
	reports   reports
	relays    relayReports
}

// origin is where and when an event happened.
type origin struct {
	room drtc.RoomID
	at   time.Time
}

func newFeed(now time.Time) *feed {
	return &feed{wake: make(chan struct{}), idleSince: now, reports: reports{newest: map[drtc.SessionID]*noted{}}}
}

// append adds an event of a room and gives it the next sequence number.
func (f *feed) append(instance string, room drtc.RoomID, e *medianodev1.EventsResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	e.Sequence, e.Instance = f.last, instance
	if len(f.events) == maxEvents {
		f.events = append(f.events[:0], f.events[1:]...)
		f.origins = append(f.origins[:0], f.origins[1:]...)
	}
	f.events, f.origins = append(f.events, e), append(f.origins, origin{room, time.Now()})
	close(f.wake)
	f.wake = make(chan struct{})
}

// note keeps a session's figures for the next heartbeat.
func (f *feed) note(id drtc.SessionID, figures *medianodev1.SessionFigures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports.note(id, figures)
}

// drop forgets a session and returns its last figures, nil if there are none.
func (f *feed) drop(id drtc.SessionID) *medianodev1.SessionFigures {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports.drop(id)
}

// waiting returns what the next heartbeat carries of reports.
func (f *feed) waiting() []*medianodev1.SessionReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports.next()
}

// sent tells that a stream carried reports. If a newer one has taken over, that
// carries them again.
func (f *feed) sent(taken <-chan struct{}, carried []*medianodev1.SessionReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stream != nil && taken == (<-chan struct{})(f.stream) {
		f.reports.sent(carried)
	}
}

// open starts a stream: the older one of the same owner ends, and all sessions'
// figures are told anew.
func (f *feed) open(leaseEnd time.Time) (taken <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stream != nil {
		close(f.stream)
	}
	f.stream = make(chan struct{})
	f.reports.again()
	f.idleSince, f.leaseEnd = time.Time{}, leaseEnd
	return f.stream
}

// close ends a stream unless a newer one has taken over already.
func (f *feed) close(now time.Time, taken <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stream != nil && taken == (<-chan struct{})(f.stream) {
		f.stream, f.idleSince = nil, now
	}
}

// renew moves the end of the lease.
func (f *feed) renew(end time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaseEnd = end
}

func (f *feed) leaseLeft(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leaseEnd.Sub(now)
}

// after returns the events behind a sequence number, whether some that the
// caller has not seen are gone, and what to wait for when there are none.
func (f *feed) after(seq uint64) (events []*medianodev1.EventsResponse, missed bool, wake <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.last - uint64(len(f.events)) + 1
	if seq > f.last { // of another life: nothing can be said
		return nil, true, f.wake
	}
	from := 0
	if seq+1 > oldest {
		from = int(seq + 1 - oldest)
	}
	return append(events, f.events[from:]...), seq+1 < oldest, f.wake
}

func (f *feed) orphaned(now time.Time, grace time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.idleSince.IsZero() && now.Sub(f.idleSince) > grace
}

func (f *feed) sequence() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
