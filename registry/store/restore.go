package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/drtc-network/drtc/envelope"
)

// ErrNotEmpty says that there is something where a back-up was to be restored.
var ErrNotEmpty = errors.New("store: directory is not empty")

// BackupFile writes a back-up to path: into path.new, which is on disk before it
// takes the place of what was there. An error leaves that as it was.
func (s *Store) BackupFile(ctx context.Context, now time.Time, path string) (counts Counts, err error) {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return Counts{}, fmt.Errorf("store: backing up: %w", err)
	}
	counts, err = s.Backup(ctx, now, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		os.Remove(fresh)
		return Counts{}, fmt.Errorf("store: backing up to %s: %w", path, err)
	}
	return counts, syncFolder(filepath.Dir(path))
}

// BackupEvery writes a back-up to path now, unless the one that is there is
// young enough, and then one every so often until ctx is done. It tells done of
// each.
func (s *Store) BackupEvery(ctx context.Context, path string, every time.Duration, done func(Counts, error)) {
	wait := time.Duration(0)
	if info, err := os.Stat(path); err == nil {
		wait = min(every, every-time.Since(info.ModTime()))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			counts, err := s.BackupFile(ctx, now, path)
			if ctx.Err() != nil {
				return
			}
			done(counts, err)
			timer.Reset(every)
		}
	}
}

// Restore makes a directory from a back-up. Every record must be in canonical
// form, of the back-up's network, in its place and signed by its issuer; network,
// if not empty, must be the back-up's. The directory must not exist or be empty;
// it appears when everything is on disk, and not at all after an error. Records
// whose life has ended are restored too: the next start drops them.
func Restore(ctx context.Context, r io.Reader, dir, network string, log *slog.Logger) (Header, Counts, error) {
	in, err := NewBackupReader(r)
	if err != nil {
		return Header{}, Counts{}, err
	}
	h := in.Header()
	if network != "" && h.Network != network {
		return h, Counts{}, fmt.Errorf("%w: the back-up belongs to %.40q, not to %q", ErrNetwork, h.Network, network)
	}
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h, Counts{}, fmt.Errorf("store: restoring: %w", err)
	}
	if len(names) > 0 {
		return h, Counts{}, fmt.Errorf("%w: %s: move it away first", ErrNotEmpty, dir)
	}
	fresh := filepath.Clean(dir) + ".restoring" // perhaps left by a process that was killed
	if err := os.RemoveAll(fresh); err != nil {
		return h, Counts{}, fmt.Errorf("store: restoring: %w", err)
	}
	if err := fill(ctx, in, fresh, log); err != nil {
		return h, Counts{}, errors.Join(fmt.Errorf("store: restoring: %w", err), os.RemoveAll(fresh))
	}
	// A rename does not go over a directory, not even an empty one.
	if err = os.Remove(dir); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = os.Rename(fresh, dir)
	}
	if err != nil {
		return h, Counts{}, errors.Join(fmt.Errorf("store: restoring: %w", err), os.RemoveAll(fresh))
	}
	return h, in.Counts(), syncFolder(filepath.Dir(filepath.Clean(dir)))
}

// fill writes all of in to a new directory.
func fill(ctx context.Context, in *BackupReader, dir string, log *slog.Logger) error {
	s, err := Open(dir, in.Header().Network, log)
	if err != nil {
		return err
	}
	err = fanOut(ctx, runtime.GOMAXPROCS(0), s.putVerified, func(send func([]Raw) bool) error {
		return in.chunks(send, func(f Fact) error { return s.Commit(Batch{Facts: []Fact{f}, NoWait: true}) })
	})
	if err == nil {
		err = s.Commit(Batch{}) // waits for all before it
	}
	return errors.Join(err, s.Close())
}

// putVerified runs in several goroutines.
func (s *Store) putVerified(c []Raw) error {
	put := make([]envelope.Envelope, len(c))
	for i, r := range c {
		var err error
		if put[i], err = r.Record(); err != nil {
			return err
		}
		if err = put[i].Verify(); err == nil && put[i].Network != s.network {
			err = fmt.Errorf("%w: it belongs to %.40q and the back-up to %q", ErrNetwork, put[i].Network, s.network)
		}
		if err != nil {
			return fmt.Errorf("record %d, %s about %s by %s: %w", r.number, put[i].Kind, put[i].Subject, put[i].Issuer, err)
		}
	}
	return s.Commit(Batch{Put: put, NoWait: true})
}

// syncFolder puts the entries of a folder on disk.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := cmp.Or(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("store: putting %s on disk: %w", path, err)
	}
	return nil
}
