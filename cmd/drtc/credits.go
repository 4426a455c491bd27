package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
)

// newCredits is the command "credits": what applications pay with (whitepaper 3.3).
func newCredits() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credits",
		Short: "Buy data credits for an application and let Orchestrators use them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCreditsBuy(), newCreditsAuthorise(), newCreditsRevoke(), newCreditsBalance())
	return cmd
}

func newCreditsBuy() *cobra.Command {
	var hudl, application, token, amount, least string
	var quote bool
	cmd := newLedgerCommand("buy", "Buy credits with HUDL, or with a stablecoin", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		if (hudl == "") == (token == "") {
			return errors.New("want --hudl, or --stable and --amount")
		}
		var wei, units *big.Int
		var err error
		if hudl != "" {
			if wei, err = account.ParseHUDL(hudl); err != nil {
				return fmt.Errorf("--hudl: %w", err)
			}
		} else if units, err = readUnits("--amount", amount); err != nil {
			return err
		}
		if quote {
			return f.quoteCredits(ctx, w, wei)
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		buyer := a.ID()
		if application != "" {
			if buyer, err = readAddress("--application", application); err != nil {
				return err
			}
		}
		fewest, err := f.fewest(ctx, a, wei, least)
		if err != nil {
			return err
		}
		var bought account.BoughtCredits
		if wei != nil {
			bought, err = a.BuyCredits(ctx, buyer, wei, fewest)
		} else {
			var stable drtc.NodeID
			if stable, err = readAddress("--stable", token); err == nil {
				bought, err = a.BuyCreditsWithStable(ctx, buyer, stable, units, fewest)
			}
		}
		if err != nil {
			return err
		}
		return f.show(w, bought, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "bought\t%s credits, worth %s USD, for %s\n", bought.Credits, account.USD(bought.Credits.Int), buyer)
			fmt.Fprintf(t, "in escrow\t%s HUDL\n", account.HUDL(bought.Wei.Int))
			done(t, bought.Done)
		})
	})
	cmd.Example = "  drtc credits buy --hudl 100 --key-file application.key"
	cmd.Flags().StringVar(&hudl, "hudl", "", "HUDL to spend, such as 12.5 or \"2500 wei\"")
	cmd.Flags().StringVar(&application, "application", "", "address whose credits they become (default: the account)")
	cmd.Flags().StringVar(&token, "stable", "", "address of a stablecoin to pay with, if the network takes one")
	cmd.Flags().StringVar(&amount, "amount", "", "with --stable: how much, in the coin's smallest units")
	cmd.Flags().StringVar(&least, "least", "", "fewest credits to accept (default with --hudl: 99 % of what they buy now)")
	cmd.Flags().BoolVar(&quote, "quote", false, "only say how many credits --hudl buys now")
	return cmd
}

// fewest is the least number of credits that a purchase accepts.
func (f *ledgerFlags) fewest(ctx context.Context, a *account.Account, wei *big.Int, least string) (*big.Int, error) {
	if least != "" {
		return readUnits("--least", least)
	}
	if wei == nil {
		return nil, errors.New("--least: want the fewest credits to accept for stablecoins")
	}
	q, err := a.Quote(ctx, wei)
	if err != nil {
		return nil, err
	}
	fewest := new(big.Int).Mul(q.Credits.Int, big.NewInt(99))
	return fewest.Div(fewest, big.NewInt(100)), nil
}

func (f *ledgerFlags) quoteCredits(ctx context.Context, w io.Writer, wei *big.Int) error {
	if wei == nil {
		return errors.New("--quote: want --hudl")
	}
	l, err := f.open(ctx)
	if err != nil {
		return err
	}
	q, err := l.Quote(ctx, wei)
	if err != nil {
		return err
	}
	return f.show(w, q, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "%s HUDL\tbuy %s credits, worth %s USD\n", account.HUDL(q.Wei.Int), q.Credits, account.USD(q.Credits.Int))
		fmt.Fprintf(t, "price of HUDL\t%s USD, the lower of spot and average\n", price(q.Price8))
	})
}

