package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/chain/devchain"
	"github.com/drtc-network/drtc/devnet"
)

// chainFile is the configuration file of a chain.
type chainFile struct {
	devchain.Config
	logConfig
}

// newChain is the command "chain", and "chain run", which is the same.
func newChain() *cobra.Command {
	cmd := newChainRun("chain", "Run the chain of a development network")
	cmd.AddCommand(newChainRun("run", "The same"), newChainDeploy(), newChainFund())
	return cmd
}

func newChainRun(use, short string) *cobra.Command {
	file := chainFile{Config: devchain.DefaultConfig()}
	c := newRoleCommand(use, short, &file, &file.logConfig,
		func(log *slog.Logger) (*devchain.Chain, error) {
			devchain.TakeLog(log)
			return devchain.New(file.Config, log)
		},
		func(c *devchain.Chain) any {
			return devnet.Chain{
				URL: c.URL(), ChainID: c.ChainID(), PID: os.Getpid(),
				Metrics: strings.TrimSuffix(c.URL(), "/") + "/metrics",
			}
		})
	c.cmd.Long = `Runs a chain that any Ethereum tool can speak with: one producer of blocks, no
peers, for development. Contracts and clients meet the same rules as on Arbitrum.`
	flag(c, &file.Listen, "listen", "TCP address of JSON-RPC; port 0 picks a free one")
	flag(c, &file.Dir, "dir", "folder of the chain")
	flag(c, &file.BlockTime, "block-time", "time between blocks, in whole seconds; 0s makes one per transaction, for tests")
	return c.cmd
}
