package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/chain/account"
)

// newEpoch is the command "epoch": what the chain keeps of epochs (whitepaper 5.7).
func newEpoch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "epoch",
		Short: "Look at epochs",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEpochShow())
	return cmd
}

func newEpochShow() *cobra.Command {
	return newLedgerCommand("show N|latest", "Show what the chain keeps of an epoch", cobra.ExactArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		var n uint64
		var err error
		if args[0] != "latest" {
			if n, err = readNumber("N", args[0]); err != nil {
				return err
			}
		}
		l, err := f.open(ctx)
		if err != nil {
			return err
		}
		if args[0] == "latest" {
			if n, err = l.LatestEpoch(ctx); err != nil {
				return err
			}
		}
		e, err := l.EpochRecord(ctx, n)
		if err != nil {
			return err
		}
		return f.show(w, e, func(t *tabwriter.Writer) { printEpoch(t, e) })
	})
}

func printEpoch(t *tabwriter.Writer, e account.EpochRecord) {
	const layout = "2006-01-02 15:04:05 MST"
	root, _ := e.Root.MarshalText()
	fmt.Fprintf(t, "epoch\t%d, %s to %s\n", e.Epoch, e.Begins.Format(layout), e.Ends.Format(layout))
	fmt.Fprintf(t, "status\t%s\n", e.Status)
	if e.High8 != 0 {
		fmt.Fprintf(t, "price of HUDL\t%s USD at the lowest, %s at the highest\n", price(e.Low8), price(e.High8))
	}
	if e.Status == account.NotOpened {
		return
	}
	fmt.Fprintf(t, "parameters\tversion %d\nr_max\t%s HUDL per GB\n", e.ParametersVersion, account.HUDL(e.ScaleWei.Int))
	if e.Status == account.Opened {
		return
	}
	fmt.Fprintf(t, "root\t%s\n", root)
	cut := ""
	if e.Cut {
		cut = ", cut to the cap on net mint"
	}
	fmt.Fprintf(t, "minted (M)\t%s HUDL%s\nclaimed of it\t%s HUDL\n", account.HUDL(e.MintWei.Int), cut, account.HUDL(e.PaidWei.Int))
	if s := e.Settlement; s != nil {
		fmt.Fprintf(t, "credits consumed\t%s, worth %s USD\n", s.ConsumedCredits, account.USD(s.ConsumedCredits.Int))
		fmt.Fprintf(t, "received (Q)\t%s HUDL\nburned (B)\t%s HUDL\n", account.HUDL(s.ReceivedWei.Int), account.HUDL(s.BurnWei.Int))
		if s.FillerWei.Sign() > 0 {
			fmt.Fprintf(t, "filled up (Y)\t%s HUDL\n", account.HUDL(s.FillerWei.Int))
		}
		fmt.Fprintf(t, "supply after it\t%s HUDL\nnext beta\t%s\n", account.HUDL(s.SupplyWei.Int), percentOf(s.BetaBps))
	}
	if e.CommittedAt != nil {
		fmt.Fprintf(t, "committed\t%s\n", e.CommittedAt.Format(layout))
	}
	if e.ClaimableFrom != nil {
		fmt.Fprintf(t, "may be claimed\tfrom %s on\n", e.ClaimableFrom.Format(layout))
	}
}

// price writes USD x 10^8 in USD.
func price(price8 uint64) string {
	return strconv.FormatFloat(float64(price8)/1e8, 'f', -1, 64)
}

func readNumber(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: want a whole number, got %.30q", name, text)
	}
	return n, nil
}
