package registry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	randv2 "math/rand/v2"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
)

// rounds watch over the nodes: this Registry keeps streams, dials, writes what it
// sees, and counts what all Registries saw. What decides is in registry/liveness.
type rounds struct {
	config Config
	log    *slog.Logger
	self   drtc.NodeID
	author *author
	dial   func(ctx context.Context, node drtc.NodeID) liveness.Answer
	ask    func(ctx context.Context, registry, node drtc.NodeID)
	judged func(nodes []drtc.NodeID) // called without mu

	mu       sync.Mutex // guards all below
	table    *liveness.Table
	prober   *liveness.Prober // nil when this Registry does not probe
	verdicts *liveness.Verdicts
	streams  map[liveness.StreamID]*keepAlive
	lastID   liveness.StreamID
	withheld string // why votes are withheld, as it was logged

	wake    chan struct{} // holds one: the prober has something to do
	working sync.WaitGroup
}

func newRounds(now time.Time, c Config, self drtc.NodeID, log *slog.Logger) (*rounds, error) {
	r := &rounds{
		config: c, log: log, self: self, streams: map[liveness.StreamID]*keepAlive{}, wake: make(chan struct{}, 1),
	}
	var err error
	if r.table, err = liveness.New(c.liveness(), self); err != nil {
		return nil, err
	}
	if r.verdicts, err = liveness.NewVerdicts(now, c.verdicts(self)); err != nil {
		return nil, err
	}
	if c.Probing {
		if r.prober, err = liveness.NewProber(c.prober(), randv2.New(randv2.NewPCG(seed(), seed()))); err != nil { //nolint:gosec // jitter alone
			return nil, err
		}
	}
	return r, nil
}

func seed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// run works until ctx is done and all dials have ended.
func (r *rounds) run(ctx context.Context) {
	ticker := time.NewTicker(min(r.config.KeepAliveEvery/20, time.Second))
	defer ticker.Stop()
	var second time.Time
	for {
		select {
		case <-ctx.Done():
			r.working.Wait()
			return
		case <-r.wake:
		case <-ticker.C:
		}
		now := time.Now()
		r.keepAlives(now)
		if now.Sub(second) >= time.Second {
			second = now
			r.with(func() liveness.Changes { return r.verdicts.HandleTimeout(now) })
		}
		r.work(ctx, now)
	}
}

// with makes a change under the lock, follows it up and tells of new verdicts.
func (r *rounds) with(change func() liveness.Changes) {
	r.mu.Lock()
	changes := change()
	nodes := r.follow(time.Now(), changes)
	r.mu.Unlock()
	r.tell(nodes, changes)
}

// follow gives the prober its nodes. It needs mu.
func (r *rounds) follow(now time.Time, c liveness.Changes) []drtc.NodeID {
	if r.prober != nil {
		for _, a := range c.Assigned {
			r.prober.Watch(now, a.Node, r.table.Kept(a.Node), a.Others)
		}
		for _, id := range c.Released {
			r.prober.Unwatch(now, id)
		}
		if len(c.Assigned)+len(c.Released) > 0 {
			r.rouse()
		}
	}
	nodes := make([]drtc.NodeID, len(c.Verdicts))
	for i, v := range c.Verdicts {
		nodes[i] = v.Node
	}
	return nodes
}

func (r *rounds) tell(nodes []drtc.NodeID, c liveness.Changes) {
	for _, v := range c.Verdicts {
		switch {
		case v.To == liveness.Down:
			r.log.Info("node stopped answering", slog.String("node", v.Node.String()))
		case v.From == liveness.Down:
			r.log.Info("node is back", slog.String("node", v.Node.String()))
		}
	}
	if len(nodes) > 0 {
		r.judged(nodes)
	}
}

// rouse has run look at the prober.
func (r *rounds) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// node is told of each change of a node's record. left says that a tombstone
// ended it.
func (r *rounds) node(now time.Time, id drtc.NodeID, live, left bool) {
	r.with(func() liveness.Changes {
		if !live {
			for _, stream := range r.table.Forget(id) {
				r.end(stream)
			}
			return r.verdicts.Forget(now, id, left)
		}
		changes := r.verdicts.Know(now, id)
		if r.prober != nil {
			r.prober.Renewed(now, id)
			r.rouse()
		}
		return changes
	})
}

// know is told of the nodes that are shown at the start.
func (r *rounds) know(now time.Time, ids []drtc.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.follow(now, r.verdicts.Know(now, id))
	}
}

