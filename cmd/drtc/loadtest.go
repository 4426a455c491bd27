package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/loadtest"
	"github.com/drtc-network/drtc/loadtest/compare"
	"github.com/drtc-network/drtc/loadtest/floor"
	"github.com/drtc-network/drtc/loadtest/reference"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

func newLoadtest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "loadtest",
		Short: "Put load on a network and measure what it costs",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLoadtestRun(), newLoadtestReference(), newLoadtestFloor(), newLoadtestCompare())
	return cmd
}

func newLoadtestRun() *cobra.Command {
	cfg := loadtest.DefaultConfig()
	var (
		key    apiKey
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Publish and play synthetic media, and measure",
		Long: `Has synthetic publishers send VP8 and Opus, subscribers play all of them, and
prints what arrived, how fast, and what it cost the server.

A server on this machine is measured by --pid. Tokens are made with the API key
and secret; --token gives one that every client uses.`,
		Example: `  drtc loadtest run --url http://127.0.0.1:7880 --subscribers 100 --pid "$(pidof drtc)"
  drtc loadtest run --protocol signal --url ws://127.0.0.1:7880 --api-key KEY --api-secret SECRET`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Without a key there may be no token: not every server asks for one.
			if err := key.fromEnvironment(); err == nil && cfg.Token == "" {
				cfg.Sign = func(identity string, publishes bool) (string, error) {
					grants := signal.Grants{Identity: identity, Room: cfg.Room}
					if !publishes {
						grants.Names = []string{"!canPublish"}
					}
					return signal.Token(key.key, key.secret, grants, time.Hour)
				}
			}
			if len(cfg.Play) > 0 && !cmd.Flags().Changed("publishers") {
				cfg.Publishers = 0
			}
			if err := cfg.Validate(); err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			clear := func() {}
			if isTerminal(os.Stderr) {
				cfg.Progress, clear = loadtest.Line(os.Stderr)
			}
			// The clients share the machine with the server: memory is cheaper
			// here than CPU time.
			debug.SetGCPercent(400)
			result, err := loadtest.Run(cmd.Context(), cfg)
			clear()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
			}
			return result.WriteText(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar((*string)(&cfg.Protocol), "protocol", string(cfg.Protocol), "whip (WHIP and WHEP), or signal (of LiveKit client SDKs)")
	f.StringVar(&cfg.URL, "url", cfg.URL, "the server")
	f.StringVar(&cfg.Room, "room", cfg.Room, "the room that everybody joins")
	f.StringVar(&cfg.Token, "token", "", "access token of every client")
	f.StringVar(&key.key, "api-key", "", "API key to make tokens with (default: $DRTC_API_KEY)")
	f.StringVar(&key.secret, "api-secret", "", "API secret (default: $DRTC_API_SECRET)")
	f.IntVar(&cfg.Publishers, "publishers", cfg.Publishers, "number of publishers")
	f.StringSliceVar(&cfg.Play, "play", nil, "participants who publish already, to play instead of publishing")
	f.IntVar(&cfg.Subscribers, "subscribers", cfg.Subscribers, "number of subscribers; each plays every publisher")
	f.IntSliceVar(&cfg.PIDs, "pid", nil, "process of the server, to measure; may be given several times")
	f.IntSliceVar(&cfg.Beside, "beside", nil, "process to measure apart from the server, such as an Orchestrator")
	loadFlags(f, &cfg)
	f.StringSliceVar(&cfg.Interfaces, "interface", nil, "network interfaces of the clients (default: those that fit the server)")
	f.IntVar(&cfg.Mix.VideoPackets, "video-packets", cfg.Mix.VideoPackets, "video packets per second of a publisher")
	f.IntVar(&cfg.Mix.VideoBytes, "video-bytes", cfg.Mix.VideoBytes, "RTP payload of a video packet")
	f.IntVar(&cfg.Mix.FramesPerSecond, "fps", cfg.Mix.FramesPerSecond, "video frames per second")
	f.DurationVar(&cfg.Mix.KeyFrameEvery, "key-every", cfg.Mix.KeyFrameEvery, "time between key frames that nobody asked for")
	f.IntVar(&cfg.Mix.AudioPackets, "audio-packets", cfg.Mix.AudioPackets, "audio packets per second of a publisher")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// loadFlags are those that a single run and a comparison share.
func loadFlags(f *pflag.FlagSet, cfg *loadtest.Config) {
	f.Float64Var(&cfg.Ramp, "ramp", cfg.Ramp, "joins per second")
	f.DurationVar(&cfg.Warm, "warm", cfg.Warm, "time to settle after the joins")
	f.DurationVar(&cfg.Duration, "duration", cfg.Duration, "length of the measurement")
	f.BoolVar(&cfg.NACK, "nack", cfg.NACK, "negotiate retransmission")
	f.BoolVar(&cfg.RTX, "rtx", cfg.RTX, "negotiate retransmission as a stream of its own")
	f.BoolVar(&cfg.TWCC, "twcc", cfg.TWCC, "negotiate transport-wide feedback")
	f.BoolVar(&cfg.PLI, "pli", cfg.PLI, "ask for a key frame until there is one")
}

func newLoadtestCompare() *cobra.Command {
	cfg := compare.DefaultConfig()
	var (
		shapes  []string
		targets []string
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Run the same load on several servers by turns",
		Long: `Starts each server afresh for every run, measures its process alone, and prints
a table in markdown: the median of the rounds with extremes and ratios.

Targets: drtc (a network of this binary, of which the Media Node is measured),
reference (drtc loadtest reference), floor (drtc loadtest floor), and with
--peer-server, the binary of a LiveKit server, peer and peer-batch (with its
batch_io option).`,
		Example: "  drtc loadtest compare --peer-server ./livekit-server --shapes 1x100,1x200",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("finding this binary: %w", err)
			}
			cfg.Command = commandLine(os.Args)
			cfg.Out = cmd.ErrOrStderr()
			if err := chooseTargets(&cfg, targets); err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			cfg.Shapes = nil
			for _, text := range shapes {
				shape, err := compare.ParseShape(text)
				if err != nil {
					return &usageError{cmd.CommandPath(), err}
				}
				cfg.Shapes = append(cfg.Shapes, shape)
			}
			if err := cfg.Validate(); err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			report, err := compare.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			return report.WriteMarkdown(cmd.OutOrStdout())
		},
	}
	defaults := make([]string, len(cfg.Shapes))
	for i, s := range cfg.Shapes {
		defaults[i] = s.String()
	}
	f := cmd.Flags()
	f.StringSliceVar(&shapes, "shapes", defaults, "publishers x subscribers, each of whom plays every publisher")
	f.StringSliceVar(&targets, "targets", nil, "servers (default: floor, drtc and reference, and both peers with --peer-server)")
	f.IntVar(&cfg.Rounds, "rounds", cfg.Rounds, "runs of each server under each load")
	f.StringVar(&cfg.PeerServer, "peer-server", "", "binary of a LiveKit server to compare with")
	loadFlags(f, &cfg.Load)
	f.BoolVar(&asJSON, "json", false, "print JSON, with the result of every run")
	return cmd
}

