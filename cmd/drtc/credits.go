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

// purchase is what "credits buy" is told.
type purchase struct {
	hudl, stable       string
	application, least string
}

func newCreditsBuy() *cobra.Command {
	var p purchase
	var quote bool
	cmd := newLedgerCommand("buy", "Buy credits with HUDL, or with a stablecoin", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		if (p.hudl == "") == (p.stable == "") {
			return errors.New("want either --hudl or --stable")
		}
		if quote {
			l, err := f.open(ctx)
			if err != nil {
				return err
			}
			o, err := p.offer(ctx, l)
			if err != nil {
				return err
			}
			return f.show(w, o, func(t *tabwriter.Writer) { printOffer(t, o) })
		}
		bought, application, err := f.buyCredits(ctx, p)
		if err != nil {
			return err
		}
		return f.show(w, bought, func(t *tabwriter.Writer) {
			fmt.Fprintf(t, "bought\t%s credits, worth %s USD, for %s\n", bought.Credits, account.USD(bought.Credits.Int), application)
			fmt.Fprintf(t, "in escrow\t%s HUDL\n", account.HUDL(bought.Wei.Int))
			done(t, bought.Done)
		})
	})
	cmd.Example = `  drtc credits buy --hudl 100 --quote
  drtc credits buy --hudl 100 --key-file application.key
  drtc credits buy --stable 25 --key-file treasurer.key --application 0x...`
	cmd.Flags().StringVar(&p.hudl, "hudl", "", "HUDL to spend, such as 12.5 or \"2500 wei\"")
	cmd.Flags().StringVar(&p.stable, "stable", "", "how much to spend of the stablecoin that the network takes, such as 12.5")
	cmd.Flags().StringVar(&p.application, "application", "", "address whose credits they become (default: the account)")
	cmd.Flags().StringVar(&p.least, "least", "", "fewest credits to accept (default: 99 % of what they buy now)")
	cmd.Flags().BoolVar(&quote, "quote", false, "only say how many credits it buys now")
	return cmd
}

// offer is how many credits a purchase gives now, and what it pays.
type offer struct {
	Wei    *account.Amount `json:"wei,omitempty"`
	Coin   *account.Stable `json:"coin,omitempty"`
	Units  *account.Amount `json:"units,omitempty"`
	Price8 uint64          `json:"price8,omitempty"` // of a HUDL
	Gives  account.Amount  `json:"credits"`
}

func (p purchase) offer(ctx context.Context, l *account.Ledger) (offer, error) {
	if p.stable != "" {
		coin, err := l.Stable(ctx)
		if err != nil {
			return offer{}, fmt.Errorf("--stable: %w", err)
		}
		units, err := coin.Parse(p.stable)
		if err != nil {
			return offer{}, fmt.Errorf("--stable: %s", printable(err.Error()))
		}
		return offer{Coin: &coin, Units: &account.Amount{Int: units}, Gives: account.Amount{Int: coin.Quote(units)}}, nil
	}
	wei, err := account.ParseHUDL(p.hudl)
	if err != nil {
		return offer{}, fmt.Errorf("--hudl: %w", err)
	}
	q, err := l.Quote(ctx, wei)
	return offer{Wei: &q.Wei, Price8: q.Price8, Gives: q.Credits}, err
}

func printOffer(t io.Writer, o offer) {
	pays := ""
	if o.Coin != nil {
		pays = printable(o.Coin.Text(o.Units.Int))
	} else {
		pays = account.HUDL(o.Wei.Int) + " HUDL"
	}
	fmt.Fprintf(t, "%s\tbuy %s credits, worth %s USD\n", pays, o.Gives, account.USD(o.Gives.Int))
	if o.Price8 != 0 {
		fmt.Fprintf(t, "price of HUDL\t%s USD, the lower of spot and average\n", price(o.Price8))
	}
}

// fewest is the least number of credits that a purchase accepts.
func (p purchase) fewest(o offer) (*big.Int, error) {
	if p.least != "" {
		least, err := account.ParseCredits(p.least)
		if err != nil {
			return nil, fmt.Errorf("--least: %w", err)
		}
		return least, nil
	}
	fewest := new(big.Int).Mul(o.Gives.Int, big.NewInt(99))
	return fewest.Div(fewest, big.NewInt(100)), nil
}

func (f *ledgerFlags) buyCredits(ctx context.Context, p purchase) (bought account.BoughtCredits, application drtc.NodeID, err error) {
	if p.application != "" {
		if application, err = readAddress("--application", p.application); err != nil {
			return bought, application, err
		}
	}
	a, err := f.unlock(ctx)
	if err != nil {
		return bought, application, err
	}
	if p.application == "" {
		application = a.ID()
	}
	o, err := p.offer(ctx, a.Ledger)
	if err != nil {
		return bought, application, err
	}
	least, err := p.fewest(o)
	if err != nil {
		return bought, application, err
	}
	if o.Coin != nil {
		bought, err = a.BuyCreditsWithStable(ctx, application, *o.Coin, o.Units.Int, least)
	} else {
		bought, err = a.BuyCredits(ctx, application, o.Wei.Int, least)
	}
	return bought, application, err
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
		if valid <= 0 {
			return fmt.Errorf("--valid: want a time above 0, got %s", valid)
		}
		to, err := readAddress("--orchestrator", orchestrator)
		if err != nil {
			return err
		}
		credits, err := account.ParseCredits(limit)
		if err != nil {
			return fmt.Errorf("--limit: %w", err)
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
	cmd.Flags().StringVar(&limit, "limit", "", "credits that it may use, such as 500000 or \"5 USD\"")
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
	var all bool
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
		if all {
			ever, err := l.Authorised(ctx, application)
			if err != nil {
				return err
			}
			asked = append(asked, ever...)
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
	cmd.Flags().BoolVar(&all, "all", false, "also show what every Orchestrator may use that was ever authorised; slow on a long chain")
	return cmd
}
