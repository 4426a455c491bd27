package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// Bounds of a fact.
const (
	MaxFactName = 64      // bytes
	MaxFact     = 4 << 20 // bytes
)

// Batch is what one Commit does, as a whole or not at all.
type Batch struct {
	Put    []envelope.Envelope
	Remove []record.Key
	Facts  []Fact
	// NoWait does not wait for the disk. The batch is in order with all others,
	// and safe as soon as a later one that waits is; until then it outlives the
	// process, as a rule, but not the machine. It is for what the network can
	// bring again.
	NoWait bool
}

// Fact is a named blob that only this Registry has. A nil Value removes it.
type Fact struct {
	Name  string // 1 to MaxFactName bytes
	Value []byte // at most MaxFact bytes
}

// Commit does what b says, after everything that was committed before. An empty
// batch that waits puts all that on disk.
func (s *Store) Commit(b Batch) error {
	w := s.db.NewBatch()
	return errors.Join(s.commit(w, b), w.Close())
}

func (s *Store) commit(w *pebble.Batch, b Batch) error {
	for i := range b.Put {
		if err := w.Set(keyBytes(record.KeyOf(&b.Put[i])), b.Put[i].Bytes(), nil); err != nil {
			return fmt.Errorf("store: writing: %w", err)
		}
	}
	for _, k := range b.Remove {
		if err := w.Delete(keyBytes(k), nil); err != nil {
			return fmt.Errorf("store: removing: %w", err)
		}
	}
	for _, f := range b.Facts {
		if err := setFact(w, f); err != nil {
			return err
		}
	}
	wait := pebble.Sync
	if b.NoWait {
		wait = pebble.NoSync
	}
	err := w.Commit(wait)
	if w.Empty() && !b.NoWait {
		err = s.db.LogData(nil, pebble.Sync) // an empty batch by itself waits for nothing
	}
	if err != nil {
		return fmt.Errorf("store: committing %d records and %d facts: %w", len(b.Put)+len(b.Remove), len(b.Facts), err)
	}
	return nil
}

func setFact(w *pebble.Batch, f Fact) error {
	if err := checkFact(f.Name, len(f.Value)); err != nil {
		return err
	}
	key := []byte(factPrefix + f.Name)
	var err error
	if f.Value == nil {
		err = w.Delete(key, nil)
	} else {
		err = w.Set(key, f.Value, nil)
	}
	if err != nil {
		return fmt.Errorf("store: fact %s: %w", f.Name, err)
	}
	return nil
}

func checkFact(name string, size int) error {
	if len(name) < 1 || len(name) > MaxFactName {
		return fmt.Errorf("store: fact %.80q: want a name of 1 to %d bytes", name, MaxFactName)
	}
	if size > MaxFact {
		return fmt.Errorf("store: fact %q: want at most %d bytes, got %d", name, MaxFact, size)
	}
	return nil
}

// Fact returns the blob of that name; ok is false if there is none.
func (s *Store) Fact(name string) (value []byte, ok bool, err error) {
	v, err := s.get(factPrefix + name)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("store: fact %q: %w", name, damaged(err))
	}
	return []byte(v), true, nil
}

func keyBytes(k record.Key) []byte {
	b := make([]byte, 0, len(recordPrefix)+1+len(k.Kind)+len(k.Subject)+len(k.Issuer))
	b = append(b, recordPrefix...)
	b = append(b, byte(len(k.Kind)))
	b = append(b, k.Kind...)
	b = append(b, k.Subject[:]...)
	return append(b, k.Issuer[:]...)
}
