package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/record"
)

// backend is the Registry as the API sees it.
func (r *Registry) backend() api.Backend {
	return api.Backend{
		Registry: r.ID(), Network: r.config.Network,
		Records: heldRecords{r}, Nodes: shownNodes{r}, Peering: peering{r}, Health: r.health, Receipts: r.receipts,
	}
}

// receipts are the pages of a node of an epoch, in order.
func (r *Registry) receipts(node drtc.NodeID, epoch uint64) []envelope.Envelope {
	var pages []envelope.Envelope
	for n := range uint16(receipt.MaxPages) {
		e, ok := r.ledger.Get(record.Key{Kind: record.KindReceipt, Subject: receipt.PageSubject(node, epoch, n), Issuer: node})
		if !ok {
			break // they are numbered without a gap
		}
		pages = append(pages, e)
	}
	return pages
}

func (r *Registry) health() api.Health {
	h := api.Health{Version: drtc.Version, Records: r.ledger.Len()}
	h.Bonding = bondingHealth(r.bonding)
	if err := r.ledger.Failure(); err != nil {
		h.Problem = "the records cannot be written: " + err.Error()
	}
	return h
}

// heldRecords implements api.Records.
type heldRecords struct{ *Registry }

// Submit implements api.Records.
func (r heldRecords) Submit(ctx context.Context, e envelope.Envelope) (api.Receipt, error) {
	outcome, held, err := r.ledger.Submit(ctx, e)
	if err != nil {
		return api.Receipt{}, unlisted(err, r.bonding.Status())
	}
	if outcome == record.Known { // perhaps from another Registry, a moment ago
		r.directory.flush(time.Now())
	}
	return api.Receipt{Accepted: outcome != record.Stale, Held: held}, nil
}

// Held implements api.Records.
func (r heldRecords) Held(id drtc.NodeID) (envelope.Envelope, bool) { return r.ledger.Get(nodeKey(id)) }

// About implements api.Records.
func (r heldRecords) About(kind string, subject drtc.NodeID) []envelope.Envelope {
	switch kind {
	case record.KindNode, record.KindRegistry, record.KindAdmission: // by themselves alone
		if e, ok := r.ledger.Get(record.Key{Kind: kind, Subject: subject, Issuer: subject}); ok {
			return []envelope.Envelope{e}
		}
		return nil
	}
	var all []envelope.Envelope // by Registries
	for _, issuer := range r.book.ids() {
		if e, ok := r.ledger.Get(record.Key{Kind: kind, Subject: subject, Issuer: issuer}); ok {
			all = append(all, e)
		}
	}
	return all
}

// MinGeneration implements api.Records.
func (r heldRecords) MinGeneration(id drtc.NodeID) uint64 { return r.bonding.MinGeneration(id) }

// Admission implements api.Records.
func (r heldRecords) Admission() ([]byte, []envelope.Envelope) { return r.book.agreed() }

// shownNodes implements api.Nodes.
type shownNodes struct{ *Registry }

// View implements api.Nodes.
func (r shownNodes) View() api.View { return r.directory.board.View() }

// Probers implements api.Nodes.
func (r shownNodes) Probers(id drtc.NodeID) []api.Prober {
	var probers []api.Prober
	for _, registry := range r.rounds.probers(id) {
		if known, ok := r.book.find(registry); ok {
			probers = append(probers, api.Prober{ID: registry, URL: known.URL})
		}
	}
	return probers
}

// OpenKeepAlive implements api.Nodes.
func (r shownNodes) OpenKeepAlive(node drtc.NodeID) (api.KeepAlive, error) {
	if _, live := r.ledger.Live(time.Now(), nodeKey(node)); !live {
		return nil, fmt.Errorf("%w: call RegisterNode first", api.ErrUnknownNode)
	}
	return r.rounds.open(node)
}

// peering implements api.Peering.
type peering struct{ *Registry }

// directions are the words of the answers for who opened a connection.
var directions = map[string]string{"in": "inbound", "out": "outbound"}

// Peers implements api.Peering.
func (r peering) Peers() ([]string, []api.Peer) {
	var peers []api.Peer
	for _, p := range r.gossip.Peers() {
		if !p.Connected {
			continue
		}
		peer := api.Peer{
			Registry: p.ID, Addresses: p.Addresses, Direction: directions[p.Direction], Since: p.Since, Score: p.Score,
			LastSync: p.LastSync, LastSyncOutcome: p.SyncOutcome,
		}
		if known, ok := r.book.find(p.ID); ok {
			peer.URL = known.URL
		}
		peers = append(peers, peer)
	}
	return r.gossip.Addrs(), peers
}
