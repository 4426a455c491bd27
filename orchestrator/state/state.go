// Package state is the interface behind which an Orchestrator keeps what must
// outlive a process: rooms, participants, track maps, ledgers (whitepaper
// section 4.1).
//
// Contract: a Store is a map from keys to values in which every write has a
// revision, higher than all before it in the whole Store, and a write passes
// only if it names the revision that it replaces. So several Orchestrators may
// share one Store, and two that change the same room find out.
//
// The interface follows a key-value bucket of NATS JetStream with a history of
// one. Keys are tokens joined by dots:
//
//	rooms.RM_abc.participants.PA_def
//	\___/ \____/                      a token: A-Z a-z 0-9 _ - = /
//	\__________/                      "rooms.RM_abc." is a prefix of the key
//
// Package memory holds an implementation for one process, package statetest the
// suite that every implementation must pass. A Store is safe for concurrent use
// and keeps no reference to a value it was given, nor gives one of its own.
package state

import (
	"context"
	"errors"
)

// Why a Store refuses. Compare with errors.Is.
var (
	// ErrNotFound: the key has no value.
	ErrNotFound = errors.New("state: no such key")
	// ErrExists: Create found a value.
	ErrExists = errors.New("state: key exists already")
	// ErrConflict: the key's revision is not the one that the write names,
	// because of another write or a deletion. Get the value and decide anew.
	ErrConflict = errors.New("state: changed by somebody else")
	// ErrKey: a key or a prefix is malformed.
	ErrKey = errors.New("state: malformed key")
	// ErrTooLarge: a key or a value is over its limit.
	ErrTooLarge = errors.New("state: too large")
	// ErrFull: the Store has no room left.
	ErrFull = errors.New("state: store is full")
	// ErrLagging: a Stream was read too slowly and missed a deletion. Watch anew.
	ErrLagging = errors.New("state: watch fell behind")
	// ErrClosed: the Stream was closed.
	ErrClosed = errors.New("state: watch is closed")
)

// Entry is a value with its key and the revision of the write that put it there.
// Revisions start at 1; those of one key are not consecutive.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
}

// KV reads and writes. A call with a context that is done fails with the
// context's error; whether a write that fails so, or for a lost connection, was
// done is not known. A read sees every write that returned before it began.
type KV interface {
	// Get returns the entry at key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Create puts a value at a key that has none, or fails with ErrExists. A
	// deleted key has none.
	Create(ctx context.Context, key string, value []byte) (revision uint64, err error)
	// Update replaces the value whose revision is last, or fails with
	// ErrConflict. A key without a value is a conflict.
	Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error)
	// Delete removes the value whose revision is last, or fails with ErrConflict.
	Delete(ctx context.Context, key string, last uint64) error
	// List returns the entries under prefix in the order of their keys.
	List(ctx context.Context, prefix string) ([]Entry, error)
}

// Watcher follows changes.
type Watcher interface {
	// Watch follows the keys under prefix. The context counts for this call
	// only; the caller must Close the Stream.
	Watch(ctx context.Context, prefix string) (Stream, error)
}

// Store is what an Orchestrator needs.
type Store interface {
	KV
	Watcher
}

// Stream is one watch. It gives first the entries that exist, then one Current
// event, then every change that follows, in the order of revisions. Of several
// changes of one key that were not read yet it may give the last only, so that
// a slow reader costs no more memory than the keys do; what it gives is never
// older than what it gave before.
type Stream interface {
	// Next waits for an event. It fails with the context's error, after which
	// it may be called again, with ErrClosed, or with ErrLagging, after which
	// the Stream is of no more use. Not for concurrent use with itself.
	Next(ctx context.Context) (Event, error)
	// Close ends the watch and a Next that waits. It may be called twice.
	Close()
}

// Kind says what an Event tells.
type Kind int

// The kinds of event.
const (
	Put     Kind = iota + 1 // the entry is the value now
	Deleted                 // the entry's key has no value now; its Value is nil
	Current                 // all that existed when the watch began has been given
)

// Event is one step of a Stream. Its Entry is empty for Current.
type Event struct {
	Kind  Kind
	Entry Entry
}
