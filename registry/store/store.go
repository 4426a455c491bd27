// Package store keeps the Registry's records on disk (whitepaper section 4.2.2,
// High-Performance Storage). It is the only importer of pebble.
//
// Contract: when Commit returns nil for a batch that waits, that batch and all
// before it survive the death of the process and of the machine; a batch is
// there as a whole or not at all. A directory of another schema or network is
// refused with a sentence, never guessed at.
//
// Layout: key "m/schema" holds the schema version in decimal, "m/network" the
// network's name, and
//
//	"r/" len(kind) kind subject(20) issuer(20)  ->  canonical envelope bytes
//	"f/" name                                   ->  a fact
//
// A fact is what only this Registry knows: it is not signed, not passed on, and
// lost with the directory. Programs that know no facts read the records all the
// same, so facts did not change the schema.
//
// A directory that was copied while a Registry wrote into it opens at the state
// of an earlier instant (rewind.go says how); Rewound tells.
//
// All methods are safe for concurrent use, but Close is called once, last.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// schema is the version of the layout above.
const schema = 1

const (
	schemaKey    = "m/schema"
	networkKey   = "m/network"
	recordPrefix = "r/"
	recordEnd    = "r0" // the first key after all records: '0' follows '/'
	factPrefix   = "f/"
	factEnd      = "f0"
)

// Errors of this package.
var (
	// ErrSchema: the directory was written by another version of the software.
	ErrSchema = errors.New("store: schema")
	// ErrNetwork: the directory belongs to another network.
	ErrNetwork = errors.New("store: network")
	// ErrCorrupt: what is on disk is not what was written.
	ErrCorrupt = errors.New("store: corrupt")
	// ErrInUse: another Store, most likely of another process, has the directory.
	ErrInUse = errors.New("store: in use")
	// ErrAbsent: there are no records at that place.
	ErrAbsent = errors.New("store: no records")
)

// Store is an open directory. Only one process can have it open.
type Store struct {
	db      *pebble.DB
	files   *keepingFS
	lock    *pebble.Lock
	network string
	rewound bool
}

// Open opens the directory, or makes it with the current schema. Pebble's own
// complaints go to log.
func Open(dir, network string, log *slog.Logger) (*Store, error) {
	return open(vfs.Default, dir, network, defaultTuning(), log)
}

// OpenReadOnly opens a directory that holds records, of whatever network, and
// changes nothing in it. ErrAbsent says that there are none.
func OpenReadOnly(dir string, log *slog.Logger) (*Store, error) {
	return openReadOnly(vfs.Default, dir, log)
}

func open(fs vfs.FS, dir, network string, t tuning, log *slog.Logger) (s *Store, err error) {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: opening %s: %w", dir, err)
	}
	s = &Store{network: network}
	defer func() {
		if err != nil {
			s, err = nil, errors.Join(fmt.Errorf("store: opening %s: %w", dir, err), s.close())
		}
	}()
	if s.lock, err = lockDir(fs, dir); err != nil {
		return s, err
	}
	s.files = newKeepingFS(fs, t.keep)
	options := t.options(s.files, s.lock, log)
	names, err := fs.List(dir)
	if err != nil {
		return s, err
	}
	if marked(names) {
		s.db, err = pebble.Open(dir, options)
	}
	if s.db == nil {
		s.db, err = s.rewind(dir, t, log, err)
	}
	if err != nil {
		return s, explain(err)
	}
	return s, s.claim()
}

func openReadOnly(filesystem vfs.FS, dir string, log *slog.Logger) (s *Store, err error) {
	s = &Store{}
	defer func() {
		if err != nil {
			s, err = nil, errors.Join(fmt.Errorf("store: opening %s: %w", dir, err), s.close())
		}
	}()
	names, err := filesystem.List(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !holdsManifest(names) {
		return s, fmt.Errorf("%w: give the directory of a Registry that has run", ErrAbsent)
	}
	if err != nil {
		return s, err
	}
	if s.lock, err = lockDir(filesystem, dir); err != nil {
		return s, err
	}
	t := defaultTuning()
	options := t.options(filesystem, s.lock, log)
	options.ReadOnly = true
	if marked(names) {
		s.db, err = pebble.Open(dir, options)
	}
	if s.db == nil {
		var past *pastFS
		if past, err = findPast(filesystem, dir, t, s.lock, err); err != nil {
			return s, explain(err)
		}
		options.FS, s.rewound = past, true
		if s.db, err = pebble.Open(dir, options); err != nil {
			return s, explain(err)
		}
	}
	if err := s.checkSchema(); err != nil {
		return s, err
	}
	s.network, err = s.get(networkKey)
	return s, err
}

// lockDir keeps other processes out, this one's other Stores too.
func lockDir(filesystem vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, filesystem)
	if err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return lock, err
	}
	return nil, fmt.Errorf("%w: a running Registry has these records open (%w): stop it first", ErrInUse, err)
}

// explain says what to do about damage.
func explain(err error) error {
	var path *fs.PathError // a file that is there and cannot be read is another matter
	if errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path) {
		return fmt.Errorf("%w: %w: move the directory away, and restore a back-up or start empty; the network has the records", ErrCorrupt, err)
	}
	return err
}

// claim takes an empty directory and refuses a foreign one.
func (s *Store) claim() error {
	err := s.checkSchema()
	if errors.Is(err, pebble.ErrNotFound) {
		b := s.db.NewBatch()
		if err := errors.Join(b.Set([]byte(schemaKey), []byte(strconv.Itoa(schema)), nil),
			b.Set([]byte(networkKey), []byte(s.network), nil)); err != nil {
			return err
		}
		return b.Commit(pebble.Sync)
	}
	if err != nil {
		return err
	}
	held, err := s.get(networkKey)
	if err != nil {
		return fmt.Errorf("%w: no network name: %w", ErrCorrupt, err)
	}
	if held != s.network {
		return fmt.Errorf("%w: the records belong to %.40q and this Registry to %q: give each network a directory of its own", ErrNetwork, held, s.network)
	}
	return nil
}

func (s *Store) checkSchema() error {
	version, err := s.get(schemaKey)
	if err == nil && version != strconv.Itoa(schema) {
		return fmt.Errorf("%w: the records were written with schema %.20q and this program reads schema %d: use the program that wrote them, or give an empty directory and let the network fill it", ErrSchema, version, schema)
	}
	return err
}

func (s *Store) get(key string) (string, error) {
	v, closer, err := s.db.Get([]byte(key))
	if err != nil {
		return "", err
	}
	text := string(v)
	return text, closer.Close()
}

// Network is whose records these are.
func (s *Store) Network() string { return s.network }

// Rewound reports whether the directory was a copy in disorder, made while a
// Registry wrote, and was opened at an earlier instant. What was written after
// that instant is not there: an issuer must not use its stored seq as it is.
func (s *Store) Rewound() bool { return s.rewound }

// Close gives the directory free.
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}

func (s *Store) close() (err error) {
	if s.db != nil {
		// In a table, damage is found wherever it is; at the end of a log it
		// looks like a write that was cut off.
		if s.files != nil {
			err = s.db.Flush()
		}
		err = errors.Join(err, s.db.Close())
	}
	if s.files != nil {
		s.files.removeKept()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
