package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/drtc-network/drtc/chain/bonds"
	"github.com/drtc-network/drtc/registry/bonding"
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
