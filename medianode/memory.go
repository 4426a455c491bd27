package medianode

import "runtime/debug"

const (
	// quietFor is how many seconds a load must be gone before its memory is
	// given back to the system.
	quietFor = 5
	// busyBytes is what a node sends in a second at least for that to be a load.
	busyBytes = 1 << 20
)

// memory gives what a load has taken back to the system soon after it is gone.
// The runtime would keep it until its next collection, which comes within two
// minutes where little is allocated.
type memory struct {
	peak  uint64 // bytes sent in a second, since memory was given back
	quiet int    // seconds since the load is gone
}

// observe takes what was sent in a second, and whether video was left out in it.
func (m *memory) observe(sent uint64, shedding bool) {
	if m.due(sent, shedding) {
		debug.FreeOSMemory()
	}
}

// due reports whether it is time to give memory back: a load was there and has
// been less than half of what it was for a while.
func (m *memory) due(sent uint64, shedding bool) bool {
	m.peak = max(m.peak, sent)
	if shedding || m.peak < busyBytes || sent > m.peak/2 {
		m.quiet = 0
		return false
	}
	if m.quiet++; m.quiet < quietFor {
		return false
	}
	m.peak, m.quiet = sent, 0
	return true
}
