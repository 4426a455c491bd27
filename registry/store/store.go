// Package store keeps the Registry's records on disk (whitepaper section 4.2.2,
// High-Performance Storage). It is the only importer of pebble.
//
// Contract: when Write returns nil, what it wrote survives the death of the
// process and of the machine; a batch is there as a whole or not at all. A
// directory of another schema or network is refused with a sentence, never
// guessed at.
//
// Layout: key "m/schema" holds the schema version in decimal, "m/network" the
// network's name, and
//
//	"r/" len(kind) kind subject(20) issuer(20)  ->  canonical envelope bytes
//
// Write and All are safe for concurrent use; Close is called once, last.
package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// schema is the version of the layout above.
const schema = 1

const (
	schemaKey    = "m/schema"
	networkKey   = "m/network"
	recordPrefix = "r/"
	recordEnd    = "r0" // the first key after all records: '0' follows '/'
)

// Errors of this package.
var (
	// ErrSchema: the directory was written by another version of the software.
	ErrSchema = errors.New("store: schema")
	// ErrNetwork: the directory belongs to another network.
	ErrNetwork = errors.New("store: network")
	// ErrCorrupt: what is on disk is not what was written.
	ErrCorrupt = errors.New("store: corrupt")
)

// Store is an open directory. Only one process can have it open.
type Store struct {
	db *pebble.DB
}

// Open opens the directory, or makes it with the current schema. Pebble's own
// complaints go to log.
func Open(dir, network string, log *slog.Logger) (*Store, error) {
	return open(vfs.Default, dir, network, log)
}

func open(fs vfs.FS, dir, network string, log *slog.Logger) (*Store, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		FS:                 fs,
		Logger:             logger{log},
		EventListener:      corruptionListener(log),
		MemTableSize:       4 << 20,
		FormatMajorVersion: pebble.FormatNewest,
		MaxOpenFiles:       64,
	})
	if err != nil {
		if pebble.IsCorruptionError(err) {
			err = fmt.Errorf("%w: %w: move the directory away and start again; the network has the records", ErrCorrupt, err)
		}
		return nil, fmt.Errorf("store: opening %s: %w", dir, err)
	}
	s := &Store{db: db}
	if err := s.checkMeta(network); err != nil {
		return nil, errors.Join(fmt.Errorf("store: opening %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// checkMeta claims an empty directory and refuses a foreign one.
func (s *Store) checkMeta(network string) error {
	version, err := s.get(schemaKey)
	if errors.Is(err, pebble.ErrNotFound) {
		b := s.db.NewBatch()
		if err := errors.Join(b.Set([]byte(schemaKey), []byte(strconv.Itoa(schema)), nil),
			b.Set([]byte(networkKey), []byte(network), nil)); err != nil {
			return err
		}
		return b.Commit(pebble.Sync)
	}
	if err != nil {
		return err
	}
	if version != strconv.Itoa(schema) {
		return fmt.Errorf("%w: the records were written with schema %.20q and this program reads schema %d: use the program that wrote them, or give an empty directory and let the network fill it", ErrSchema, version, schema)
	}
	held, err := s.get(networkKey)
	if err != nil {
		return fmt.Errorf("%w: no network name: %w", ErrCorrupt, err)
	}
	if held != network {
		return fmt.Errorf("%w: the records belong to %.40q and this Registry to %q: give each network a directory of its own", ErrNetwork, held, network)
	}
	return nil
}

func (s *Store) get(key string) (string, error) {
	v, closer, err := s.db.Get([]byte(key))
	if err != nil {
		return "", err
	}
	text := string(v)
	return text, closer.Close()
}

// Write puts and removes records in one batch and waits for the disk.
func (s *Store) Write(put []envelope.Envelope, remove []record.Key) error {
	b := s.db.NewBatch()
	for i := range put {
		if err := b.Set(keyBytes(record.KeyOf(&put[i])), put[i].Bytes(), nil); err != nil {
			return fmt.Errorf("store: writing: %w", err)
		}
	}
	for _, k := range remove {
		if err := b.Delete(keyBytes(k), nil); err != nil {
			return fmt.Errorf("store: removing: %w", err)
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("store: committing %d records: %w", len(put)+len(remove), err)
	}
	return nil
}

// All reads every record. It does not check signatures: they were checked
// before Write, and blocks carry checksums. The error wraps ErrCorrupt for
// what cannot be a record.
func (s *Store) All() ([]envelope.Envelope, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte(recordPrefix), UpperBound: []byte(recordEnd)})
	if err != nil {
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	var all []envelope.Envelope
	for it.First(); it.Valid(); it.Next() {
		e, err := envelope.Parse(it.Value())
		if err == nil && string(keyBytes(record.KeyOf(&e))) != string(it.Key()) {
			err = errors.New("it is another key's record")
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: key %x: %w", ErrCorrupt, it.Key(), err), it.Close())
		}
		all = append(all, e)
	}
	if err := cmp.Or(it.Error(), it.Close()); err != nil {
		if pebble.IsCorruptionError(err) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	return all, nil
}

// Close gives the directory free.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}

func keyBytes(k record.Key) []byte {
	b := make([]byte, 0, len(recordPrefix)+1+len(k.Kind)+len(k.Subject)+len(k.Issuer))
	b = append(b, recordPrefix...)
	b = append(b, byte(len(k.Kind)))
	b = append(b, k.Kind...)
	b = append(b, k.Subject[:]...)
	return append(b, k.Issuer[:]...)
}

// corruptionListener keeps pebble from ending the process: the read that found
// the damage fails and its caller decides.
func corruptionListener(log *slog.Logger) *pebble.EventListener {
	return &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		log.Error("records damaged on disk", slog.String("file", info.Path))
	}}
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
