package bonding

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

const (
	// maxSize bounds a list: about 300,000 ids.
	maxSize = 16 << 20
	// settle is how old a file's time must be before an equal time means equal
	// contents.
	settle = 2 * time.Second
	// reloadEvery is how often Run looks.
	reloadEvery = 5 * time.Second
)

// File is a list on disk that is read again when it changes.
type File struct {
	path string
	list atomic.Pointer[List]

	mu      sync.Mutex // guards all below; one Reload at a time
	size    int64
	changed time.Time // the file's own time when it was read
	checked time.Time // when it was read
	failing bool      // it could not be taken, and that has been reported
	problem string    // why it could not be taken
	current time.Time // when it was last seen to be what holds
}

// Open reads the list at path. An error about its text wraps ErrList and names
// the field.
func Open(path string) (*File, error) {
	f := &File{path: path}
	if _, err := f.Reload(time.Now()); err != nil {
		return nil, err
	}
	return f, nil
}

// Bonded implements record.Bonding.
func (f *File) Bonded(role record.Role, id drtc.NodeID) bool { return f.list.Load().bonded(role, id) }

// MinGeneration implements record.Bonding.
func (f *File) MinGeneration(id drtc.NodeID) uint64 { return f.list.Load().MinGeneration[id] }

// List returns what holds now. It is shared: do not change it.
func (f *File) List() *List { return f.list.Load() }

// Status implements Source.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{Source: OnDisk, Problem: f.problem, CheckedAt: f.current}
}

// Run reloads until ctx is done. A file that cannot be read is logged once and
// the list that was read before holds on.
func (f *File) Run(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			changed, err := f.Reload(now)
			if err != nil {
				log.Error("bonding list not taken, the old one holds", slog.Any("error", err))
			}
			if changed {
				log.Info("bonding list changed", slog.Uint64("serial", f.List().Serial))
			}
		}
	}
}

// Reload reads the file if it may have changed since it was last read, and
// reports whether another list holds now. After an error the old one holds; the
// same bad file is reported once.
func (f *File) Reload(now time.Time) (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, err = f.reload(now)
	switch {
	case err != nil:
		f.problem = "the bonding file cannot be taken since " + now.UTC().Format(time.RFC3339)
	case !f.failing:
		f.problem, f.current = "", now
	}
	return changed, err
}

// reload needs the lock.
func (f *File) reload(now time.Time) (changed bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		reported := f.failing && f.size < 0
		f.size, f.failing = -1, true
		if reported {
			return false, nil
		}
		return false, fmt.Errorf("bonding: %w", err)
	}
	same := info.Size() == f.size && info.ModTime().Equal(f.changed)
	if same && f.checked.Sub(f.changed) > settle {
		return false, nil
	}
	f.size, f.changed, f.checked = info.Size(), info.ModTime(), now
	fresh, err := read(f.path)
	if err == nil {
		err = f.follows(fresh)
	}
	reported := f.failing && same
	f.failing = err != nil
	if err != nil {
		if reported {
			return false, nil
		}
		return false, fmt.Errorf("bonding: %s: %w", f.path, err)
	}
	if old := f.list.Load(); old != nil && old.equal(fresh) {
		return false, nil
	}
	f.list.Store(fresh)
	return true, nil
}

// follows reports whether fresh may come after the list that holds.
func (f *File) follows(fresh *List) error {
	old := f.list.Load()
	if old == nil || old.equal(fresh) || fresh.Serial > old.Serial {
		return nil
	}
	return fmt.Errorf("%w: serial: is %d and the list before it had %d; raise it with every change", ErrList, fresh.Serial, old.Serial)
}

func read(path string) (*List, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("%w: want at most %d bytes", ErrList, maxSize)
	}
	return Parse(text)
}
