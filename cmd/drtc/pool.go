package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity/keyfile"
)

// newPool is the command "pool": the pools of Media Nodes (whitepaper 5.6).
func newPool() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pool",
		Short: "Make a Media Node's pool, set its commission, and claim what it earned",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPoolConsent(), newPoolCreate(), newPoolCommission(), newPoolShow(), newPoolClaim())
	return cmd
}

func newPoolConsent() *cobra.Command {
	var operator, commission string
	var valid time.Duration
	var cmd *cobra.Command
	given := func() bool { return cmd.Flags().Changed("key-file") } // a devnet's default is no node's
	cmd = newLedgerCommand("consent", "Sign with a node's key that somebody may make its pool", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		by, err := readAddress("--operator", operator)
		if err != nil {
			return err
		}
		bps, err := readBps(commission)
		if err != nil {
			return fmt.Errorf("--commission: %w", err)
		}
		if valid <= 0 {
			return fmt.Errorf("--valid: want a time above 0, got %s", valid)
		}
		if !given() {
			return errors.New("--key-file: want the private key of the Media Node")
		}
		node, err := f.key()
		if err != nil {
			return err
		}
		l, err := f.open(ctx)
		if err != nil {
			return err
		}
		c, err := l.Consent(node, by, bps, time.Now().Add(valid))
		if err != nil {
			return err
		}
		return printJSON(w, c)
	})
	cmd.Long = `Signs with the key of a Media Node (--key-file) that an operator's wallet may make
its pool. The node's key holds no funds and sends nothing; give what is printed to
"drtc pool create --consent".`
	cmd.Example = "  drtc pool consent --key-file node.key --operator 0x... --commission 10 > consent.json"
	cmd.Flags().StringVar(&operator, "operator", "", "address of the operator's wallet")
	cmd.Flags().StringVar(&commission, "commission", "10", "percent of the rewards that the operator keeps")
	cmd.Flags().DurationVar(&valid, "valid", 24*time.Hour, "how long the consent is good for")
	return cmd
}

