package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/medianode"
)

// medianodeFile is the configuration file of a Media Node.
type medianodeFile struct {
	medianode.Config
	logConfig
}

func newMedianode() *cobra.Command {
	file := medianodeFile{Config: medianode.DefaultConfig()}
	file.Alone = true
	c := newRoleCommand("medianode", "Run a Media Node: one UDP port that carries media", &file, &file.logConfig,
		func(log *slog.Logger) (*medianode.Node, error) { return medianode.New(file.Config, log) },
		func(n *medianode.Node) any {
			return devnet.Node{
				ID: n.ID(), PID: os.Getpid(), UDP: n.MediaAddrs()[0].String(), Metrics: n.MetricsURL() + "/metrics", Control: n.URL(),
			}
		})
	flag(c, &file.Listen, "listen", "TCP address of the control service; port 0 picks a free one")
	flag(c, &file.KeyFile, "key-file", "private key; made when missing")
	flag(c, &file.Network, "network", "name of the network to join")
	flag(c, &file.MetricsListen, "metrics-listen", "TCP address of /metrics and /healthz; empty for none")
	flag(c, &file.Registries, "registries", "URLs of Registries to register with")
	flag(c, &file.PlaceName, "place-name", "name of the place for people, such as Frankfurt")
	return c.cmd
}
