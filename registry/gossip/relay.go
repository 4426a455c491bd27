package gossip

import (
	"sync"
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// relays hold what this Registry passes on of others to half the budget that it
// grants to one. The others grant it no more, however many there are whose
// messages it passes on, each within its own budget. What goes beyond stays here
// and is left to anti-entropy.
type relays struct {
	mu                       sync.Mutex
	messages, records, bytes debt
}

// allow takes one message, if there is room for it.
func (r *relays) allow(now time.Time, b *Budget, t *tally, bytes int) bool {
	half := func(r Rate) Rate { return Rate{PerSecond: r.PerSecond / 2, Burst: r.Burst / 2} }
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages.allow(now, half(b.Messages), 1) && r.records.allow(now, half(b.Records), float64(t.records)) &&
		r.bytes.allow(now, half(b.Bytes), float64(bytes))
}

// maxNews bounds each half of news, some 5 MB.
const maxNews = 1 << 16

// news remembers of which keys a record came lately, for Budget.Fresh at least
// unless too many come.
type news struct {
	mu             sync.Mutex // guards all below
	since          time.Time  // of latest
	latest, before map[record.ItemID]struct{}
}

func (n *news) add(now time.Time, fresh time.Duration, e *envelope.Envelope) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turn(now, fresh)
	if len(n.latest) >= maxNews || n.latest == nil {
		n.since, n.before, n.latest = now, n.latest, map[record.ItemID]struct{}{}
	}
	n.latest[record.ItemOf(record.KeyOf(e))] = struct{}{}
}

func (n *news) has(now time.Time, fresh time.Duration, e *envelope.Envelope) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turn(now, fresh)
	id := record.ItemOf(record.KeyOf(e))
	_, latest := n.latest[id]
	_, before := n.before[id]
	return latest || before
}

// turn forgets what is older than twice fresh. It needs mu.
func (n *news) turn(now time.Time, fresh time.Duration) {
	switch age := now.Sub(n.since); {
	case age >= 2*fresh:
		n.since, n.before, n.latest = now, nil, nil
	case age >= fresh:
		n.since, n.before, n.latest = now, n.latest, nil
	}
}
