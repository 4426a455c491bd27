package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
)

// What the Registry network holds node records to (spec REG-7, REG-9).
const (
	maxBody = 4 << 10
	maxTTL  = 900 * time.Second
	skew    = 30 * time.Second
	grace   = 30 * time.Second
)

// Why a record is not believed. envelope's errors and errBody come through.
var (
	errAnother = errors.New("discovery: another node's record")
	errForeign = errors.New("discovery: kind or network is another")
	errSize    = errors.New("discovery: body or life too long")
	errFuture  = errors.New("discovery: issued in the future")
	errExpired = errors.New("discovery: expired")
	errFull    = errors.New("discovery: too many nodes")
)

// view is what all Registries together have proven. It decides and does no I/O;
// now is passed in. One goroutine at a time uses it.
type view struct {
	network    string
	registries []string // those whose word counts: of Config, then learned ones
	remember   time.Duration
	maxNodes   int

	held  map[drtc.NodeID]*held
	lists map[string]*list // by Registry
}

// held is the newest record of a node, a tombstone or expired one too: it stands
// in the way of older ones until no older one can be alive.
type held struct {
	env  envelope.Envelope
	hash [32]byte
	node Node // zero for a tombstone
}

// list is a Registry's last good answer. While a Watch stream is open it is
// true now.
type list struct {
	at   time.Time
	ids  map[drtc.NodeID]bool
	open bool
}

// listed is one line of a Registry's answer: a claim, good for knowing what to
// ask for.
type listed struct {
	id      drtc.NodeID
	version envelope.Version
}

func newView(c Config) *view {
	return &view{
		network: c.Network, registries: c.Registries, remember: c.Remember, maxNodes: c.MaxNodes,
		held: map[drtc.NodeID]*held{}, lists: map[string]*list{},
	}
}

