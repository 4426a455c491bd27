package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/receipt"
)

// Target is where a node's control service is.
type Target struct {
	ID          drtc.NodeID
	URL         string   // https://host:port
	Fingerprint [32]byte // SHA-256 of its TLS certificate
}

// Event is something that a node reported, or that was found out about it.
type Event struct {
	Node drtc.NodeID
	// Room is set for events that concern a room, Session for those that
	// concern a session and Link for those of a relay link; with none of them
	// they concern the node.
	Room    drtc.RoomID
	Session drtc.SessionID
	Link    cascade.LinkID
	// Command is the event for the rooms; nil for Up.
	Command room.Command
	Up      bool
}

// Status is how a node is doing by its last heartbeat.
type Status struct {
	Up          bool
	Sessions    int
	MaxSessions int // 0 is unlimited
	EgressBps   uint64
	Draining    bool
	// Refuses is the node's own reason why it takes no new session, at most 200
	// bytes; empty when it takes one.
	Refuses string
	// ShedRatio is the share of the video that the node leaves out since it
	// can't keep up, 0 to 1.
	ShedRatio float64
}

// Config of a Pool. Key, Now, Rand, Emit and Log are required.
type Config struct {
	Key  *identity.Key
	Now  func() time.Time // time.Now outside of tests
	Rand io.Reader        // crypto/rand.Reader outside of tests
	// Emit takes events, those of one node in order. It may block for as long
	// as a room takes to accept a command.
	Emit func(Event)
	Log  *slog.Logger
	// Member is this process's name among those of its operator; empty for an
	// Orchestrator that is alone.
	Member string
	// Report, if set, hears of every call: the command's name, whether it
	// worked, and how long it took.
	Report func(command string, ok bool, took time.Duration)

	// Accounts, if set, gives the account on the chain that pays for an
	// application; the zero one is the Orchestrator's own.
	Accounts func(application string) receipt.Application
	// Count, if set, takes what sessions and links have used so far. It must not
	// block.
	Count func(Count)

	CallTimeout time.Duration // of one call; default 900 ms
	Silence     time.Duration // after which a node is lost; default 1.5 s
	MaxBackoff  time.Duration // between attempts to reach a node; default 5 s
	MaxLane     int           // commands waiting in a session's lane; default 128
	MaxCalls    int           // at once with one node; default 64
}

func (c Config) withDefaults() Config {
	if c.CallTimeout == 0 {
		c.CallTimeout = 900 * time.Millisecond
	}
	if c.Silence == 0 {
		c.Silence = 1500 * time.Millisecond
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = 5 * time.Second
	}
	if c.MaxLane == 0 {
		c.MaxLane = 128
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 64
	}
	if c.Report == nil {
		c.Report = func(string, bool, time.Duration) {}
	}
	if c.Count == nil {
		c.Count = func(Count) {}
	}
	return c
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Key == nil:
		return errors.New("nodes: config: Key: want the Orchestrator's key, got none")
	case c.Now == nil, c.Rand == nil, c.Emit == nil, c.Log == nil:
		return errors.New("nodes: config: Now, Rand, Emit, Log: all are required")
	case c.CallTimeout < 0 || c.CallTimeout > 10*time.Second:
		return fmt.Errorf("nodes: config: CallTimeout: want up to 10s, got %v", c.CallTimeout)
	case c.Silence < 0 || c.Silence > time.Minute:
		return fmt.Errorf("nodes: config: Silence: want up to 1m, got %v", c.Silence)
	}
	return nil
}

// Pool holds one connection for each node that is kept.
type Pool struct {
	config Config
	ctx    context.Context // the life of the pool's goroutines
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu    sync.Mutex // guards links
	links map[drtc.NodeID]*link
}

// New makes a Pool without connections.
func New(c Config) (*Pool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{config: c.withDefaults(), ctx: ctx, cancel: cancel, links: map[drtc.NodeID]*link{}}, nil
}

// Run waits for ctx to end, then ends all connections and returns when all
// goroutines have ended. No event is emitted for that.
func (p *Pool) Run(ctx context.Context) error {
	<-ctx.Done()
	p.cancel()
	p.mu.Lock()
	for id, l := range p.links {
		l.cancel()
		delete(p.links, id)
	}
	p.mu.Unlock()
	p.group.Wait()
	return nil
}

// Keep makes the set of kept nodes equal to targets: it opens connections to new
// ones, replaces those whose address or certificate changed, and closes the rest.
func (p *Pool) Keep(targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	wanted := make(map[drtc.NodeID]Target, len(targets))
	for _, t := range targets {
		wanted[t.ID] = t
	}
	for id, l := range p.links {
		if t, ok := wanted[id]; !ok || t != l.target {
			l.cancel()
			delete(p.links, id)
		}
	}
	for id, t := range wanted {
		if p.links[id] != nil {
			continue
		}
		l := newLink(p, t)
		p.links[id] = l
		p.group.Go(l.run)
	}
}

// Status returns how a node is doing; the zero Status for one that is not kept.
func (p *Pool) Status(id drtc.NodeID) Status {
	if l := p.link(id); l != nil {
		return l.getStatus()
	}
	return Status{}
}

// Order is a command about a session, a relay link or a room, for a node.
type Order struct {
	Node    drtc.NodeID
	Session drtc.SessionID
	Command room.NodeCommand
	// Term is that of the writer of the room; 0 for an Orchestrator that is alone.
	Term uint64
	// Done is called with the result, if the command has one, once and from
	// another goroutine; may be nil.
	Done func(room.Command)
	// Fenced is called when the node knows a higher term of the room, before
	// Done; may be nil.
	Fenced func(term uint64)
}

// Send hands a command to a node. Commands of one session are carried out in the
// order of the calls.
func (p *Pool) Send(o Order) {
	node, session, c := o.Node, o.Session, o.Command
	finish := func(result room.Command) {
		if result != nil && o.Done != nil {
			o.Done(result)
		}
	}
	j := job{session: session, command: c, term: o.Term, done: finish, fenced: o.Fenced}
	if l := p.link(node); l != nil && l.enqueue(j) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	if _, ok := c.(room.InspectSession); ok && p.links[node] == nil {
		p.group.Go(func() { p.sendWhenKnown(node, j) })
		return
	}
	p.group.Go(func() {
		finish(failure(node, session, c, "the media node is not connected or overloaded", connect.CodeUnavailable))
	})
}

// knownWithin is how long a question about a session waits for its node. After
// a restart clients come back before the nodes have been looked up.
const knownWithin = 2 * time.Second

// sendWhenKnown hands a job over as soon as the node is known.
func (p *Pool) sendWhenKnown(node drtc.NodeID, j job) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(knownWithin)
	for {
		if l := p.link(node); l != nil && l.enqueue(j) {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			j.done(failure(node, j.session, j.command, "the media node is not known", connect.CodeUnavailable))
			return
		case <-p.ctx.Done():
			return
		}
	}
}

func (p *Pool) link(id drtc.NodeID) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[id]
}
