package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/tenure"
)

// Members of one operator share the rooms in their store: each room is written by
// the one that holds its tenure (package tenure). A request about a room of
// another member is sent on to it (package reroute).

// errElsewhere: another member writes the room.
var errElsewhere = errors.New("orchestrator: another member has the room")

// roomsPrefix is of the rooms in the store.
const roomsPrefix = "rooms."

// keyOf names a room to all members.
func keyOf(name signal.RoomName) tenure.Key {
	return tenure.Key(name.Application + "\n" + name.Name)
}

// nameOf is the reverse of keyOf.
func nameOf(key tenure.Key) signal.RoomName {
	application, name, _ := strings.Cut(string(key), "\n")
	return signal.RoomName{Application: application, Name: name}
}

// storeKey is where a room is kept: names are longer than keys may be.
func storeKey(name signal.RoomName) string {
	sum := sha256.Sum256([]byte(keyOf(name)))
	return roomsPrefix + strings.TrimRight(base32.StdEncoding.EncodeToString(sum[:16]), "=")
}

// openings lets one goroutine at a time open a room.
type openings struct {
	mu   sync.Mutex
	open map[signal.RoomName]chan struct{}
}

// enter waits for its turn and returns what ends it.
func (o *openings) enter(ctx context.Context, name signal.RoomName) (leave func(), err error) {
	for {
		o.mu.Lock()
		busy := o.open[name]
		if busy == nil {
			done := make(chan struct{})
			if o.open == nil {
				o.open = map[signal.RoomName]chan struct{}{}
			}
			o.open[name] = done
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.open, name)
				o.mu.Unlock()
				close(done)
			}, nil
		}
		o.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("orchestrator: waiting for the room: %w", ctx.Err())
		}
	}
}

// actor returns the actor of a room: the one that runs, one of what the store has
// of the room, or if create says so that of a new one; else nil.
func (o *Orchestrator) actor(ctx context.Context, name signal.RoomName, create bool) (*actor, error) {
	if a := o.running(name); a != nil {
		return a, nil
	}
	leave, err := o.openings.enter(ctx, name)
	if err != nil {
		return nil, err
	}
	defer leave()
	if a := o.running(name); a != nil {
		return a, nil
	}
	_, err = o.store.Get(ctx, storeKey(name))
	switch {
	case errors.Is(err, state.ErrNotFound) && !create:
		return nil, nil
	case err != nil && !errors.Is(err, state.ErrNotFound):
		return nil, fmt.Errorf("orchestrator: reading a room: %w", err)
	}
	term, err := o.keeper.Take(ctx, keyOf(name))
	var taken *tenure.TakenError
	if errors.As(err, &taken) {
		return nil, fmt.Errorf("%w: %s", errElsewhere, taken.Owner.Member)
	}
	if err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	// Whoever had it before may have written until now.
	entry, err := o.store.Get(ctx, storeKey(name))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return nil, fmt.Errorf("orchestrator: reading a room: %w", err)
	}
	return o.open(name, entry, term)
}

func (o *Orchestrator) running(name signal.RoomName) *actor {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.actors[name]
}

