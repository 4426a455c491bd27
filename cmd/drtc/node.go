package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode"
	"github.com/drtc-network/drtc/medianode/control"
)

func newNode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Command a Media Node that runs",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNodeDrain())
	return cmd
}

// drainState is what "drtc node drain" tells of the node.
type drainState struct {
	Node     drtc.NodeID `json:"node"`
	Draining bool        `json:"draining"`
	Sessions int         `json:"sessions"`
}

func newNodeDrain() *cobra.Command {
	file := medianodeFile{Config: medianode.DefaultConfig()}
	var config, url string
	var undo, wait, asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Let a node take no new sessions, so that it can be stopped",
		Long: `Tells a running Media Node to take no new sessions, with the node's own key.
Orchestrators hear of it within a second and move their clients to other nodes.
The node stays up and may be taken back into service with --undo; a restart takes
it back too.`,
		Example: "  drtc node drain --config medianode.toml --wait && systemctl stop drtc-medianode",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if undo && wait {
				return &usageError{cmd.CommandPath(), errors.New("--undo and --wait: want one of them")}
			}
			if err := readConfig(config, &file); err != nil {
				return err
			}
			operator, err := medianode.NewOperator(file.Config, url)
			if err != nil {
				return err
			}
			show := printDrain
			if asJSON {
				show = func(w io.Writer, s drainState) error { return json.NewEncoder(w).Encode(s) }
			}
			return drain(cmd.Context(), operator, !undo, wait, timeout, func(s drainState) error { return show(cmd.OutOrStdout(), s) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "the node's TOML file: key_file, url and listen are read")
	f.StringVar(&file.KeyFile, "key-file", file.KeyFile, "the node's private key, without --config")
	f.StringVar(&url, "url", "", "base URL of the node's control service (default: what the file says, on this machine)")
	f.BoolVar(&undo, "undo", false, "take the node back into service")
	f.BoolVar(&wait, "wait", false, "show how many sessions are left until there are none")
	f.BoolVar(&asJSON, "json", false, "print JSON, one line for each change")
	f.DurationVar(&timeout, "timeout", 5*time.Second, "how long a request may take")
	return cmd
}

// drain asks the node once, or each second until it has no session, and shows
// what has changed.
func drain(ctx context.Context, o *control.Operator, on, wait bool, timeout time.Duration, show func(drainState) error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := -1; ; {
		request, cancel := context.WithTimeout(ctx, timeout)
		sessions, err := o.Drain(request, on)
		cancel()
		if err != nil {
			return err
		}
		if sessions != last {
			last = sessions
			if err := show(drainState{o.ID(), on, sessions}); err != nil {
				return err
			}
		}
		if !wait || sessions == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func printDrain(w io.Writer, s drainState) error {
	does := "takes no new sessions"
	if !s.Draining {
		does = "is in service"
	}
	_, err := fmt.Fprintf(w, "node %s %s, it has %d\n", s.Node, does, s.Sessions)
	return err
}
