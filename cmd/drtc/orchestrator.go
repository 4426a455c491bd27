package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/discovery"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
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
		func(log *slog.Logger) (*discovering, error) {
			if key := (apiKey{os.Getenv("DRTC_API_KEY"), os.Getenv("DRTC_API_SECRET")}); key.key != "" {
				file.Keys = append(file.Keys, orchestrator.Key{Key: key.key, Secret: key.secret})
			}
			return startOrchestrator(file.Config, devTokens, log)
		},
		func(o *discovering) any { return server(o) })
	c.cmd.Long = `Runs an Orchestrator. API keys come from the file ([[keys]] with key and
secret) and from DRTC_API_KEY and DRTC_API_SECRET.`
	flag(c, &file.Listen, "listen", "TCP address of clients and metrics; port 0 picks a free one")
	flag(c, &file.Dir, "dir", "folder of the key")
	flag(c, &file.KeyFile, "key-file", "private key; made when missing (default: orchestrator.key in the folder)")
	flag(c, &file.Network, "network", "name that records of nodes must carry")
	flag(c, &file.Registries, "registries", "base URLs of Registries, comma-separated")
	c.cmd.Flags().BoolVar(&devTokens, "dev-tokens", false, "serve the call page and give a token to everybody who asks; for development")
	return c.cmd
}

// discovering is an Orchestrator and its view of the Registries, which run and
// end together.
type discovering struct {
	*orchestrator.Orchestrator
	discovery *discovery.Discovery
}

func startOrchestrator(cfg orchestrator.Config, devTokens bool, log *slog.Logger) (*discovering, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	where := discovery.DefaultConfig()
	where.Registries, where.Network = cfg.Registries, cfg.Network
	d, err := discovery.New(where, log, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	store, err := memory.New(memory.Config{})
	if err != nil {
		return nil, err
	}
	parts := orchestrator.Parts{Discovery: knownNodes{d}, Store: store}
	if devTokens {
		key := cfg.Keys[len(cfg.Keys)-1]
		parts.Web = devnet.Page(web.Handler(), func(g devnet.Guest) (string, error) {
			return signal.Token(key.Key, key.Secret, signal.Grants{Identity: g.Identity, Room: g.Room, Name: g.Name}, guestTokens)
		})
	}
	o, err := orchestrator.New(cfg, parts, log)
	if err != nil {
		return nil, err
	}
	return &discovering{o, d}, nil
}

// Run blocks until both have ended.
func (d *discovering) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var asking sync.WaitGroup
	var asked error
	asking.Go(func() { asked = d.discovery.Run(ctx) })
	err := d.Orchestrator.Run(ctx)
	cancel()
	asking.Wait()
	return errors.Join(err, asked)
}

// knownNodes shows what discovery knows in the Orchestrator's own words.
type knownNodes struct{ *discovery.Discovery }

// Snapshot implements orchestrator.Discovery.
func (k knownNodes) Snapshot() []orchestrator.Node {
	known := k.Discovery.Snapshot()
	nodes := make([]orchestrator.Node, 0, len(known))
	for _, n := range known {
		if n.Draining {
			continue
		}
		node := orchestrator.Node{
			ID: n.ID, URL: n.URL, Fingerprint: n.TLSFingerprint,
			Region: n.Region, Place: *cmp.Or(n.Place, &drtc.Place{}), PlaceName: n.PlaceName,
			Version: n.Version, Features: n.Features,
			CapacityMbps: float64(n.CapacityMbps), MaxSessions: int(n.MaxSessions), Signed: n.IssuedAt,
		}
		if !n.Owner.IsZero() {
			node.Owner = n.Owner.String()
		}
		nodes = append(nodes, node)
	}
	return nodes
}
