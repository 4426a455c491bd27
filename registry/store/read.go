package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// Raw is one record as it lies on disk or in a back-up, with nothing checked. The
// slices are the receiver's.
type Raw struct {
	Key    []byte // where the Store holds it; nil in a back-up
	Value  []byte // what should be canonical envelope bytes
	number uint64 // in a back-up, from 1
	astray bool   // in a back-up, not after the one before it
}

// Record reads r. The error wraps ErrCorrupt or, in a back-up, ErrBackup: the
// bytes are no record, or one that belongs elsewhere.
func (r Raw) Record() (envelope.Envelope, error) {
	e, err := envelope.Parse(r.Value)
	switch {
	case err == nil && r.Key != nil && string(keyBytes(record.KeyOf(&e))) != string(r.Key):
		err = errors.New("it is another key's record")
	case err == nil && r.astray:
		err = errors.New("want the records in ascending order, each once")
	case err == nil:
		return e, nil
	}
	if r.Key == nil {
		return envelope.Envelope{}, fmt.Errorf("%w: record %d: %w", ErrBackup, r.number, err)
	}
	return envelope.Envelope{}, fmt.Errorf("%w: key %x: %w", ErrCorrupt, r.Key, err)
}

// Where is the key of r, as far as it can be read.
func (r Raw) Where() record.Key {
	if e, err := envelope.Parse(r.Value); err == nil && r.Key == nil {
		return record.KeyOf(&e)
	}
	var k record.Key
	rest, ok := bytes.CutPrefix(r.Key, []byte(recordPrefix))
	if !ok || len(rest) < 1 || len(rest) != 1+int(rest[0])+len(k.Subject)+len(k.Issuer) {
		return k
	}
	size := int(rest[0])
	k.Kind = string(rest[1 : 1+size])
	copy(k.Subject[:], rest[1+size:])
	copy(k.Issuer[:], rest[1+size+len(k.Subject):])
	return k
}

// chunkSize is how many records go from one goroutine to another at once.
const chunkSize = 256

// Each calls each with every record. With one worker the calls come in order of
// the keys; with more they come from as many goroutines at once, in no order,
// and have ended when Each returns. It does not check signatures: they were
// checked before they were written, and blocks carry checksums. The first error
// ends it; it wraps ErrCorrupt for what cannot be a record.
func (s *Store) Each(ctx context.Context, workers int, each func(envelope.Envelope) error) error {
	return s.EachRaw(ctx, workers, func(r Raw) error {
		e, err := r.Record()
		if err != nil {
			return err
		}
		return each(e)
	})
}

// EachRaw is Each for who wants to see damaged records too.
func (s *Store) EachRaw(ctx context.Context, workers int, each func(Raw) error) error {
	return fanOut(ctx, workers, inChunks(each), s.chunks)
}

func inChunks(each func(Raw) error) func([]Raw) error {
	return func(c []Raw) error {
		for _, r := range c {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// chunks reads all records. send reports whether to go on.
func (s *Store) chunks(send func([]Raw) bool) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte(recordPrefix), UpperBound: []byte(recordEnd)})
	if err != nil {
		return fmt.Errorf("store: reading: %w", damaged(err))
	}
	var c []Raw
	for it.First(); it.Valid(); it.Next() {
		both := append(append(make([]byte, 0, len(it.Key())+len(it.Value())), it.Key()...), it.Value()...)
		n := len(it.Key())
		c = append(c, Raw{Key: both[:n:n], Value: both[n:]})
		if len(c) == chunkSize {
			if !send(c) {
				return it.Close()
			}
			c = make([]Raw, 0, chunkSize)
		}
	}
	if err := cmp.Or(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("store: reading: %w", damaged(err))
	}
	if len(c) > 0 {
		send(c)
	}
	return nil
}

// fanOut runs work, in as many goroutines, on what read sends. The first error
// of either is returned, when all goroutines have ended.
func fanOut(ctx context.Context, workers int, work func([]Raw) error, read func(send func([]Raw) bool) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan []Raw, 2*max(1, workers))
	var group sync.WaitGroup
	for range max(1, workers) {
		group.Go(func() {
			for c := range todo {
				if ctx.Err() != nil {
					continue
				}
				if err := work(c); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := read(func(c []Raw) bool {
		select {
		case todo <- c:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		}
	})
	close(todo)
	group.Wait()
	return cmp.Or(context.Cause(ctx), err)
}

// damaged marks what pebble found to be broken.
func damaged(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// DiskBytes is the size of all files of the directory.
func (s *Store) DiskBytes() int64 {
	size := int64(s.db.Metrics().DiskSpaceUsage())
	if s.files != nil {
		size += s.files.bytes()
	}
	return size
}
