package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/drtc-network/drtc/orchestrator/moderate"
	"github.com/drtc-network/drtc/orchestrator/policy"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// decide makes what decides on rooms besides their tokens: gates, policies and
// hosts.
func (o *Orchestrator) decide(custom map[string]policy.Policy) error {
	var err error
	if o.doors, err = o.newDoors(); err != nil {
		return err
	}
	o.policies, err = policy.New(policy.Config{
		Applications: o.config.Applications, Custom: custom, Plan: o.config.Plan, Order: o.obey, Log: o.log,
		Report: func(application, outcome string) { o.meter.decisions.WithLabelValues(application, outcome).Inc() },
	})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	o.moderate, err = moderate.New(moderate.Config{
		Gate: o.signal, Rooms: o, Log: o.log,
		Report: func(action string, status int) {
			o.meter.moderations.WithLabelValues(action, strconv.Itoa(status)).Inc()
		},
	})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	return nil
}

// admitted asks the application's gates and policy about a Join. It runs in the goroutine
// of who wants to come in, so no room waits for a policy.
func (o *Orchestrator) admitted(ctx context.Context, name signal.RoomName, first room.Command) (room.Command, error) {
	j, ok := first.(room.Join)
	if !ok {
		return first, nil
	}
	if err := o.affords(name, j.APIKey); err != nil {
		return nil, err
	}
	j, err := o.doors.admit(ctx, name, j)
	if err != nil {
		return nil, err
	}
	j, err = o.policies.Admit(ctx, name.Application, name.Name, j)
	var refusal *policy.Refusal
	if errors.As(err, &refusal) {
		return nil, signal.Forbid(refusal.Reason)
	}
	return j, err
}

// obey has a room carry out the orders of its application's policy, as far as
// they can be.
func (o *Orchestrator) obey(ctx context.Context, application, name string, orders []room.Order) error {
	var faults []error
	err := o.Do(ctx, signal.RoomName{Application: application, Name: name}, false, func(now time.Time, r *room.Room) (effects []room.Effect) {
		for _, order := range orders {
			more, err := r.Administer(now, order)
			effects, faults = append(effects, more...), append(faults, err)
		}
		return effects
	})
	if err != nil { // faults may still be written to
		return err
	}
	return errors.Join(faults...)
}
