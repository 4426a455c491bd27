package cascade

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

const (
	// calm is how long a link that is not wanted any more lives on.
	calm = 5 * time.Second
	// openWithin is how long an attempt may take to be open at both ends, and
	// connectWithin to be connected then.
	openWithin    = 5 * time.Second
	connectWithin = 6 * time.Second
	// silentFor is how long a link may be disconnected before it is made anew.
	silentFor = 4 * time.Second
	// firstBackoff doubles with every failure in a row, up to maxBackoff.
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// steady is how long a link must have been connected for its failures to be
	// forgotten.
	steady = 10 * time.Second
	// avoidFor is how long the failures of a pair are remembered that is not wanted
	// any more, so that a plan which goes round it does not come back at once.
	avoidFor = time.Minute
	// rememberFor is how long a closed link is saved.
	rememberFor = 10 * time.Second
	// maxGhosts bounds what is remembered of one lost node.
	maxGhosts = 256
)

// Cascade is the links and routes of one room.
type Cascade struct {
	name   string // begins every link's id
	serial uint64 // of the last attempt

	wanted map[plan.Link]bool
	routes map[drtc.NodeID]map[drtc.NodeID]drtc.NodeID // by node and origin: the next node
	limit  int                                         // of audio tracks

	attempts map[plan.Link]*attempt
	failed   map[plan.Link]failures
	recent   []recent
	routers  map[drtc.NodeID]*router
	lost     map[drtc.NodeID]bool
	ghosts   map[drtc.NodeID][]LinkID // to be closed when the node is back
	orders   []Order
}

// New makes a Cascade without links. name begins every link's id and is unique
// among the rooms of an Orchestrator; at most 40 bytes.
func New(name string) *Cascade {
	return &Cascade{
		name: name, wanted: map[plan.Link]bool{}, routes: map[drtc.NodeID]map[drtc.NodeID]drtc.NodeID{},
		attempts: map[plan.Link]*attempt{}, failed: map[plan.Link]failures{},
		routers: map[drtc.NodeID]*router{}, lost: map[drtc.NodeID]bool{}, ghosts: map[drtc.NodeID][]LinkID{},
	}
}

// Want says which links and routes there shall be from now on, and how many
// audio tracks a new link sends at a time; 0 is all.
func (c *Cascade) Want(now time.Time, links []plan.Link, routes []plan.Route, audioLimit int) {
	c.limit = audioLimit
	clear(c.wanted)
	for _, l := range links {
		c.wanted[l] = true
	}
	clear(c.routes)
	for _, r := range routes {
		if c.routes[r.Node] == nil {
			c.routes[r.Node] = map[drtc.NodeID]drtc.NodeID{}
		}
		c.routes[r.Node][r.Origin] = r.Via
	}
	c.settle(now)
}

// Prepared takes a node's description of its end; err is empty when it worked.
func (c *Cascade) Prepared(now time.Time, node drtc.NodeID, link LinkID, description, signature []byte, err string) {
	a := c.find(link)
	if a == nil || a.phase != preparing {
		return
	}
	e := a.end(node)
	switch {
	case e == nil:
		return
	case err != "":
		c.fail(now, a)
	default:
		e.prepared, e.description, e.signature = true, description, signature
		if a.ends[0].prepared && a.ends[1].prepared {
			c.open(a)
		}
	}
	c.settle(now)
}

// Opened takes the word of a node on its end; err is empty when it worked.
func (c *Cascade) Opened(now time.Time, node drtc.NodeID, link LinkID, err string) {
	a := c.find(link)
	if a == nil || a.phase != opening {
		return
	}
	e := a.end(node)
	switch {
	case e == nil:
		return
	case err != "":
		c.fail(now, a)
	default:
		e.opened = true
		if a.ends[0].opened && a.ends[1].opened {
			a.phase, a.since = open, now
			a.ends[0].description, a.ends[1].description = nil, nil
		}
	}
	c.settle(now)
}

// Changed takes a node's event about its end. It may come before Opened.
func (c *Cascade) Changed(now time.Time, node drtc.NodeID, link LinkID, connected, closed bool) {
	a := c.find(link)
	if a == nil {
		return
	}
	e := a.end(node)
	switch {
	case e == nil:
		return
	case closed:
		c.fail(now, a)
	case connected:
		e.connected, e.silentAt = true, time.Time{}
		if e.connectedAt.IsZero() {
			e.connectedAt = now
		}
	default:
		e.connected = false
		if e.silentAt.IsZero() {
			e.silentAt = now
		}
	}
	c.settle(now)
}

// RoutesSet takes a node's answer to SetRoutes.
func (c *Cascade) RoutesSet(now time.Time, node drtc.NodeID, err string) {
	r := c.routers[node]
	if r == nil || !r.asked {
		return
	}
	r.asked = false
	if err != "" {
		r.unknown = true
		r.retryAt = now.Add(firstBackoff)
	}
	c.settle(now)
}

