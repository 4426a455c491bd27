package main

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"text/tabwriter"
	"time"

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
		return f.show(w, e, func(t *tabwriter.Writer) { printEpoch(t, e, time.Now()) })
	})
}

func printEpoch(t io.Writer, e account.EpochRecord, now time.Time) {
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
	fmt.Fprintf(t, "r_max\t%s HUDL per GB\n", account.HUDL(e.ScaleWei.Int))
	if e.Status != account.Opened {
		fmt.Fprintf(t, "root\t%s\n", root)
		if s := e.Totals; s != nil {
			fmt.Fprintf(t, "leaves\t%d, for %s GB\n", s.Leaves, account.Decimal(s.Bytes.Int, 9))
			came := "all came"
			if e.Status == account.Charging {
				came = "not all came yet"
			}
			fmt.Fprintf(t, "charges\t%d, %s\nrewards (M0)\t%s HUDL\n", s.Charges, came, account.HUDL(s.RewardWei.Int))
		}
		cut := ""
		if e.Cut {
			cut = ", cut to the cap on net mint"
		}
		fmt.Fprintf(t, "minted (M)\t%s HUDL%s\nclaimed of it\t%s HUDL\n", account.HUDL(e.MintWei.Int), cut, account.HUDL(e.PaidWei.Int))
	}
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
	switch from := e.ClaimableFrom; {
	case from != nil && now.Before(*from):
		fmt.Fprintf(t, "challenge window\topen until %s, then it may be claimed\n", from.Format(layout))
	case e.Status == account.Committed:
		fmt.Fprintln(t, "challenge window\tover: it may be claimed")
	}
	if p := e.Parameters; p != nil {
		fmt.Fprintf(t, "parameters\tversion %d\n", e.ParametersVersion)
		printParameters(t, *p)
	}
}

func printParameters(t io.Writer, p account.Parameters) {
	const wad = 18
	fmt.Fprintf(t, "  a GB\t%d credits; a byte between nodes counts %s\n", p.DCPerGB, percentOf(p.RelayWeightBps))
	fmt.Fprintf(t, "  pay\tat most %s of its price (kappa), of which %s is minted (alpha)\n", percentOf(p.KappaBps), percentOf(p.AlphaBps))
	w := p.WeightsBps
	fmt.Fprintf(t, "  scores\tavailability %s, history %s, location %s, coverage %s\n", percentOf(w.Availability), percentOf(w.History), percentOf(w.Location), percentOf(w.Coverage))
	mid := big.NewInt(p.MidQuality)
	fmt.Fprintf(t, "  quality\tnothing below %s, half at about %s, steepness %s\n", account.Decimal(new(big.Int).SetUint64(p.MinQuality), wad),
		account.Decimal(mid.Add(mid, big.NewInt(p.Tau)), wad), account.Decimal(p.K.Int, wad))
	fmt.Fprintf(t, "  net mint\t%s to %s %% of the supply\n", account.Decimal(p.LowestMint.Int, wad-2), account.Decimal(p.HighestMint.Int, wad-2))
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
