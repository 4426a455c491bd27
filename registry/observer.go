package registry

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// observer passes the ledger's changes on: nodes to those who watch over them and
// into the answers, Registries into the book, sightings to the count, what was
// submitted here to the others.
type observer struct{ *Registry }

// Changed implements ledger.Observer.
func (r observer) Changed(now time.Time, keys []record.Key) {
	var nodes []drtc.NodeID
	var own []record.Key
	for _, k := range keys {
		switch k.Kind {
		case record.KindNode:
			_, live, left := r.directory.look(now, k.Subject)
			r.rounds.node(now, k.Subject, live, left)
			nodes = append(nodes, k.Subject)
		case record.KindLiveness:
			if e, held := r.ledger.Get(k); held {
				r.rounds.page(now, &e)
			}
		case record.KindRegistry, record.KindAdmission:
			own = append(own, k)
		}
	}
	if len(own) > 0 && r.book.changed(now, own) {
		r.moved(now)
	}
	if len(nodes) > 0 {
		r.directory.soon(nodes)
	}
}

// Submitted implements ledger.Observer.
func (r observer) Submitted(records []envelope.Envelope) {
	now := time.Now()
	var nodes []drtc.NodeID
	for _, e := range records {
		if e.Kind == record.KindNode {
			nodes = append(nodes, e.Subject)
		}
	}
	if len(nodes) > 0 {
		r.directory.refresh(now, nodes) // who submitted it may ask for it at once
	}
	for _, e := range records {
		r.gossip.Publish(e)
	}
}

// Caught implements ledger.Observer.
func (r observer) Caught(caught []record.Equivocation) { r.duties.tell(caught) }
