package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bonds"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/chain/overview"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/status"
)

// chainTable is the table [chain] of a Registry's file.
type chainTable struct {
	bonds.Config
	bonding.ChainConfig
}

func defaultChainTable() chainTable {
	return chainTable{Config: bonds.DefaultConfig(), ChainConfig: bonding.DefaultChainConfig()}
}

func (t chainTable) unused() bool { return t.RPC == "" && t.Addresses == "" }

// bondsFile is where a Registry whose folder is dir keeps what it read of the chain.
func bondsFile(dir string) string { return filepath.Join(dir, "bonds.json") }

// open returns who may take part by the chain, when that is known.
func (t chainTable) open(ctx context.Context, dir string, log *slog.Logger) (bonding.Source, error) {
	t.File = bondsFile(dir)
	if err := errors.Join(t.Config.Validate(), t.ChainConfig.Validate()); err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	reader, err := bonds.Open(t.Config, log)
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	chain, err := bonding.OpenChain(ctx, t.ChainConfig, chainReader{reader}, log)
	if err != nil {
		reader.Close()
		return nil, fmt.Errorf("chain: %w", err)
	}
	return chain, nil
}

// chainReader is what the chain says in the Registry's words.
type chainReader struct{ *bonds.Reader }

// Last implements bonding.Reader.
func (r chainReader) Last() (bonding.Reading, bool) {
	s, ok := r.Reader.Last()
	return reading(s), ok
}

// Read implements bonding.Reader.
func (r chainReader) Read(ctx context.Context) (bonding.Reading, error) {
	s, err := r.Reader.Read(ctx)
	if errors.Is(err, bonds.ErrWrongChain) {
		err = fmt.Errorf("%w: %w", bonding.ErrMisconfigured, err)
	}
	return reading(s), err
}

// reading has the Registries that report sign for all: everybody may place a bond,
// but who reports was admitted by a vote. The block of the last change is the
// serial, which all who read the chain agree on.
func reading(s bonds.State) bonding.Reading {
	return bonding.Reading{
		List: &bonding.List{
			Serial: s.Changed, Registries: s.Registries, Signers: s.Reporters, Orchestrators: s.Orchestrators, Nodes: s.Nodes,
			MinGeneration: s.Generations,
		},
		Block: s.Block.Block, At: s.Time,
	}
}

// openOverview returns what the status pages show of the chain; nil where the file of
// addresses has bonds alone.
func (t chainTable) openOverview(log *slog.Logger) (registry.Chain, error) {
	addresses, err := deploy.LoadAddresses(t.Addresses)
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	c := overview.DefaultConfig()
	c.Addresses, c.PollEvery = addresses, t.PollEvery
	c.Client.URL, c.Client.Finality, c.Client.Timeout = t.RPC, t.Finality, t.Timeout
	o, err := overview.Open(c, log)
	if errors.Is(err, overview.ErrNoContracts) {
		log.Warn("status pages show nothing of the chain", slog.Any("error", err))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	return shownChain{o}, nil
}

// shownChain is an overview of the chain in the status pages' words.
type shownChain struct{ *overview.Overview }

// Read implements status.Economy.
func (c shownChain) Read() (status.EconomyView, time.Time, string) {
	s := c.Standing()
	if s.View == nil {
		return nil, s.ReadAt, s.Problem
	}
	return shownView{s.View}, s.ReadAt, s.Problem
}

// shownView implements status.EconomyView.
type shownView struct{ view *overview.View }

func (v shownView) Chain() any                          { return v.view.Chain }
func (v shownView) Epochs(before uint64, limit int) any { return v.view.Epochs(before, limit) }
func (v shownView) Pools(node drtc.NodeID) any          { return v.view.Pools(node) }
func (v shownView) Payouts(node drtc.NodeID) any        { return v.view.Payouts(node) }

func (v shownView) Epoch(n uint64) (any, bool) {
	e, ok := v.view.Epoch(n)
	return e, ok
}
