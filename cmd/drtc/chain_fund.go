package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
)

// newChainFund is how an account of a development network gets its first HUDL and
// coin.
func newChainFund() *cobra.Command {
	var hudl, coin string
	cmd := newLedgerCommand("fund ADDRESS...", "See that accounts have HUDL, and the chain's coin for gas", cobra.MinimumNArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		accounts := make([]drtc.NodeID, len(args))
		for i, text := range args {
			var err error
			if accounts[i], err = readAddress("ADDRESS", text); err != nil {
				return err
			}
		}
		least, err := readFunds(hudl, coin)
		if err != nil {
			return err
		}
		from, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		funded := []account.Balances{}
		for _, to := range accounts {
			has, err := least.see(ctx, from, to)
			if err != nil {
				return err
			}
			funded = append(funded, has)
		}
		return f.show(w, funded, func(t *tabwriter.Writer) {
			fmt.Fprintln(t, "ACCOUNT\tHUDL\tFOR GAS")
			for _, b := range funded {
				fmt.Fprintf(t, "%s\t%s\t%s\n", b.Account, account.HUDL(b.HUDL.Int), account.HUDL(b.Gas.Int))
			}
		})
	})
	cmd.Long = `Gives accounts what they lack, from that of the key: afterwards each has at least so
much. Given again it gives nothing more.`
	cmd.Example = "  drtc chain fund 0x... --hudl 1000 --coin 1 --devnet DIR"
	cmd.Flags().StringVar(&hudl, "hudl", "", "HUDL to have, such as 1000")
	cmd.Flags().StringVar(&coin, "coin", "", "how much to have of the chain's coin, such as 0.5 or \"2500 wei\"")
	return cmd
}

// funds are what an account shall have at least, in wei; nil for whatever it has.
type funds struct{ hudl, coin *big.Int }

func readFunds(hudl, coin string) (least funds, err error) {
	if hudl == "" && coin == "" {
		return least, errors.New("want --hudl, --coin, or both")
	}
	if coin != "" {
		if least.coin, err = account.ParseHUDL(coin); err != nil {
			return least, fmt.Errorf("--coin: %w", err)
		}
	}
	if hudl != "" {
		if least.hudl, err = account.ParseHUDL(hudl); err != nil {
			return least, fmt.Errorf("--hudl: %w", err)
		}
	}
	return least, nil
}

// see gives to what it lacks, and returns what it has then.
func (least funds) see(ctx context.Context, from *account.Account, to drtc.NodeID) (account.Balances, error) {
	has, err := from.Balances(ctx, to)
	if err != nil {
		return has, err
	}
	if least.coin != nil && has.Gas.Cmp(least.coin) < 0 {
		if _, err := from.GiveCoin(ctx, to, new(big.Int).Sub(least.coin, has.Gas.Int)); err != nil {
			return has, err
		}
	}
	if least.hudl != nil && has.HUDL.Cmp(least.hudl) < 0 {
		if _, err := from.GiveHUDL(ctx, to, new(big.Int).Sub(least.hudl, has.HUDL.Int)); err != nil {
			return has, err
		}
	}
	return from.Balances(ctx, to)
}