// chooseTargets sets what to compare, by default all that can be.
func chooseTargets(cfg *compare.Config, names []string) error {
	if len(names) == 0 {
		if cfg.PeerServer != "" {
			cfg.Targets = compare.Targets()
		}
		return nil
	}
	cfg.Targets = nil
	for _, name := range names {
		cfg.Targets = append(cfg.Targets, compare.Target(name))
	}
	return nil
}

// commandLine is a command for people to repeat, without the folders of this
// machine.
func commandLine(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg
		flag, value, isFlag := strings.Cut(arg, "=")
		switch {
		case filepath.IsAbs(arg):
			words[i] = filepath.Base(arg)
		case isFlag && filepath.IsAbs(value):
			words[i] = flag + "=" + filepath.Base(value)
		}
	}
	return strings.Join(words, " ")
}

// testServer is a server to compare with.
type testServer interface {
	URL() string
	Run(context.Context) error
}

// newTestServer makes the command of a server to compare with.
func newTestServer[S testServer](use, short, long string, start func(listen string) (S, error)) *cobra.Command {
	var listen, readyFile string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := start(listen)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), s.URL())
			if readyFile != "" {
				if err := devnet.WriteReady(readyFile, devnet.Server{URL: s.URL(), PID: os.Getpid()}); err != nil {
					return err
				}
			}
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "TCP address; port 0 picks a free one")
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "write pid and address here as JSON once it listens")
	return cmd
}

func newLoadtestReference() *cobra.Command {
	return newTestServer("reference", "Run the smallest SFU of pion, to compare with",
		`Serves WHIP and WHEP on loopback with pion's PeerConnection and nothing else:
what a media server has to beat. It asks nobody for a token.`, reference.New)
}

func newLoadtestFloor() *cobra.Command {
	return newTestServer("floor", "Run the cheapest forwarder of this machine, to compare with",
		`Serves WHIP and WHEP on loopback and does nothing with a packet but open it,
write headers, seal and send: what nobody gets below. It asks nobody for a token.`, floor.New)
}
