package control

import (
	"sync/atomic"
	"time"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
)

// RelayCounts is what the relays of the node have and have done.
type RelayCounts struct {
	// Trunks, Links, Tracks of other nodes and Layers sent to them, now.
	Trunks, Links, Tracks, Layers int64
	// Messages of the protocol and data packets of clients since the start.
	ControlSent, ControlReceived, PacketsSent, PacketsReceived int64
	// PacketsDropped came twice, by another way than the routes say, or found no
	// room. Violations ended a trunk.
	PacketsDropped, Violations int64
}

type relayCounts struct {
	trunks, links, tracks, layers                              atomic.Int64
	controlSent, controlReceived, packetsSent, packetsReceived atomic.Int64
	packetsDropped, violations                                 atomic.Int64
}

// RelayCounts returns the figures for metrics; Tracks and Layers are as of the
// last second.
func (s *Service) RelayCounts() RelayCounts {
	c := &s.relays.counts
	return RelayCounts{
		Trunks: c.trunks.Load(), Links: c.links.Load(), Tracks: c.tracks.Load(), Layers: c.layers.Load(),
		ControlSent: c.controlSent.Load(), ControlReceived: c.controlReceived.Load(),
		PacketsSent: c.packetsSent.Load(), PacketsReceived: c.packetsReceived.Load(),
		PacketsDropped: c.packetsDropped.Load(), Violations: c.violations.Load(),
	}
}

// report counts what is there, and notes the figures of links that are due.
func (r *relays) report(now time.Time) {
	var tracks, layers int64
	for _, k := range r.trunks {
		tracks += int64(len(k.tracks))
	}
	for _, l := range r.links {
		f, ok := r.figures(l)
		if !ok {
			continue
		}
		layers += int64(f.Layers)
		if now.Sub(l.reported) < reportEach {
			continue
		}
		l.reported = now
		m := reportOf(l, f)
		s := r.service
		s.mu.Lock()
		feed := s.feedFor(l.key.owner, l.room.id)
		s.mu.Unlock()
		feed.noteRelay(m)
	}
	r.counts.tracks.Store(tracks)
	r.counts.layers.Store(layers)
	r.counts.links.Store(int64(len(r.links)))
}

func reportOf(l *relayLink, f engine.RelayFigures) *medianodev1.RelayReport {
	return &medianodev1.RelayReport{
		Link: l.key.link, RoundTripUs: uint32(min(f.RoundTrip.Microseconds(), 1<<32-1)),
		LossSent: float32(f.SendLoss), LossReceived: float32(f.ReceiveLoss),
		SentBytes: f.SentBytes, ReceivedBytes: f.ReceivedBytes, RelayBytes: f.AcknowledgedBytes, Layers: uint32(f.Layers),
	}
}

// last is the report of a link that ends, nil if there is nothing to say.
func (r *relays) last(l *relayLink) *medianodev1.RelayReport {
	f, ok := r.figures(l)
	if !ok {
		return nil
	}
	return reportOf(l, f)
}

func (r *relays) figures(l *relayLink) (f engine.RelayFigures, ok bool) {
	k := l.trunk.id
	_ = r.service.media.Do(k, func(_ time.Time, c *engine.Core, _ *engine.Batch) { f, ok = c.RelayFigures(k, l.room.id) }) // or the trunk has ended
	return f, ok
}

func (r *relays) dropReport(l *relayLink) {
	s := r.service
	s.mu.Lock()
	f := s.feedFor(l.key.owner, l.room.id)
	s.mu.Unlock()
	f.dropRelay(l.key.link)
}

// relayReports are the newest figures of links that no heartbeat has carried.
type relayReports map[string]*medianodev1.RelayReport

// noteRelay keeps a link's figures for the next heartbeat.
func (f *feed) noteRelay(m *medianodev1.RelayReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.relays == nil {
		f.relays = relayReports{}
	}
	f.relays[m.Link] = m
}

func (f *feed) dropRelay(link string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.relays, link)
}

// waitingRelays takes the reports that the next heartbeat carries. One that is
// lost is made up for by the next of the same link.
func (f *feed) waitingRelays() (out []*medianodev1.RelayReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for link, m := range f.relays {
		if len(out) == maxReports {
			break
		}
		out = append(out, m)
		delete(f.relays, link)
	}
	return out
}
