package main

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
)

// newKey is the command "key": Media Node Keys (whitepaper 5.5) and veHUDL.
func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Buy Media Node Keys, delegate them, and turn what they earned into HUDL",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyBuy(), newKeyList(), newKeyDelegate(), newKeyUndelegate(), newKeyTransfer(), newKeyRedeem(), newKeyWithdraw())
	return cmd
}

func newKeyBuy() *cobra.Command {
	var region, to string
	var count uint64
	var quote bool
	cmd := newLedgerCommand("buy", "Buy keys of a region with HUDL", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		of, err := drtc.ParseRegion(region)
		if err != nil {
			return fmt.Errorf("--region: %w", err)
		}
		if count < 1 || count > account.MaxAtOnce {
			return fmt.Errorf("--count: want 1 to %d, got %d", account.MaxAtOnce, count)
		}
		if quote {
			return f.quoteKeys(ctx, w, of, count)
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		owner := a.ID()
		if to != "" {
			if owner, err = readAddress("--to", to); err != nil {
				return err
			}
		}
		sale, err := a.Sale(ctx, of)
		if err != nil {
			return err
		}
		bought, err := a.BuyKeys(ctx, sale, count, owner)
		if err != nil {
			return err
		}
		return f.show(w, bought, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "bought\tkeys %v of %s for %s\n", bought.IDs, of, owner)
			fmt.Fprintf(t, "paid\t%s HUDL\n", account.HUDL(bought.CostWei.Int))
			done(t, bought.Done)
		})
	})
	cmd.Example = "  drtc key buy --region EU --count 2 --key-file owner.key"
	cmd.Flags().StringVar(&region, "region", "", "NAM, SAM, EU, AFR, MEA, ASI or OCE")
	cmd.Flags().Uint64Var(&count, "count", 1, "how many")
	cmd.Flags().StringVar(&to, "to", "", "address that gets them (default: the account)")
	cmd.Flags().BoolVar(&quote, "quote", false, "only say what they would cost")
	return cmd
}

func (f *ledgerFlags) quoteKeys(ctx context.Context, w io.Writer, region drtc.Region, count uint64) error {
	l, err := f.open(ctx)
	if err != nil {
		return err
	}
	sale, err := l.Sale(ctx, region)
	if err != nil {
		return err
	}
	cost := new(big.Int).Mul(sale.PriceWei.Int, new(big.Int).SetUint64(count))
	return f.show(w, struct {
		account.Sale
		Count   uint64         `json:"count"`
		CostWei account.Amount `json:"cost_wei"`
	}{sale, count, account.Amount{Int: cost}}, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "one key of %s\t%s HUDL\n", region, account.HUDL(sale.PriceWei.Int))
		fmt.Fprintf(t, "%d of them\t%s HUDL\n", count, account.HUDL(cost))
		fmt.Fprintf(t, "for sale\t%d\n", sale.Remaining)
	})
}

// holdings are what "key list" shows.
type holdings struct {
	account.Balances
	Keys        []keyState           `json:"keys"`
	Redemptions []account.Redemption `json:"redemptions"`
}

type keyState struct {
	account.Key
	// OwedWei is what the key's pool owes to the owner for all keys there.
	OwedWei *account.Amount `json:"owed_wei,omitempty"`
}

func newKeyList() *cobra.Command {
	var of string
	cmd := newLedgerCommand("list", "Show an account's keys, where they are delegated, and what it has", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		owner, err := f.whose(of)
		if err != nil {
			return err
		}
		l, err := f.open(ctx)
		if err != nil {
			return err
		}
		h, now, err := readHoldings(ctx, l, owner)
		if err != nil {
			return err
		}
		return f.show(w, h, func(t *tabwriter.Writer) { printHoldings(t, h, now) })
	})
	cmd.Flags().StringVar(&of, "account", "", "address of the owner (default: that of the key)")
	return cmd
}

func readHoldings(ctx context.Context, l *account.Ledger, owner drtc.NodeID) (h holdings, now uint64, err error) {
	if h.Balances, err = l.Balances(ctx, owner); err != nil {
		return h, 0, err
	}
	if now, err = l.Epoch(ctx); err != nil {
		return h, 0, err
	}
	keys, err := l.Keys(ctx, owner)
	if err != nil {
		return h, 0, err
	}
	h.Keys = []keyState{}
	owed := map[drtc.NodeID]*big.Int{}
	for _, k := range keys {
		state := keyState{Key: k}
		if k.Node != nil {
			if owed[*k.Node] == nil {
				if owed[*k.Node], err = l.Owed(ctx, *k.Node, owner); err != nil {
					return h, 0, err
				}
			}
			state.OwedWei = &account.Amount{Int: owed[*k.Node]}
		}
		h.Keys = append(h.Keys, state)
	}
	h.Redemptions, err = l.Redemptions(ctx, owner)
	return h, now, err
}

