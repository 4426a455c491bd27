package liveness

import (
	"cmp"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Nonce is fresh random bytes that a node signs.
type Nonce [16]byte

// StreamID names one keepalive stream. The caller never uses one twice.
type StreamID uint64

// State of a node.
type State int

const (
	// Unknown: nothing is known. In a Table, no keepalive was proven since the node
	// was last Down or new.
	Unknown State = iota
	// Up: it answers.
	Up
	// Down: it answered once and no longer does.
	Down
	// Suspect: some of its probers say that it does not answer, but not most. Only
	// Verdicts uses it.
	Suspect
)

// String returns the state in lower case, for metrics.
func (s State) String() string { return [...]string{"unknown", "up", "down", "suspect"}[s] }

// Errors of Pong and Open.
var (
	ErrStream    = errors.New("liveness: stream is not open")
	ErrNonce     = errors.New("liveness: nonce: is not the one that was asked last")
	ErrSignature = errors.New("liveness: signature: not made by the node over this Registry's id and the nonce")
	ErrBusy      = errors.New("liveness: too many streams have not proven who they are")
)

// Config sets the times. With the defaults a node that dies is out of the
// answers after at most 9 s.
type Config struct {
	// Interval between nonces on one stream; a nonce not answered by the next is
	// a miss.
	Interval time.Duration
	// Misses in a row that make a node Down.
	Misses int
	// Reopen is how long after its stream's end a node may open another.
	Reopen time.Duration
	// MaxUnproven bounds the streams that never answered.
	MaxUnproven int
}

// DefaultConfig returns the network's times.
func DefaultConfig() Config {
	return Config{Interval: 3 * time.Second, Misses: 2, Reopen: 4 * time.Second, MaxUnproven: 4096}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Interval < 10*time.Millisecond:
		return fmt.Errorf("liveness: Interval must be at least 10ms, is %s", c.Interval)
	case c.Misses < 1:
		return fmt.Errorf("liveness: Misses must be at least 1, is %d", c.Misses)
	case c.Reopen < 0:
		return fmt.Errorf("liveness: Reopen must not be negative, is %s", c.Reopen)
	case c.MaxUnproven < 1:
		return fmt.Errorf("liveness: MaxUnproven must be at least 1, is %d", c.MaxUnproven)
	}
	return nil
}

// Message is what a node signs by EIP-191 (spec REG-13).
func Message(registry drtc.NodeID, n Nonce) []byte {
	return []byte("drtc keepalive\n" + registry.String() + "\n" + hex.EncodeToString(n[:]))
}

type stream struct {
	node   drtc.NodeID
	nonce  Nonce
	asked  bool // nonce is not answered yet
	due    time.Time
	misses int
	proven bool
}

type nodeState struct {
	state   State
	stream  StreamID  // proven last; 0 when it has ended
	ended   time.Time // of that stream
	changed time.Time
}

// Table is the keepalive state of all nodes. Make one with New. What it calls
// Down is this Registry's evidence from streams alone; Prober weighs it.
//
//	          proven pong                Misses nonces unanswered,
//	Unknown -------------> Up --------------------------------------> Down
//	   ^                   ^  stream ended and not replaced in Reopen   |
//	   |                   |                                            |
//	   |                   +----------------- proven pong --------------+
//	   +-------------- a record issued after the node went Down --------+
//
// A node opens a stream and says who it is; that is a claim. The Registry sends
// a fresh nonce each Interval and the node signs it. Only a signed answer counts,
// so a stranger who claims to be a node changes nothing about it. If a node has
// several streams, the one proven last is the node's.
type Table struct {
	config   Config
	registry drtc.NodeID
	streams  map[StreamID]*stream
	nodes    map[drtc.NodeID]*nodeState
	unproven int
}

// New returns an empty Table of the Registry with the given id.
func New(c Config, registry drtc.NodeID) (*Table, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Table{
		config: c, registry: registry,
		streams: map[StreamID]*stream{}, nodes: map[drtc.NodeID]*nodeState{},
	}, nil
}

// Open adds a stream of somebody who claims to be node. Its first nonce is due
// at once.
func (t *Table) Open(now time.Time, id StreamID, node drtc.NodeID) error {
	if t.unproven >= t.config.MaxUnproven {
		return fmt.Errorf("%w: %d; try again later", ErrBusy, t.unproven)
	}
	t.unproven++
	t.streams[id] = &stream{node: node, due: now}
	return nil
}

