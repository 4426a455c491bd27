package ledger

import (
	"testing"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
)

// founded has a node with a pool, run by "operator" for 10 %, and keys 1 to 3 of
// "a" and 4 of "b". The Reserve owes 1 HUDL to pools.
func founded() *Ledger {
	l := New(econ.DefaultParameters(), econ.InitialBeta)
	l.Genesis("a", econ.NewWei(400))
	l.Genesis("b", econ.NewWei(100))
	l.BuyKeys("a", 3, econ.NewWei(100))
	l.BuyKeys("b", 1, econ.NewWei(100))
	l.CreatePool("node", "operator", 1000)
	l.mint(Reserve, econ.NewWei(1e18))
	l.reserveOwes = econ.NewWei(1e18)
	return l
}

func (l *Ledger) mustClaim(t *testing.T, number, wei uint64) {
	t.Helper()
	if err := l.Claim("node", number, econ.NewWei(wei)); err != nil {
		t.Fatal(err)
	}
}

func (l *Ledger) wantOwed(t *testing.T, when string, want map[string]uint64) {
	t.Helper()
	for who, wei := range want {
		if got := l.Owed(who, "node"); got != econ.NewWei(wei) {
			t.Errorf("%s: %s is owed %s, want %d", when, who, got, wei)
		}
	}
	l.Books() // adds everything up
}

func TestClaim_keysCountForWholeEpochs(t *testing.T) {
	l := founded()
	l.Delegate(0, "node", 1, 2, 3)
	l.Delegate(1, "node", 4)
	l.Undelegate(3, 1)
	l.Sell(3, 2, "b")
	l.mustClaim(t, 0, 1000)
	l.wantOwed(t, "epoch 0, without keys", map[string]uint64{"operator": 1000, "a": 0})
	l.mustClaim(t, 1, 1000)
	l.wantOwed(t, "epoch 1, three keys of a", map[string]uint64{"operator": 1100, "a": 900, "b": 0})
	l.mustClaim(t, 2, 1001)
	l.wantOwed(t, "epoch 2, one more of b; a wei is left", map[string]uint64{"operator": 1200, "a": 900 + 675, "b": 225})
	l.mustClaim(t, 3, 1003)
	// 1003 less 100, and the dust of 1: 904 for key 3 of a and key 4 of b
	l.wantOwed(t, "epoch 3, without the key sold and the one undelegated", map[string]uint64{"operator": 1300, "a": 1575 + 452, "b": 225 + 452})
	if got := l.Earned(2, "a"); got != econ.NewWei(300+225) {
		t.Errorf("the sold key earned %s for its seller, want what epochs 1 and 2 gave", got)
	}
	l.Collect("a", "node")
	if got := l.Votes("a"); got != econ.NewWei(2027) || !l.Owed("a", "node").IsZero() {
		t.Errorf("collected: %s, still owed %s", got, l.Owed("a", "node"))
	}
}

func TestUndelegate_inTheSameEpochNeverCounted(t *testing.T) {
	l := founded()
	l.Delegate(5, "node", 1)
	l.Undelegate(5, 1)
	for _, number := range []uint64{4, 5, 6, 7} {
		if n := len(l.counting("node", number)); n != 0 {
			t.Errorf("epoch %d: %d keys count, want none", number, n)
		}
	}
}

func TestSetCommission_holdsFromItsEpoch(t *testing.T) {
	l := founded()
	l.SetCommission(1, "node", 3000, 3)
	l.SetCommission(2, "node", 2000, 4) // replaces what has not begun
	for number, want := range map[uint64]econ.Bps{0: 1000, 3: 1000, 4: 2000, 9: 2000} {
		if got := l.pools["node"].commission(number); got != want {
			t.Errorf("epoch %d: %d bps, want %d", number, got, want)
		}
	}
}

