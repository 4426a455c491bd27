package registry

import (
	"context"
	"log/slog"

	"github.com/drtc-network/drtc/registry/store"
)

// backups writes the back-up file again and again until ctx is done.
func (r *Registry) backups(ctx context.Context) {
	if r.config.BackupFile == "" {
		return
	}
	file := slog.String("file", r.config.BackupFile)
	r.store.BackupEvery(ctx, r.config.BackupFile, r.config.BackupEvery, func(c store.Counts, err error) {
		if err != nil {
			r.log.Error("back-up not written, the one before stands", file, slog.Any("error", err))
			return
		}
		r.log.Info("back-up written", file, slog.Uint64("records", c.Records))
	})
}
