package registry

import (
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/geoip"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/place"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// directory makes the answers: for each node its record, what the probers say of
// it, and whether it can be where it says.
type directory struct {
	log    *slog.Logger
	ledger *ledger.Ledger
	rounds *rounds
	book   *book
	geoip  *geoip.DB // nil: none
	board  api.Board

	advised sync.Map // of drtc.NodeID: what was told last

	mu      sync.Mutex // one publication at a time; guards all below
	nodes   *index.Snapshot
	waiting map[drtc.NodeID]bool // to be published soon
	root    [32]byte
	rooted  time.Time // when root was true
}

// states are the words of the answers for what probers say.
var states = map[liveness.State]index.State{
	liveness.Unknown: index.Unknown, liveness.Up: index.Up, liveness.Suspect: index.Suspect, liveness.Down: index.Down,
}

func nodeKey(id drtc.NodeID) record.Key {
	return record.Key{Kind: record.KindNode, Subject: id, Issuer: id}
}

// look reads a node's record: whether it is shown, and whether a tombstone ended
// it.
func (d *directory) look(now time.Time, id drtc.NodeID) (e envelope.Envelope, live, left bool) {
	e, held := d.ledger.Get(nodeKey(id))
	return e, held && now.Before(d.ledger.LiveUntil(&e)), held && e.IsTombstone()
}

// soon has nodes published with the next flush: what other Registries tell comes
// in masses, and many changes at once cost little more than one.
func (d *directory) soon(ids []drtc.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.waiting[id] = true
	}
}

// flush publishes what waits.
func (d *directory) flush(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) > 0 {
		d.publish(now, slices.Collect(maps.Keys(d.waiting)))
	}
}

// refresh looks at nodes again and publishes them.
func (d *directory) refresh(now time.Time, ids []drtc.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.publish(now, ids)
}

// publish puts nodes into the answers, or takes them out. It needs mu, under
// which it also looks, so that nothing older goes over something newer.
func (d *directory) publish(now time.Time, ids []drtc.NodeID) {
	for _, id := range ids {
		delete(d.waiting, id)
	}
	if len(ids) > 0 { // else the answers are the same, only younger
		d.nodes = d.nodes.With(d.changes(now, ids))
	}
	if now.Sub(d.rooted) >= time.Second {
		d.root, d.rooted = d.ledger.Root(), now
	}
	d.board.Publish(d.nodes, d.root, now)
}

// batch is how many nodes are looked at under one lock.
const batch = 512

// changes makes the entries, on all processors when there are many, as at the
// start.
func (d *directory) changes(now time.Time, ids []drtc.NodeID) []index.Change {
	changes := make([]index.Change, len(ids))
	parts := make(chan int, (len(ids)+batch-1)/batch)
	for from := 0; from < len(ids); from += batch {
		parts <- from
	}
	close(parts)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(parts)) {
		workers.Go(func() {
			for from := range parts {
				to := min(from+batch, len(ids))
				d.entries(now, ids[from:to], changes[from:to])
			}
		})
	}
	workers.Wait()
	return changes
}

// entries fills in what the answers are to say about some nodes.
func (d *directory) entries(now time.Time, ids []drtc.NodeID, into []index.Change) {
	keys := make([]record.Key, len(ids))
	for i, id := range ids {
		keys[i] = nodeKey(id)
	}
	records := d.ledger.GetAll(keys)
	sightings := d.rounds.standings(now, ids)
	for i, id := range ids {
		into[i] = index.Change{ID: id}
		if e := &records[i]; !e.Issuer.IsZero() && now.Before(d.ledger.LiveUntil(e)) {
			into[i].Entry = d.entry(e, sightings[i])
		}
	}
}

// entry is what the answers are to say about a node.
func (d *directory) entry(e *envelope.Envelope, s standing) *index.Entry {
	payload, err := wire.HeldNode(e.Body)
	if err != nil { // written under other rules
		d.log.Warn("record not shown", slog.String("node", e.Subject.String()), slog.Any("error", err))
		return nil
	}
	entry := index.NewEntry(payload, e)
	entry.State, entry.Availability = states[s.verdict.State], s.availability
	judged := d.judge(entry, s.verdict)
	entry.PlaceVerdict = judged.Finding.String()
	if judged.Finding == place.Doubted || judged.Finding == place.Refuted { // others would take more memory than the record
		entry.PlaceReasons = judged.Reasons
	}
	d.advise(&payload)
	return entry
}

// judge is whether a node can be where it says, and why.
func (d *directory) judge(e *index.Entry, v liveness.Verdict) place.Verdict {
	var measured []place.Measurement
	for _, vote := range v.Votes {
		if vote.Sighting.RTTMin == 0 {
			continue
		}
		m := place.Measurement{Prober: vote.Registry, RTT: vote.Sighting.RTTMin}
		if prober, ok := d.book.find(vote.Registry); ok {
			at, err := drtc.ParsePlace(prober.Geolocation)
			m.Place, m.HasPlace = at, err == nil
		}
		measured = append(measured, m)
	}
	declared, ok := e.Place()
	return place.Judge(declared, ok, measured)
}

// advise tells the operator, and nobody else, where a database of addresses
// disagrees with a node; once for each node and address.
func (d *directory) advise(p *node.Payload) {
	if d.geoip == nil {
		return
	}
	declared, ok := p.Place()
	at, err := netip.ParseAddr(p.IP)
	if !ok || err != nil {
		return
	}
	advice := d.geoip.Advice(declared, at)
	if before, _ := d.advised.Swap(p.NodeID, advice); advice == "" || before == advice {
		return
	}
	d.log.Warn("declared place is doubtful", slog.String("node", p.NodeID.String()), slog.String("advice", advice))
}

// sweepParts is in how many sweeps every node's place and availability are
// looked at.
const sweepParts = 30

// sweep looks for nodes whose record has ended, and in one part of them for
// those whose place or availability reads otherwise than is shown. It returns
// those that ended.
func (d *directory) sweep(now time.Time, part int) (ended []drtc.NodeID) {
	d.mu.Lock()
	nodes := d.nodes
	d.mu.Unlock()
	var changed []drtc.NodeID
	grace := record.DefaultRules("").Grace
	i := 0
	for entry := range nodes.All() {
		i++
		switch {
		case !now.Before(entry.ExpiresAt().Add(grace)):
			if _, live, _ := d.look(now, entry.ID); !live {
				ended = append(ended, entry.ID)
			}
		case i%sweepParts == part%sweepParts && d.differs(now, entry):
			changed = append(changed, entry.ID)
		}
	}
	d.refresh(now, append(changed, ended...))
	return ended
}

// differs reports whether what time changes reads otherwise than is shown.
func (d *directory) differs(now time.Time, e *index.Entry) bool {
	s := d.rounds.standings(now, []drtc.NodeID{e.ID})[0]
	return e.State != states[s.verdict.State] || math.Abs(e.Availability-s.availability) >= 0.001 ||
		e.PlaceVerdict != d.judge(e, s.verdict).Finding.String()
}
