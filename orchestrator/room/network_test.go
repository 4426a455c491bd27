package room

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// network is a room with everything around it: Media Nodes that carry out
// commands, clients that answer messages, and an owner that makes plans. Time is
// its own; what happens next is in a queue.
type network struct {
	fail   func(format string, args ...any)
	room   *Room
	now    time.Time
	chance *rand.Rand // nil: everything takes one millisecond and nothing is lost
	queue  []happening
	serial int
	nodes  map[drtc.NodeID]*fakeNode
	people map[string]*fakeClient
	conns  map[Conn]*fakeClient
	last   Conn
	lanes  map[string]time.Time // when the last message of a connection is there
	jobs   map[string][]ToNode  // commands that wait, by lane
	shape  string               // of the plan's links: mesh, star or chain
	cuts   map[plan.Link]bool   // pairs that do not reach each other
	bad    []plan.Link          // pairs that the last plan was to leave out
	life   int                  // of the Orchestrator
	over   bool                 // the room has ended
	trace  []string             // what is told to nodes and clients, if kept
	keep   bool
	plans  []time.Time // when the room asked for one
}

type happening struct {
	at     time.Time
	serial int
	do     func()
}

func newNetwork(fail func(string, ...any), nodes int) *network {
	now := time.Unix(1_000_000, 0)
	n := &network{
		fail: fail, now: now, room: New(DefaultConfig(), "RM_1", "r", now), shape: "mesh",
		nodes: map[drtc.NodeID]*fakeNode{}, people: map[string]*fakeClient{},
		conns: map[Conn]*fakeClient{}, lanes: map[string]time.Time{},
		jobs: map[string][]ToNode{}, cuts: map[plan.Link]bool{},
	}
	for i := range nodes {
		id := drtc.NodeID{byte(i + 1)}
		n.nodes[id] = newFakeNode(n, id)
	}
	return n
}

// delay is how long something takes that usually takes about a millisecond.
func (n *network) delay() time.Duration {
	if n.chance == nil {
		return time.Millisecond
	}
	d := time.Duration(n.chance.IntN(20)) * time.Millisecond
	if n.chance.IntN(20) == 0 {
		d *= 15
	}
	return d
}

// odd is true once in so many times.
func (n *network) odd(times int) bool { return n.chance != nil && n.chance.IntN(times) == 0 }

func (n *network) in(d time.Duration, do func()) { n.at(n.now.Add(d), do) }

func (n *network) at(t time.Time, do func()) {
	n.serial++
	n.queue = append(n.queue, happening{at: t, serial: n.serial, do: do})
}

