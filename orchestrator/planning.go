package orchestrator

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// plan answers a room that needs a plan.
func (a *actor) plan() []room.Effect {
	now := a.o.now()
	in := a.room.Shape()
	in.Now, in.Nodes, in.Policy, in.Region = now, a.o.candidates(now), a.o.config.Plan, a.o.config.Region
	if p, ok := a.room.Policy(); ok {
		in.Policy = p
	}
	for i := range in.Members {
		if m := &in.Members[i]; m.NeedMbps == 0 {
			m.NeedMbps = a.o.config.NeedMbps
		}
	}
	wait := a.lookAround(&in)
	p, err := plan.Make(in)
	if err != nil { // of a configuration that Validate let through
		a.o.log.Error("room can't be planned", slog.String("room", string(a.id)), slog.Any("error", err))
		a.waiting = time.Time{}
		return a.room.Handle(now, room.Planned{Err: err.Error()})
	}
	if len(p.Refused) > 0 && comingUp(in.Nodes) {
		if a.waiting.IsZero() {
			a.waiting = now
		}
		wait = wait || now.Sub(a.waiting) < a.o.config.AllocateWait
	}
	if !wait {
		a.waiting = time.Time{}
		a.account(p)
	}
	a.plans = p
	return a.room.Handle(now, room.Planned{Plan: p, Wait: wait})
}

// account counts and logs what is new in a plan.
func (a *actor) account(p plan.Plan) {
	used := func(p plan.Plan) []drtc.NodeID {
		nodes := map[drtc.NodeID]bool{}
		for _, n := range p.Homes {
			nodes[n] = true
		}
		return slices.SortedFunc(maps.Keys(nodes), func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
	}
	nodes := used(p)
	a.o.log.Debug("plan", slog.String("room", string(a.id)), slog.Any("links", p.Links), slog.Any("routes", p.Routes))
	if before := used(a.plans); !slices.Equal(nodes, before) || p.Strategy != a.plans.Strategy {
		var names []string
		for _, n := range nodes {
			names = append(names, n.Short())
		}
		a.o.log.Info("room is planned", slog.String("room", string(a.id)), slog.String("strategy", p.Strategy.String()),
			slog.Any("nodes", names), slog.Int("links", len(p.Links)))
	}
	a.o.meter.plans.WithLabelValues(p.Strategy.String()).Inc()
	for id, err := range p.Refused {
		a.o.meter.refusals.Inc()
		a.o.log.Warn("no node for a participant", slog.String("room", string(a.id)), slog.String("participant", string(id)), slog.Any("error", err))
	}
}

// comingUp reports whether waiting may help: nodes are not known or not
// connected yet.
func comingUp(s allocate.Snapshot) bool {
	return len(s.Nodes) == 0 || slices.ContainsFunc(s.Nodes, func(c allocate.Candidate) bool { return !c.Reachable })
}

// reasonsOf puts a plan into words, for those on one of its nodes.
func reasonsOf(p plan.Plan, node drtc.NodeID) []string {
	texts := []string{}
	for _, r := range p.Reasons {
		if r.Node.IsZero() || r.Node == node {
			texts = append(texts, fmt.Sprintf("%s: %s", r.Topic, r.Text))
		}
	}
	return texts
}
