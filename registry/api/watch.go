package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/wire"
)

// Sizes and times of a watch.
const (
	watchRecords = 256                    // in a message
	watchBytes   = 256 << 10              // of records in a message, and one record more
	watchEvery   = 100 * time.Millisecond // at least between two looks for changes
	watchPulse   = 10 * time.Second       // a message, empty if need be, at least so often
)

// How a watch ends when the client does not end it.
var (
	errBehind = errors.New("watch: you are too far behind what changes: begin again")
	errEnds   = errors.New("watch: this Registry is stopping: use another")
)

// Watch sends what is shown and then what changes. It keeps no queue: a watcher
// remembers the Snapshot that it has told, of which the current one has most, and
// is cut off when that is too old.
func (s *service) Watch(ctx context.Context, r *connect.Request[registryv1.WatchRequest], stream *connect.ServerStream[registryv1.WatchResponse]) error {
	rc, ok := ctx.Value(controllerKey{}).(*http.ResponseController)
	if !ok {
		return connect.NewError(connect.CodeInternal, errors.New("watch without deadlines"))
	}
	w := watcher{backend: s.backend, lag: s.config.WatchLag}
	if region := r.Msg.GetRegion(); region != "" {
		var err error
		if w.region, err = drtc.ParseRegion(region); err != nil {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("region: %w", err))
		}
	}
	leave, err := s.watchers.enter(r.Peer().Addr)
	if err != nil {
		return connect.NewError(connect.CodeResourceExhausted, err)
	}
	defer leave()
	s.meter.watchers.Inc()
	defer s.meter.watchers.Dec()
	// The request has been read; what follows is nobody's turn to read.
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		return connect.NewError(connect.CodeInternal, err)
	}
	w.send = func(m *registryv1.WatchResponse) error {
		if err := rc.SetWriteDeadline(time.Now().Add(s.config.Timeout)); err != nil {
			return err
		}
		return stream.Send(m)
	}
	switch err := w.run(ctx); {
	case errors.Is(err, errBehind):
		return connect.NewError(connect.CodeResourceExhausted, err)
	case errors.Is(err, errEnds):
		return connect.NewError(connect.CodeUnavailable, err)
	default:
		return err
	}
}

// watcher is one stream.
type watcher struct {
	backend Backend
	region  drtc.Region // "" for all
	lag     time.Duration
	send    func(*registryv1.WatchResponse) error

	told    *index.Snapshot
	view    View      // being told
	since   time.Time // of view
	message *registryv1.WatchResponse
	size    int       // bytes of its records
	sent    time.Time // the message before
}

// run ends with ctx, with the stream or when the watcher is too far behind.
func (w *watcher) run(ctx context.Context) error {
	w.told, w.message = new(index.Snapshot), new(registryv1.WatchResponse)
	for first := true; ; first = false {
		w.view, w.since = w.backend.Nodes.View(), time.Now()
		if err := w.tell(); err != nil {
			return err
		}
		w.message.Complete = true
		if first || w.full(1) {
			if err := w.flush(); err != nil {
				return err
			}
		}
		w.told = w.view.Nodes
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// tell sends what differs between told and view, but for the last message.
func (w *watcher) tell() error {
	for before, after := range w.view.Nodes.Since(w.told) {
		switch was, is := w.shows(before), w.shows(after); {
		case is && (!was || before.Version != after.Version):
			if err := w.record(after.ID, false); err != nil {
				return err
			}
		case was && !is:
			if err := w.record(before.ID, true); err != nil {
				return err
			}
		}
		if w.full(watchRecords) {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *watcher) shows(e *index.Entry) bool {
	return e != nil && e.State != index.Down && (w.region == "" || e.Region() == w.region)
}

// record puts what is held of a node into the message; of one that is gone only
// a tombstone, or else its id.
func (w *watcher) record(id drtc.NodeID, gone bool) error {
	e, held := w.backend.Records.Held(id)
	if gone && !(held && e.IsTombstone()) {
		w.message.Hidden = append(w.message.Hidden, id[:])
		return nil
	}
	if !held { // a newer Snapshot says so
		return nil
	}
	r, err := wire.ToProto(&e)
	if err != nil {
		return connect.NewError(connect.CodeInternal, err)
	}
	w.message.Records = append(w.message.Records, r)
	w.size += len(e.Body)
	return nil
}

// full: the message holds at least n, or many bytes.
func (w *watcher) full(n int) bool {
	return len(w.message.Records)+len(w.message.Hidden) >= n || w.size > watchBytes
}

func (w *watcher) flush() error {
	complete := w.message.Complete
	w.sent = time.Now()
	if err := w.send(w.message); err != nil {
		return err
	}
	w.message, w.size = &registryv1.WatchResponse{Complete: complete}, 0
	select {
	case <-w.view.Newer:
		if time.Since(w.since) > w.lag {
			return errBehind
		}
	default:
	}
	return nil
}

// wait returns when there is something new, and sends a pulse until then.
func (w *watcher) wait(ctx context.Context) error {
	rest := time.NewTimer(watchEvery)
	defer rest.Stop()
	newer := (<-chan struct{})(nil) // not before the rest is over
	for {
		pulse := time.NewTimer(time.Until(w.sent.Add(watchPulse)))
		select {
		case <-rest.C:
			newer = w.view.Newer
		case <-newer:
			pulse.Stop()
			return nil
		case <-pulse.C:
			if err := w.flush(); err != nil {
				return err
			}
		case <-ctx.Done():
			pulse.Stop()
			return errEnds
		}
		pulse.Stop()
	}
}

// places bounds how many streams there are, and how many of one address.
type places struct {
	limit, share int

	mu    sync.Mutex // guards all below
	taken map[netip.Prefix]int
	all   int
}

func newPlaces(limit, share int) *places {
	return &places{limit: limit, share: share, taken: map[netip.Prefix]int{}}
}

// enter takes a place for a client address; leave gives it back and is called
// once.
func (p *places) enter(remote string) (leave func(), err error) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil, fmt.Errorf("watch: no client address: %w", err)
	}
	key := prefixOf(at.Addr())
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.all >= p.limit:
		return nil, fmt.Errorf("watch: %d streams are open: use another Registry, or ask /listMediaNodes", p.all)
	case p.taken[key] >= p.share:
		return nil, fmt.Errorf("watch: %d streams are open from your address: close one", p.taken[key])
	}
	p.all++
	p.taken[key]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all--
		if p.taken[key]--; p.taken[key] == 0 {
			delete(p.taken, key)
		}
	}, nil
}
