package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

// Bounds of one question with all its requests: a Registry that claims many
// nodes and proves none costs no more than this.
const (
	maxFetch    = 10_000 // records; the rest comes with the next questions
	askTimeouts = 6
	maxBad      = 100 // records of one stream that are not believed
)

// watchAgain is the longest time until a Registry is asked for a stream again.
const watchAgain = 10 * time.Minute

// source is one Registry that is followed. It belongs to one goroutine.
type source struct {
	*client
	log    *slog.Logger
	silent bool // it was told that it gives no answer
}

func (d *Discovery) newSource(base string, learned bool) *source {
	way := d.way
	if learned {
		way = d.learnWay
	}
	c := newClient(way.questions, base)
	c.stream = registryv1connect.NewRegistryServiceClient(way.streams, base, connect.WithReadMaxBytes(maxAnswer))
	if learned {
		c.label = "learned" // strangers do not make up names of metrics
	}
	return &source{client: c, log: d.log.With(slog.String("registry", base))}
}

// heard logs when a Registry falls silent and when it speaks again.
func (s *source) heard(err error) {
	if (err != nil) == s.silent {
		return
	}
	s.silent = err != nil
	if s.silent {
		s.log.Warn("registry gives no answer", slog.Any("error", err))
	} else {
		s.log.Info("registry answers again")
	}
}

// follow watches one Registry, and asks it again and again while it cannot be
// watched.
func (d *Discovery) follow(ctx context.Context, s *source) {
	var wait, rest time.Duration
	var watchAt time.Time
	for ctx.Err() == nil {
		if !time.Now().Before(watchAt) {
			rest = d.watchFor(ctx, s, rest)
			watchAt = time.Now().Add(rest)
		}
		err := d.ask(ctx, s)
		if ctx.Err() != nil {
			return
		}
		d.meter.polled(s.label, err)
		s.heard(err)
		if wait = d.config.Every; err != nil {
			wait = min(2*max(wait, d.config.Every), d.config.MaxEvery)
		}
		pause(ctx, spread(wait))
	}
}

// watchFor holds a stream while it is good and returns how long to leave it
// after that; before is what it returned last.
func (d *Discovery) watchFor(ctx context.Context, s *source, before time.Duration) time.Duration {
	complete, err := d.watch(ctx, s)
	if ctx.Err() != nil {
		return before
	}
	d.meter.watched(s.label, complete)
	s.log.Debug("watch ended", slog.Bool("was complete", complete), slog.Any("error", err))
	switch {
	case complete:
		return d.config.Every
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return watchAgain
	}
	return min(2*max(before, d.config.Every), watchAgain)
}

// errSilent ends a stream that brings nothing.
var errSilent = errors.New("discovery: watch: no message for too long")

// watch follows a stream until it ends. complete reports that it has told
// everything that there was.
func (d *Discovery) watch(ctx context.Context, s *source) (complete bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(min(d.config.Silence, askTimeouts*d.config.Timeout), func() { cancel(errSilent) })
	defer silence.Stop()
	stream, err := s.stream.Watch(ctx, connect.NewRequest(&registryv1.WatchRequest{}))
	if err != nil {
		return false, err
	}
	defer stream.Close() //nolint:errcheck // it has ended
	w := watching{discovery: d, source: s, before: map[drtc.NodeID]bool{}}
	defer w.end()
	for stream.Receive() {
		if err := w.take(stream.Msg()); err != nil {
			return w.complete, err
		}
		silence.Reset(d.config.Silence)
	}
	if cause := context.Cause(ctx); cause != nil {
		return w.complete, cause
	}
	return w.complete, stream.Err()
}

// watching is one stream.
type watching struct {
	discovery *Discovery
	source    *source
	complete  bool
	before    map[drtc.NodeID]bool // shown, until complete
	bad       int
}

