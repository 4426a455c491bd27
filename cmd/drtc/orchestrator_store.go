package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/orchestrator/state/jetstream"
)

func newOrchestratorStore() *cobra.Command {
	var cfg jetstream.EmbeddedConfig
	var logs logConfig
	var readyFile string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Keep the rooms of several Orchestrators, without being one",
		Long: `Keeps rooms for the Orchestrators of one operator: the store that an Orchestrator
has inside, as a process that outlives them. Give each of them state.kind = "nats",
the address in state.urls, and the same DRTC_STATE_TOKEN as this command.

The connection is not encrypted, so the address must be a loopback or a private
one. This is one process on one disk; a NATS cluster survives the loss of a server.`,
		Example: "  DRTC_STATE_TOKEN=... drtc orchestrator store --dir /var/lib/drtc-store --listen 10.0.0.5:4222",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := given(cmd, "dir", "listen"); err != nil {
				return err
			}
			log, err := newLogger(os.Stderr, logs)
			if err != nil {
				return err
			}
			cfg.Token, cfg.Log = os.Getenv("DRTC_STATE_TOKEN"), log
			if cfg.Token == "" {
				return fmt.Errorf("DRTC_STATE_TOKEN is empty: want a secret of 16 to 256 bytes that Orchestrators show")
			}
			store, err := jetstream.Embedded(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			log.Info("store serves", slog.String("url", store.URL()))
			if readyFile != "" {
				err = devnet.WriteReady(readyFile, devnet.Store{URL: store.URL(), PID: os.Getpid()})
			}
			if err == nil {
				<-cmd.Context().Done()
			}
			if closeErr := store.Close(); err == nil {
				err = closeErr
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "dir", "", "folder of the store; made when missing (required)")
	f.StringVar(&cfg.Listen, "listen", "", "IP address and port for Orchestrators; port 0 picks a free one (required)")
	f.Int64Var(&cfg.MaxBytes, "max-bytes", jetstream.DefaultMaxBytes, "bound of the disk that it takes")
	f.BoolVar(&cfg.Unsynced, "unsynced", false, "leave it to the kernel when writes reach the disk")
	f.StringVar(&readyFile, "ready-file", "", "write pid and address here as JSON once it listens")
	f.StringVar(&logs.LogLevel, "log-level", "", "debug, info, warn or error")
	f.StringVar(&logs.LogFormat, "log-format", "", "text or json")
	return cmd
}
