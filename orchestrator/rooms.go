package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/drtc-network/drtc/orchestrator/reroute"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/roomservice"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/tenure"
)

// Do implements roomservice.Rooms.
func (o *Orchestrator) Do(ctx context.Context, name signal.RoomName, create bool, do func(time.Time, *room.Room) []room.Effect) error {
	for {
		a, err := o.actor(ctx, name, create)
		switch {
		case errors.Is(err, errElsewhere):
			return roomservice.ErrElsewhere
		case err != nil:
			return err
		case a == nil:
			return roomservice.ErrNoRoom
		}
		if err := a.deliver(ctx, letter{do: do}); !errors.Is(err, errEnded) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("orchestrator: %w", err)
		}
	}
}

// List implements roomservice.Rooms: the rooms of all members, from the store.
func (o *Orchestrator) List(ctx context.Context, application string, _ []string) ([]room.Info, error) {
	entries, err := o.store.List(ctx, roomsPrefix)
	if err != nil {
		return nil, fmt.Errorf("orchestrator: listing rooms: %w", err)
	}
	var all []room.Info
	for _, e := range entries {
		var saved record
		if err := json.Unmarshal(e.Value, &saved); err != nil || saved.Application != application {
			continue
		}
		snapshot, err := o.packer.unpack(saved.Room)
		if err != nil {
			continue
		}
		if info, err := room.ReadInfo(o.config.room(), snapshot); err == nil {
			all = append(all, info)
		}
	}
	return all, nil
}

// roomKey marks the room of a request that was read from its body.
type roomKey struct{}

// reroute sends requests about rooms of other members on to those.
func (o *Orchestrator) reroute(next http.Handler) (*reroute.Handler, error) {
	secret, err := reroute.Secret(o.key)
	if err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	h, err := reroute.New(reroute.Config{
		Self: o.config.Member, Secret: secret, Room: o.roomOf, Owner: o.keeper.Owner, Next: next, Log: o.log,
		Client: o.signal.Client, Report: func(outcome string) { o.meter.reroutes.WithLabelValues(outcome).Inc() },
	})
	if err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	return h, nil
}

// roomOf is the room of a request by its token, or by what was read of its body.
func (o *Orchestrator) roomOf(r *http.Request) (tenure.Key, bool) {
	if name, ok := r.Context().Value(roomKey{}).(signal.RoomName); ok {
		return keyOf(name), true
	}
	caller, err := o.signal.Authenticate(r)
	if err != nil || caller.Room == "" {
		return "", false // whoever serves it says why not
	}
	return keyOf(signal.RoomName{Application: caller.Application, Name: caller.Room}), true
}

// elsewhere sends an order of a server on if another member has the room.
func (o *Orchestrator) elsewhere(w http.ResponseWriter, r *http.Request, name signal.RoomName) bool {
	owner, err := o.keeper.Owner(r.Context(), keyOf(name))
	if err != nil || owner.Mine || owner.Member == "" || owner.Member == o.config.Member {
		return false
	}
	o.server.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), roomKey{}, name)))
	return true
}
