package enrol

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/drtc-network/drtc"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
)

const (
	maxProbers = 8   // streams to Registries that are not configured
	maxURL     = 256 // bytes
)

// Prober is a Registry that watches over the node.
type Prober struct {
	Registry drtc.NodeID
	URL      string
	// KeepAlive: the stream is open and was asked for a signature.
	KeepAlive bool
}

// named is a prober as a Registry names it.
type named struct {
	id  drtc.NodeID
	url string
}

// probers holds a stream to each Registry that probes the node and that it is
// not registered with.
type probers struct {
	enrolment *Enrolment
	http      *http.Client
	changed   chan struct{} // holds one: somebody named others than before

	mu    sync.Mutex         // guards all below
	named map[string][]named // by the URL of the Registry that named them
	open  map[named]*probing
}

type probing struct {
	stop      context.CancelFunc
	keepAlive bool // guarded by probers.mu
}

func newProbers(e *Enrolment, transport http.RoundTripper) *probers {
	return &probers{
		enrolment: e, http: newHTTP(transport), changed: make(chan struct{}, 1),
		named: map[string][]named{}, open: map[named]*probing{},
	}
}

// name takes a Registry's newest list. What cannot be called is left out.
func (p *probers) name(registry string, list []*registryv1.Prober) {
	var names []named
	for _, prober := range list[:min(len(list), maxProbers)] {
		id, err := drtc.ParseNodeID(prober.GetRegistry())
		if err == nil && !id.IsZero() && len(prober.GetUrl()) <= maxURL && baseURL(prober.GetUrl()) {
			names = append(names, named{id, prober.GetUrl()})
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, known := p.named[registry]; known && slices.Equal(before, names) {
		return
	}
	p.named[registry] = names
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// wanted is whom the node calls, those first that most Registries name: one that
// lies cannot push out others. It needs the lock.
func (p *probers) wanted() []named {
	votes := map[named]int{}
	for _, list := range p.named {
		seen := map[named]bool{}
		for _, n := range list {
			if !seen[n] {
				seen[n] = true
				votes[n]++
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(votes), func(a, b named) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.url, b.url))
	})
	own := map[drtc.NodeID]bool{} // members have a stream; and one is enough for each
	for _, m := range p.enrolment.members {
		own[m.current().ID] = true
	}
	all = slices.DeleteFunc(all, func(n named) bool {
		twice := own[n.id]
		own[n.id] = true
		return twice
	})
	return all[:min(len(all), maxProbers)]
}

// run opens and closes streams as Registries name probers, until ctx is done.
func (p *probers) run(ctx context.Context) {
	var streams sync.WaitGroup
	for ctx.Err() == nil {
		p.mu.Lock()
		wanted := p.wanted()
		for n, prober := range p.open {
			if !slices.Contains(wanted, n) {
				prober.stop()
				delete(p.open, n)
			}
		}
		for _, n := range wanted {
			if p.open[n] == nil {
				ctx, stop := context.WithCancel(ctx)
				p.open[n] = &probing{stop: stop}
				s := p.stream(n, p.open[n])
				streams.Go(func() { s.hold(ctx) })
			}
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-p.changed:
		}
	}
	streams.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, prober := range p.open {
		prober.stop()
	}
	clear(p.open)
	p.http.CloseIdleConnections()
}

func (p *probers) stream(n named, prober *probing) *stream {
	return &stream{
		enrolment: p.enrolment, client: newClient(p.http, n.url),
		log:      p.enrolment.log.With(slog.String("prober", n.url)),
		registry: func() drtc.NodeID { return n.id },
		alive: func(on bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			prober.keepAlive = on
		},
		// The record has not come to it yet: gossip will bring it.
		unknown: func() {},
	}
}

// current reports on all, in order of id.
func (p *probers) current() []Prober {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Prober, 0, len(p.open))
	for n, prober := range p.open {
		all = append(all, Prober{n.id, n.url, prober.keepAlive})
	}
	slices.SortFunc(all, func(a, b Prober) int { return bytes.Compare(a.Registry[:], b.Registry[:]) })
	return all
}
