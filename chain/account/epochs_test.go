package account_test

import (
	"math/big"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
)

// An epoch is nothing, open, charging, and committed with a window.
func TestEpochRecord_ofAnEpochOnItsWay(t *testing.T) {
	n := newNetwork(t)
	ctx := t.Context()
	a := n.unlock(t, 1)
	proof := bindings.NewProofOfResource()
	must(a.BuyCredits(ctx, a.ID(), hudl(1000), big.NewInt(1)))
	must(a.Authorise(ctx, drtc.NodeID{0: 41}, big.NewInt(1_000_000), 1000))
	must(a.Authorise(ctx, drtc.NodeID{0: 42}, big.NewInt(1_000_000), 1000))
	number := must(a.Epoch(ctx))
	n.pass(t, a, number+1)

	if r := must(a.EpochRecord(ctx, number)); r.Status != account.NotOpened || r.Parameters != nil || r.CommittedAt != nil || r.High8 != 0 {
		t.Errorf("before anybody opens it: %+v", r)
	}
	n.send(t, 8, "ProofOfResource", proof.PackOpen(number))
	if r := must(a.EpochRecord(ctx, number)); r.Status != account.Opened || r.Parameters == nil || r.CommittedAt != nil || r.Totals != nil || r.High8 != 5_000_000 {
		t.Errorf("open: %+v", r)
	}

	charge := func(orchestrator byte, gb uint64) epoch.Charge {
		return epoch.Charge{Application: a.ID(), Orchestrator: drtc.NodeID{0: orchestrator}, Bytes: econ.NewWei(gb * econ.GB)}
	}
	charges := []epoch.Charge{charge(41, 2), charge(42, 3)}
	closed := closeEpoch(t, number, epoch.None, key(t, 31).ID(), [32]byte{}, charges...)
	n.commit(t, closed, nil)
	r := must(a.EpochRecord(ctx, number))
	if r.Status != account.Charging || r.Settlement != nil || r.ClaimableFrom != nil || r.CommittedAt == nil {
		t.Errorf("charging: %+v", r)
	}
	if s := r.Totals; s == nil || s.Charges != 2 || s.Leaves != 1 {
		t.Errorf("charging: totals %+v, want 2 charges and a leaf", s)
	}
	n.send(t, 8, "ProofOfResource", proof.PackContinueCharges(number, chargesOf(charges), [32]byte{}))
	r = must(a.EpochRecord(ctx, number))
	if r.Status != account.Committed || r.Settlement == nil || r.Settlement.ConsumedCredits.Cmp(big.NewInt(25_000)) != 0 || r.ClaimableFrom == nil || r.Totals == nil {
		t.Errorf("committed: %+v, want 25,000 credits consumed and a window", r)
	}
}
