package control

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/receipt"
)

// accounts are those of a test.
type accounts struct {
	mu        sync.Mutex // guards what follows
	standing  receipt.Standing
	delivered []receipt.Signed
}

// Claims implements Receipts.
func (a *accounts) Claims(drtc.NodeID) []receipt.Claim {
	return []receipt.Claim{
		{Application: receipt.Application{1}, Epoch: 5, Counted: receipt.Counters{Client: 10, Relay: 20}},
		{Application: receipt.Application{2}, Epoch: 6, Last: receipt.Signed{Sequence: 3}},
	}
}

// Deliver implements Receipts.
func (a *accounts) Deliver(_ drtc.NodeID, receipts []receipt.Signed) []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delivered = append(a.delivered, receipts...)
	results := make([]error, len(receipts))
	results[0] = errors.New("not that one")
	return results
}

// Judge implements Receipts.
func (a *accounts) Judge(drtc.NodeID) receipt.Standing {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.standing
}

func (a *accounts) stand(d receipt.Decision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.standing = receipt.Standing{Decision: d, Reason: "receipts lag"}
}

func TestPayer_isReadFromItsLabel(t *testing.T) {
	p := Payer{Orchestrator: drtc.NodeID{1}, Account: receipt.Application{2}, Application: "shop"}
	if got, ok := ReadPayer(p.Label()); !ok || got != p {
		t.Errorf("got %+v, %v, want %+v", got, ok, p)
	}
	if _, ok := ReadPayer("other"); ok {
		t.Error("a word was read as a payer")
	}
	if got, err := payerOf(drtc.NodeID{1}, "shop", nil); err != nil || got.Account != receipt.Application(drtc.NodeID{1}) {
		t.Errorf("without an account: got %+v, %v, want the Orchestrator's own", got, err)
	}
	if _, err := payerOf(drtc.NodeID{1}, "shop", make([]byte, 19)); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a short account: got %v", err)
	}
}

func TestReceipts_overTheWire(t *testing.T) {
	s := newService(t)
	w := newNetwork(t, s)
	c := w.as("", "")
	_, err := c.GetClaims(t.Context(), connect.NewRequest(&medianodev1.GetClaimsRequest{}))
	wantCode(t, "claims of a node that asks for no receipts", err, connect.CodeUnimplemented)
	_, err = c.DeliverReceipts(t.Context(), connect.NewRequest(&medianodev1.DeliverReceiptsRequest{}))
	wantCode(t, "receipts for it", err, connect.CodeUnimplemented)

	a := &accounts{}
	s.cfg.Receipts = a
	r, err := c.GetClaims(t.Context(), connect.NewRequest(&medianodev1.GetClaimsRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	claims := r.Msg.Claims
	if len(claims) != 2 || claims[0].Epoch != 5 || claims[0].ClientBytes != 10 || claims[0].RelayBytes != 20 || len(claims[0].Receipt) != 0 || len(claims[1].Receipt) != receipt.Size {
		t.Errorf("claims are %v", claims)
	}
	for name, bad := range map[string][][]byte{"short": {make([]byte, 3)}, "too many": make([][]byte, maxDelivered+1)} {
		_, err := c.DeliverReceipts(t.Context(), connect.NewRequest(&medianodev1.DeliverReceiptsRequest{Receipts: bad}))
		wantCode(t, name, err, connect.CodeInvalidArgument)
	}
	one := receipt.Signed{Sequence: 7}.Append(nil)
	d, err := c.DeliverReceipts(t.Context(), connect.NewRequest(&medianodev1.DeliverReceiptsRequest{Receipts: [][]byte{one, one}}))
	if err != nil || len(a.delivered) != 2 || a.delivered[0].Sequence != 7 || len(d.Msg.Refused) != 1 || d.Msg.Refused[0] != "not that one" {
		t.Errorf("delivered %v, refused %v (%v)", a.delivered, d, err)
	}
}

// An Orchestrator is warned, gets nothing new, and is cut off in the end.
func TestReceipts_lagging(t *testing.T) {
	a := &accounts{}
	s := newService(t)
	s.cfg.Receipts = a
	c := newNetwork(t, s).as("", "")
	beat := func() *medianodev1.Heartbeat { return s.beat() }
	if err := create(c, "SE_1", "RM_1"); err != nil {
		t.Fatal(err)
	}
	a.stand(receipt.Warn)
	if h := beat(); h.Receipts != "receipts lag" || h.Refuses != "" {
		t.Errorf("warned: the heartbeat says %q and refuses %q", h.Receipts, h.Refuses)
	}
	if err := create(c, "SE_2", "RM_1"); err != nil {
		t.Errorf("warned: %v", err)
	}
	a.stand(receipt.StopNew)
	if h := beat(); h.Refuses != "receipts lag" {
		t.Errorf("nothing new: the heartbeat refuses %q", h.Refuses)
	}
	if err := create(c, "SE_3", "RM_1"); connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "receipts lag") {
		t.Errorf("nothing new: got %v", err)
	}
	s.cutOff()
	if got := s.Sessions(); got != 2 {
		t.Errorf("nothing new: %d sessions, want the two go on", got)
	}
	a.stand(receipt.Stop)
	s.cutOff()
	if got := s.Sessions(); got != 0 {
		t.Errorf("cut off: %d sessions go on", got)
	}
	if _, err := c.GetSession(context.Background(), connect.NewRequest(&medianodev1.GetSessionRequest{Session: "SE_1"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("cut off: %v", err)
	}
}
