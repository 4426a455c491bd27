package simulation

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
)

const (
	dialTimeout   = 2 * time.Second
	announceEvery = 200 * time.Second
	registryLife  = 600 * time.Second

	// A Registry that for so long has had no new page of half of the others, which
	// write one every 25 s, takes itself for cut off.
	isolatedAfter = 40 * time.Second
)

// Ping dials a node.
type Ping struct{ Number int }

// Pong answers a Ping.
type Pong struct{ Number int }

// Look asks another Registry to dial a node now.
type Look struct{ Node drtc.NodeID }

func (Ping) size() int { return 100 }
func (Pong) size() int { return 100 }
func (Look) size() int { return 100 }

// watch joins the cores of liveness to a Registry, where the Plan asks for it.
// Nodes are dialled; they open no keepalives.
type watch struct {
	registry *Registry
	prober   *liveness.Prober
	verdicts *liveness.Verdicts
	set      time.Time // the prober's timer that is set
	dials    map[int]dial
	number   int
	seq      uint64
	heard    map[drtc.NodeID]time.Duration // last page of each Registry, by arrival
	nodes    map[drtc.NodeID]bool
}

type dial struct {
	node  drtc.NodeID
	begun time.Duration
}

func newWatch(now time.Time, r *Registry) *watch {
	p, err := liveness.NewProber(liveness.DefaultProberConfig(), r.port.Rand())
	if err != nil {
		panic(err) // the default is valid
	}
	v, err := liveness.NewVerdicts(now, liveness.DefaultVerdictsConfig(r.id()))
	if err != nil {
		panic(err) // the default is valid
	}
	w := &watch{registry: r, prober: p, verdicts: v, dials: map[int]dial{}, nodes: map[drtc.NodeID]bool{}, heard: map[drtc.NodeID]time.Duration{}}
	for _, e := range r.set.All(now) {
		w.learn(now, &e)
	}
	w.announce(now)
	return w
}

// announce publishes the Registry's own record.
func (w *watch) announce(now time.Time) {
	w.publish(now, record.KindRegistry, w.registry.id(), nil, registryLife, 0)
	w.registry.port.After(announceEvery, tagAnnounce)
}

func (w *watch) publish(now time.Time, kind string, subject drtc.NodeID, body []byte, ttl time.Duration, flags envelope.Flags) {
	w.seq = max(w.seq+1, uint64(now.UnixMilli()))
	e := envelope.Envelope{
		Kind: kind, Network: w.registry.world.rules.Network, Subject: subject, Seq: w.seq,
		IssuedAt: now, TTL: ttl, Flags: flags, Body: body,
	}
	if err := e.Sign(w.registry.world.keys[w.registry.port.ID()]); err != nil {
		panic(err) // every field is from here
	}
	w.registry.world.signed[e.Hash()] = true
	if outcome, err := w.registry.take(now, &e, record.Submitted, nobody); outcome == record.Stored && err == nil {
		w.registry.publish(e)
	}
}

// learn is told of each record that is newly held and shown, or a tombstone.
func (w *watch) learn(now time.Time, e *envelope.Envelope) {
	switch e.Kind {
	case record.KindNode:
		if e.IsTombstone() {
			delete(w.nodes, e.Subject)
			w.apply(now, w.verdicts.Forget(now, e.Subject, true))
			return
		}
		w.nodes[e.Subject] = true
		w.apply(now, w.verdicts.Know(now, e.Subject))
		w.prober.Renewed(now, e.Subject)
	case record.KindLiveness:
		if e.IsTombstone() {
			w.apply(now, w.verdicts.Drop(now, e.Issuer, e.Subject, e.IssuedAt))
			return
		}
		sightings, err := liveness.ParseSightings(e.Body)
		if err != nil {
			panic(err) // the kind's Check has read it
		}
		w.heard[e.Issuer] = w.registry.world.net.Elapsed()
		w.apply(now, w.verdicts.Take(now, liveness.IssuedPage{
			Issuer: e.Issuer, Subject: e.Subject, IssuedAt: e.IssuedAt, TTL: e.TTL, Sightings: sightings,
		}))
	}
}

// house looks once a second at what has ended.
func (w *watch) house(now time.Time) {
	var registries []drtc.NodeID
	shown := map[drtc.NodeID]bool{}
	for _, e := range w.registry.set.All(now) {
		switch e.Kind {
		case record.KindRegistry:
			registries = append(registries, e.Subject)
		case record.KindNode:
			shown[e.Subject] = true
		}
	}
	w.apply(now, w.verdicts.Registries(now, registries))
	for _, key := range w.registry.world.nodeKeys {
		if node := key.ID(); w.nodes[node] && !shown[node] {
			delete(w.nodes, node)
			w.apply(now, w.verdicts.Forget(now, node, false))
		}
	}
	w.apply(now, w.verdicts.HandleTimeout(now))
	w.prober.Isolated(now, w.isolated(registries))
	w.work(now)
}

// isolated says whether this Registry and those it hears are no majority of all.
func (w *watch) isolated(registries []drtc.NodeID) bool {
	heard := 0
	for _, id := range registries {
		at, ok := w.heard[id]
		if id == w.registry.id() || ok && w.registry.world.net.Elapsed()-at < isolatedAfter {
			heard++
		}
	}
	return 2*heard <= len(registries)
}

func (w *watch) apply(now time.Time, c liveness.Changes) {
	for _, a := range c.Assigned {
		w.prober.Watch(now, a.Node, false, a.Others)
	}
	for _, node := range c.Released {
		w.prober.Unwatch(now, node)
	}
	if told := w.registry.world.OnVerdict; told != nil {
		for _, v := range c.Verdicts {
			told(w.registry.port.ID(), v)
		}
	}
}

// work does what the prober has decided and sets its timer.
func (w *watch) work(now time.Time) {
	port, world := w.registry.port, w.registry.world
	for !w.prober.NextTimeout().After(now) {
		work := w.prober.HandleTimeout(now)
		for _, node := range work.Dials {
			w.number++
			w.dials[w.number] = dial{node, world.net.Elapsed()}
			port.Send(world.machines[node], Ping{w.number})
			port.After(dialTimeout, tagDial+w.number)
		}
		for _, q := range work.Questions {
			for _, registry := range q.Registries {
				port.SendReliable(world.machines[registry], Look{q.Node})
			}
		}
		for _, p := range work.Pages {
			w.publish(now, record.KindLiveness, p.Subject, liveness.AppendSightings(nil, p.Sightings), p.Life, 0)
		}
		for _, subject := range work.Tombstones {
			w.publish(now, record.KindLiveness, subject, nil, time.Minute, envelope.Tombstone)
		}
	}
	if next := w.prober.NextTimeout(); !w.set.Equal(next) {
		w.set = next
		port.After(next.Sub(now), tagProber)
	}
}

func (w *watch) answered(now time.Time, number int, a liveness.Answer) {
	if d, ok := w.dials[number]; ok {
		delete(w.dials, number)
		if a.Outcome == liveness.Answered {
			a.RTT = w.registry.world.net.Elapsed() - d.begun
		}
		w.prober.Dialled(now, d.node, a)
		w.work(now)
	}
}

// Verdict is what a Registry makes of an issuer at the moment.
func (r *Registry) Verdict(i *Issuer) liveness.State {
	v, ok := r.watch.verdicts.Verdict(i.key.ID())
	if !ok {
		return liveness.Unknown
	}
	return v.State
}
