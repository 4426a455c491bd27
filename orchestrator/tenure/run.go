package tenure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/tenure/roll"
)

// Run is the member's life: it beats, follows the others and tells of rooms until
// ctx ends, then says goodbye and returns nil. Rooms that are held stay so in the
// store until they are released, or until the others have heard the goodbye. It
// fails with ErrUsurped when another process runs under the member's name.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	group.Go(func() { k.follow(ctx) })
	group.Go(func() { k.tell(ctx) })
	k.live(ctx, cancel)
	group.Wait()
	if err := context.Cause(ctx); errors.Is(err, ErrUsurped) {
		return err
	}
	return nil
}

// live beats until ctx ends, and ends it when the name is another's.
func (k *Keeper) live(ctx context.Context, end context.CancelCauseFunc) {
	key := MemberPrefix + k.config.Member
	timer := time.NewTimer(0)
	defer timer.Stop()
	var revision uint64
	failing := false
	for {
		select {
		case <-ctx.Done():
			k.goodbye(context.WithoutCancel(ctx), key, revision)
			return
		case <-timer.C:
		case <-k.beatNow:
		}
		at, err := k.beat(ctx, key, revision)
		if errors.Is(err, ErrUsurped) {
			end(err)
			return
		}
		if ctx.Err() == nil && (err != nil) != failing {
			failing = err != nil
			k.config.Log.Warn("store takes no sign of life", slog.Bool("failing", failing), slog.Any("error", err))
		}
		if revision = at; err == nil {
			k.join(func() { k.joined = true })
		}
		timer.Reset(k.config.Beat) // from now on, not from when it was due
	}
}

// beat writes one sign of life over this member's last one; if own is 0, over
// whatever there is. It returns what to write over next.
func (k *Keeper) beat(ctx context.Context, key string, own uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	k.mu.Lock()
	m := k.roll.Beat()
	k.mu.Unlock()
	over := own
	if own == 0 {
		e, err := k.config.Store.Get(ctx, key)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return 0, err
		}
		over = e.Revision
	}
	at, err := k.write(ctx, key, m, over)
	if err == nil {
		return at, nil
	}
	if !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrExists) {
		return own, err
	}
	// The answer to an earlier one was lost, somebody removed it, or another
	// process has taken the name.
	e, getErr := k.config.Store.Get(ctx, key)
	var there roll.Member
	switch {
	case errors.Is(getErr, state.ErrNotFound):
		return 0, err
	case getErr != nil:
		return own, errors.Join(err, getErr)
	case json.Unmarshal(e.Value, &there) == nil && there.Life == m.Life:
		return e.Revision, err
	case own == 0: // both are starting: once more, and the other one ends
		return 0, err
	}
	return own, fmt.Errorf("%w: %w", ErrUsurped, err)
}

// goodbye says that this member ends, so that nobody need wait. The end may have
// come upon a beat whose answer was not waited for: then the sign of life that
// the store has is a newer one than revision, and that one goes.
func (k *Keeper) goodbye(ctx context.Context, key string, revision uint64) {
	if revision == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	err := k.config.Store.Delete(ctx, key, revision)
	if errors.Is(err, state.ErrConflict) {
		err = k.withdraw(ctx, key)
	}
	if err != nil {
		k.config.Log.Warn("store takes no goodbye", slog.Any("error", err))
	}
}

// withdraw takes away whatever sign of life the store has of this life of the
// member.
func (k *Keeper) withdraw(ctx context.Context, key string) error {
	e, err := k.config.Store.Get(ctx, key)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var there roll.Member
	if err := json.Unmarshal(e.Value, &there); err != nil {
		return fmt.Errorf("tenure: %s is not a member: %w", key, err)
	}
	if there.Life != k.roll.Life() {
		return nil // another process has the name, and lives
	}
	return k.config.Store.Delete(ctx, key, e.Revision)
}