// open starts the actor of a room that this member writes: of what was kept, or
// of a new room where entry is empty.
func (o *Orchestrator) open(name signal.RoomName, entry state.Entry, term uint64) (*actor, error) {
	rooms := o.config.room()
	rooms.Notify = o.webhooks.Wants(name.Application) || o.policies.Wants(name.Application)
	var r *room.Room
	if entry.Revision > 0 {
		var saved record
		err := json.Unmarshal(entry.Value, &saved)
		var snapshot []byte
		if err == nil {
			snapshot, err = o.packer.unpack(saved.Room)
		}
		if err == nil {
			r, err = room.Restore(rooms, snapshot, o.now())
		}
		if err != nil {
			return nil, fmt.Errorf("orchestrator: %s: %w", entry.Key, err)
		}
	} else {
		r = room.New(rooms, drtc.RoomID(newRoomID()), name.Name, o.now())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx == nil || o.ctx.Err() != nil {
		return nil, errors.New("orchestrator: not running")
	}
	a := newActor(o, name, r, entry.Revision, term)
	for _, s := range r.Sessions() {
		o.routes.add(s.Session, s.Node, a, s.Unreported)
		o.billing.Meet(s.Node, sessionMeeting(s.Session), a.spender(s.APIKey))
	}
	a.follow()
	o.start(a)
	// Nodes tell of that only when it changes.
	for _, id := range a.follows {
		if o.pool.Status(id).Draining {
			o.group.Go(func() { a.post(room.NodeDraining{Node: id}) })
		}
	}
	return a, nil
}

// restore brings back the rooms in the store that no other member has. Their
// participants have the grace time to resume.
func (o *Orchestrator) restore(ctx context.Context) error {
	entries, err := o.store.List(ctx, roomsPrefix)
	if err != nil {
		return fmt.Errorf("orchestrator: listing rooms: %w", err)
	}
	var faults []error
	for _, e := range entries {
		var saved record
		if err := json.Unmarshal(e.Value, &saved); err != nil {
			faults = append(faults, fmt.Errorf("orchestrator: %s: %w", e.Key, err))
			continue
		}
		name := signal.RoomName{Application: saved.Application, Name: saved.Name}
		if _, err := o.actor(ctx, name, false); err != nil && !errors.Is(err, errElsewhere) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// keepTenures takes rooms that are offered, and lets go of those that are lost,
// until ctx ends.
func (o *Orchestrator) keepTenures(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case key := <-o.keeper.Lost():
			o.letGo(ctx, key)
		case key := <-o.keeper.Offered():
			o.group.Go(func() { o.takeUp(ctx, key) })
		}
	}
}

// takeUp opens a room that this member is to have.
func (o *Orchestrator) takeUp(ctx context.Context, key tenure.Key) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	name := nameOf(key)
	if o.running(name) != nil {
		return // a client was here before the offer
	}
	a, err := o.actor(ctx, name, false)
	switch {
	case err != nil && !errors.Is(err, errElsewhere):
		o.log.Warn("a room that is offered can't be taken", slog.String("name", name.Name), slog.Any("error", err))
	case err == nil && a == nil: // it ended before its record did
		if _, err := o.keeper.Take(ctx, key); err == nil {
			_ = o.keeper.End(ctx, key) // whoever is offered it next tries again
		}
	case err == nil:
		o.log.Info("room is taken over", slog.String("room", string(a.id)), slog.Uint64("term", a.term.Load()))
	}
}

// letGo ends the actor of a room that another member has now; clients come back
// there.
func (o *Orchestrator) letGo(ctx context.Context, key tenure.Key) {
	a := o.running(nameOf(key))
	if a == nil {
		return
	}
	if owner, err := o.keeper.Owner(ctx, key); err == nil && owner.Mine && owner.Term == a.term.Load() {
		return // taken again meanwhile
	}
	o.log.Warn("another member has the room", slog.String("room", string(a.id)))
	a.quit()
}

// fenced is told that a node knows a higher term of a room.
func (o *Orchestrator) fenced(a *actor, over uint64) {
	if over <= a.term.Load() {
		return // of a call that was overtaken
	}
	o.group.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		term, err := o.keeper.Fenced(ctx, keyOf(a.name), over)
		if err != nil {
			o.log.Warn("a media node refuses this member's term", slog.String("room", string(a.id)), slog.Any("error", err))
			return
		}
		a.term.Store(term)
	})
}

// handOver gives all rooms to other members, when this one ends.
func (o *Orchestrator) handOver() {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	for _, key := range o.keeper.Held() {
		heir := o.keeper.Heir(key)
		if heir == "" {
			continue // alone, or all others end too: they are taken up after the restart
		}
		if err := o.keeper.Release(ctx, key, heir); err != nil {
			o.log.Warn("a room was not handed over", slog.Any("error", err))
			return
		}
	}
}

// balance hands a few rooms to the member with the fewest, now and then.
func (o *Orchestrator) balance(ctx context.Context) {
	tick := time.NewTicker(balanceInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rooms, to := o.keeper.Spare()
		held := o.keeper.Held()
		for i := range min(rooms, maxHandOvers, len(held)) {
			o.handTo(ctx, held[i], to)
		}
	}
}

const (
	balanceInterval = 15 * time.Second
	// maxHandOvers at once: clients of a room reconnect their signalling.
	maxHandOvers = 4
)

// handTo ends the actor of a room here, saves it and releases it to another
// member.
func (o *Orchestrator) handTo(ctx context.Context, key tenure.Key, to string) {
	if a := o.running(nameOf(key)); a != nil {
		a.quit()
		select {
		case <-a.saved:
		case <-ctx.Done():
			return
		}
	}
	if err := o.keeper.Release(ctx, key, to); err != nil {
		o.log.Warn("a room was not handed over", slog.Any("error", err))
	}
}