func TestCommit_chargesTheApplicationThenItsOrchestrator(t *testing.T) {
	l := New(econ.DefaultParameters(), econ.InitialBeta) // 5000 credits per GB
	l.Genesis("app", econ.NewWei(1e18))
	l.Genesis("by", econ.NewWei(1e18))
	const tenCents = 10_000_000 // one HUDL is 10,000 credits
	l.Buy("app", "app", econ.NewWei(1e18), tenCents)
	l.Buy("by", "by", econ.NewWei(1e18), tenCents)
	l.Authorise("app", "by", econ.NewWei(7000), 1, 2)
	charge := func(number, gb uint64) (credits, own, limit econ.Wei) {
		t.Helper()
		charges := []Charge{{"app", "by", econ.NewWei(gb * econ.GB)}}
		open := l.Open(number, tenCents, nil, nil, charges)
		before := l.Has(DataCredits)
		l.Commit(&epoch.Closed{Commit: epoch.Commit{Epoch: number, ParametersVersion: open.ParametersVersion}, Totals: econ.Totals{Supply: l.accounting}}, charges)
		if got := before.Sub(l.Has(DataCredits)); got != open.Escrow {
			t.Errorf("epoch %d: %s wei left escrow, %s were quoted", number, got, open.Escrow)
		}
		return l.accounts["app"].credits, l.accounts["by"].credits, l.authorised[pair{"app", "by"}].remaining
	}
	for _, step := range []struct {
		number, gb       uint64
		app, by, allowed uint64
	}{
		{0, 1, 10_000, 5000, 7000}, // before it is authorised
		{1, 1, 5000, 5000, 2000},
		{2, 1, 3000, 2000, 0}, // as far as authorised
		{3, 0, 3000, 2000, 0},
	} {
		app, by, allowed := charge(step.number, step.gb)
		if app != econ.NewWei(step.app) || by != econ.NewWei(step.by) || allowed != econ.NewWei(step.allowed) {
			t.Errorf("epoch %d, %d GB: credits %s and %s, authorised %s, want %d, %d, %d", step.number, step.gb, app, by, allowed, step.app, step.by, step.allowed)
		}
		l.Books()
	}
}

func TestTake_theLastCreditTakesWhatIsLeft(t *testing.T) {
	a := account{econ.NewWei(3), econ.NewWei(10)}
	for _, want := range []uint64{3, 3, 4} {
		if _, escrow := a.take(econ.NewWei(1)); escrow != econ.NewWei(want) {
			t.Errorf("a credit takes %s wei, want %d", escrow, want)
		}
	}
	if taken, escrow := a.take(econ.NewWei(1)); !taken.IsZero() || !escrow.IsZero() {
		t.Errorf("from nothing: %s credits and %s wei", taken, escrow)
	}
}

func TestParameters_holdFromTheNextEpoch(t *testing.T) {
	first, second := econ.DefaultParameters(), econ.DefaultParameters()
	second.Alpha = 5000
	l := New(first, 6000)
	l.SetParameters(2, second, 5000)
	for number, want := range map[uint64]econ.Bps{0: 10_000, 2: 10_000, 3: 5000} {
		if got := l.Parameters(number).Alpha; got != want {
			t.Errorf("epoch %d: alpha %d, want %d", number, got, want)
		}
	}
	if got := l.Open(2, 1, nil, nil, nil); got.Beta != 6000 || got.ParametersVersion != 1 {
		t.Errorf("epoch 2: beta %d and version %d, want 6000 and 1", got.Beta, got.ParametersVersion)
	}
	l.beta = 6200 // it has drifted
	if got := l.Open(2, 1, nil, nil, nil); got.Beta != 6200 {
		t.Errorf("drifted: beta %d, want 6200", got.Beta)
	}
	if got := l.Open(3, 1, nil, nil, nil); got.Beta != 5000 || got.ParametersVersion != 2 {
		t.Errorf("epoch 3: beta %d and version %d, want 5000 and 2", got.Beta, got.ParametersVersion)
	}
}
