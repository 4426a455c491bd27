package control

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/receipt"
)

// Receipts keeps the node's accounts with Orchestrators (whitepaper 3.3). Its
// methods may be called from any goroutine.
type Receipts interface {
	// Claims are the open accounts of an Orchestrator.
	Claims(orchestrator drtc.NodeID) []receipt.Claim
	// Deliver takes receipts and says of each why it is refused, nil if it is on
	// disk.
	Deliver(from drtc.NodeID, receipts []receipt.Signed) []error
	// Judge says whether to serve an Orchestrator.
	Judge(orchestrator drtc.NodeID) receipt.Standing
}

// maxDelivered bounds the receipts of one call.
const maxDelivered = 1024

// Payer is for whom bytes are counted.
type Payer struct {
	Orchestrator drtc.NodeID         // who orders
	Account      receipt.Application // that receipts are for
	Application  string              // its name with the Orchestrator
}

// Label is the payer as the engine carries it.
func (p Payer) Label() string {
	return string(p.Orchestrator[:]) + string(p.Account[:]) + p.Application
}

// ReadPayer reads what Label wrote, false for anything else.
func ReadPayer(label string) (p Payer, ok bool) {
	const addresses = len(p.Orchestrator) + len(p.Account)
	if len(label) < addresses {
		return Payer{}, false
	}
	copy(p.Orchestrator[:], label)
	copy(p.Account[:], label[len(p.Orchestrator):])
	p.Application = label[addresses:]
	return p, true
}

// payerOf reads whom a call of an Orchestrator names.
func payerOf(owner drtc.NodeID, application string, account []byte) (Payer, error) {
	p := Payer{Orchestrator: owner, Account: owner, Application: application}
	switch len(account) {
	case 0:
	case len(p.Account):
		copy(p.Account[:], account)
	default:
		return Payer{}, invalid("account: want %d bytes or none, got %d", len(p.Account), len(account))
	}
	return p, nil
}

// standing is how an Orchestrator stands with the node.
func (s *Service) standing(owner drtc.NodeID) receipt.Standing {
	if s.cfg.Receipts == nil {
		return receipt.Standing{}
	}
	return s.cfg.Receipts.Judge(owner)
}

// creditworthy returns an error with the reason if an Orchestrator gets nothing
// new.
func (s *Service) creditworthy(owner drtc.NodeID) error {
	standing := s.standing(owner)
	if standing.Decision < receipt.StopNew {
		return nil
	}
	s.cfg.Refused(RefusedReceipts)
	return connect.NewError(connect.CodeResourceExhausted, errors.New(standing.Reason))
}

// cutOff ends what is served to Orchestrators whose receipts lag too much.
func (s *Service) cutOff() {
	if s.cfg.Receipts == nil {
		return
	}
	s.mu.Lock()
	owners := map[drtc.NodeID]string{}
	for k := range s.sessions {
		owners[k.owner] = ""
	}
	for _, owner := range s.shared {
		owners[owner] = ""
	}
	s.mu.Unlock()
	for owner := range owners {
		standing := s.standing(owner)
		if standing.Decision != receipt.Stop {
			continue
		}
		for _, e := range s.all(func(e *session) bool { return e.owner == owner }) {
			s.end(e, standing.Reason)
		}
		s.mu.Lock()
		for room, o := range s.shared {
			if o == owner {
				s.relays.orphaned(room)
			}
		}
		s.mu.Unlock()
	}
}

// finally is what the transports of a session have come to, before they close. The
// caller holds e.mu.
func (s *Service) finally(e *session) (f engine.Figures, ok bool) {
	if !e.publisher.open && !e.subscriber.open {
		return f, false
	}
	err := s.figuresInto(e.publisher.peer, &f)
	if e.dual {
		var down engine.Figures
		err = errors.Join(err, s.figuresInto(e.subscriber.peer, &down))
		f = joined(f, down)
	}
	return f, err == nil
}

// GetClaims implements the ControlService.
func (s *Service) GetClaims(ctx context.Context, _ *connect.Request[medianodev1.GetClaimsRequest]) (*connect.Response[medianodev1.GetClaimsResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if s.cfg.Receipts == nil {
		return nil, errNoReceipts()
	}
	resp := &medianodev1.GetClaimsResponse{}
	for _, c := range s.cfg.Receipts.Claims(owner) {
		m := &medianodev1.Claim{Account: c.Application[:], Epoch: c.Epoch, ClientBytes: c.Counted.Client, RelayBytes: c.Counted.Relay}
		if c.Last.Sequence > 0 {
			m.Receipt = c.Last.Append(nil)
		}
		resp.Claims = append(resp.Claims, m)
	}
	return connect.NewResponse(resp), nil
}

// DeliverReceipts implements the ControlService.
func (s *Service) DeliverReceipts(ctx context.Context, req *connect.Request[medianodev1.DeliverReceiptsRequest]) (*connect.Response[medianodev1.DeliverReceiptsResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if s.cfg.Receipts == nil {
		return nil, errNoReceipts()
	}
	if n := len(req.Msg.Receipts); n > maxDelivered {
		return nil, invalid("receipts: want at most %d, got %d", maxDelivered, n)
	}
	receipts := make([]receipt.Signed, len(req.Msg.Receipts))
	for i, b := range req.Msg.Receipts {
		if receipts[i], err = receipt.Parse(b); err != nil {
			return nil, invalid("receipts[%d]: %w", i, err)
		}
	}
	resp := &medianodev1.DeliverReceiptsResponse{Refused: map[uint32]string{}}
	for i, err := range s.cfg.Receipts.Deliver(owner, receipts) {
		if err != nil {
			resp.Refused[uint32(i)] = err.Error()
		}
	}
	return connect.NewResponse(resp), nil
}

func errNoReceipts() error {
	return connect.NewError(connect.CodeUnimplemented, fmt.Errorf("this node asks for no receipts"))
}