// wanted says which records of a Registry's answer are worth asking for: those
// it says are newer than ours, and those that it no longer lists, for a proof
// that they left.
func (v *view) wanted(registry string, answer []listed) []drtc.NodeID {
	var ids []drtc.NodeID
	still := make(map[drtc.NodeID]bool, len(answer))
	for _, l := range answer {
		still[l.id] = true
		if h := v.held[l.id]; h == nil || h.env.Version().Less(l.version) {
			ids = append(ids, l.id)
		}
	}
	if before := v.lists[registry]; before != nil {
		for id := range before.ids {
			if h := v.held[id]; !still[id] && h != nil && !h.env.IsTombstone() {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

// add takes the record that a Registry gave for a node. It reports whether that
// taught us anything; the error says why the record is not believed.
func (v *view) add(now time.Time, id drtc.NodeID, raw []byte) (bool, error) {
	e, err := envelope.Parse(raw)
	if err != nil {
		return false, err
	}
	h := &held{env: e, hash: e.Hash()}
	old := v.held[id]
	if old != nil && old.hash == h.hash {
		return false, nil
	}
	if err := fits(now, "node", v.network, id, &e); err != nil {
		return false, err
	}
	if !alive(now, &e) && !e.IsTombstone() || !now.Before(standsUntil(&e)) {
		return false, errExpired
	}
	if old != nil && !newer(h, old) {
		return false, nil
	}
	if old == nil && len(v.held) >= v.maxNodes {
		return false, errFull
	}
	if err := e.Verify(); err != nil {
		return false, err
	}
	if !e.IsTombstone() {
		if h.node, err = parseNode(&e); err != nil {
			return false, err
		}
		h.node.hash = h.hash
	}
	v.held[id] = h
	return true, nil
}

// restore takes a record of which nobody says whose it is.
func (v *view) restore(now time.Time, raw []byte) error {
	e, err := envelope.Parse(raw)
	if err == nil {
		_, err = v.add(now, e.Subject, raw)
	}
	return err
}

// fits holds a record about its own issuer to what every kind of it must keep.
func fits(now time.Time, kind, network string, id drtc.NodeID, e *envelope.Envelope) error {
	switch {
	case e.Kind != kind || e.Network != network:
		return fmt.Errorf("%w: %q of %q", errForeign, e.Kind, e.Network)
	case e.Subject != id || e.Issuer != id:
		return fmt.Errorf("%w: asked for %s, got one about %s by %s", errAnother, id, e.Subject, e.Issuer)
	case len(e.Body) > maxBody || e.TTL > maxTTL:
		return fmt.Errorf("%w: %d bytes for %s", errSize, len(e.Body), e.TTL)
	case e.IssuedAt.After(now.Add(skew)):
		return fmt.Errorf("%w: by %s", errFuture, e.IssuedAt.Sub(now))
	}
	return nil
}

func alive(now time.Time, e *envelope.Envelope) bool { return now.Before(e.ExpiresAt().Add(grace)) }

// standsUntil is when no older record of the node can be alive any more.
func standsUntil(e *envelope.Envelope) time.Time {
	return e.IssuedAt.Add(maxTTL + grace + 2*skew)
}

// newer is the network's merge: greater version, then greater hash.
func newer(a, b *held) bool {
	if x, y := a.env.Version(), b.env.Version(); x != y {
		return y.Less(x)
	}
	return bytes.Compare(a.hash[:], b.hash[:]) > 0
}

// listedBy takes a Registry's complete answer. open says that its changes will
// follow.
func (v *view) listedBy(registry string, now time.Time, answer []listed, open bool) {
	ids := make(map[drtc.NodeID]bool, len(answer))
	for _, l := range answer {
		ids[l.id] = true
	}
	v.lists[registry] = &list{at: now, ids: ids, open: open}
}

// change takes one change of an open answer: the Registry shows the node from
// now on, or does not. It reports whether that is news.
func (v *view) change(registry string, id drtc.NodeID, shown bool) bool {
	l := v.lists[registry]
	if l == nil || l.ids[id] == shown {
		return false
	}
	if shown {
		l.ids[id] = true
	} else {
		delete(l.ids, id)
	}
	return true
}

// ended says that no more changes of an answer will follow.
func (v *view) ended(registry string, now time.Time) {
	if l := v.lists[registry]; l != nil && l.open {
		l.at, l.open = now, false
	}
}

// ask sets the Registries whose word counts and forgets what others said.
func (v *view) ask(registries []string) {
	v.registries = registries
	for r := range v.lists {
		if !slices.Contains(registries, r) {
			delete(v.lists, r)
		}
	}
}

// nodes returns what is proven, alive and vouched for by at least half of those
// who answer, in order of id, and forgets what no longer matters.
func (v *view) nodes(now time.Time) []Node {
	vouchers := v.vouchers(now)
	all := []Node{}
	for id, h := range v.held {
		if !now.Before(standsUntil(&h.env)) {
			delete(v.held, id)
			continue
		}
		if h.env.IsTombstone() || !alive(now, &h.env) {
			continue
		}
		n := h.node
		for _, registry := range vouchers {
			if v.lists[registry].ids[id] {
				n.VouchedBy = append(n.VouchedBy, registry)
			}
		}
		if len(n.VouchedBy) > 0 && 2*len(n.VouchedBy) >= len(vouchers) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b Node) int { return compareIDs(a.ID, b.ID) })
	return all
}

// vouchers are the Registries whose last answer counts.
func (v *view) vouchers(now time.Time) []string {
	var fresh, any []string
	for _, registry := range v.registries {
		l := v.lists[registry]
		if l == nil {
			continue
		}
		any = append(any, registry)
		if l.open || now.Sub(l.at) <= v.remember {
			fresh = append(fresh, registry)
		}
	}
	if len(fresh) > 0 {
		return fresh
	}
	return any
}

// same reports whether two Snapshots say the same.
func same(a, b []Node) bool {
	return slices.EqualFunc(a, b, func(x, y Node) bool {
		return x.ID == y.ID && x.hash == y.hash && slices.Equal(x.VouchedBy, y.VouchedBy)
	})
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }
