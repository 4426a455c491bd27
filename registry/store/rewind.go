package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	walrecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// A directory that is copied file by file while a Registry writes is in
// disorder: the manifest, which lists the tables, may be copied later than the
// tables were, and name some that are not in the copy or only in part.
//
// The manifest is a log of edits, and each of its beginnings is the state of an
// earlier instant. So the copy is opened at its longest beginning whose tables
// are all there and whole and whose oldest log is there. keepingFS makes that
// one no older than the instant at which the copy began, if copying takes no
// longer than the files out of use stay.

const (
	manifestPrefix = "MANIFEST-"
	optionsPrefix  = "OPTIONS-"
	manifestMarker = "manifest" // name of pebble's marker file

	// maxSteps bounds how many edits are taken back before it is called damage.
	maxSteps = 1024
)

// marked reports whether the marker names a manifest, or nothing was ever
// written. What else may be missing pebble finds, but for a lost log.
func marked(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "marker."+manifestMarker+".") }) ||
		!slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".log") || strings.HasSuffix(n, ".sst") })
}

func holdsManifest(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, manifestPrefix) })
}

// rewind opens a directory that pebble refused because of cause (nil: it was
// not asked) at an earlier instant, or returns the cause.
func (s *Store) rewind(dir string, t tuning, log *slog.Logger, cause error) (*pebble.DB, error) {
	past, err := findPast(s.files, dir, t, s.lock, cause)
	if err != nil {
		return nil, err
	}
	if err := past.settle(); err != nil {
		return nil, fmt.Errorf("going back to an earlier instant: %w", err)
	}
	s.rewound = true
	log.Warn("records were copied while they were written; opened at an earlier instant",
		slog.String("dir", dir), slog.Int("edits_taken_back", past.steps))
	return pebble.Open(dir, t.options(s.files, s.lock, log))
}

// findPast looks for the latest whole state without changing anything. If there
// is none it returns cause.
func findPast(fs vfs.FS, dir string, t tuning, lock *pebble.Lock, cause error) (*pastFS, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	if cause == nil {
		cause = errors.New("the manifest's marker is missing")
	}
	slices.Sort(names)
	steps := 0
	for _, name := range slices.Backward(names) {
		if !strings.HasPrefix(name, manifestPrefix) {
			continue
		}
		edits, err := readEdits(fs, fs.PathJoin(dir, name))
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Backward(edits) {
			if steps++; steps > maxSteps {
				return nil, cause
			}
			past := &pastFS{FS: fs, dir: dir, manifest: name, size: e.end, steps: steps - 1}
			if logsFollow(fs, dir, e.firstLog(names, number(name))) && past.opens(t, lock) {
				return past, nil
			}
		}
	}
	return nil, cause
}

// edit is one record of a manifest.
type edit struct {
	end    int64  // offset of the first byte after it
	first  bool   // of its manifest
	oldest uint64 // number below which all logs are in tables
}

// firstLog is the number of the oldest log whose records may be in no table.
//
// Files are numbered as they are made. A start makes, in this order: a manifest,
// its first log, the options. What it found in older logs it puts into tables,
// and then names as the oldest log a number that no file has.
func (e edit) firstLog(names []string, manifest uint64) uint64 {
	options := uint64(0)
	for _, n := range names {
		if strings.HasPrefix(n, optionsPrefix) {
			options = max(options, number(n))
		}
	}
	if e.oldest < manifest && options > manifest && (!e.first || manifest == 1) { // the very first holds nothing
		return options - 1
	}
	return e.oldest
}

// logsFollow reports whether the first log is there and no record is missing
// between it and the end of the last: pebble misses neither.
func logsFollow(fs vfs.FS, dir string, first uint64) bool {
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil {
		return false
	}
	found, next := false, uint64(0)
	for _, log := range logs { // in order
		if uint64(log.Num) < first {
			continue
		}
		found = found || uint64(log.Num) == first
		if next, err = readLog(log, next); err != nil {
			return false
		}
	}
	return found
}

var errGap = errors.New("store: records are missing between two logs")