// take takes one message. The error says why no more are wanted.
func (w *watching) take(m *registryv1.WatchResponse) error {
	news := false
	for _, r := range m.GetRecords() {
		learned, err := w.record(r)
		news = news || learned
		if err == nil {
			continue
		}
		w.discovery.meter.refused(w.source.label, err)
		w.source.log.Debug("record refused", slog.Any("error", err))
		if w.bad++; w.bad > maxBad {
			return fmt.Errorf("%w: watch: more than %d records that cannot be believed", errAnswer, maxBad)
		}
	}
	for _, raw := range m.GetHidden() {
		if len(raw) != len(drtc.NodeID{}) {
			return fmt.Errorf("%w: watch: hidden: want ids of %d bytes, got %d", errAnswer, len(drtc.NodeID{}), len(raw))
		}
		news = w.hidden(drtc.NodeID(raw)) || news
	}
	if m.GetComplete() && !w.complete {
		w.completed()
		news = true
	}
	if news {
		w.discovery.touch()
	}
	return nil
}

// record takes the lock for itself alone: verifying takes time. Only a node
// whose record is held counts as shown, which bounds what a Registry can make us
// remember.
func (w *watching) record(r *registryv1.Record) (news bool, err error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil || len(r.GetSubject()) != len(drtc.NodeID{}) {
		return false, fmt.Errorf("%w: watch: no record", envelope.ErrMalformed)
	}
	w.discovery.mu.Lock()
	defer w.discovery.mu.Unlock()
	id, view := drtc.NodeID(r.GetSubject()), w.discovery.view
	if news, err = view.add(time.Now(), id, raw); err != nil || view.held[id] == nil {
		return false, err
	}
	return w.shown(id, envelope.Flags(r.GetFlags())&envelope.Tombstone == 0) || news, nil
}

func (w *watching) hidden(id drtc.NodeID) (news bool) {
	w.discovery.mu.Lock()
	defer w.discovery.mu.Unlock()
	return w.shown(id, false)
}

// shown needs the lock.
func (w *watching) shown(id drtc.NodeID, shown bool) (news bool) {
	switch {
	case w.complete:
		return w.discovery.view.change(w.source.base, id, shown)
	case shown:
		w.before[id] = true
	default:
		delete(w.before, id)
	}
	return false
}

// completed makes what was shown so far the Registry's answer.
func (w *watching) completed() {
	w.discovery.mu.Lock()
	defer w.discovery.mu.Unlock()
	answer := make([]listed, 0, len(w.before))
	for id := range w.before {
		answer = append(answer, listed{id: id})
	}
	w.discovery.view.listedBy(w.source.base, time.Now(), answer, true)
	w.complete, w.before = true, nil
	w.source.heard(nil)
}

func (w *watching) end() {
	w.discovery.mu.Lock()
	defer w.discovery.mu.Unlock()
	w.discovery.view.ended(w.source.base, time.Now())
}

// ask takes in one complete answer, or nothing of it that needs completeness.
// A Registry that keeps it longer than askTimeouts has not answered.
func (d *Discovery) ask(ctx context.Context, s *source) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeouts*d.config.Timeout)
	defer cancel()
	answer, err := s.list(ctx, d.config.MaxNodes)
	if err != nil {
		return err
	}
	d.mu.Lock()
	ids := d.view.wanted(s.base, answer)
	d.mu.Unlock()
	ids = ids[:min(len(ids), maxFetch)]
	for len(ids) > 0 {
		page := ids[:min(len(ids), maxIDs)]
		ids = ids[len(page):]
		records, err := s.records(ctx, "", page)
		if err != nil {
			return err
		}
		d.take(s, records)
	}
	d.mu.Lock()
	d.view.listedBy(s.base, time.Now(), answer, false)
	d.mu.Unlock()
	d.touch()
	return nil
}

func (d *Discovery) take(s *source, records []rawRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		if _, err := d.view.add(time.Now(), r.NodeID, r.Record); err != nil {
			d.meter.refused(s.label, err)
			s.log.Debug("record refused", slog.Any("error", err))
		}
	}
}
