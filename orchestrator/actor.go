package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const (
	// maxInbox is how many commands may wait for a room.
	maxInbox = 1024
	// allocateRetry is the time between attempts to find a node while waiting.
	allocateRetry = 50 * time.Millisecond
)

// errEnded: the room ended before it took the command.
var errEnded = errors.New("orchestrator: the room has ended")

// actor is the goroutine that owns one room.
type actor struct {
	o     *Orchestrator
	name  signal.RoomName
	id    drtc.RoomID
	inbox chan letter
	done  chan struct{} // closed when the room has ended

	// Of the goroutine.
	room    *room.Room
	outlets map[room.Conn]signal.Outlet
	saver   *saver
	asked   *room.Allocate // for a node, and there was none yet
	since   time.Time      // when asked
	reasons []string       // of the choice of the room's node
}

// letter is what an actor takes: a command, a new connection with its first
// command, or a question.
type letter struct {
	command room.Command
	conn    room.Conn
	outlet  signal.Outlet
	ask     func(*actor)
	taken   chan struct{} // closed when it has been handled; may be nil
}

func newActor(o *Orchestrator, name signal.RoomName, r *room.Room, revision uint64) *actor {
	return &actor{
		o: o, name: name, id: r.ID(), room: r,
		inbox: make(chan letter, maxInbox), done: make(chan struct{}),
		outlets: map[room.Conn]signal.Outlet{},
		saver:   newSaver(o, name, r.ID(), revision),
	}
}

// run handles letters and timeouts until the room or ctx ends.
func (a *actor) run(ctx context.Context) {
	defer close(a.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(a.untilNext())
		select {
		case <-ctx.Done():
			return
		case l := <-a.inbox:
			ended := a.perform(a.open(l))
			if l.taken != nil {
				close(l.taken)
			}
			if ended {
				return
			}
		case <-timer.C:
			if a.perform(a.tick()) {
				return
			}
		}
		a.save()
	}
}

func (a *actor) untilNext() time.Duration {
	next := a.room.NextTimeout()
	if a.asked != nil {
		if retry := a.o.now().Add(allocateRetry); next.IsZero() || retry.Before(next) {
			next = retry
		}
	}
	if next.IsZero() {
		return time.Hour
	}
	return max(0, next.Sub(a.o.now()))
}

func (a *actor) tick() []room.Effect {
	now := a.o.now()
	effects := a.room.HandleTimeout(now)
	if a.asked != nil {
		effects = append(effects, a.allocate(*a.asked)...)
	}
	return effects
}

func (a *actor) open(l letter) []room.Effect {
	if l.ask != nil {
		l.ask(a)
		return nil
	}
	if l.outlet != nil {
		a.outlets[l.conn] = l.outlet
	}
	if d, ok := l.command.(room.Dropped); ok {
		delete(a.outlets, d.Conn)
	}
	return a.room.Handle(a.o.now(), l.command)
}

// perform carries out effects. It reports whether the room has ended.
func (a *actor) perform(effects []room.Effect) (ended bool) {
	for len(effects) > 0 {
		effect := effects[0]
		effects = effects[1:]
		switch e := effect.(type) {
		case room.ToClient:
			if out := a.outlets[e.Conn]; out != nil {
				out.Send(e.Message)
			}
		case room.CloseClient:
			if out := a.outlets[e.Conn]; out != nil {
				out.Close()
			}
		case room.Refuse:
			if out := a.outlets[e.Conn]; out != nil {
				out.Refuse(e.Reason)
			}
		case room.ToNode:
			a.toNode(e)
		case room.Allocate:
			a.since = a.o.now()
			effects = append(effects, a.allocate(e)...)
		case room.Ended:
			if a.o.forget(a) {
				a.saver.remove()
				return true
			}
		}
	}
	return false
}

// toNode hands a command to the node's queue. Its result comes back as a letter.
func (a *actor) toNode(e room.ToNode) {
	switch e.Command.(type) {
	case room.OpenSession:
		a.o.routes.add(e.Session, e.Node, a)
	case room.CloseSession:
		a.o.routes.remove(e.Session, e.Node)
	}
	a.o.pool.Send(e.Node, e.Session, e.Command, a.post)
}

// post hands a command to the actor; one that has ended ignores it.
func (a *actor) post(c room.Command) {
	select {
	case a.inbox <- letter{command: c}:
	case <-a.done:
	}
}

// deliver hands over a letter and waits until it has been handled.
func (a *actor) deliver(ctx context.Context, l letter) error {
	l.taken = make(chan struct{})
	select {
	case a.inbox <- l:
	case <-a.done:
		return errEnded
	case <-ctx.Done():
		return fmt.Errorf("orchestrator: waiting for the room: %w", ctx.Err())
	}
	select {
	case <-l.taken:
		return nil
	case <-a.done:
		select {
		case <-l.taken:
			return nil
		default:
			return errEnded
		}
	}
}

// allocate chooses a node. While nodes are still coming up it waits a little
// before it gives up.
func (a *actor) allocate(e room.Allocate) []room.Effect {
	now := a.o.now()
	snapshot := a.o.candidates(now)
	decision, err := allocate.Decide(now, snapshot, allocate.Request{
		Room: a.id, Place: e.Place, Region: a.o.config.Region, NeedMbps: a.o.config.NeedMbps, Exclude: e.Exclude,
	}, a.o.config.Policy)
	if err == nil {
		a.asked = nil
		a.reasons = reasonsOf(decision)
		a.o.meter.allocations.WithLabelValues("chosen").Inc()
		a.o.log.Info("node chosen for a room", slog.String("room", string(a.id)),
			slog.String("node", decision.Node.String()), slog.Float64("score", decision.Score))
		return a.room.Handle(now, room.Assign{Node: decision.Node})
	}
	if comingUp(snapshot, e.Exclude) && now.Sub(a.since) < a.o.config.AllocateWait {
		a.asked = &e
		return nil
	}
	a.asked = nil
	a.o.meter.allocations.WithLabelValues("refused").Inc()
	a.o.log.Warn("no node for a room", slog.String("room", string(a.id)), slog.Any("error", err))
	return a.room.Handle(now, room.Unassigned{Reason: "no media node can take this room: " + err.Error()})
}

// comingUp reports whether waiting may help: nodes are not known or not
// connected yet.
func comingUp(s allocate.Snapshot, exclude []drtc.NodeID) bool {
	if len(s.Nodes) == 0 {
		return true
	}
	for _, c := range s.Nodes {
		excluded := false
		for _, id := range exclude {
			excluded = excluded || id == c.ID
		}
		if !c.Reachable && !excluded {
			return true
		}
	}
	return false
}

// reasonsOf puts a decision into words, the heaviest part first as it stands.
func reasonsOf(d allocate.Decision) []string {
	var texts []string
	for _, r := range d.Reasons {
		if r.Part == allocate.Distance && r.Value == 0 { // never 0 for a known place
			texts = append(texts, "distance does not count: where you are is not known")
			continue
		}
		texts = append(texts, fmt.Sprintf("%s %.2f of 1, counts %.0f %%", r.Part, r.Value, 100*r.Weight))
	}
	if n := len(d.Rejected); n > 0 {
		texts = append(texts, fmt.Sprintf("score %.3f, the best of %d nodes", d.Score, n+1))
	}
	return texts
}

// save hands the room's state to the saver if it has changed.
func (a *actor) save() {
	if !a.room.Changed() {
		return
	}
	snapshot, err := a.room.Snapshot()
	if err != nil {
		a.o.log.Error("room can't be saved", slog.Any("error", err))
		return
	}
	a.saver.put(snapshot)
}
