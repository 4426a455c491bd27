package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
)

// deployment is what "chain deploy" is told.
type deployment struct {
	client             client.Config
	keyFile, addresses string
	treasury, guardian string
	reporterKeys       []string
	orchestratorKeys   []string
	nodeKeys           []string
	epoch              time.Duration
	logs               logConfig
}

func newChainDeploy() *cobra.Command {
	d := deployment{client: client.DefaultConfig()}
	d.client.PollEvery = 50 * time.Millisecond // somebody waits, for one block
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Put the contracts of a development network on a chain",
		Long: `Deploys the contracts with the parameters of a development network: a fixed price,
short epochs and times, everything to the treasury. The key is used for nothing
else, before or after: addresses follow from it, and it keeps no rights. A second
run finds what is there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := d.run(cmd.Context())
			if err != nil {
				return err
			}
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(a)
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.client.URL, "rpc", "http://127.0.0.1:8545", "endpoint of the chain")
	f.Uint64Var(&d.client.ChainID, "chain-id", 0, "refuse an endpoint of another chain")
	f.StringVar(&d.keyFile, "key-file", "", "private key of the deployer, who pays for gas")
	f.StringVar(&d.addresses, "addresses", "addresses.json", "file of the addresses; the journal is beside it")
	f.StringVar(&d.treasury, "treasury", "", "address that gets all HUDL (default: the guardian's)")
	f.StringVar(&d.guardian, "guardian", "", "address that may pause contracts")
	f.StringSliceVar(&d.reporterKeys, "reporter-key-files", nil, "private keys of Registries to bond and admit, with commas")
	f.StringSliceVar(&d.orchestratorKeys, "orchestrator-key-files", nil, "private keys of Orchestrators to bond")
	f.StringSliceVar(&d.nodeKeys, "node-key-files", nil, "private keys of Media Nodes to bond; a later run may add some at the end")
	f.DurationVar(&d.epoch, "epoch", 30*time.Second, "length of an epoch, in whole seconds")
	f.StringVar(&d.logs.LogLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (d *deployment) run(ctx context.Context) (deploy.Addresses, error) {
	var none deploy.Addresses
	log, err := newLogger(os.Stderr, d.logs)
	if err != nil {
		return none, err
	}
	guardian, err := drtc.ParseNodeID(d.guardian)
	if err != nil {
		return none, fmt.Errorf("--guardian: want an address, got %q", d.guardian)
	}
	treasury := guardian
	if d.treasury != "" {
		if treasury, err = drtc.ParseNodeID(d.treasury); err != nil {
			return none, fmt.Errorf("--treasury: want an address, got %q", d.treasury)
		}
	}
	if d.epoch < time.Second || d.epoch%time.Second != 0 || d.epoch > 366*24*time.Hour {
		return none, fmt.Errorf("--epoch: want whole seconds, got %s", d.epoch)
	}
	key, err := keyfile.Load(d.keyFile)
	if err != nil {
		return none, fmt.Errorf("--key-file: %w", err)
	}
	reporters, err := loadKeys("--reporter-key-files", d.reporterKeys)
	if err != nil {
		return none, err
	}
	orchestrators, err := loadKeys("--orchestrator-key-files", d.orchestratorKeys)
	if err != nil {
		return none, err
	}
	nodes, err := loadKeys("--node-key-files", d.nodeKeys)
	if err != nil {
		return none, err
	}
	wallet, err := client.NewWallet(key)
	if err != nil {
		return none, err
	}
	reasons, err := deploy.Reasons()
	if err != nil {
		return none, err
	}
	c, err := client.Dial(ctx, d.client, reasons, log)
	if err != nil {
		return none, err
	}
	defer c.Close()
	begin, err := d.begin(ctx, c)
	if err != nil {
		return none, err
	}
	g := deploy.Devnet(begin, uint32(d.epoch/time.Second), treasury, guardian, key.ID(), reporters)
	if len(orchestrators)+len(nodes) > 0 {
		g = g.Bond(key.ID(), orchestrators, nodes)
	}
	journal := filepath.Join(filepath.Dir(d.addresses), filepath.Base(d.addresses)+".journal")
	return deploy.Run(ctx, c, wallet, g, deploy.Config{Addresses: d.addresses, Journal: journal, Pipelined: true}, log)
}

func loadKeys(flag string, paths []string) ([]*identity.Key, error) {
	keys := make([]*identity.Key, len(paths))
	for i, path := range paths {
		var err error
		if keys[i], err = keyfile.Load(path); err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
	}
	return keys, nil
}

// begin is when epoch 0 begins: with the chain's first block after genesis, so that
// a second run says the same.
func (d *deployment) begin(ctx context.Context, c *client.Client) (uint64, error) {
	first, err := c.BlockAt(ctx, 1)
	if err != nil {
		return 0, fmt.Errorf("the chain's first block: %w", err)
	}
	return uint64(first.Time.Unix()), nil
}
