package registry

import (
	"context"
	"log/slog"

	"github.com/drtc-network/drtc/registry/store"
)

// backups writes the back-ups that the configuration asks for until ctx is done.
// One that fails leaves the last one in place; the next is tried in its turn.
func (r *Registry) backups(ctx context.Context) {
	if r.config.BackupFile == "" {
		return
	}
	r.store.BackupEvery(ctx, r.config.BackupFile, r.config.BackupEvery, func(counts store.Counts, err error) {
		if err != nil {
			r.log.Error("back-up failed", slog.Any("error", err))
			return
		}
		r.log.Info("backed up", slog.String("file", r.config.BackupFile), slog.Uint64("records", counts.Records))
	})
}