// readLog reads a log as far as it is whole and returns the sequence number that
// is next after it; want is the one that it should begin with, 0 for any.
func readLog(log wal.LogicalLog, want uint64) (next uint64, err error) {
	r := log.OpenForRead()
	var head [12]byte // of a batch: sequence number, count
	for {
		batch, _, err := r.NextRecord()
		if err == nil {
			_, err = io.ReadFull(batch, head[:])
		}
		if err != nil {
			return want, r.Close()
		}
		seq, count := binary.LittleEndian.Uint64(head[:]), uint64(binary.LittleEndian.Uint32(head[8:]))
		if count == 0 {
			continue
		}
		if want != 0 && seq != want {
			return 0, errors.Join(errGap, r.Close())
		}
		want = seq + count
	}
}

// number is that in the name of a manifest or options, 0 for other names.
func number(name string) uint64 {
	_, digits, _ := strings.Cut(name, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// readEdits reads as far as the manifest is whole.
func readEdits(fs vfs.FS, name string) ([]edit, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var edits []edit
	oldest := uint64(0)
	for r := walrecord.NewReader(f, 0); ; {
		content, err := r.Next()
		if err != nil {
			return edits, nil
		}
		b, err := io.ReadAll(content)
		if err != nil {
			return edits, nil
		}
		if n := oldestLog(b); n != 0 {
			oldest = n
		}
		edits = append(edits, edit{r.Offset(), len(edits) == 0, oldest})
	}
}

// Tags of a version edit, in the order in which they come first.
const (
	tagComparer  = 1
	tagOldestLog = 2
)

// oldestLog reads what it needs from the beginning of a version edit: the number
// of the oldest log, or 0 if the edit does not change it.
func oldestLog(b []byte) uint64 {
	for {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0
		}
		v, m := binary.Uvarint(b[n:])
		switch {
		case m <= 0:
			return 0
		case tag == tagOldestLog:
			return v
		case tag == tagComparer && v <= uint64(len(b)-n-m): // its name's length
			b = b[n+m+int(v):]
		default:
			return 0
		}
	}
}

// pastFS shows a directory as it was when manifest had only size bytes.
type pastFS struct {
	vfs.FS
	dir      string
	manifest string
	size     int64
	steps    int // edits that are not shown
}

// opens reports whether that state can be opened and read, blocks' checksums
// included.
func (p *pastFS) opens(t tuning, lock *pebble.Lock) bool {
	options := t.options(p, lock, slog.New(slog.DiscardHandler))
	options.ReadOnly = true
	db, err := pebble.Open(p.dir, options)
	if err != nil {
		return false
	}
	it, err := db.NewIter(nil)
	if err != nil {
		return errors.Join(err, db.Close()) == nil
	}
	for it.First(); it.Valid(); it.Next() {
		if _, err = it.ValueAndErr(); err != nil {
			break
		}
	}
	return errors.Join(err, it.Close(), db.Close()) == nil
}

// settle makes the directory what p shows.
func (p *pastFS) settle() error {
	name := p.PathJoin(p.dir, p.manifest)
	from, err := p.Open(name)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(from)
	if err := errors.Join(err, from.Close()); err != nil {
		return err
	}
	shorter := p.PathJoin(p.dir, "manifest.dbtmp")
	to, err := p.Create(shorter, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = to.Write(b)
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := p.Rename(shorter, name); err != nil {
		return err
	}
	marker, _, err := atomicfs.LocateMarker(p.FS, p.dir, manifestMarker)
	if err != nil {
		return err
	}
	return errors.Join(marker.Move(p.manifest), marker.Close()) // syncs the directory
}

// List implements vfs.FS: the marker names the manifest, whatever is there.
func (p *pastFS) List(dir string) ([]string, error) {
	names, err := p.FS.List(dir)
	if err != nil || dir != p.dir {
		return names, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "marker."+manifestMarker+".") })
	return append(names, "marker."+manifestMarker+".000001."+p.manifest), nil
}

// Open implements vfs.FS.
func (p *pastFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.Open(name, opts...)
	if err != nil || p.PathBase(name) != p.manifest {
		return f, err
	}
	return &beginning{File: f, left: p.size}, nil
}

// Unwrap implements vfs.FS.
func (p *pastFS) Unwrap() vfs.FS { return p.FS }

// beginning is a file that ends early.
type beginning struct {
	vfs.File
	left int64
}

func (f *beginning) Read(b []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	n, err := f.File.Read(b[:min(int64(len(b)), f.left)])
	f.left -= int64(n)
	return n, err
}