// Pong takes the answer to the last nonce of a stream. Up reports that the node
// was not Up before, or was between two streams: tell Prober.Proven. A wrong
// answer changes nothing.
func (t *Table) Pong(now time.Time, id StreamID, n []byte, sig identity.Signature) (up bool, err error) {
	s, ok := t.streams[id]
	if !ok {
		return false, ErrStream
	}
	if !s.asked || subtle.ConstantTimeCompare(n, s.nonce[:]) != 1 {
		return false, ErrNonce
	}
	signer, err := identity.RecoverMessage(Message(t.registry, s.nonce), sig)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if signer.ID() != s.node {
		return false, fmt.Errorf("%w: want %s, recovered %s", ErrSignature, s.node, signer.ID())
	}
	s.asked, s.misses = false, 0
	if !s.proven {
		s.proven = true
		t.unproven--
	}
	ns := t.nodes[s.node]
	if ns == nil {
		ns = &nodeState{}
		t.nodes[s.node] = ns
	}
	gap := ns.stream == 0
	ns.stream = id
	if ns.state == Up {
		return gap, nil
	}
	ns.state, ns.changed = Up, now
	return true, nil
}

// Close ends a stream. Lost reports that it was the one by which node was kept
// alive: tell Prober.Lost, which looks at once and not only after Reopen.
func (t *Table) Close(now time.Time, id StreamID) (node drtc.NodeID, lost bool) {
	s, ok := t.streams[id]
	if !ok {
		return node, false
	}
	delete(t.streams, id)
	if !s.proven {
		t.unproven--
	}
	if ns := t.nodes[s.node]; ns != nil && ns.stream == id {
		ns.stream, ns.ended = 0, now
		return s.node, ns.state == Up
	}
	return s.node, false
}

// Ask is a nonce to send.
type Ask struct {
	Stream StreamID
	Nonce  Nonce
}

// Due is what HandleTimeout decided.
type Due struct {
	Asks []Ask
	// End are streams to close: their node missed too often or never answered.
	End []StreamID
	// Down are nodes that have just stopped answering, in order of id: tell
	// Prober.Lost.
	Down []drtc.NodeID
}

// HandleTimeout decides what is due at now. Call it some twenty times per
// Interval: it looks at every node (5 us per 100). draw gives fresh random
// nonces.
func (t *Table) HandleTimeout(now time.Time, draw func() Nonce) Due {
	var due Due
	for id, s := range t.streams {
		if now.Before(s.due) {
			continue
		}
		if s.asked {
			s.misses++
		}
		if s.misses >= t.config.Misses {
			due.End = append(due.End, id)
			continue
		}
		s.nonce, s.asked, s.due = draw(), true, now.Add(t.config.Interval)
		due.Asks = append(due.Asks, Ask{id, s.nonce})
	}
	slices.Sort(due.End)
	slices.SortFunc(due.Asks, func(a, b Ask) int { return cmp.Compare(a.Stream, b.Stream) })
	for _, id := range due.End {
		if node, down := t.end(now, id); down {
			due.Down = append(due.Down, node)
		}
	}
	for node, ns := range t.nodes {
		if ns.state == Up && ns.stream == 0 && !now.Before(ns.ended.Add(t.config.Reopen)) {
			ns.state, ns.changed = Down, now
			due.Down = append(due.Down, node)
		}
	}
	slices.SortFunc(due.Down, func(a, b drtc.NodeID) int { return slices.Compare(a[:], b[:]) })
	return due
}

// end drops a stream that no longer answers; its node has had its time.
func (t *Table) end(now time.Time, id StreamID) (node drtc.NodeID, down bool) {
	node = t.streams[id].node
	t.Close(now, id)
	ns := t.nodes[node]
	if ns == nil || ns.stream != 0 || ns.state != Up || ns.ended != now {
		return node, false
	}
	ns.state, ns.changed = Down, now
	return node, true
}

// Renewed is told of each new record of a node. One that was issued after the
// node went Down says that it is back, perhaps without a keepalive; up reports
// that.
func (t *Table) Renewed(node drtc.NodeID, issuedAt time.Time) (up bool) {
	ns := t.nodes[node]
	if ns == nil || ns.state != Down || !issuedAt.After(ns.changed) {
		return false
	}
	delete(t.nodes, node)
	return true
}

// Forget drops a node whose record is gone. Its streams, if any, are to be
// closed by the caller.
func (t *Table) Forget(node drtc.NodeID) []StreamID {
	delete(t.nodes, node)
	var open []StreamID
	for id, s := range t.streams {
		if s.node == node {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	for _, id := range open {
		if !t.streams[id].proven {
			t.unproven--
		}
		delete(t.streams, id)
	}
	return open
}

// State of a node.
func (t *Table) State(node drtc.NodeID) State {
	if ns := t.nodes[node]; ns != nil {
		return ns.state
	}
	return Unknown
}

// Kept reports whether the node is kept alive by a stream that is open and has
// been proven.
func (t *Table) Kept(node drtc.NodeID) bool {
	ns := t.nodes[node]
	return ns != nil && ns.state == Up && ns.stream != 0
}

// Streams counts the open streams.
func (t *Table) Streams() int { return len(t.streams) }