// run lets time pass.
func (n *network) run(d time.Duration) {
	end := n.now.Add(d)
	for steps := 0; ; steps++ {
		if steps > 200_000 {
			n.fail("time stands still: %d happenings wait", len(n.queue))
			return
		}
		first := -1
		for i, h := range n.queue {
			if first < 0 || h.at.Before(n.queue[first].at) || h.at.Equal(n.queue[first].at) && h.serial < n.queue[first].serial {
				first = i
			}
		}
		due := n.room.NextTimeout()
		if n.over {
			due = time.Time{}
		}
		switch {
		case first >= 0 && !n.queue[first].at.After(end) && (due.IsZero() || !due.Before(n.queue[first].at)):
			h := n.queue[first]
			n.queue = slices.Delete(n.queue, first, first+1)
			n.now = later(n.now, h.at)
			h.do()
		case !due.IsZero() && !due.After(end):
			n.now = later(n.now, due)
			n.perform(n.room.HandleTimeout(n.now))
			if next := n.room.NextTimeout(); next.Equal(due) && !n.over {
				n.fail("a timeout at %v is due again at once", due)
				return
			}
		default:
			n.now = end
			return
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (n *network) tell(c Command) { n.perform(n.room.Handle(n.now, c)) }

func (n *network) perform(effects []Effect) {
	planned := true
	for _, e := range effects {
		switch e := e.(type) {
		case ToNode:
			n.toNode(e)
		case NeedPlan:
			planned = false
		case Ended:
			n.over = true
		case ToClient:
			n.note("%s <- %s", n.conns[e.Conn].name, message(e.Message))
			if g, ok := e.Message.(Goodbye); ok && g.Action == Reconnect {
				n.conns[e.Conn].dismissed++
			}
			n.toClient(e.Conn, func(c *fakeClient) { c.hear(e.Conn, e.Message) })
		case CloseClient:
			n.note("%s closed", n.conns[e.Conn].name)
			n.toClient(e.Conn, func(c *fakeClient) { c.closed(e.Conn) })
		case Refuse:
			n.note("%s refused: %s", n.conns[e.Conn].name, e.Reason)
			n.toClient(e.Conn, func(c *fakeClient) { c.refused(e.Conn) })
		}
	}
	if !planned {
		n.plans = append(n.plans, n.now)
		n.tell(Planned{Plan: n.plan()})
	}
}

// note keeps a line of the trace.
func (n *network) note(format string, args ...any) {
	if n.keep {
		n.trace = append(n.trace, fmt.Sprintf("%7.3f ", n.now.Sub(time.Unix(1_000_000, 0)).Seconds())+fmt.Sprintf(format, args...))
	}
}

// toClient hands something to a client, in order.
func (n *network) toClient(conn Conn, do func(*fakeClient)) {
	lane := fmt.Sprint("client ", conn)
	at := later(n.now.Add(n.delay()), n.lanes[lane])
	n.lanes[lane] = at
	n.at(at, func() { do(n.conns[conn]) })
}

// toNode carries a command to a node, those of a lane in order, and its result
// back.
func (n *network) toNode(e ToNode) {
	_, ends := e.Command.(CloseSession)
	_, closes := e.Command.(CloseRelay)
	if n.room.lost(e.Node) && !ends && !closes {
		n.fail("%T for the lost node %d", e.Command, e.Node[0])
	}
	n.note("node %d, %s: %s", e.Node[0], e.Session, strings.ReplaceAll(nodeText(e.Command), "RM_1-", "#"))
	lane := fmt.Sprint(n.life, e.Node[0], " ", e.Session)
	n.jobs[lane] = append(n.jobs[lane], e)
	if len(n.jobs[lane]) == 1 {
		n.work(lane)
	}
}

// work carries out the first command of a lane, hands its result back, and goes
// on with the next one.
func (n *network) work(lane string) {
	e, life := n.jobs[lane][0], n.life
	n.in(n.delay(), func() {
		if n.life != life {
			return
		}
		result, took := n.carryOut(e)
		n.in(took, func() {
			if n.life != life {
				return
			}
			if result != nil {
				n.tell(result)
			}
			if n.jobs[lane] = n.jobs[lane][1:]; len(n.jobs[lane]) > 0 {
				n.work(lane)
			}
		})
	})
}

// carryOut has a node do what it is told. Sometimes only the answer is lost.
func (n *network) carryOut(e ToNode) (result Command, took time.Duration) {
	node, failed := n.nodes[e.Node], unanswered(e)
	if node.down || node.frozen {
		if node.frozen && (failed == nil || n.odd(2)) { // those without a result are repeated
			node.late = append(node.late, e)
		}
		return failed, 900 * time.Millisecond
	}
	result = node.carryOut(e)
	if failed != nil && n.odd(25) {
		result = failed
	}
	return result, n.delay()
}

// unanswered is the result of a command that no node answered.
func unanswered(e ToNode) Command {
	const err = "no answer"
	switch c := e.Command.(type) {
	case OpenSession:
		return SessionOpened{Node: e.Node, Session: e.Session, Err: err}
	case InspectSession:
		return Inspected{Session: e.Session, Err: err}
	case SendOffer:
		return Offered{Session: e.Session, ID: c.ID, Err: err}
	case SubscribeTracks:
		r := Subscribed{Session: e.Session, Err: err}
		for _, s := range c.Subscriptions {
			r.Tracks = append(r.Tracks, s.Track)
		}
		return r
	case PrepareRelay:
		return RelayPrepared{Node: e.Node, Link: c.Link, Err: err}
	case OpenRelay:
		return RelayOpened{Node: e.Node, Link: c.Link, Err: err}
	case SetRelayRoutes:
		return RoutesSet{Node: e.Node, Err: err}
	case ClaimRoom:
		return Claimed{Node: e.Node, Err: err}
	}
	return nil
}

// kill ends a node at once: its streams end, or nothing is heard of it.
func (n *network) kill(id drtc.NodeID) {
	node := n.nodes[id]
	if node.down {
		return
	}
	wait := time.Millisecond
	if n.odd(2) {
		wait = 1500 * time.Millisecond
	}
	fresh := newFakeNode(n, id)
	fresh.down, fresh.life = true, node.life+1
	n.nodes[id] = fresh
	n.in(wait, func() {
		if fresh.lostAt.IsZero() {
			fresh.lostAt = n.now
			n.tell(NodeLost{Node: id})
		}
	})
	n.in(1500*time.Millisecond, func() { n.settleTracks() })
}

// restart has a killed node come up with nothing.
func (n *network) restart(id drtc.NodeID) {
	node := n.nodes[id]
	if !node.down || node.lostAt.IsZero() {
		return
	}
	node.down, node.lostAt = false, time.Time{}
	n.tell(NodeSynced{Node: id})
}

// freeze stops a node that keeps what it has.
func (n *network) freeze(id drtc.NodeID) {
	node := n.nodes[id]
	if node.down || node.frozen {
		return
	}
	node.frozen, node.frozenAt = true, n.now
	at := n.now
	n.in(1500*time.Millisecond, func() {
		if node.frozen && node.frozenAt.Equal(at) {
			node.lostAt = n.now
			n.tell(NodeLost{Node: id})
			n.settleTracks()
		}
	})
}

func (n *network) thaw(id drtc.NodeID) {
	node := n.nodes[id]
	if !node.frozen {
		return
	}
	node.frozen = false
	for _, e := range node.late {
		node.carryOut(e)
	}
	node.late = nil
	if node.lostAt.IsZero() {
		n.settleTracks()
		return
	}
	n.sync(id)
}

func (n *network) drain(id drtc.NodeID, undone bool) {
	node := n.nodes[id]
	if node.down || node.frozen {
		return
	}
	node.draining = !undone
	n.tell(NodeDraining{Node: id, Undone: undone})
}

// cut keeps two nodes from reaching each other; what they have together is
// silent.
func (n *network) cut(a, b drtc.NodeID) {
	n.cuts[plan.Link{A: a, B: b}] = true
	n.in(1500*time.Millisecond, func() {
		for _, id := range []drtc.NodeID{a, b} {
			for link, end := range n.nodes[id].links {
				if end.connected && (end.peer == a || end.peer == b) {
					end.connected = false
					n.nodes[id].emit(RelayChanged{Node: id, Link: link})
				}
			}
		}
		n.settleTracks()
	})
}
