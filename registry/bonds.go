package registry

import (
	"context"
	"log/slog"

	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/record"
)

// bonds says who may take part.
type bonds interface {
	record.Bonding
	// List is what others are told that it says.
	List() *bonding.List
}

// openBonds reads the list; without a path everybody may take part.
func openBonds(path string) (bonds, error) {
	if path == "" {
		return bonding.AllowAll{}, nil
	}
	return bonding.Open(path)
}

// watchBonds follows the list's file until ctx is done.
func watchBonds(ctx context.Context, b bonds, log *slog.Logger) {
	if file, ok := b.(*bonding.File); ok {
		if err := file.Run(ctx, log); err != nil {
			log.Error("bonding list no longer followed", slog.Any("error", err))
		}
	}
}
