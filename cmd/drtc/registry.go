package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/registry"
)

// registryFile is the configuration file of a Registry.
type registryFile struct {
	registry.Config
	logConfig
}

func newRegistry() *cobra.Command {
	file := registryFile{Config: registry.DefaultConfig()}
	c := newRoleCommand("registry", "Run a Registry: which Media Nodes exist", &file, &file.logConfig,
		func(log *slog.Logger) (*registry.Registry, error) { return registry.New(file.Config, log) },
		func(r *registry.Registry) any { return server(r) })
	flag(c, &file.Listen, "listen", "TCP address of the API; port 0 picks a free one")
	flag(c, &file.Dir, "dir", "folder of the records and the key")
	flag(c, &file.KeyFile, "key-file", "private key; made when missing (default: key in the folder)")
	flag(c, &file.Network, "network", "name that every record must carry")
	c.cmd.AddCommand(newRegistryNodes(), newRegistryPeers(), newRegistryBackup(), newRegistryRestore(), newRegistryAudit())
	return c.cmd
}
