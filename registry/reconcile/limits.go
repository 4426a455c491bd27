package reconcile

import (
	"fmt"

	"github.com/drtc-network/drtc/envelope"
)

// Bounds of the protocol, equal on both sides.
const (
	// MaxFrame is the largest frame that is read, in bytes.
	MaxFrame = 256 << 10
	// maxPages is how many frames of records a turn has.
	maxPages = 4
	// maxSpans is how many leaves an offer names.
	maxSpans = 256
	// minMessage holds any one record.
	minMessage = envelope.MaxSize + 16
)

// Limits bound one session on this side.
type Limits struct {
	// MaxBytes is what both sides together may send before this side ends the
	// session with its next turn. The rest is for another session.
	MaxBytes int
	// MaxMessage is the size of the frames that are sent, from 66 KB to MaxFrame.
	// Memory of a session is a few of them.
	MaxMessage int
	// MaxLeaves is how many leaves are compared at once, from 1 to 256: what is
	// lost when a session breaks off.
	MaxLeaves int
}

// DefaultLimits let a new Registry get 150,000 records in one session.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 64 << 20, MaxMessage: MaxFrame, MaxLeaves: 256}
}

// Validate names the field that is out of range.
func (l Limits) Validate() error {
	switch {
	case l.MaxBytes < MaxFrame:
		return fmt.Errorf("reconcile: MaxBytes must be at least %d, is %d", MaxFrame, l.MaxBytes)
	case l.MaxMessage < minMessage || l.MaxMessage > MaxFrame:
		return fmt.Errorf("reconcile: MaxMessage must be %d to %d, is %d", minMessage, MaxFrame, l.MaxMessage)
	case l.MaxLeaves < 1 || l.MaxLeaves > maxSpans:
		return fmt.Errorf("reconcile: MaxLeaves must be 1 to %d, is %d", maxSpans, l.MaxLeaves)
	}
	return nil
}

// Stats are what a session has cost and done so far.
type Stats struct {
	BytesIn, BytesOut     int
	RecordsIn, RecordsOut int
	// Leaves that were compared item by item or sent whole.
	Leaves int
	// Complete says that everything that differed was gone through: false until
	// the end, and after a session that either side cut short.
	Complete bool
}
