package rpcauth

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
)

// nonce is one call that passed. The text is hashed so that an entry has one
// size: a caller who finds two that collide refuses only itself.
type nonce struct {
	caller drtc.NodeID
	text   [16]byte
}

func newNonce(caller drtc.NodeID, text string) nonce {
	n := nonce{caller: caller}
	sum := sha256.Sum256([]byte(text))
	copy(n.text[:], sum[:])
	return n
}

// nonces remembers calls until they can no longer pass for their age, in
// buckets of one second.
type nonces struct {
	perCaller, total int

	seen     map[nonce]struct{}
	byCaller map[drtc.NodeID]int
	buckets  map[int64][]nonce // by the second from which they are too old
	// through is the last second whose bucket is gone. A clock that is set back
	// does not make those calls pass again.
	through int64
}

func newNonces(perCaller, total int) nonces {
	return nonces{
		perCaller: perCaller, total: total,
		seen: map[nonce]struct{}{}, byCaller: map[drtc.NodeID]int{}, buckets: map[int64][]nonce{},
		through: -1 << 62,
	}
}

// bucket is the first whole second after until.
func bucket(until time.Time) int64 { return until.Unix() + 1 }

// forget drops what is too old at now.
func (n *nonces) forget(now time.Time) {
	second := now.Unix()
	if second <= n.through {
		return
	}
	n.through = second
	for at, entries := range n.buckets { // at most MaxLife in seconds
		if at > second {
			continue
		}
		for _, e := range entries {
			delete(n.seen, e)
			if n.byCaller[e.caller]--; n.byCaller[e.caller] == 0 {
				delete(n.byCaller, e.caller)
			}
		}
		delete(n.buckets, at)
	}
}

// check says why a call may not be remembered until then.
func (n *nonces) check(e nonce, until time.Time) error {
	if _, seen := n.seen[e]; seen {
		return fmt.Errorf("%w: this nonce has been used; draw a new one for every call", ErrReplayed)
	}
	switch {
	case bucket(until) <= n.through:
		return fmt.Errorf("%w: the clock of this node was set back over it; sign a new call", ErrExpired)
	case n.byCaller[e.caller] >= n.perCaller:
		return fmt.Errorf("%w: from this caller, at most %d", ErrBusy, n.perCaller)
	case len(n.seen) >= n.total:
		return fmt.Errorf("%w: from all callers, at most %d", ErrBusy, n.total)
	}
	return nil
}

// remember keeps a call that check let pass.
func (n *nonces) remember(e nonce, until time.Time) {
	n.seen[e] = struct{}{}
	n.byCaller[e.caller]++
	n.buckets[bucket(until)] = append(n.buckets[bucket(until)], e)
}
