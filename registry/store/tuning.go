package store

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tuning is what decides about memory, disk and the wear of the disk.
//
// Records are small, rewritten all the time and read once, at the start. So the
// cache is small, and what is rewritten is thrown away soon: the size of all
// tables follows the live records within a few memtables. BenchmarkStore_rewrites
// has the figures. Memtables of twice the size write a quarter less to the disk
// and take a third more of it.
type tuning struct {
	memTable uint64 // bytes; two of them, and as much log, exist at once
	l0       int    // flushed memtables that are merged into the rest at once
	cache    int64  // bytes of blocks held in memory
	keep     int64  // bytes of files out of use that stay for a while at least
}

func defaultTuning() tuning {
	return tuning{memTable: 1 << 20, l0: 2, cache: 2 << 20, keep: 2 << 20}
}

func (t tuning) options(fs vfs.FS, lock *pebble.Lock, log *slog.Logger) *pebble.Options {
	return &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		Logger:                      logger{log},
		EventListener:               listener(fs, log),
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   t.cache,
		MemTableSize:                t.memTable,
		MemTableStopWritesThreshold: 2,
		L0CompactionThreshold:       t.l0,
		MaxOpenFiles:                64,
		Cleaner:                     pebble.ArchiveCleaner{}, // keepingFS has the reason
		// The list of tables is begun anew before it outweighs them.
		MaxManifestFileSize: 512 << 10,
	}
}

// listener keeps pebble from ending the process at damage: the read that found
// it fails and its caller decides.
func listener(fs vfs.FS, log *slog.Logger) *pebble.EventListener {
	l := &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		log.Error("records damaged on disk", slog.String("file", info.Path))
	}}
	if k, ok := fs.(*keepingFS); ok {
		l.CompactionEnd = k.compacted
	}
	return l
}

// logger passes on what pebble reports as wrong and drops its chatter.
type logger struct{ log *slog.Logger }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("storage engine", slog.String("message", fmt.Sprintf(format, args...)))
}

// Fatalf is called when the disk fails under a write; pebble relies on it not
// to return. What was acknowledged is safe, so stopping here loses nothing.
func (l logger) Fatalf(format string, args ...any) {
	panic("store: the storage engine cannot go on: " + fmt.Sprintf(format, args...))
}
