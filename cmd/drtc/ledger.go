package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"strconv"
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
	opened             []func() error // close what the command has opened
}

// newLedgerCommand is a command that reads, or with a key changes, what the
// contracts hold.
func newLedgerCommand(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, f *ledgerFlags, w io.Writer, args []string) error) *cobra.Command {
	f := &ledgerFlags{client: client.DefaultConfig()}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
			defer cancel()
			if err := f.locate(); err != nil {
				return err
			}
			err := run(ctx, f, cmd.OutOrStdout(), args)
			for _, end := range f.opened {
				err = errors.Join(err, end())
			}
			return f.explained(err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.client.URL, "rpc", "http://127.0.0.1:8545", "endpoint of the chain")
	flags.StringVar(&f.addresses, "addresses", "addresses.json", "file of the contracts' addresses")
	flags.StringVar(&f.network, "devnet", "", "ready file of a running devnet, instead of --rpc and --addresses")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait until the chain has settled it")
	flags.StringVar(&f.keyFile, "key-file", "", "private key of the account; its journal is beside it")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// locate fills in what the devnet's ready file says.
func (f *ledgerFlags) locate() error {
	if f.network == "" {
		return nil
	}
	text, err := os.ReadFile(f.network)
	if err != nil {
		return fmt.Errorf("--devnet: %w: give the file that \"drtc devnet --ready-file\" wrote, while it runs", err)
	}
	var ready devnet.Ready
	if err := json.Unmarshal(text, &ready); err != nil {
		return fmt.Errorf("--devnet: %s is no ready file: %w", f.network, err)
	}
	if ready.Chain == nil || ready.Chain.Addresses == "" {
		return fmt.Errorf("--devnet: the network of %s runs no chain with contracts", f.network)
	}
	f.client.URL, f.addresses = ready.Chain.URL, ready.Chain.Addresses
	return nil
}

// explained says what to do when the time was over.
func (f *ledgerFlags) explained(err error) error {
	if errors.Is(err, client.ErrNotSettled) {
		return fmt.Errorf("%w: it is in the journal beside the key and goes on with the next command of this key", err)
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
		return nil, err
	}
	log, err := newLogger(os.Stderr, logConfig{LogLevel: "warn"})
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
	a, err := ledger.Unlock(ctx, key, f.keyFile+".journal")
	if err == nil {
		f.opened = append(f.opened, a.Close)
	}
	return a, err
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

// readIDs reads ids of keys.
func readIDs(texts []string) ([]uint64, error) {
	ids := make([]uint64, len(texts))
	for i, text := range texts {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil || id == 0 {
			return nil, fmt.Errorf("id: want the number of a key, from 1 on, got %.30q", text)
		}
		ids[i] = id
	}
	return ids, nil
}

// readBps reads a commission as percent, "2.5", in hundredths of one.
func readBps(text string) (uint16, error) {
	percent, ok := new(big.Rat).SetString(text)
	if ok && len(text) <= 8 {
		bps := percent.Mul(percent, big.NewRat(100, 1))
		if bps.IsInt() && bps.Sign() >= 0 && bps.Num().Cmp(big.NewInt(10_000)) <= 0 {
			return uint16(bps.Num().Int64()), nil
		}
	}
	return 0, fmt.Errorf("percent: want 0 to 100 with at most two digits after the point, got %.30q", text)
}

func percentOf(bps uint16) string {
	return strconv.FormatFloat(float64(bps)/100, 'f', -1, 64) + " %"
}

// done says that a transaction had effect.
func done(t io.Writer, d account.Done) {
	fmt.Fprintf(t, "transaction\t%s in block %d, %d gas\n", d.Transaction, d.Block, d.GasUsed)
}
