package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/record"
)

// openBonds returns who may take part: what the caller of New gave, the file, or
// everybody.
func openBonds(c Config) (bonding.Source, error) {
	switch {
	case c.Bonding != nil:
		return c.Bonding, nil
	case c.BondingFile != "":
		return bonding.Open(c.BondingFile)
	}
	return bonding.AllowAll{}, nil
}

// followBonds keeps the list current until ctx is done.
func followBonds(ctx context.Context, b bonding.Source, log *slog.Logger) {
	if err := b.Run(ctx, log); err != nil {
		log.Error("bonding list no longer followed", slog.Any("error", err))
	}
}

// unlisted says of a refusal for want of a bond whether it may be the list's fault:
// while that is not current, whoever is not in it may have been let in since.
func unlisted(err error, s bonding.Status) error {
	if s.Problem == "" || !errors.Is(err, record.ErrBond) {
		return err
	}
	return fmt.Errorf("%w: %s; register with another Registry, or try again later: %w", api.ErrReadOnly, s.Problem, err)
}

// bondingHealth is what /healthz says of the list.
func bondingHealth(b bonding.Source) *api.Bonding {
	s := b.Status()
	return &api.Bonding{
		Source: s.Source, Serial: b.List().Serial, Block: s.Block, CheckedAt: s.CheckedAt.UTC(), ReadOnly: s.Problem != "", Problem: s.Problem,
	}
}
