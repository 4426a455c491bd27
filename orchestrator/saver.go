package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// storeTimeout bounds one write.
const storeTimeout = 5 * time.Second

// record is what the store holds of a room.
type record struct {
	Application string `json:"application"`
	Name        string `json:"name"`
	// Term is that of who wrote it: nobody writes over a higher one.
	Term uint64 `json:"term"`
	// Room is its Snapshot, packed: a value of the store has a limit.
	Room []byte `json:"room"`
}

// maxSnapshot bounds what unpack makes, bytes.
const maxSnapshot = 256 << 20

// packer makes Snapshots small. It is safe for concurrent use.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newPacker() (*packer, error) {
	// Viewers of a room repeat each other, further apart than a small window sees.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return nil, fmt.Errorf("orchestrator: packing rooms: %w", err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxSnapshot))
	if err != nil {
		return nil, fmt.Errorf("orchestrator: unpacking rooms: %w", err)
	}
	return &packer{e, d}, nil
}

func (p *packer) pack(snapshot []byte) []byte { return p.encoder.EncodeAll(snapshot, nil) }

func (p *packer) unpack(packed []byte) ([]byte, error) {
	snapshot, err := p.decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("orchestrator: unpacking a room: %w", err)
	}
	if len(snapshot) == 0 {
		return nil, errors.New("orchestrator: unpacking a room: there is nothing")
	}
	return snapshot, nil
}

// saver writes the latest state of one room to the store, so that the room need
// not wait for it. States that are overtaken before they are written are skipped.
type saver struct {
	a        *actor
	key      string
	signal   chan struct{} // holds a token when there is news
	revision uint64        // of the last write; 0 is none. Of the goroutine of run.

	mu     sync.Mutex // guards what follows
	latest []byte
	gone   bool
}

func newSaver(a *actor, revision uint64) *saver {
	return &saver{a: a, key: storeKey(a.name), signal: make(chan struct{}, 1), revision: revision}
}

// put hands over a state.
func (s *saver) put(snapshot []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = snapshot
	s.wake()
}

// remove deletes what is stored.
func (s *saver) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest, s.gone = nil, true
	s.wake()
}

func (s *saver) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// run writes until the room has ended and its last state is written.
func (s *saver) run(ended <-chan struct{}) {
	for {
		select {
		case <-s.signal:
			s.flush()
		case <-ended:
			s.flush()
			close(s.a.saved)
			return
		}
	}
}

func (s *saver) flush() {
	s.mu.Lock()
	latest, gone := s.latest, s.gone
	s.latest = nil
	s.mu.Unlock()
	if latest == nil && !gone {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	var err error
	if gone {
		err = s.delete(ctx)
	} else {
		err = s.write(ctx, latest)
	}
	if err != nil {
		s.a.o.meter.storeFailures.Inc()
		s.a.o.log.Error("room was not saved", slog.String("key", s.key), slog.Any("error", err))
	}
}

func (s *saver) write(ctx context.Context, snapshot []byte) error {
	term := s.a.term.Load()
	value, err := json.Marshal(record{
		Application: s.a.name.Application, Name: s.a.name.Name, Term: term, Room: s.a.o.packer.pack(snapshot),
	})
	if err != nil {
		return err
	}
	revision, err := s.store(ctx, value, s.revision)
	if errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrExists) {
		// A write whose answer was lost, or another member has the room.
		entry, getErr := s.a.o.store.Get(ctx, s.key)
		if getErr != nil && !errors.Is(getErr, state.ErrNotFound) {
			return errors.Join(err, getErr)
		}
		var written record
		if getErr == nil && json.Unmarshal(entry.Value, &written) == nil && written.Term > term {
			s.a.o.fenced(s.a, written.Term)
			return fmt.Errorf("orchestrator: another member wrote the room with term %d: %w", written.Term, err)
		}
		revision, err = s.store(ctx, value, entry.Revision)
	}
	if err == nil {
		s.revision = revision
	}
	return err
}

// store creates the entry, or replaces what was written at a revision.
func (s *saver) store(ctx context.Context, value []byte, over uint64) (uint64, error) {
	if over == 0 {
		return s.a.o.store.Create(ctx, s.key, value)
	}
	return s.a.o.store.Update(ctx, s.key, value, over)
}

func (s *saver) delete(ctx context.Context) error {
	revision := s.revision
	s.revision = 0
	var err error
	if revision > 0 {
		err = s.a.o.store.Delete(ctx, s.key, revision)
	}
	return errors.Join(err, s.a.o.keeper.End(ctx, keyOf(s.a.name)))
}