// page is told of each change of a record of sightings.
func (r *rounds) page(now time.Time, e *envelope.Envelope) {
	r.with(func() liveness.Changes {
		if e.IsTombstone() {
			return r.verdicts.Drop(now, e.Issuer, e.Subject, e.IssuedAt)
		}
		sightings, err := liveness.ParseSightings(e.Body)
		if err != nil { // written under other rules
			return liveness.Changes{}
		}
		return r.verdicts.Take(now, liveness.IssuedPage{
			Issuer: e.Issuer, Subject: e.Subject, IssuedAt: e.IssuedAt, TTL: e.TTL, Sightings: sightings,
		})
	})
}

// registries says who may attest.
func (r *rounds) registries(now time.Time, ids []drtc.NodeID) {
	r.with(func() liveness.Changes { return r.verdicts.Registries(now, ids) })
}

// isolated says whether this Registry is cut off from the others.
func (r *rounds) isolated(now time.Time, cutOff bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.prober == nil {
		return
	}
	r.prober.Isolated(now, cutOff)
	if withheld := r.prober.Status().Withheld; (withheld == "") != (r.withheld == "") {
		if r.withheld = withheld; withheld == "" {
			r.log.Info("this registry trusts what it sees again")
		} else {
			r.log.Warn("this registry distrusts itself", slog.String("reason", withheld))
		}
	}
}

// heard is when a Registry wrote the newest page that is known of it.
func (r *rounds) heard(registry drtc.NodeID) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdicts.Heard(registry)
}

// asked takes another Registry's request to look at a node. It reports whether
// this one watches over it.
func (r *rounds) asked(node drtc.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.rouse()
	return r.prober != nil && r.prober.Asked(time.Now(), node)
}

// standing is what all probers say of a node, and its availability in this epoch.
type standing struct {
	verdict      liveness.Verdict
	availability float64
}

// standings of some nodes.
func (r *rounds) standings(now time.Time, ids []drtc.NodeID) []standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	epoch, all := r.verdicts.Epoch(now), make([]standing, len(ids))
	for i, id := range ids {
		all[i].verdict, _ = r.verdicts.Verdict(id)
		all[i].availability = 1
		if account, _ := r.verdicts.Availability(now, id, epoch); account.Life > 0 {
			all[i].availability = account.Score()
		}
	}
	return all
}

// probers are the Registries that watch over a node.
func (r *rounds) probers(id drtc.NodeID) []drtc.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdicts.Probers(id)
}

// work does what the prober decides. A page is written before the next look, so
// that pages of one subject follow one another.
func (r *rounds) work(ctx context.Context, now time.Time) {
	if r.prober == nil {
		return
	}
	r.mu.Lock()
	if now.Before(r.prober.NextTimeout()) {
		r.mu.Unlock()
		return
	}
	work := r.prober.HandleTimeout(now)
	r.mu.Unlock()
	for _, id := range work.Dials {
		r.working.Go(func() { r.dialled(id, r.dial(ctx, id)) })
	}
	for _, q := range work.Questions {
		for _, registry := range q.Registries {
			r.working.Go(func() { r.ask(ctx, registry, q.Node) })
		}
	}
	for _, p := range work.Pages {
		r.write(ctx, now, statement{kind: record.KindLiveness, subject: p.Subject, ttl: p.Life, body: liveness.AppendSightings(nil, p.Sightings)})
	}
	for _, subject := range work.Tombstones {
		r.write(ctx, now, statement{kind: record.KindLiveness, subject: subject, ttl: time.Minute, flags: envelope.Tombstone})
	}
}

func (r *rounds) write(ctx context.Context, now time.Time, s statement) {
	if err := r.author.issue(ctx, now, s); err != nil && ctx.Err() == nil && !errors.Is(err, errReader) {
		r.log.Warn("sightings not written", slog.Any("error", err))
	}
}

func (r *rounds) dialled(id drtc.NodeID, a liveness.Answer) {
	r.mu.Lock()
	r.prober.Dialled(time.Now(), id, a)
	r.mu.Unlock()
	r.rouse()
}

// status is how this Registry's own watching goes.
func (r *rounds) status() liveness.ProberStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.prober == nil {
		return liveness.ProberStatus{}
	}
	return r.prober.Status()
}

// tally counts the nodes in each state.
func (r *rounds) tally() map[liveness.State]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdicts.Tally()
}
