package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/web"
)

// guestTokens is how long a token of --dev-tokens lets in.
const guestTokens = 6 * time.Hour

// orchestratorFile is the configuration file of an Orchestrator.
type orchestratorFile struct {
	orchestrator.Config
	logConfig
}

func newOrchestrator() *cobra.Command {
	file := orchestratorFile{Config: orchestrator.DefaultConfig()}
	devTokens := false
	c := newRoleCommand("orchestrator", "Run an Orchestrator: rooms, and which Media Node carries them", &file, &file.logConfig,
		func(log *slog.Logger) (*orchestrator.Orchestrator, error) {
			if key := (apiKey{os.Getenv("DRTC_API_KEY"), os.Getenv("DRTC_API_SECRET")}); key.key != "" {
				file.Keys = append(file.Keys, orchestrator.Key{Key: key.key, Secret: key.secret})
			}
			file.State.Token = os.Getenv("DRTC_STATE_TOKEN")
			return startOrchestrator(file.Config, devTokens, log)
		},
		func(o *orchestrator.Orchestrator) any { return server(o) })
	c.cmd.Long = `Runs an Orchestrator. API keys come from the file ([[keys]] with key and
secret) and from DRTC_API_KEY and DRTC_API_SECRET.`
	flag(c, &file.Listen, "listen", "TCP address of clients and metrics; port 0 picks a free one")
	flag(c, &file.Dir, "dir", "folder of the key")
	flag(c, &file.KeyFile, "key-file", "private key; made when missing (default: orchestrator.key in the folder)")
	flag(c, &file.Network, "network", "name that records of nodes must carry")
	flag(c, &file.Registries, "registries", "base URLs of Registries, comma-separated")
	c.cmd.AddCommand(newOrchestratorBackup(), newOrchestratorRestore(), newOrchestratorStore())
	c.cmd.Flags().BoolVar(&devTokens, "dev-tokens", false, "serve the call page and give a token to everybody who asks; for development")
	return c.cmd
}

func startOrchestrator(cfg orchestrator.Config, devTokens bool, log *slog.Logger) (*orchestrator.Orchestrator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var parts orchestrator.Parts
	if devTokens {
		key := cfg.Keys[len(cfg.Keys)-1]
		parts.Web = devnet.Page(web.Handler(), func(g devnet.Guest) (string, error) {
			return signal.Token(key.Key, key.Secret, signal.Grants{Identity: g.Identity, Room: g.Room, Name: g.Name}, guestTokens)
		})
	}
	return orchestrator.New(cfg, parts, log)
}
