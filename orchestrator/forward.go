package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/roomservice"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// A room gives orders to another one when a participant is forwarded: from one
// actor to the other, or to the member that has the other room.

const (
	// orderPath is where members take orders for their rooms from others.
	orderPath = "/drtc/v1/member/order"
	// An order that does not get there is given again, less and less often, until
	// there is a newer one or this time is over: its room repeats it by then.
	giveUpAfter = 15 * time.Second
	firstPause  = 100 * time.Millisecond
)

// roomOrder is an order as it travels between members.
type roomOrder struct {
	Application string             `json:"application"`
	Room        string             `json:"room"`
	Create      bool               `json:"create,omitempty"`
	Guest       *room.Guest        `json:"guest,omitempty"` // a Host
	End         drtc.ParticipantID `json:"end,omitempty"`   // an EndForward
}

func (m roomOrder) order() room.Order {
	if m.Guest != nil {
		return room.Host{Guest: *m.Guest}
	}
	return room.EndForward{Guest: m.End}
}

// refusals are the errors of orders, by the words in which they travel.
func refusals() map[string]error {
	return map[string]error{
		"no room": roomservice.ErrNoRoom, "identity": room.ErrIdentity, "full": room.ErrFull, "expelled": room.ErrExpelled,
	}
}

// dispatch carries orders from room to room. Of those about one guest only the
// newest waits.
type dispatch struct {
	o *Orchestrator

	mu      sync.Mutex
	waiting map[subject]*roomOrder // nil while one is under way and no other waits
}

// subject is what an order is about; a later one takes its place.
type subject struct {
	to    signal.RoomName
	guest drtc.ParticipantID
}

// send hands an order over. It does not block.
func (d *dispatch) send(application string, e room.ToRoom) {
	m := roomOrder{Application: application, Room: e.Room}
	s := subject{to: signal.RoomName{Application: application, Name: e.Room}}
	switch c := e.Order.(type) {
	case room.Host:
		m.Guest, s.guest = &c.Guest, c.Guest.ID
	case room.EndForward:
		m.End, s.guest = c.Guest, c.Guest
	}
	d.mu.Lock()
	_, busy := d.waiting[s]
	d.waiting[s] = &m
	d.mu.Unlock()
	if !busy {
		d.o.group.Go(func() { d.work(s) })
	}
}

// next takes what waits; nil when nothing does, and then work ends.
func (d *dispatch) next(s subject) *roomOrder {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.waiting[s]
	if d.waiting[s] = nil; m == nil {
		delete(d.waiting, s)
	}
	return m
}

// superseded reports whether there is a newer order.
func (d *dispatch) superseded(s subject) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting[s] != nil
}

func (d *dispatch) work(s subject) {
	d.o.mu.Lock()
	ctx := d.o.ctx
	d.o.mu.Unlock()
	for m := d.next(s); m != nil; m = d.next(s) {
		pause := firstPause
		for until := d.o.now().Add(giveUpAfter); ; pause *= 2 {
			err := d.o.give(ctx, *m)
			if err == nil || final(err) {
				d.turnedDown(*m, err)
				break
			}
			if ctx.Err() != nil || d.superseded(s) || d.o.now().After(until) {
				d.o.log.Debug("an order did not reach another room", slog.String("room", m.Room), slog.Any("error", err))
				break
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// turnedDown ends a forward to a room that is not there any more. Others say so
// themselves.
func (d *dispatch) turnedDown(m roomOrder, err error) {
	if errors.Is(err, roomservice.ErrNoRoom) && m.Guest != nil && !m.Guest.Gone {
		d.send(m.Application, room.ToRoom{Room: m.Guest.From, Order: room.EndForward{Guest: m.Guest.ID}})
	}
}

// final reports whether an order that was not obeyed never will be.
func final(err error) bool {
	for _, known := range refusals() {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// give carries out an order, here or at the member that has the room.
func (o *Orchestrator) give(ctx context.Context, m roomOrder) error {
	name := signal.RoomName{Application: m.Application, Name: m.Room}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := o.perform(ctx, m)
	if !errors.Is(err, roomservice.ErrElsewhere) {
		return err
	}
	owner, err := o.keeper.Owner(ctx, keyOf(name))
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	if owner.Mine || owner.Member == "" || owner.Member == o.config.Member {
		return roomservice.ErrElsewhere // it is changing hands
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	answer, err := o.rerouter.Send(ctx, owner, orderPath, body)
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	return refusals()[string(answer)]
}

// perform gives an order to a room that this member has, or may have.
func (o *Orchestrator) perform(ctx context.Context, m roomOrder) error {
	done := make(chan error, 1)
	err := o.Do(ctx, signal.RoomName{Application: m.Application, Name: m.Room}, m.Create, func(now time.Time, r *room.Room) []room.Effect {
		effects, failed := r.Administer(now, m.order())
		done <- failed
		return effects
	})
	if err != nil {
		return err
	}
	return <-done
}

// takeOrder serves orders of other members.
func (o *Orchestrator) takeOrder(w http.ResponseWriter, r *http.Request) {
	message, err := o.rerouter.Receive(r)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	var m roomOrder
	if err := json.Unmarshal(message, &m); err != nil || m.Room == "" {
		http.Error(w, "the order can't be read", http.StatusBadRequest)
		return
	}
	err = o.perform(r.Context(), m)
	for word, known := range refusals() {
		if errors.Is(err, known) {
			_, _ = w.Write([]byte(word))
			return
		}
	}
	if err != nil {
		http.Error(w, "the room can't be reached here", http.StatusServiceUnavailable)
	}
}

// host gives an order about a guest to the member that has the room.
func (o *Orchestrator) host(ctx context.Context, name signal.RoomName, h room.Host) error {
	return o.give(ctx, roomOrder{Application: name.Application, Room: name.Name, Create: !h.Guest.Gone, Guest: &h.Guest})
}