// join notes one of the two things that a member waits for.
func (k *Keeper) join(note func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.seen && k.joined
	note()
	if !before && k.seen && k.joined {
		close(k.ready)
	}
}

// follow reads the store until ctx ends, from the start again after an error.
func (k *Keeper) follow(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		err := k.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if !failing || !errors.Is(err, context.DeadlineExceeded) {
			k.config.Log.Warn("store is not followed", slog.Any("error", err))
		}
		failing = true
		select {
		case <-time.After(k.config.Beat / 2):
		case <-ctx.Done():
		}
	}
}

func (k *Keeper) watch(ctx context.Context) error {
	begin, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	stream, err := k.config.Store.Watch(begin, prefix)
	if err != nil {
		return err
	}
	defer stream.Close()
	k.mu.Lock()
	k.roll.Begin()
	k.mu.Unlock()
	for {
		event, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		if event.Kind == state.Current {
			k.join(func() { k.seen = true; k.roll.Current(); k.collect() })
			continue
		}
		k.take(event)
	}
}

// take hands one event to the roll. What can't be read is passed over: it is not
// a member's.
func (k *Keeper) take(event state.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.collect()
	e := event.Entry
	if name, ok := strings.CutPrefix(e.Key, MemberPrefix); ok {
		var m roll.Member
		switch {
		case event.Kind == state.Deleted:
			k.roll.MemberGone(name)
		case json.Unmarshal(e.Value, &m) == nil:
			k.roll.SawMember(name, m, e.Revision)
		}
		return
	}
	if !strings.HasPrefix(e.Key, RoomPrefix) {
		return
	}
	if event.Kind == state.Deleted {
		if room, ok := k.rooms[e.Key]; ok {
			delete(k.rooms, e.Key)
			k.roll.TenureGone(room, e.Revision)
		}
		return
	}
	var r record
	if err := json.Unmarshal(e.Value, &r); err != nil || keyOf(r.Room) != e.Key {
		return
	}
	k.rooms[e.Key] = r.Room
	k.roll.SawTenure(r.Room, r.Tenure, e.Revision)
}

// collect moves what the roll has to say into the queues; k.mu is held.
func (k *Keeper) collect() {
	news := false
	for o, ok := k.roll.Poll(); ok; o, ok = k.roll.Poll() {
		news = true
		switch o := o.(type) {
		case roll.Lost:
			k.queues.lost.add(o.Key)
		case roll.Offered:
			k.queues.offered.add(o.Key)
		case roll.Forget:
			k.queues.forget = append(k.queues.forget, o)
		}
	}
	if news {
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
}

// tell hands the queues to who reads the channels, lost rooms first.
func (k *Keeper) tell(ctx context.Context) {
	for {
		k.mu.Lock()
		var lost, offered chan Key
		var room, free Key
		if q := k.queues.lost.order; len(q) > 0 {
			lost, room = k.lost, q[0]
		}
		if q := k.queues.offered.order; len(q) > 0 {
			offered, free = k.offered, q[0]
		}
		forget := k.queues.forget
		k.queues.forget = nil
		k.mu.Unlock()
		for _, f := range forget {
			k.remove(ctx, f)
		}
		select {
		case lost <- room:
			k.mu.Lock()
			k.queues.lost.drop()
			k.mu.Unlock()
		case offered <- free:
			k.mu.Lock()
			k.queues.offered.drop()
			k.mu.Unlock()
		case <-k.wake:
		case <-ctx.Done():
			return
		}
	}
}

// remove takes the last words of a dead member out of the store.
func (k *Keeper) remove(ctx context.Context, f roll.Forget) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	err := k.config.Store.Delete(ctx, MemberPrefix+f.Member, f.Revision)
	if err != nil && !errors.Is(err, state.ErrConflict) { // a conflict: it lives, or another removed it
		k.config.Log.Warn("record of a dead member stays in the store", slog.String("member", f.Member), slog.Any("error", err))
	}
}