func newCreditsAuthorise() *cobra.Command {
	var orchestrator, file string
	var limit string
	var epochs uint64
	var end uint64
	var sign bool
	var valid time.Duration
	cmd := newLedgerCommand("authorise", "Let an Orchestrator use credits, up to a limit and an end", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		if file != "" {
			return f.present(ctx, w, file)
		}
		to, err := readAddress("--orchestrator", orchestrator)
		if err != nil {
			return err
		}
		credits, err := readUnits("--limit", limit)
		if err != nil {
			return err
		}
		l, err := f.open(ctx)
		if err != nil {
			return err
		}
		if end == 0 {
			now, err := l.Epoch(ctx)
			if err != nil {
				return err
			}
			end = now + epochs
		}
		if sign {
			application, err := f.key()
			if err != nil {
				return err
			}
			p, err := l.Permit(ctx, application, to, credits, end, time.Now().Add(valid))
			if err != nil {
				return err
			}
			return printJSON(w, p)
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		d, err := a.Authorise(ctx, to, credits, end)
		if err != nil {
			return err
		}
		return f.show(w, d, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "authorised\t%s may use %s credits, worth %s USD, up to epoch %d\n", to, credits, account.USD(credits), end)
			done(t, d)
		})
	})
	cmd.Long = `Lets an Orchestrator use the account's credits. With --sign nothing is sent: what is
printed is signed by the application's key, and anybody may bring it to the chain
with --signed, so the application needs no coin for gas.`
	cmd.Example = `  drtc credits authorise --orchestrator 0x... --limit 500000 --epochs 30 --key-file application.key`
	cmd.Flags().StringVar(&orchestrator, "orchestrator", "", "address of the Orchestrator")
	cmd.Flags().StringVar(&limit, "limit", "", "credits that it may use; one is 0.00001 USD")
	cmd.Flags().Uint64Var(&epochs, "epochs", 30, "for how many epochs after this one")
	cmd.Flags().Uint64Var(&end, "end-epoch", 0, "last epoch, instead of --epochs")
	cmd.Flags().BoolVar(&sign, "sign", false, "print a signed permission and send nothing")
	cmd.Flags().StringVar(&file, "signed", "", "bring the signed permission of this file to the chain")
	cmd.Flags().DurationVar(&valid, "valid", 24*time.Hour, "with --sign: until when it may be brought to the chain")
	return cmd
}

// present brings a signed permission to the chain.
func (f *ledgerFlags) present(ctx context.Context, w io.Writer, file string) error {
	var p account.Permission
	if err := readJSON("--signed", file, &p); err != nil {
		return err
	}
	a, err := f.unlock(ctx)
	if err != nil {
		return err
	}
	d, err := a.Present(ctx, p)
	if err != nil {
		return err
	}
	return f.show(w, d, func(t *tabwriter.Writer) {
		fmt.Fprintf(t, "authorised\t%s may use %s credits of %s up to epoch %d\n", p.Orchestrator, p.Credits, p.Application, p.EndEpoch)
		done(t, d)
	})
}

func newCreditsRevoke() *cobra.Command {
	var orchestrator string
	cmd := newLedgerCommand("revoke", "End an Orchestrator's authority after this epoch", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		to, err := readAddress("--orchestrator", orchestrator)
		if err != nil {
			return err
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		d, err := a.Revoke(ctx, to)
		if err != nil {
			return err
		}
		return f.show(w, d, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "revoked\t%s may use nothing after this epoch\n", to)
			done(t, d)
		})
	})
	cmd.Flags().StringVar(&orchestrator, "orchestrator", "", "address of the Orchestrator")
	return cmd
}

func newCreditsBalance() *cobra.Command {
	var of string
	var orchestrators []string
	cmd := newLedgerCommand("balance", "Show an application's credits, and what Orchestrators may use of them", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		application, err := f.whose(of)
		if err != nil {
			return err
		}
		asked := make([]drtc.NodeID, len(orchestrators))
		for i, text := range orchestrators {
			if asked[i], err = readAddress("--orchestrator", text); err != nil {
				return err
			}
		}
		l, err := f.open(ctx)
		if err != nil {
			return err
		}
		c, err := l.Credits(ctx, application, asked)
		if err != nil {
			return err
		}
		return f.show(w, c, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "application\t%s\n", c.Application)
			fmt.Fprintf(t, "credits\t%s, worth %s USD\n", c.Credits, account.USD(c.Credits.Int))
			fmt.Fprintf(t, "in escrow\t%s HUDL\n", account.HUDL(c.EscrowWei.Int))
			for _, a := range c.Authorisations {
				may := "may use nothing"
				if a.Credits.Sign() > 0 {
					may = fmt.Sprintf("may use %s credits, epochs %d to %d", a.Credits, a.FirstEpoch, a.EndEpoch)
				}
				fmt.Fprintf(t, "%s\t%s\n", a.Orchestrator, may)
			}
		})
	})
	cmd.Flags().StringVar(&of, "account", "", "address of the application (default: that of the key)")
	cmd.Flags().StringSliceVar(&orchestrators, "orchestrator", nil, "also show what these may use, with commas")
	return cmd
}

// readUnits reads a whole number above 0.
func readUnits(name, text string) (*big.Int, error) {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() <= 0 || n.BitLen() > 127 || len(text) > 40 {
		return nil, fmt.Errorf("%s: want a whole number above 0, got %.30q", name, text)
	}
	return n, nil
}
