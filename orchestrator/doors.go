package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/gate"
	"github.com/drtc-network/drtc/orchestrator/policy"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// doors are the gates of all applications: who comes into a room for which one
// of them has rules must hold what one asks for, whoever made its token, and is
// asked again from time to time.
type doors struct {
	of     map[string][]*gate.Gate // by application
	all    []*gate.Gate
	every  time.Duration // between two readings of the balance of one who stays; 0 is never
	report func(outcome string)
	log    *slog.Logger
}

// chainAway: nobody is let in whose balance can't be read.
const chainAway = "whether your wallet holds what this room asks for can't be told now: try again"

// validateGates names the key of a gate that is wrong.
func (c Config) validateGates() error {
	names := map[string]bool{}
	for i, g := range c.Gates {
		k, ok := c.keyNamed(g.Key)
		switch {
		case !ok:
			return fmt.Errorf("orchestrator: gates[%d].key: want the key of one of keys, got %.80q", i, g.Key)
		case names[g.Name]:
			return fmt.Errorf("orchestrator: gates[%d].name: %q comes twice: gates are told apart by their names", i, g.Name)
		}
		names[g.Name] = true
		g.Secret = k.Secret
		if err := g.Validate(); err != nil {
			return fmt.Errorf("orchestrator: gates[%d]: %w", i, err)
		}
	}
	return nil
}

func (c Config) keyNamed(name string) (Key, bool) {
	i := slices.IndexFunc(c.Keys, func(k Key) bool { return k.Key == name })
	if i < 0 {
		return Key{}, false
	}
	return c.Keys[i], true
}

// owner is the application of a key.
func (k Key) owner() string {
	if k.Application == "" {
		return k.Key
	}
	return k.Application
}

func (o *Orchestrator) newDoors() (*doors, error) {
	d := &doors{
		of: map[string][]*gate.Gate{}, log: o.log,
		report: func(outcome string) { o.meter.balances.WithLabelValues(outcome).Inc() },
	}
	for _, c := range o.config.Gates {
		k, _ := o.config.keyNamed(c.Key) // validated
		c.Secret, c.Allow = k.Secret, o.signal.Allow
		g, err := gate.New(c)
		if err != nil {
			return nil, fmt.Errorf("orchestrator: %w", err)
		}
		d.all = append(d.all, g)
		d.of[k.owner()] = append(d.of[k.owner()], g)
		if every := g.RecheckEvery(); every > 0 && (d.every == 0 || every < d.every) {
			d.every = every
		}
	}
	return d, nil
}

func (d *doors) register(mux *http.ServeMux) {
	for _, g := range d.all {
		g.Register(mux)
	}
}

// guards are the gates of an application that have rules for a room.
func (d *doors) guards(name signal.RoomName) []*gate.Gate {
	var guards []*gate.Gate
	for _, g := range d.of[name.Application] {
		if g.Guards(name.Name) {
			guards = append(guards, g)
		}
	}
	return guards
}

// ask reads what an identity holds: it is enough when one gate says so. The error
// says that no gate did and one could not tell.
func (d *doors) ask(ctx context.Context, name signal.RoomName, id drtc.Identity) (v policy.Verdict, err error) {
	var faults []error
	for _, g := range d.guards(name) {
		got, err := g.Admit(ctx, policy.Request{Application: name.Application, Room: name.Name, Identity: id})
		switch {
		case err != nil:
			faults = append(faults, err)
		case got.Refuse == "":
			return got, nil
		case v.Refuse == "":
			v = got
		}
	}
	return v, errors.Join(faults...)
}

// admit turns away who does not hold what the room asks for. What a rule names as
// role goes before that of the token.
func (d *doors) admit(ctx context.Context, name signal.RoomName, j room.Join) (room.Join, error) {
	if len(d.guards(name)) == 0 {
		return j, nil
	}
	v, err := d.ask(ctx, name, j.Identity)
	switch {
	case ctx.Err() != nil:
		return j, fmt.Errorf("orchestrator: asking a chain: %w", ctx.Err())
	case err != nil:
		d.report("failed")
		d.log.Warn("a balance can't be read, so nobody is let in", slog.String("name", name.Name), slog.Any("error", err))
		return j, signal.Forbid(chainAway)
	case v.Refuse != "":
		d.report("refused")
		return j, signal.Forbid(v.Refuse)
	}
	d.report("admitted")
	if v.Role != "" {
		j.Attributes = maps.Clone(j.Attributes)
		if j.Attributes == nil {
			j.Attributes = map[string]string{}
		}
		j.Attributes[room.AttributeRole] = v.Role
	}
	return j, nil
}

// recheck reads the balances of those who are in rooms with a gate again, until
// ctx ends, and lets go of those who have too little by now. Who can't be asked
// about stays: it was let in, and is asked about again.
func (o *Orchestrator) recheck(ctx context.Context) {
	if o.doors.every == 0 {
		return
	}
	tick := time.NewTicker(o.doors.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o.mu.Lock()
		names := slices.Collect(maps.Keys(o.actors))
		o.mu.Unlock()
		for _, name := range names {
			if len(o.doors.guards(name)) > 0 && ctx.Err() == nil {
				o.recheckRoom(ctx, name)
			}
		}
	}
}

func (o *Orchestrator) recheckRoom(ctx context.Context, name signal.RoomName) {
	a := o.running(name)
	if a == nil {
		return
	}
	present := map[drtc.Identity]bool{}
	err := a.deliver(ctx, letter{ask: func(a *actor) {
		for _, id := range a.room.Identities() {
			present[id] = true
		}
	}})
	if err != nil {
		return // it has ended
	}
	for _, id := range slices.Sorted(maps.Keys(present)) {
		v, err := o.doors.ask(ctx, name, id)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			o.doors.report("failed")
			o.log.Warn("a balance can't be read again", slog.String("room", string(a.id)), slog.Any("error", err))
			return // the others' neither
		case v.Refuse == "":
			o.doors.report("held")
			continue
		}
		o.doors.report("ended")
		o.log.Info("somebody no longer holds what the room asks for", slog.String("room", string(a.id)))
		_ = a.deliver(ctx, letter{do: func(now time.Time, r *room.Room) []room.Effect {
			effects, _ := r.Administer(now, room.Expel{Identity: id}) // it has gone meanwhile if that fails
			return effects
		}})
	}
}
