package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/devnet"
)

func newDevnet() *cobra.Command {
	cfg := devnet.DefaultConfig()
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run the whole network on this machine",
		Long: `Runs Registries, Media Nodes in declared places and an Orchestrator with a call
page, each as a process of its own, until Ctrl-C.

It is for development: every Media Node may join, and its page gives a token to
everybody who reaches it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this binary: %w", err)
			}
			cfg.Program, cfg.Command = program, os.Args[0]
			cfg.Out = cmd.OutOrStdout()
			cfg.Color = isTerminal(os.Stdout)
			n, err := devnet.New(cfg)
			if err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			return n.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "dir", cfg.Dir, "keep keys, databases and configuration here (default: a temporary folder)")
	f.IntVar(&cfg.Nodes, "nodes", cfg.Nodes, "number of Media Nodes")
	f.IntVar(&cfg.Registries, "registries", cfg.Registries, "number of Registries")
	f.IntVar(&cfg.Orchestrators, "orchestrators", cfg.Orchestrators, "number of Orchestrators, which share their rooms")
	f.BoolVar(&cfg.Chain, "chain", cfg.Chain, "run a chain beside them, and let in who is bonded there")
	f.IntVar(&cfg.Workers, "workers", cfg.Workers, "threads of each Media Node that carry media; 0 for one of each processor")
	f.IntVar(&cfg.WorkerRoomPeers, "worker-room-peers", cfg.WorkerRoomPeers, "clients of a room on one of them before another takes part in it; 0 for the node's default")
	f.BoolVar(&cfg.Portable, "portable", cfg.Portable, "let Media Nodes use the sockets that every system has")
	f.DurationVar(&cfg.FrameHold, "frame-hold", cfg.FrameHold, "how long the packets of a video frame wait for each other, at most 3ms")
	f.BoolVar(&cfg.PadFrames, "pad-frames", cfg.PadFrames, "pad the packets of a frame to one size")
	f.StringVar(&cfg.Listen, "listen", cfg.Listen, "where clients and browsers connect; port 0 picks a free one")
	f.StringVar(&cfg.OrchestratorConfig, "orchestrator-config", cfg.OrchestratorConfig, "TOML file with further tables for the Orchestrator, such as [[applications]]")
	f.StringVar(&cfg.ReadyFile, "ready-file", cfg.ReadyFile, "write addresses, ids, pids and the API key here as JSON once all is ready")
	f.StringVar(&cfg.LogLevel, "log-level", cfg.LogLevel, "debug, info, warn or error, for every process")
	return cmd
}

// isTerminal reports whether f is a character device and not redirected.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
