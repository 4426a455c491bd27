package liveness

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// maxLog is how many changes are remembered of each node.
const maxLog = 16

// Account is a node's part of one epoch (whitepaper 2.3.1).
type Account struct {
	Epoch uint64
	// Up is u, the time in which no majority said Down; Life is l, the time for
	// which the node was judged at all. Time in state Unknown is in neither.
	Up, Life time.Duration
}

// Score is the availability score A = u/l, 0 to 1; 0 for a node without a life.
func (a Account) Score() float64 {
	if a.Life == 0 {
		return 0
	}
	return float64(a.Up) / float64(a.Life)
}

// history is a node's record of verdicts.
type history struct {
	state  State
	since  time.Time // up to when the accounts are complete
	gone   bool      // its record ended without a tombstone: down to the end of the epoch
	epoch  Account   // that since is in
	before Account   // the one before
	log    []Change
}

func epochAt(t time.Time, length time.Duration) uint64 {
	return uint64(max(0, t.UnixMilli())) / uint64(length.Milliseconds())
}

func epochStart(e uint64, length time.Duration) time.Time {
	return time.UnixMilli(int64(e * uint64(length.Milliseconds())))
}

// settle brings the accounts up to now.
func (h *history) settle(now time.Time, length time.Duration) {
	e := epochAt(now, length)
	for e > h.epoch.Epoch {
		next := h.epoch.Epoch + 1
		h.spend(epochStart(next, length))
		h.before, h.epoch = h.epoch, Account{Epoch: next}
		if h.gone {
			h.state, h.gone = Unknown, false
		}
		// Accounts older than two epochs are not kept: no need to walk through them.
		if skip := e - 1; skip > next {
			h.epoch.Epoch, h.since = skip, epochStart(skip, length)
		}
	}
	h.spend(now)
}

func (h *history) spend(until time.Time) {
	d := until.Sub(h.since)
	if d <= 0 {
		return
	}
	h.since = until
	if h.state != Unknown {
		h.epoch.Life += d
	}
	if h.state == Up || h.state == Suspect {
		h.epoch.Up += d
	}
}

func (h *history) change(c Change, length time.Duration) {
	h.settle(c.At, length)
	h.state = c.To
	if len(h.log) == maxLog {
		h.log = slices.Delete(h.log, 0, 1)
	}
	h.log = append(h.log, c)
}

// leave notes that the node's record has ended.
func (h *history) leave(now time.Time, left bool, length time.Duration) {
	h.settle(now, length)
	if h.state, h.gone = Down, true; left {
		h.state, h.gone = Unknown, false
	}
}

// ended reports whether nothing is worth remembering.
func (h *history) ended() bool {
	return h.state == Unknown && h.epoch.Life == 0 && h.before.Life == 0
}

// recall returns the history of a node that comes, or comes back.
func (v *Verdicts) recall(now time.Time, node drtc.NodeID) *history {
	h := v.gone[node]
	if h == nil {
		return &history{since: now, epoch: Account{Epoch: v.Epoch(now)}}
	}
	delete(v.gone, node)
	h.settle(now, v.config.Epoch)
	h.state, h.gone = Unknown, false
	return h
}

// Availability of a node in an epoch as far as this Registry has judged it; ok
// is false for a node that is not known and for epochs but the current one and
// the one before. Two Registries' figures differ by the time that pages take.
func (v *Verdicts) Availability(now time.Time, node drtc.NodeID, epoch uint64) (a Account, ok bool) {
	h := v.historyOf(node)
	if h == nil {
		return Account{}, false
	}
	h.settle(now, v.config.Epoch)
	for _, a := range []Account{h.epoch, h.before} {
		if a.Epoch == epoch {
			return a, true
		}
	}
	return Account{}, false
}

// Log returns the last changes of a node's verdict, the oldest first, each with
// the votes that led to it.
func (v *Verdicts) Log(node drtc.NodeID) []Change {
	if h := v.historyOf(node); h != nil {
		return slices.Clone(h.log)
	}
	return nil
}

// Epoch of a time.
func (v *Verdicts) Epoch(t time.Time) uint64 { return epochAt(t, v.config.Epoch) }

func (v *Verdicts) historyOf(node drtc.NodeID) *history {
	if j := v.nodes[node]; j != nil {
		return j.history
	}
	return v.gone[node]
}
