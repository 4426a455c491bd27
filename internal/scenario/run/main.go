// Command run runs a scenario of package scenario and prints what it found as a
// table, or with --json as JSON. It exits with 1 when a promise is broken.
//
//	go run ./internal/scenario/run fanout --viewers 600
//	go run ./internal/scenario/run cities
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/drtc-network/drtc/internal/scenario"
)

var errBroken = errors.New("a promise is broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// common are the flags of every scenario.
type common struct {
	flags   *flag.FlagSet
	program string
	keep    string
	json    bool
}

func newCommon(name string) *common {
	c := &common{flags: flag.NewFlagSet(name, flag.ContinueOnError)}
	c.flags.StringVar(&c.program, "program", "bin/drtc", "the drtc binary")
	c.flags.StringVar(&c.keep, "dir", "", "folder for configuration and logs, which is kept; empty for one that is removed")
	c.flags.BoolVar(&c.json, "json", false, "print JSON")
	return c
}

// dir makes the folder and returns what removes it.
func (c *common) dir() (string, func(), error) {
	if c.keep != "" {
		dir, err := filepath.Abs(c.keep)
		return dir, func() {}, err
	}
	dir, err := os.MkdirTemp("", "drtc-scenario-")
	return dir, func() { _ = os.RemoveAll(dir) }, err // it is in the folder of what is temporary
}

// show prints a result and fails when there are problems.
func (c *common) show(result any, table string, problems []string) error {
	if c.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(result); err != nil {
			return err
		}
	} else if _, err := os.Stdout.WriteString(table); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errBroken
	}
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "fanout":
			return fanOut(ctx, args[1:])
		case "cities":
			return cities(ctx, args[1:])
		}
	}
	return errors.New("usage: run fanout|cities [flags]")
}

func fanOut(ctx context.Context, args []string) error {
	c := newCommon("fanout")
	cfg := scenario.FanOutConfig{Say: say}
	c.flags.IntVar(&cfg.Nodes, "nodes", 13, "media nodes")
	c.flags.IntVar(&cfg.Degree, "degree", 3, "links that a node may have, 3 or more")
	c.flags.IntVar(&cfg.Viewers, "viewers", 600, "viewers")
	c.flags.IntVar(&cfg.Previous, "previous", 1, "nodes that speak the previous version of the relay protocol")
	c.flags.Float64Var(&cfg.Ramp, "ramp", 15, "joins per second")
	c.flags.DurationVar(&cfg.Settle, "settle", 8*time.Second, "time between the last join and the measurement")
	c.flags.DurationVar(&cfg.Length, "length", 20*time.Second, "of the measurement")
	c.flags.DurationVar(&cfg.Hop, "hop", 0, "the most that a hop may add to the 99th percentile of the delay; 0 asks for nothing")
	if err := c.flags.Parse(args); err != nil {
		return err
	}
	dir, remove, err := c.dir()
	if err != nil {
		return err
	}
	defer remove()
	cfg.Program, cfg.Dir = c.program, dir
	result, err := scenario.FanOut(ctx, cfg)
	if err != nil {
		return err
	}
	return c.show(result, result.Table(), result.Problems)
}

func cities(ctx context.Context, args []string) error {
	c := newCommon("cities")
	cfg := scenario.CitiesConfig{Say: say}
	c.flags.Float64Var(&cfg.Loss, "loss", 0.005, "share of packets lost between cities, each way")
	c.flags.BoolVar(&cfg.Previous, "previous", true, "the node in Sydney speaks the previous version of the relay protocol")
	c.flags.Uint64Var(&cfg.Seed, "seed", 1, "of the losses")
	c.flags.DurationVar(&cfg.Settle, "settle", 5*time.Second, "time between the first media and the measurement")
	c.flags.DurationVar(&cfg.Length, "length", 30*time.Second, "of each of the two measurements")
	if err := c.flags.Parse(args); err != nil {
		return err
	}
	dir, remove, err := c.dir()
	if err != nil {
		return err
	}
	defer remove()
	cfg.Program, cfg.Dir = c.program, dir
	result, err := scenario.Cities(ctx, cfg)
	if err != nil {
		return err
	}
	return c.show(result, result.Table(), result.Problems)
}