// Lost says that a node is dead to us, or may be. Its links are over.
func (c *Cascade) Lost(now time.Time, node drtc.NodeID) {
	c.lost[node] = true
	c.orders = slices.DeleteFunc(c.orders, func(o Order) bool { return o.Node == node })
	for _, a := range c.all() {
		if a.end(node) != nil {
			c.fail(now, a)
			delete(c.failed, a.pair) // not the link's fault
		}
	}
	if r := c.routers[node]; r != nil {
		*r = router{unknown: true}
	}
	c.settle(now)
}

// Back says that a node which was lost is there again. What it may still have
// of the time before is closed.
func (c *Cascade) Back(now time.Time, node drtc.NodeID) {
	if !c.lost[node] {
		return
	}
	delete(c.lost, node)
	for _, id := range c.ghosts[node] {
		c.order(node, id, Close{})
	}
	delete(c.ghosts, node)
	c.settle(now)
}

// Claiming notes that a node is asked what it has, so that Claimed can tell what
// it has lost from what it was given since.
func (c *Cascade) Claiming(node drtc.NodeID) {
	for _, a := range c.all() {
		if e := a.end(node); e != nil {
			e.claiming = e.opened
		}
	}
}

// Claimed takes what links a node has of the room. Those that nobody knows are
// closed, those that it has not any more are made anew.
func (c *Cascade) Claimed(now time.Time, node drtc.NodeID, links []LinkID) {
	for _, id := range links {
		if a := c.find(id); a == nil || a.end(node) == nil {
			c.order(node, id, Close{})
		}
	}
	for _, a := range c.all() {
		e := a.end(node)
		if e != nil && e.claiming && !slices.Contains(links, a.id) {
			c.fail(now, a)
		}
		if e != nil {
			e.claiming = false
		}
	}
	c.settle(now)
}

// CloseAll ends all links at once and forgets what is wanted.
func (c *Cascade) CloseAll(now time.Time) {
	clear(c.wanted)
	clear(c.routes)
	for _, a := range c.all() {
		c.closeEnds(now, a)
	}
	clear(c.attempts)
	clear(c.failed)
	c.settle(now)
	for node, r := range c.routers {
		if !r.asked {
			delete(c.routers, node)
		}
	}
}

// Orders hands over what shall be done.
func (c *Cascade) Orders() []Order {
	out := c.orders
	c.orders = nil
	return out
}

// Ready reports whether a node has all its wanted routes on connected links.
func (c *Cascade) Ready(node drtc.NodeID) bool {
	for origin, via := range c.routes[node] {
		a := c.attempts[pairOf(node, via)]
		if a == nil || !a.end(node).connected {
			return false
		}
		if r := c.routers[node]; r == nil || r.asked || r.told[origin] != a.id {
			return false
		}
	}
	return true
}

// Settled reports whether every wanted route is on a connected link. Routes at
// lost nodes do not count.
func (c *Cascade) Settled() bool {
	for node := range c.routes {
		if !c.lost[node] && !c.Ready(node) {
			return false
		}
	}
	return true
}

// failingFrom is the number of failures in a row from which a pair counts as
// one that can't be linked.
const failingFrom = 3

// Failing lists the pairs that can't be linked, as it seems: those whose attempts
// fail one after the other, while they are not connected after all.
func (c *Cascade) Failing() []plan.Link {
	var out []plan.Link
	for _, pair := range slices.SortedFunc(maps.Keys(c.failed), comparePairs) {
		a := c.attempts[pair]
		connected := a != nil && a.ends[0].connected && a.ends[1].connected
		if c.failed[pair].count >= failingFrom && !connected {
			out = append(out, pair)
		}
	}
	return out
}

// Nodes lists the nodes that may have links or routes of the room, lost ones
// too, in order.
func (c *Cascade) Nodes() []drtc.NodeID {
	all := map[drtc.NodeID]bool{}
	for _, a := range c.all() {
		all[a.pair.A], all[a.pair.B] = true, true
	}
	for node := range c.routers {
		all[node] = true
	}
	for node := range c.lost {
		all[node] = true
	}
	return slices.SortedFunc(maps.Keys(all), compareNodes)
}

// Link is what may be shown of a link.
type Link struct {
	ID        LinkID
	A, B      drtc.NodeID
	Open      bool
	Connected bool // at both ends
}

// Links lists the links, those that are about to go too, by their nodes.
func (c *Cascade) Links() []Link {
	var out []Link
	for _, a := range c.all() {
		out = append(out, Link{
			ID: a.id, A: a.pair.A, B: a.pair.B, Open: a.phase == open,
			Connected: a.ends[0].connected && a.ends[1].connected,
		})
	}
	return out
}

func (c *Cascade) order(node drtc.NodeID, link LinkID, do Action) {
	c.orders = append(c.orders, Order{Node: node, Link: link, Do: do})
}

func compareNodes(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }

func comparePairs(a, b plan.Link) int {
	if c := compareNodes(a.A, b.A); c != 0 {
		return c
	}
	return compareNodes(a.B, b.B)
}

// pairOf orders two nodes as a plan does.
func pairOf(a, b drtc.NodeID) plan.Link {
	if compareNodes(a, b) > 0 {
		a, b = b, a
	}
	return plan.Link{A: a, B: b}
}
