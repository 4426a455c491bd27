package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/devnet"
)

// role is what every role's composition offers: after New it listens, so its
// addresses are known; Run serves until the context ends.
type role interface {
	URL() string
	Run(context.Context) error
}

// member is a role that the network knows by a key.
type member interface {
	role
	ID() drtc.NodeID
}

// roleCommand is the command of one role: defaults, then the file, then flags.
type roleCommand struct {
	cmd       *cobra.Command
	config    string // path
	readyFile string
	log       *logConfig
	given     []func() // put values of flags over those of the file
}

// newRoleCommand makes a command with the flags that every role has. file is a
// pointer to the role's configuration with log inside; start makes the role
// from it, and ready says what goes into the ready file.
func newRoleCommand[R role](use, short string, file any, log *logConfig,
	start func(*slog.Logger) (R, error), ready func(R) any) *roleCommand {
	c := &roleCommand{log: log}
	c.cmd = &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readConfig(c.config, file); err != nil {
				return err
			}
			for _, put := range c.given {
				put()
			}
			logger, err := newLogger(os.Stderr, *log)
			if err != nil {
				return err
			}
			r, err := start(logger)
			if err != nil {
				return err
			}
			if c.readyFile != "" {
				if err := devnet.WriteReady(c.readyFile, ready(r)); err != nil {
					return err
				}
			}
			return r.Run(cmd.Context())
		},
	}
	c.cmd.Flags().StringVar(&c.config, "config", "", "TOML file; keys are in docs/ops/configuration.md")
	c.cmd.Flags().StringVar(&c.readyFile, "ready-file", "", "write id, pid and addresses here as JSON once the role listens")
	flag(c, &log.LogLevel, "log-level", "debug, info, warn or error")
	flag(c, &log.LogFormat, "log-format", "text or json")
	return c
}

// flag adds a flag for a text, a list of texts or a duration that goes over the
// file's value. Its name is the key's with hyphens.
func flag[T string | []string | time.Duration](c *roleCommand, target *T, name, usage string) {
	flags := c.cmd.Flags()
	var value T
	switch v := any(&value).(type) {
	case *string:
		flags.StringVar(v, name, any(*target).(string), usage)
	case *[]string:
		flags.StringSliceVar(v, name, any(*target).([]string), usage)
	case *time.Duration:
		flags.DurationVar(v, name, any(*target).(time.Duration), usage)
	}
	c.given = append(c.given, func() {
		if flags.Changed(name) {
			*target = value
		}
	})
}

// server describes a role for its ready file.
func server(r member) devnet.Server {
	return devnet.Server{ID: r.ID(), URL: r.URL(), PID: os.Getpid(), Metrics: strings.TrimSuffix(r.URL(), "/") + "/metrics"}
}
