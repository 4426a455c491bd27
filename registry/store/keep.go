package store

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// archive is where pebble.ArchiveCleaner moves what is out of use.
const archive = "archive"

// keepingFS lets tables and logs that are out of use stay for a while: twice as
// many bytes as the largest of the last compactions read and a few more, oldest
// out first. A copy of the directory that began before they went out of use then
// finds every file of the state that it began with, unless more than two
// compactions end while it is made. For the same reason logs are not written
// over, and go in the order in which they were written.
//
// The storage engine believes that it moves files to an archive: only then does
// it not write over logs. Names of tables and logs are never used twice, and what
// a crash leaves behind is found out of use at the next start.
type keepingFS struct {
	vfs.FS
	least int64 // bytes to keep at least

	mu   sync.Mutex // guards all below
	read [4]int64   // bytes that the last compactions read
	turn int        // in read
	kept []keptFile
	size int64 // of kept
}

type keptFile struct {
	name string
	size int64
}

func newKeepingFS(fs vfs.FS, least int64) *keepingFS { return &keepingFS{FS: fs, least: least} }

// compacted is told of a compaction before its inputs are removed.
func (k *keepingFS) compacted(info pebble.CompactionInfo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn = (k.turn + 1) % len(k.read)
	k.read[k.turn] = 0
	for _, level := range info.Input {
		for _, table := range level.Tables {
			k.read[k.turn] += int64(table.Size)
		}
	}
}

// Remove implements vfs.FS.
func (k *keepingFS) Remove(name string) error {
	if ext := path.Ext(name); ext != ".sst" && ext != ".log" {
		return k.FS.Remove(name)
	}
	info, err := k.FS.Stat(name)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, keptFile{name, info.Size()})
	k.size += info.Size()
	for k.size > k.least+2*slices.Max(k.read[:]) {
		if err := k.removeOldest(); err != nil {
			return err
		}
	}
	return nil
}

// Create implements vfs.FS. The entry of a manifest is on disk before the marker
// that names it can be: the storage engine writes both entries before it waits
// for either, and a file system may keep the later one alone.
func (k *keepingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := k.FS.Create(name, category)
	if err != nil || !strings.HasPrefix(k.PathBase(name), manifestPrefix) {
		return f, err
	}
	if err := syncDir(k.FS, k.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Rename implements vfs.FS. What is moved to the archive is out of use.
func (k *keepingFS) Rename(oldname, newname string) error {
	if k.PathBase(k.PathDir(newname)) == archive {
		return k.Remove(oldname)
	}
	return k.FS.Rename(oldname, newname)
}

// MkdirAll implements vfs.FS; there is no archive.
func (k *keepingFS) MkdirAll(dir string, perm os.FileMode) error {
	if k.PathBase(dir) == archive {
		return nil
	}
	return k.FS.MkdirAll(dir, perm)
}

// Unwrap implements vfs.FS.
func (k *keepingFS) Unwrap() vfs.FS { return k.FS }

// removeOldest needs mu.
func (k *keepingFS) removeOldest() error {
	f := k.kept[0]
	k.kept = k.kept[1:]
	k.size -= f.size
	return k.FS.Remove(f.name)
}

// removeKept removes what is left. A file that cannot be removed is found out of
// use at the next start.
func (k *keepingFS) removeKept() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.kept) > 0 {
		_ = k.removeOldest()
	}
}

func (k *keepingFS) bytes() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.size
}
