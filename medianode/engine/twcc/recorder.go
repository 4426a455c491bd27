// Package twcc is transport-wide congestion control feedback in both directions
// (draft-holmer-rmcat-transport-wide-cc-extensions-01; whitepaper section 4.3):
// a Recorder tells a publisher when each of its packets arrived; a History
// remembers when each packet to a subscriber left, and matches it with what the
// subscriber tells.
//
// Contract of a Recorder: every packet recorded is reported once as received, at
// its arrival time rounded to 250 us; every number between two reported ones
// that was not recorded by then is reported as missing. Of a History: a packet
// is acknowledged once at most, with the time at which it left.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|V=2|P|  FMT=15 |    PT=205     |           length              |
//	|                     SSRC of packet sender                     |
//	|                      SSRC of media source                     |
//	|      base sequence number     |      packet status count      |
//	|                 reference time                | fb pkt. count |
//	|          packet chunk         |         packet chunk ...      |
//	|         recv delta            |  recv delta ...      | padding|
//
// A Recorder allocates nothing after New except the buffer of Feedback's caller,
// a History only while the packet rate grows. Not safe for concurrent use.
package twcc

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/sequence"
)

const (
	// tick is the unit of arrival times, reference that of the reference time.
	tick      = 250 * time.Microsecond
	reference = 64 * time.Millisecond / tick
	// maxPending bounds the arrivals that wait for a report.
	maxPending = 2048
	// window is how many numbers back an arrival is known to be a duplicate.
	window = 4096
	// maxAge is how far behind the highest a late packet is still reported.
	maxAge = window / 2
)

// arrival is one packet: its extended number and time in ticks since the epoch.
type arrival struct {
	seq uint64
	at  int64
}

// Recorder collects the arrivals of one publisher's transport. Use New.
type Recorder struct {
	unwrapper sequence.Unwrapper
	epoch     time.Time
	// pending holds what was not reported yet, by seq.
	pending  []arrival
	seen     [window / 64]uint64
	highest  uint64
	reported uint64 // all up to here was reported, as received or as missing
	started  bool
	count    uint8
}

// New returns a Recorder without arrivals.
func New() *Recorder { return &Recorder{pending: make([]arrival, 0, maxPending)} }

// Record notes that the packet with this transport-wide number arrived. A
// duplicate, a packet that comes too late, and one for which there is no room
// until the next Feedback are ignored.
func (r *Recorder) Record(now time.Time, seq uint16) {
	if len(r.pending) == maxPending {
		return
	}
	if !r.started {
		r.epoch = now
	}
	extended := r.unwrapper.Unwrap(seq)
	if !r.note(extended) {
		return
	}
	a := arrival{seq: extended, at: int64((now.Sub(r.epoch) + tick/2) / tick)}
	i := len(r.pending)
	for i > 0 && r.pending[i-1].seq > extended {
		i--
	}
	r.pending = slices.Insert(r.pending, i, a)
}

// note marks a number as seen; false if it was before or is too old.
func (r *Recorder) note(seq uint64) bool {
	switch {
	case !r.started:
		r.started, r.highest, r.reported = true, seq, seq-1
	case seq > r.highest:
		if seq-r.highest >= window {
			r.seen = [window / 64]uint64{}
		} else {
			for n := r.highest + 1; n < seq; n++ {
				r.seen[n%window/64] &^= 1 << (n % 64)
			}
			r.seen[seq%window/64] &^= 1 << (seq % 64)
		}
		r.highest = seq
	case r.highest-seq > maxAge:
		return false
	}
	word, bit := &r.seen[seq%window/64], uint64(1)<<(seq%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// Pending returns how many arrivals wait to be reported. Call Feedback before
// it reaches some hundreds, and every 50 to 100 ms.
func (r *Recorder) Pending() int { return len(r.pending) }