func newPoolCreate() *cobra.Command {
	var file, nodeKey, commission string
	cmd := newLedgerCommand("create", "Make the pool of a Media Node that has agreed", cobra.NoArgs, func(ctx context.Context, f *ledgerFlags, w io.Writer, _ []string) error {
		if (file == "") == (nodeKey == "") {
			return fmt.Errorf("want --consent, what the node has signed, or --node-key-file, its key")
		}
		bps, err := readBps(commission)
		if err != nil {
			return fmt.Errorf("--commission: %w", err)
		}
		var c account.Consent
		if file != "" {
			if err := readJSON("--consent", file, &c); err != nil {
				return err
			}
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		if nodeKey != "" {
			node, err := keyfile.Load(nodeKey)
			if err != nil {
				return fmt.Errorf("--node-key-file: %w", err)
			}
			if c, err = a.Consent(node, a.ID(), bps, time.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		d, err := a.CreatePool(ctx, c)
		if err != nil {
			return err
		}
		p, err := a.Pool(ctx, c.Node)
		if err != nil {
			return err
		}
		return f.show(w, struct {
			account.Done
			Pool account.Pool `json:"pool"`
		}{d, p}, func(t *tabwriter.Writer) {
			printPool(t, p)
			done(t, d)
		})
	})
	cmd.Example = "  drtc pool create --node-key-file node.key --commission 10 --key-file operator.key"
	cmd.Flags().StringVar(&file, "consent", "", "file that \"drtc pool consent\" wrote")
	cmd.Flags().StringVar(&nodeKey, "node-key-file", "", "the node's private key, instead of its consent")
	cmd.Flags().StringVar(&commission, "commission", "10", "with --node-key-file: percent that the operator keeps")
	return cmd
}

func newPoolCommission() *cobra.Command {
	var node string
	cmd := newLedgerCommand("commission PERCENT", "Change the commission of a pool that the account runs", cobra.ExactArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		bps, err := readBps(args[0])
		if err != nil {
			return err
		}
		of, err := readAddress("--node", node)
		if err != nil {
			return err
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		d, err := a.SetCommission(ctx, of, bps)
		if err != nil {
			return err
		}
		p, err := a.Pool(ctx, of)
		if err != nil {
			return err
		}
		return f.show(w, struct {
			account.Done
			Pool account.Pool `json:"pool"`
		}{d, p}, func(t *tabwriter.Writer) {
			printPool(t, p)
			done(t, d)
		})
	})
	cmd.Long = "Changes a commission: less holds from this epoch on, more after the notice."
	cmd.Flags().StringVar(&node, "node", "", "address of the Media Node")
	return cmd
}

func newPoolShow() *cobra.Command {
	var of string
	cmd := newLedgerCommand("show NODE", "Show the pool of a Media Node", cobra.ExactArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		node, err := readAddress("NODE", args[0])
		if err != nil {
			return err
		}
		l, err := f.open(ctx)
		if err != nil {
			return err
		}
		p, err := l.Pool(ctx, node)
		if err != nil {
			return err
		}
		shown := struct {
			account.Pool
			Account *drtc.NodeID    `json:"account,omitempty"`
			OwedWei *account.Amount `json:"owed_wei,omitempty"`
		}{Pool: p}
		if of != "" || f.keyFile != "" {
			to, err := f.whose(of)
			if err != nil {
				return err
			}
			shown.Account = &to
			owed, err := l.Owed(ctx, node, to)
			if err != nil {
				return err
			}
			shown.OwedWei = &account.Amount{Int: owed}
		}
		return f.show(w, shown, func(t *tabwriter.Writer) {
			printPool(t, p)
			if shown.Account != nil {
				fmt.Fprintf(t, "owes %s\t%s HUDL\n", shown.Account, account.HUDL(shown.OwedWei.Int))
			}
		})
	})
	cmd.Flags().StringVar(&of, "account", "", "also show what it owes to this address")
	return cmd
}

func printPool(t io.Writer, p account.Pool) {
	fmt.Fprintf(t, "node\t%s\n", p.Node)
	fmt.Fprintf(t, "pool\t%s\n", p.Address)
	fmt.Fprintf(t, "operator\t%s\n", p.Operator)
	fmt.Fprintf(t, "commission\t%s", percentOf(p.CommissionBps))
	if p.NextCommissionBps != p.CommissionBps {
		fmt.Fprintf(t, ", soon %s", percentOf(p.NextCommissionBps))
	}
	fmt.Fprintf(t, "\nkeys\t%d of at most %d, %d count in this epoch\n", p.Keys, p.Most, p.Counting)
	fmt.Fprintf(t, "earned per key\t%s HUDL\n", account.HUDL(p.PerKeyWei.Int))
	last, proven := "none", "unknown"
	if p.LastEpoch != nil {
		last = fmt.Sprint(*p.LastEpoch)
	}
	if p.ProvenMbps != 0 {
		proven = fmt.Sprintf("%d Mbit/s", p.ProvenMbps)
	}
	fmt.Fprintf(t, "last epoch paid\t%s\nproven\t%s\n", last, proven)
}

func newPoolClaim() *cobra.Command {
	var of string
	var leaves []string
	cmd := newLedgerCommand("claim NODE...", "Claim what pools owe an account, or bring an epoch's rewards into a pool", cobra.MinimumNArgs(1), func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error {
		nodes := make([]drtc.NodeID, len(args))
		for i, text := range args {
			var err error
			if nodes[i], err = readAddress("NODE", text); err != nil {
				return err
			}
		}
		epochs, err := readEpochs(leaves)
		if err != nil {
			return err
		}
		to, err := f.whose(of)
		if err != nil {
			return err
		}
		a, err := f.unlock(ctx)
		if err != nil {
			return err
		}
		if len(epochs) == 0 {
			claimed, err := a.ClaimOwed(ctx, to, nodes)
			if err != nil {
				return err
			}
			return f.show(w, claimed, func(t *tabwriter.Writer) {
				fmt.Fprintf(t, "paid\t%s veHUDL to %s\n", account.HUDL(claimed.Wei.Int), to)
				done(t, claimed.Done)
			})
		}
		return f.claimRewards(ctx, w, a, nodes, epochs)
	})
	cmd.Long = `Without --leaves: has the pools of these nodes pay what they owe an account, as
veHUDL. Anybody may do that for anybody.

With --leaves: brings rewards of epochs into the pools of these nodes. The files are
what Registries publish of each epoch; they are held against the root on the chain.`
	cmd.Example = `  drtc pool claim 0x... --leaves epoch-17.bin --key-file anybody.key
  drtc pool claim 0x... --key-file owner.key`
	cmd.Flags().StringVar(&of, "account", "", "address that is paid (default: that of the key)")
	cmd.Flags().StringSliceVar(&leaves, "leaves", nil, "published leaf sets, one file for each epoch, with commas")
	return cmd
}

// claimRewards claims for one node after the other; of several those that have
// nothing more to claim are left out.
func (f *ledgerFlags) claimRewards(ctx context.Context, w io.Writer, a *account.Account, nodes []drtc.NodeID, epochs []account.EpochData) error {
	type rewarded struct {
		Node drtc.NodeID `json:"node"`
		account.Claimed
	}
	all := []rewarded{}
	for _, node := range nodes {
		claimed, err := a.ClaimRewards(ctx, node, epochs)
		if errors.Is(err, account.ErrAllPaid) && len(nodes) > 1 {
			fmt.Fprintf(f.notices, "drtc: %v\n", err)
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, rewarded{node, claimed})
	}
	return f.show(w, all, func(t *tabwriter.Writer) {
		for _, r := range all {
			fmt.Fprintf(t, "into the pool of %s\t%s HUDL\n", r.Node, account.HUDL(r.Wei.Int))
			done(t, r.Done)
		}
	})
}

// maxLeavesFile bounds a published set: 100,000 leaves are 38 MB.
const maxLeavesFile = 128 << 20

// readEpochs reads published leaf sets.
func readEpochs(paths []string) ([]account.EpochData, error) {
	var epochs []account.EpochData
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("--leaves: %w", err)
		}
		if info.Size() > maxLeavesFile {
			return nil, fmt.Errorf("--leaves: %s has %d bytes, more than any epoch's set", path, info.Size())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--leaves: %w", err)
		}
		leaves, charges, err := epoch.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("--leaves: %s: %w", path, err)
		}
		epochs = append(epochs, account.EpochData{Leaves: leaves, Charges: charges})
	}
	return epochs, nil
}

// readJSON reads a small file of one value.
func readJSON(name, path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %s: %w", name, path, err)
	}
	return nil
}
