package till

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/receipt"
)

// Config of a Till. Start from DefaultConfig.
type Config struct {
	Rules receipt.TillRules
	// File keeps the accounts; it is made when missing.
	File string
	// Registries are base URLs at which receipts are published; none for none.
	Registries []string
	// Network is the name that records carry, Life how long they live.
	Network string
	Life    time.Duration
	// FlushEvery is the time between writes of what was counted, PublishEvery the
	// least time between two records of one page, Timeout bounds one call.
	FlushEvery, PublishEvery, Timeout time.Duration
}

// DefaultConfig is for the parameters of a network; File, Registries and Network
// are to be filled in.
func DefaultConfig(n receipt.Network) Config {
	rules := receipt.DefaultTillRules()
	rules.Clock, rules.Domain = n.Clock(), n.Domain()
	rules.Grace = min(rules.Grace, n.EpochLength/4)
	return Config{Rules: rules, Life: n.Life(), FlushEvery: time.Second, PublishEvery: 6 * time.Second, Timeout: 5 * time.Second}
}

// Till keeps the accounts. Make one with Open, then call Run.
type Till struct {
	config    Config
	key       *identity.Key
	log       *slog.Logger
	meter     *meter
	publisher *publisher // nil without Registries

	mu       sync.Mutex // guards what follows
	core     *receipt.Till
	file     *os.File
	size     int64 // of file
	whole    int64 // of the snapshot that it begins with
	failed   error // of the disk; no receipt is taken any more
	standing map[drtc.NodeID]receipt.Decision
}

// Open reads the file. What a crash left of the last write is cut off.
func Open(c Config, key *identity.Key, log *slog.Logger, metrics prometheus.Registerer) (*Till, error) {
	if c.File == "" {
		return nil, errors.New("till: File is empty: give the path of a file")
	}
	core, err := receipt.NewTill(key.ID(), c.Rules)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	t := &Till{config: c, key: key, log: log, core: core, standing: map[drtc.NodeID]receipt.Decision{}}
	if t.meter, err = newMeter(metrics); err != nil {
		return nil, err
	}
	if err := t.read(time.Now()); err != nil {
		return nil, fmt.Errorf("till: %s: %w", c.File, err)
	}
	if len(c.Registries) > 0 {
		t.publisher = newPublisher(t)
	}
	return t, nil
}

// read replays the file and begins it anew.
func (t *Till) read(now time.Time) error {
	b, err := os.ReadFile(t.config.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	payloads, whole := receipt.Frames(b)
	if whole < len(b) {
		t.log.Warn("the end of the file of receipts was not written whole", slog.String("file", t.config.File), slog.Int("bytes", len(b)-whole))
	}
	for _, p := range payloads {
		if err := t.core.Replay(p); err != nil {
			return err
		}
	}
	t.core.Resume(now)
	return t.renew()
}

// renew writes the file anew, beside the old one first.
func (t *Till) renew() error {
	b := receipt.AppendFrame(nil, t.core.Snapshot())
	if err := os.MkdirAll(filepath.Dir(t.config.File), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(t.config.File+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(t.config.File+".new", t.config.File)
	}
	if err == nil {
		err = syncDir(filepath.Dir(t.config.File))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if t.file != nil {
		t.file.Close()
	}
	t.file, t.size, t.whole = f, int64(len(b)), int64(len(b))
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// flush writes what changed; with sync it waits for the disk. The caller holds mu.
func (t *Till) flush(sync bool) error {
	if t.failed != nil {
		return t.failed
	}
	payload := t.core.Flush()
	if payload == nil {
		return nil
	}
	const least = 1 << 20
	if t.size > max(least, 4*t.whole) {
		t.failed = t.renew()
		return t.failed
	}
	b := receipt.AppendFrame(nil, payload)
	n, err := t.file.Write(b)
	t.size += int64(n)
	if err == nil && sync {
		err = t.file.Sync()
	}
	if err != nil {
		t.failed = fmt.Errorf("till: writing %s: %w", t.config.File, err)
	}
	return t.failed
}

// Count adds bytes that were served for an application by order of an Orchestrator.
func (t *Till) Count(orchestrator drtc.NodeID, application receipt.Application, c receipt.Counters) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.core.Count(time.Now(), orchestrator, application, c)
}

// Claims are the open accounts of an Orchestrator.
func (t *Till) Claims(orchestrator drtc.NodeID) []receipt.Claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.core.Claims(time.Now(), orchestrator)
}

// Deliver takes receipts from an Orchestrator and says of each why it is refused,
// nil if it is on disk.
func (t *Till) Deliver(from drtc.NodeID, receipts []receipt.Signed) []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	results := make([]error, len(receipts))
	now := time.Now()
	taken := false
	for i, s := range receipts {
		results[i] = t.core.Accept(now, from, s)
		taken = taken || results[i] == nil
		t.meter.receipt(results[i])
		if errors.Is(results[i], receipt.ErrContradiction) {
			t.log.Warn("an Orchestrator signed two receipts of one sequence", slog.String("orchestrator", from.String()), slog.Uint64("sequence", s.Sequence))
		}
	}
	if err := t.flush(true); err != nil {
		for i := range results {
			results[i] = err
		}
		return results
	}
	if taken && t.publisher != nil {
		t.publisher.wake()
	}
	return results
}

// Judge says whether to serve an Orchestrator.
func (t *Till) Judge(orchestrator drtc.NodeID) receipt.Standing {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil {
		return receipt.Standing{Decision: receipt.StopNew, Reason: "this node cannot write down receipts"}
	}
	s := t.core.Judge(time.Now(), orchestrator)
	before := t.standing[orchestrator]
	if s.Decision == before {
		return s
	}
	if t.standing[orchestrator] = s.Decision; s.Decision == receipt.Serve {
		delete(t.standing, orchestrator)
	}
	t.meter.decisions.WithLabelValues(s.Decision.String()).Inc()
	t.log.Info("standing of an Orchestrator changed", slog.String("orchestrator", orchestrator.String()),
		slog.String("from", before.String()), slog.String("to", s.Decision.String()), slog.Uint64("owed_bytes", s.Owed), slog.Duration("lag", s.Lag))
	return s
}

// Run writes and publishes until ctx ends.
func (t *Till) Run(ctx context.Context) error {
	var publishing sync.WaitGroup
	if t.publisher != nil {
		publishing.Go(func() { t.publisher.run(ctx) })
	}
	defer publishing.Wait()
	tick := time.NewTicker(t.config.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.mu.Lock()
			failed := t.failed
			err := t.flush(false)
			t.mu.Unlock()
			if err != nil && failed == nil {
				t.log.Error("receipts cannot be written: no new sessions are taken", slog.Any("error", err))
			}
		case <-ctx.Done():
			return t.close()
		}
	}
}

// Close writes what was counted and closes the file, for a Till that does not run.
func (t *Till) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.flush(true)
	if t.failed == nil {
		t.failed = errors.New("till: closed")
	}
	return errors.Join(err, t.file.Close())
}

// pages are all pages that are worth publishing, by their subject.
func (t *Till) pages() []receipt.Page {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.core.Epoch(time.Now())
	var all []receipt.Page
	for _, e := range t.core.Epochs() {
		all = append(all, t.core.Pages(e)...)
	}
	return all
}
