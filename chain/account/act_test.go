package account_test

import (
	"context"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/client"
)

// tries makes accounts of one key, one process after the other, until f is done. A
// process is stopped as soon as a transaction of it is in a block; then another comes.
func (n *network) tries(t *testing.T, f func(context.Context, *account.Account) error) (finished []string) {
	t.Helper()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		a := n.unlock(t, 1)
		for _, begun := range a.Finished() {
			finished = append(finished, begun.What)
		}
		stopped := make(chan struct{})
		go func() { defer close(stopped); n.stopWhenSent(ctx, cancel, a.ID()) }()
		err := f(ctx, a)
		cancel()
		<-stopped
		if closed := a.Close(); closed != nil {
			t.Fatal(closed)
		}
		if !errors.Is(err, client.ErrNotSettled) {
			if err != nil {
				t.Fatal(err)
			}
			return finished
		}
		n.advance(t, 1)
	}
	t.Fatal("not done after 5 processes")
	return nil
}

// stopWhenSent cancels once the account has one more transaction in a block.
func (n *network) stopWhenSent(ctx context.Context, cancel func(), id drtc.NodeID) {
	before, err := n.observer.Nonce(ctx, common.Address(id))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for now := before; err == nil && now == before; now, err = n.observer.Nonce(ctx, common.Address(id)) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	cancel()
}

// Who is stopped while a purchase is under way and asks again gets that purchase,
// though the price that it may cost has changed in between.
func TestAccount_whoAsksAgainAfterBeingStoppedMeansTheSame(t *testing.T) {
	n := newNetwork(t)
	n.config.Finality = client.Confirmations(1) // nothing settles without a later block
	var bought account.Bought
	buy := func(ctx context.Context, a *account.Account) (err error) {
		sale := must(a.Sale(t.Context(), "EU"))
		bought, err = a.BuyKeys(ctx, sale, 2, a.ID())
		sale.PriceWei.Add(sale.PriceWei.Int, big.NewInt(1))
		return err
	}
	finished := n.tries(t, buy)
	if want := []string{"approve", "buy-keys"}; !slices.Equal(finished, want) {
		t.Errorf("later processes finished %v, want %v", finished, want)
	}
	if !bought.Resumed || !slices.Equal(bought.IDs, []uint64{1, 2}) || bought.CostWei.Cmp(hudl(200)) != 0 {
		t.Errorf("got %+v, want keys 1 and 2 for 200 HUDL, resumed", bought)
	}
	if left := must(n.unlock(t, 2).Sale(t.Context(), "EU")).Remaining; left != 9998 {
		t.Errorf("%d keys are left for sale, want 9998", left)
	}

	// Another wish is another one, and so is the same wish later.
	n.tries(t, func(ctx context.Context, a *account.Account) (err error) {
		bought, err = a.BuyKeys(ctx, must(a.Sale(t.Context(), "EU")), 1, a.ID())
		return err
	})
	n.tries(t, buy)
	if !slices.Equal(bought.IDs, []uint64{4, 5}) {
		t.Errorf("bought %v, want keys 4 and 5", bought.IDs)
	}
}

func tellsWhatItSpends(t *testing.T, n *network) {
	ctx := t.Context()
	var told []account.Spending
	l := must(account.Open(ctx, n.config, n.addresses, quiet))
	a, err := l.Unlock(ctx, key(t, 1), filepath.Join(n.dir, "teller.journal"), func(s account.Spending) { told = append(told, s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	must(a.BuyKeys(ctx, must(a.Sale(ctx, "EU")), 2, a.ID()))
	must(a.BuyCredits(ctx, a.ID(), hudl(3), big.NewInt(15_000)))
	to := drtc.NodeID{0: 7}
	must(a.GiveHUDL(ctx, to, hudl(5)))
	must(a.GiveCoin(ctx, to, big.NewInt(1e17)))
	must(a.Authorise(ctx, to, big.NewInt(1), 100)) // spends nothing
	want := [][2]string{
		{"buy 2 keys of EU", "200 HUDL"}, {"buy at least 15000 credits", "3 HUDL"},
		{"give to " + to.String(), "5 HUDL"}, {"give to " + to.String(), "0.1 of the chain's coin"},
	}
	if len(told) != len(want) {
		t.Fatalf("told of %d acts, want %d: %+v", len(told), len(want), told)
	}
	for i, s := range told {
		if s.What != want[i][0] || s.Pays != want[i][1] || s.Gas < 21_000 || s.GasWei.Sign() <= 0 {
			t.Errorf("told %+v, want %q for %q and the gas", s, want[i][0], want[i][1])
		}
	}
	if has := must(a.Balances(ctx, to)); has.HUDL.Cmp(hudl(5)) != 0 || has.Gas.Cmp(big.NewInt(1e17)) != 0 {
		t.Errorf("the other has %s HUDL and %s, want what it was given", has.HUDL, has.Gas)
	}
	if _, err := a.BuyKeys(ctx, must(a.Sale(ctx, "EU")), 100, a.ID()); err != nil || told[4].Pays != "10000 HUDL" {
		t.Errorf("got %v and %+v, want 100 keys bought", err, told[4:])
	}
}

func hasTooLittle(t *testing.T, n *network) {
	ctx := t.Context()
	poor := n.unlock(t, 3)
	sale := must(poor.Sale(ctx, "EU"))
	for name, try := range map[string]func() error{
		"keys":    func() error { _, err := poor.BuyKeys(ctx, sale, 1, poor.ID()); return err },
		"credits": func() error { _, err := poor.BuyCredits(ctx, poor.ID(), hudl(1), big.NewInt(1)); return err },
		"a gift":  func() error { _, err := poor.GiveHUDL(ctx, drtc.NodeID{0: 7}, hudl(1)); return err },
	} {
		if err := try(); !errors.Is(err, account.ErrTooLittle) || !strings.Contains(err.Error(), "has 0 HUDL") {
			t.Errorf("%s: got %v, want ErrTooLittle with what it has", name, err)
		}
	}
	without := n.unlock(t, 10) // nobody funded it
	if _, err := without.Delegate(ctx, drtc.NodeID{0: 7}, []uint64{1}); err == nil || errors.Is(err, account.ErrTooLittle) {
		t.Errorf("what is refused anyway: got %v, want the contract's reason", err)
	}
	if _, err := without.Authorise(ctx, drtc.NodeID{0: 7}, big.NewInt(1), 1000); !errors.Is(err, account.ErrTooLittle) || !strings.Contains(err.Error(), "of the chain's coin") {
		t.Errorf("without coin for gas: got %v, want ErrTooLittle", err)
	}
	sale.Remaining = 3
	if _, err := poor.BuyKeys(ctx, sale, 4, poor.ID()); err == nil || !strings.Contains(err.Error(), "want at most 3, which are for sale in EU") {
		t.Errorf("more than there are: got %v", err)
	}
}