func printHoldings(t io.Writer, h holdings, now uint64) {
	fmt.Fprintf(t, "account\t%s\n", h.Account)
	fmt.Fprintf(t, "HUDL\t%s\n", account.HUDL(h.HUDL.Int))
	fmt.Fprintf(t, "veHUDL\t%s\n", account.HUDL(h.VeHUDL.Int))
	fmt.Fprintf(t, "for gas\t%s\n", account.HUDL(h.Gas.Int))
	for _, r := range h.Redemptions {
		fmt.Fprintf(t, "redemption %d\t%s HUDL, from %s on: drtc key withdraw %d\n", r.ID, account.HUDL(r.Wei.Int), r.ReadyAt.Format("2006-01-02 15:04:05 MST"), r.ID)
	}
	if len(h.Keys) == 0 {
		fmt.Fprintln(t, "keys\tnone")
		return
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "KEY\tREGION\tDELEGATED TO\tCOUNTS\tITS POOL OWES")
	for _, k := range h.Keys {
		node, counts, owed := "-", "-", "-"
		switch {
		case k.Node != nil:
			node, owed = k.Node.String(), account.HUDL(k.OwedWei.Int)+" HUDL"
			if counts = "yes"; now <= k.Since {
				counts = fmt.Sprintf("from epoch %d", k.Since+1)
			}
		case k.FreeFrom > now:
			counts = fmt.Sprintf("rests until epoch %d", k.FreeFrom)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", k.ID, k.Region, node, counts, owed)
	}
}

func newKeyDelegate() *cobra.Command {
	var node string
	cmd := newLedgerCommand("delegate ID...", "Delegate keys to a Media Node's pool", cobra.MinimumNArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		return f.change(ctx, w, node, args, "delegated", "they count from the next epoch on", (*account.Account).Delegate)
	})
	cmd.Example = "  drtc key delegate 1 2 --node 0x... --key-file owner.key"
	cmd.Flags().StringVar(&node, "node", "", "address of the Media Node")
	return cmd
}

func newKeyUndelegate() *cobra.Command {
	var node string
	cmd := newLedgerCommand("undelegate ID...", "Take keys back from a Media Node's pool", cobra.MinimumNArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		return f.change(ctx, w, node, args, "undelegated", "they do not count for this epoch any more, and rest a while", (*account.Account).Undelegate)
	})
	cmd.Flags().StringVar(&node, "node", "", "address of the Media Node (default: where the first of them is)")
	return cmd
}

// change delegates or undelegates.
func (f *ledgerFlags) change(ctx context.Context, w io.Writer, node string, args []string, verb, effect string,
	do func(*account.Account, context.Context, drtc.NodeID, []uint64) (account.Done, error)) error {
	ids, err := readIDs(args)
	if err != nil {
		return err
	}
	var at drtc.NodeID
	if node != "" || verb == "delegated" {
		if at, err = readAddress("--node", node); err != nil {
			return err
		}
	}
	a, err := f.unlock(ctx)
	if err != nil {
		return err
	}
	d, err := do(a, ctx, at, ids)
	if err != nil {
		return err
	}
	return f.show(w, struct {
		account.Done
		IDs []uint64 `json:"ids"`
	}{d, ids}, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "%s\tkeys %v: %s\n", verb, ids, effect)
		done(t, d)
	})
}

func newKeyTransfer() *cobra.Command {
	var to string
	cmd := newLedgerCommand("transfer ID...", "Give keys to another account, which ends their delegations", cobra.MinimumNArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		ids, err := readIDs(args)
		if err != nil {
			return err
		}
		owner, err := readAddress("--to", to)
		if err != nil {
			return err
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		d, err := a.TransferKeys(ctx, owner, ids)
		if err != nil {
			return err
		}
		return f.show(w, struct {
			account.Done
			IDs []uint64    `json:"ids"`
			To  drtc.NodeID `json:"to"`
		}{d, ids, owner}, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "transferred\tkeys %v to %s: they earn nothing for this account from this epoch on\n", ids, owner)
			done(t, d)
		})
	})
	cmd.Flags().StringVar(&to, "to", "", "address of the new owner")
	return cmd
}

func newKeyRedeem() *cobra.Command {
	return newLedgerCommand("redeem AMOUNT|all", "Burn veHUDL, to get as much HUDL after the lock", cobra.ExactArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		var wei *big.Int
		var err error
		if args[0] != "all" {
			if wei, err = account.ParseHUDL(args[0]); err != nil {
				return fmt.Errorf("AMOUNT: %w", err)
			}
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		d, r, err := a.Redeem(ctx, wei)
		if err != nil {
			return err
		}
		return f.show(w, struct {
			account.Done
			Redemption account.Redemption `json:"redemption"`
		}{d, r}, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "redemption %d\t%s HUDL, from %s on: drtc key withdraw %d\n", r.ID, account.HUDL(r.Wei.Int), r.ReadyAt.Format("2006-01-02 15:04:05 MST"), r.ID)
			done(t, d)
		})
	})
}

func newKeyWithdraw() *cobra.Command {
	return newLedgerCommand("withdraw REDEMPTION", "Take the HUDL of a redemption whose lock is over", cobra.ExactArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		id, err := readNumber("REDEMPTION", args[0])
		if err != nil {
			return err
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		d, err := a.Withdraw(ctx, id)
		if err != nil {
			return err
		}
		return f.show(w, d, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "withdrawn\tredemption %d\n", id)
			done(t, d)
		})
	})
}
