package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
)

// ledgerFlags say where the contracts are and who asks; commands about keys,
// pools, credits and epochs share them.
type ledgerFlags struct {
	client             client.Config
	addresses, network string
	keyFile            string
	timeout            time.Duration
	json               bool
	notices            io.Writer      // where people are told what is no result
	opened             []func() error // close what the command has opened
}

// newLedgerCommand is a command that reads, or with a key changes, what the
// contracts hold.
func newLedgerCommand(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error) *cobra.Command {
	f := &ledgerFlags{client: client.DefaultConfig()}
	f.client.PollEvery = 200 * time.Millisecond // somebody waits
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
			defer cancel()
			f.notices = cmd.ErrOrStderr()
			if err := f.locate(); err != nil {
				return err
			}
			err := run(ctx, f, cmd.OutOrStdout(), args)
			for _, end := range f.opened {
				err = errors.Join(err, end())
			}
			return explained(err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.client.URL, "rpc", "http://127.0.0.1:8545", "endpoint of the chain")
	flags.Uint64Var(&f.client.ChainID, "chain-id", 0, "refuse an endpoint of another chain (default: the one of --addresses)")
	flags.StringVar(&f.addresses, "addresses", "addresses.json", "file of the contracts' addresses")
	flags.StringVar(&f.network, "devnet", "", "folder or ready file of a running devnet, instead of --rpc and --addresses")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait until the chain has settled it")
	flags.StringVar(&f.keyFile, "key-file", "", "private key of the account; its journal is beside it (default with --devnet: the account that has all HUDL)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// locate fills in what the devnet says of itself.
func (f *ledgerFlags) locate() error {
	if f.network == "" {
		return nil
	}
	chain, err := devnet.FindChain(f.network)
	if err != nil {
		return fmt.Errorf("--devnet: %w", err)
	}
	f.client.URL, f.addresses = chain.URL, chain.Addresses
	if f.keyFile == "" {
		f.keyFile = chain.KeyFile
	}
	return nil
}

// explained says what to do about an error that is no contract's.
func explained(err error) error {
	switch {
	case errors.Is(err, client.ErrNotSettled):
		return fmt.Errorf("%w: it is in the journal beside the key; give the same command again to wait on, nothing is sent twice", err)
	case errors.Is(err, client.ErrWrongChain), errors.Is(err, account.ErrOtherChain):
		return fmt.Errorf("%w: give --rpc, --addresses and --chain-id of one network", err)
	case errors.Is(err, client.ErrUnavailable):
		return fmt.Errorf("%w: is it running, and is --rpc right?", err)
	}
	return err
}

// open reads as nobody, until the command ends.
func (f *ledgerFlags) open(ctx context.Context) (*account.Ledger, error) {
	addresses, err := deploy.LoadAddresses(f.addresses)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--addresses: %w: give the file that \"drtc chain deploy\" or the network's operator wrote, or --devnet", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--addresses: %w: take the file that \"drtc chain deploy\" or the network's operator wrote", err)
	}
	log, err := newLogger(f.notices, logConfig{LogLevel: "warn"})
	if err != nil {
		return nil, err
	}
	l, err := account.Open(ctx, f.client, addresses, log)
	if err == nil {
		f.opened = append(f.opened, func() error { l.Close(); return nil })
	}
	return l, err
}

// unlock acts as the account of the key, until the command ends.
func (f *ledgerFlags) unlock(ctx context.Context) (*account.Account, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	ledger, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	a, err := ledger.Unlock(ctx, key, f.keyFile+".journal", f.spends)
	if err != nil {
		return nil, err
	}
	f.opened = append(f.opened, a.Close)
	for _, begun := range a.Finished() {
		fmt.Fprintf(f.notices, "drtc: finished what an earlier command had begun: %s, transaction %s in block %d\n", begun.What, begun.Transaction, begun.Block)
	}
	return a, nil
}

// spends tells what is about to be paid.
func (f *ledgerFlags) spends(s account.Spending) {
	fmt.Fprintf(f.notices, "drtc: to %s costs %s, and at most %s of the chain's coin for gas\n", s.What, printable(s.Pays), account.HUDL(s.GasWei.Int))
}

func (f *ledgerFlags) key() (*identity.Key, error) {
	if f.keyFile == "" {
		return nil, errors.New("--key-file: want the file of the private key whose account acts")
	}
	key, err := keyfile.Load(f.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	return key, nil
}

// whose is the account that a reading command is about: that of --account, or of
// the key.
func (f *ledgerFlags) whose(of string) (drtc.NodeID, error) {
	if of != "" {
		return readAddress("--account", of)
	}
	if f.keyFile == "" {
		return drtc.NodeID{}, errors.New("--account: want an address, or --key-file of its key")
	}
	key, err := f.key()
	if err != nil {
		return drtc.NodeID{}, err
	}
	return key.ID(), nil
}

// show prints v as JSON, or what table makes of it.
func (f *ledgerFlags) show(w io.Writer, v any, table func(t *tabwriter.Writer)) error {
	if f.json {
		return printJSON(w, v)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(t)
	return t.Flush()
}

func readAddress(name, text string) (drtc.NodeID, error) {
	id, err := drtc.ParseNodeID(text)
	if err != nil {
		return id, fmt.Errorf("%s: want an address of 0x and 40 hex digits, got %.60q", name, text)
	}
	return id, nil
}

// readIDs reads ids of keys, as "3" or "3-7".
func readIDs(texts []string) ([]uint64, error) {
	var ids []uint64
	for _, text := range texts {
		low, high, isRange := strings.Cut(text, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.ParseUint(low, 10, 64)
		last, err2 := strconv.ParseUint(high, 10, 64)
		if err != nil || err2 != nil || first == 0 || last < first {
			return nil, fmt.Errorf("id: want the number of a key, from 1 on, or several as 3-7, got %.30q", text)
		}
		if last-first >= account.MaxAtOnce || len(ids)+int(last-first) >= account.MaxAtOnce {
			return nil, fmt.Errorf("id: want at most %d keys at once", account.MaxAtOnce)
		}
		for ; ; first++ {
			if slices.Contains(ids, first) {
				return nil, fmt.Errorf("id: key %d is named twice", first)
			}
			if ids = append(ids, first); first == last {
				break
			}
		}
	}
	return ids, nil
}

// readBps reads a commission as percent, "2.5", in hundredths of one.
func readBps(text string) (uint16, error) {
	const whole = 10_000
	bps, ok := account.ParseDecimal(strings.TrimSpace(strings.TrimSuffix(text, "%")), 2)
	if !ok || bps.Cmp(big.NewInt(whole)) > 0 {
		return 0, fmt.Errorf("percent: want 0 to 100 with at most two digits after the point, got %.30q", text)
	}
	return uint16(bps.Uint64()), nil
}

// percentOf writes basis points as percent.
func percentOf[T uint16 | uint64](bps T) string {
	return strconv.FormatFloat(float64(bps)/100, 'f', -1, 64) + " %"
}

// done says that a transaction had effect.
func done(t io.Writer, d account.Done) {
	fmt.Fprintf(t, "transaction\t%s in block %d, %d gas\n", d.Transaction, d.Block, d.GasUsed)
	if d.Resumed {
		fmt.Fprintln(t, "sent\tby an earlier command that was stopped; nothing was sent now")
	}
}
