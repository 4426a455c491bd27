package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/web"
)

// registryFile is the configuration file of a Registry.
type registryFile struct {
	registry.Config
	Chain chainTable `toml:"chain"`
	logConfig
}

func newRegistry() *cobra.Command {
	file := registryFile{Config: registry.DefaultConfig(), Chain: defaultChainTable()}
	var c *roleCommand
	c = newRoleCommand("registry", "Run a Registry: which Media Nodes exist", &file, &file.logConfig,
		func(log *slog.Logger) (*registry.Registry, error) { return file.open(c.cmd.Context(), log) },
		func(r *registry.Registry) any { return server(r) })
	flag(c, &file.Listen, "listen", "TCP address of the API; port 0 picks a free one")
	flag(c, &file.Dir, "dir", "folder of the records and the key")
	flag(c, &file.KeyFile, "key-file", "private key; made when missing (default: key in the folder)")
	flag(c, &file.Network, "network", "name that every record must carry")
	flag(c, &file.URL, "url", "how others reach the API (default http:// and the listening address)")
	flag(c, &file.GossipListen, "gossip-listen", "TCP address for other Registries")
	flag(c, &file.Bootstrap, "bootstrap", "other Registries: URLs of their APIs or multiaddresses, with commas")
	flag(c, &file.BondingFile, "bonding-file", "list of who may take part (default: everybody)")
	flag(c, &file.Chain.RPC, "chain-rpc", "endpoint of the chain that says who may take part")
	flag(c, &file.Chain.Addresses, "chain-addresses", "file that says where the chain's contracts are")
	c.cmd.AddCommand(newRegistryNodes(), newRegistryPeers(), newRegistryBackup(), newRegistryRestore(), newRegistryAudit())
	return c.cmd
}

// open makes the Registry; one that goes by the chain waits for its first list.
func (f *registryFile) open(ctx context.Context, log *slog.Logger) (*registry.Registry, error) {
	f.Pages = web.StatusHandler()
	if f.Chain.unused() {
		return registry.New(f.Config, log)
	}
	if f.BondingFile != "" {
		return nil, errors.New("registry: bonding_file: the table [chain] says who may take part: give one of the two")
	}
	if err := f.Config.Validate(); err != nil {
		return nil, err
	}
	c := f.Config
	var err error
	if c.Bonding, err = f.Chain.open(ctx, c.Dir, log); err != nil {
		return nil, err
	}
	if c.Chain, err = f.Chain.openOverview(log); err != nil {
		return nil, err
	}
	return registry.New(c, log)
}
