package nodes

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/receipt"
)

// Count is what a node says that a session, or its end of a relay link, has used
// so far.
type Count struct {
	Node    drtc.NodeID
	Session drtc.SessionID
	Link    cascade.LinkID
	receipt.Counters
	Received uint64 // over a link, from the node at its other end
	Ended    bool   // nothing comes after it
}

// ErrNoReceipts says that the node asks for no receipts.
var ErrNoReceipts = errors.New("nodes: the media node asks for no receipts")

// account is the account of an application in a call; nil for the Orchestrator's
// own.
func (p *Pool) account(application string) []byte {
	if p.config.Accounts == nil {
		return nil
	}
	a := p.config.Accounts(application)
	if a == (receipt.Application{}) {
		return nil
	}
	return a[:]
}

func (l *link) count(c Count, f *medianodev1.SessionFigures, ended bool) {
	c.Node, c.Client, c.Relay, c.Ended = l.target.ID, f.GetClientBytes(), f.GetRelayBytes(), ended
	l.pool.config.Count(c)
}

func (l *link) countRelay(r *medianodev1.RelayReport, ended bool) {
	l.pool.config.Count(Count{
		Node: l.target.ID, Link: cascade.LinkID(r.GetLink()), Counters: receipt.Counters{Relay: r.GetRelayBytes()},
		Received: r.GetReceivedBytes(), Ended: ended,
	})
}

// countLast counts what comes with the end of a session or a link.
func (l *link) countLast(m *medianodev1.EventsResponse) {
	if s := m.GetSessionState(); s.GetState() == medianodev1.SessionState_STATE_CLOSED {
		l.count(Count{Session: drtc.SessionID(s.GetSession())}, s.GetFigures(), true)
	}
	if s := m.GetRelayState(); s.GetState() == medianodev1.RelayState_STATE_CLOSED {
		r := s.GetFigures()
		if r == nil {
			r = &medianodev1.RelayReport{}
		}
		r.Link = s.GetLink()
		l.countRelay(r, true)
	}
}

// Up lists the nodes that are up.
func (p *Pool) Up() []drtc.NodeID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []drtc.NodeID
	for id, l := range p.links {
		if l.getStatus().Up {
			all = append(all, id)
		}
	}
	return all
}

// Claims asks a node what it has served us. The error is ErrNoReceipts where the
// node asks for none.
func (p *Pool) Claims(ctx context.Context, node drtc.NodeID) ([]receipt.Claim, error) {
	l := p.link(node)
	if l == nil {
		return nil, fmt.Errorf("nodes: claims of %s: it is not connected", node)
	}
	r, err := l.client.GetClaims(ctx, connect.NewRequest(&medianodev1.GetClaimsRequest{}))
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return nil, ErrNoReceipts
	}
	if err != nil {
		return nil, fmt.Errorf("nodes: claims of %s: %w", node, err)
	}
	var claims []receipt.Claim
	for i, m := range r.Msg.GetClaims() {
		c := receipt.Claim{Epoch: m.GetEpoch(), Counted: receipt.Counters{Client: m.GetClientBytes(), Relay: m.GetRelayBytes()}}
		if len(m.GetAccount()) != len(c.Application) {
			return nil, fmt.Errorf("nodes: claims of %s: claims[%d].account: want %d bytes, got %d", node, i, len(c.Application), len(m.GetAccount()))
		}
		copy(c.Application[:], m.GetAccount())
		if len(m.GetReceipt()) > 0 {
			if c.Last, err = receipt.Parse(m.GetReceipt()); err != nil {
				return nil, fmt.Errorf("nodes: claims of %s: claims[%d]: %w", node, i, err)
			}
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// maxDelivered is how many receipts go in one call.
const maxDelivered = 1024

// Deliver hands receipts to a node. The error says which it did not take.
func (p *Pool) Deliver(ctx context.Context, node drtc.NodeID, receipts []receipt.Signed) error {
	l := p.link(node)
	if l == nil {
		return fmt.Errorf("nodes: receipts for %s: it is not connected", node)
	}
	var refused []error
	for len(receipts) > 0 {
		n := min(len(receipts), maxDelivered)
		m := &medianodev1.DeliverReceiptsRequest{}
		for _, s := range receipts[:n] {
			m.Receipts = append(m.Receipts, s.Append(nil))
		}
		r, err := l.client.DeliverReceipts(ctx, connect.NewRequest(m))
		if err != nil {
			return errors.Join(append(refused, fmt.Errorf("nodes: receipts for %s: %w", node, err))...)
		}
		for i, reason := range r.Msg.GetRefused() {
			if int(i) < n {
				refused = append(refused, fmt.Errorf("nodes: receipt %d of epoch %d for %s: %s", receipts[i].Sequence, receipts[i].Epoch, node, shortened(reason)))
			}
		}
		receipts = receipts[n:]
	}
	return errors.Join(refused...)
}
