package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/nodes"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const (
	// maxInbox is how many commands may wait for a room.
	maxInbox = 1024
)

// errEnded: the room ended before it took the command.
var errEnded = errors.New("orchestrator: the room has ended")

// actor is the goroutine that owns one room.
type actor struct {
	o     *Orchestrator
	name  signal.RoomName
	id    drtc.RoomID
	inbox chan letter
	done  chan struct{} // closed when the room has ended, or is somebody else's
	saved chan struct{} // closed when its last state is in the store
	stop  chan struct{} // closed to have the actor let go of the room
	once  sync.Once     // of stop
	term  atomic.Uint64 // of this member as the room's writer

	// Of the goroutine.
	room    *room.Room
	outlets map[room.Conn]signal.Outlet
	saver   *saver
	waiting time.Time     // since when members wait for a home that there may be soon
	plans   plan.Plan     // the last one
	follows []drtc.NodeID // what routes knows
	spots   map[spot]int  // of members for whom nodes were looked for
}

// letter is what an actor takes: a command, a new connection with its first
// command, or a question.
type letter struct {
	command room.Command
	conn    room.Conn
	outlet  signal.Outlet
	ask     func(*actor)
	do      func(time.Time, *room.Room) []room.Effect // looks at the room and gives it orders
	taken   chan struct{}                             // closed when it has been handled; may be nil
}

func newActor(o *Orchestrator, name signal.RoomName, r *room.Room, revision, term uint64) *actor {
	a := &actor{
		o: o, name: name, id: r.ID(), room: r,
		inbox: make(chan letter, maxInbox), done: make(chan struct{}), saved: make(chan struct{}), stop: make(chan struct{}),
		outlets: map[room.Conn]signal.Outlet{},
	}
	a.term.Store(term)
	a.saver = newSaver(a, revision)
	return a
}

// quit has the actor let go of the room, which goes on elsewhere.
func (a *actor) quit() { a.once.Do(func() { close(a.stop) }) }

// leave ends the connections of the room: its clients come back.
func (a *actor) leave() {
	for _, out := range a.outlets {
		out.Close()
	}
	a.o.forget(a)
	a.o.routes.end(a)
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
		case <-a.stop:
			a.leave()
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
		a.follow()
		a.save()
	}
}

// follow tells whose events concern the room.
func (a *actor) follow() {
	if nodes := a.room.Nodes(); !slices.Equal(nodes, a.follows) {
		a.follows = nodes
		a.o.routes.follow(a, nodes)
	}
}

func (a *actor) untilNext() time.Duration {
	next := a.room.NextTimeout()
	if next.IsZero() {
		return time.Hour
	}
	return max(0, next.Sub(a.o.now()))
}

func (a *actor) tick() []room.Effect {
	return a.room.HandleTimeout(a.o.now())
}

func (a *actor) open(l letter) []room.Effect {
	if l.ask != nil {
		l.ask(a)
		return nil
	}
	if l.do != nil {
		return l.do(a.o.now(), a.room)
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
		case room.NeedPlan:
			effects = append(effects, a.plan()...)
		case room.ToRoom:
			a.o.dispatch.send(a.name.Application, e)
		case room.Notify:
			a.o.webhooks.Notify(a.name.Application, e.Event)
			a.o.policies.Notify(a.name.Application, a.name.Name, e.Event)
		case room.Ended:
			if a.o.forget(a) {
				a.o.routes.end(a)
				a.saver.remove()
				return true
			}
		}
	}
	return false
}

// toNode hands a command to the node's queue. Its result comes back as a letter.
func (a *actor) toNode(e room.ToNode) {
	switch c := e.Command.(type) {
	case room.OpenSession:
		a.o.routes.add(e.Session, e.Node, a, c.Unreported)
		if !c.Guest {
			a.o.billing.Meet(e.Node, sessionMeeting(e.Session), a.spender(c.APIKey))
		}
	case room.CloseSession:
		a.o.routes.remove(e.Session, e.Node)
	case room.OpenRelay:
		a.o.routes.join(c.Link, a)
		a.o.billing.Meet(e.Node, linkMeeting(c.Link), a.spender(""))
	case room.CloseRelay:
		a.o.routes.leave(c.Link)
	}
	a.o.pool.Send(nodes.Order{
		Node: e.Node, Session: e.Session, Command: e.Command, Term: a.term.Load(),
		Done: a.post, Fenced: func(term uint64) { a.o.fenced(a, term) },
	})
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
