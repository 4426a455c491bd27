package control

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/datapacket"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/relay"
	"github.com/drtc-network/drtc/medianode/transport"
)

// act does what a room's Exchange decided.
func (r *relays) act(m *relayRoom) {
	for out := m.exchange.Take(); len(out) > 0; out = m.exchange.Take() {
		for _, o := range out {
			r.do(m, o)
		}
	}
}

func (r *relays) do(m *relayRoom, o relay.Output) {
	switch o := o.(type) {
	case relay.Send:
		if l := m.links[o.Link]; l != nil {
			r.control(l.trunk, l.trunk.core.Encode(l.name, o.Message))
		}
	case relay.Publish:
		r.publish(m, o)
	case relay.Update:
		if l := m.links[o.Link]; l != nil {
			r.update(l, o)
		}
	case relay.Unpublish:
		r.unpublish(m, o)
	case relay.Forward:
		if l := m.links[o.Link]; l != nil {
			r.forward(l, o)
		}
	case relay.Stop:
		if l := m.links[o.Link]; l != nil {
			k := l.trunk.id
			_ = r.service.command(k, func(now time.Time, c *engine.Core) error { return c.StopRelayLayer(now, k, o.Track, o.Index) }) // or the trunk ends
		}
	}
}

// publish makes a track of another node one of this node's.
func (r *relays) publish(m *relayRoom, o relay.Publish) {
	l := m.links[o.Link]
	if l == nil {
		return
	}
	s := r.service
	t := &track{room: m.id, peer: l.trunk.id, pending: true}
	t.describe(o.Announcement)
	s.mu.Lock()
	other := s.tracks[o.Track]
	var local relay.Announcement
	switch {
	case other == nil:
		s.tracks[o.Track] = t
	case other.session != nil && other.room == m.id:
		local = other.announcement()
	}
	s.mu.Unlock()
	switch {
	case len(local.Codecs) > 0: // its client is here already
		m.exchange.SetLocal(o.Track, local)
		return
	case other != nil: // in another room
		m.exchange.Refuse(o.Link, o.Track)
		return
	}
	if !r.receiveTrack(l, o.Track, o.Announcement) {
		s.mu.Lock()
		delete(s.tracks, o.Track)
		s.mu.Unlock()
		m.exchange.Refuse(o.Link, o.Track)
		return
	}
	l.trunk.tracks[o.Track] = received{m, o.Announcement.Origin()}
	delete(r.absent, o.Track)
	s.arrived(o.Track)
	r.service.announce(m.owner, m.id, availability(m, o.Track, o.Announcement.Origin(), true))
}

// receiveTrack brings the engine to what an announcement says, and reports
// whether it could be done.
func (r *relays) receiveTrack(l *relayLink, id drtc.TrackID, a relay.Announcement) bool {
	k := l.trunk.id
	cfg := engine.TrackConfig{ID: id, Mid: string(id), Video: a.Video, Muted: a.Muted, Room: l.room.id}
	for _, size := range a.Sizes {
		cfg.Layers = append(cfg.Layers, engine.LayerSize{RID: size.RID, Width: size.Width, Height: size.Height, Bitrate: size.Bitrate})
	}
	err := transport.ErrPeer
	_ = r.service.media.Do(k, func(now time.Time, c *engine.Core, _ *engine.Batch) { // or err stays
		if err = c.AddReceive(now, k, receiveSection(id, a)); err == nil {
			err = c.Publish(now, k, cfg)
		}
	})
	return err == nil
}

// describe fills in what negotiations with viewers need.
func (t *track) describe(a relay.Announcement) {
	t.kind = negotiate.Audio
	if a.Video {
		t.kind = negotiate.Video
	}
	t.codecs = nil
	for _, c := range a.Codecs {
		f, _ := c.Mime.Format()
		t.codecs = append(t.codecs, negotiate.Codec{Mime: f.Name, ClockRate: f.ClockRate, Channels: uint16(c.Channels), Fmtp: c.Fmtp})
	}
	t.codec = t.codecs[0]
	for i, c := range a.Codecs {
		if c.Mime == a.Mime {
			t.codec = t.codecs[i]
			break
		}
	}
}

// announcement describes a track of a client of this node to other nodes; the
// caller holds the service's lock.
func (t *track) announcement() relay.Announcement {
	a := relay.Announcement{Video: t.kind == negotiate.Video, Muted: t.muted, Mime: relay.MimeOf(t.mime)}
	for _, c := range append([]negotiate.Codec{t.codec}, t.codecs...) {
		format := relay.Codec{Mime: relay.MimeOf(c.Mime), Channels: uint8(c.Channels), Fmtp: c.Fmtp[:min(len(c.Fmtp), 255)]}
		if format.Mime != 0 && len(a.Codecs) < relay.MaxCodecs && !slices.Contains(a.Codecs, format) {
			a.Codecs = append(a.Codecs, format)
		}
	}
	for _, size := range t.sizes[:min(len(t.sizes), relay.MaxStreams)] {
		a.Sizes = append(a.Sizes, relay.Size{RID: size.RID, Width: size.Width, Height: size.Height, Bitrate: size.Bitrate})
	}
	rids := t.rids[:min(len(t.rids), relay.MaxStreams)]
	if len(rids) == 0 {
		rids = []string{""}
	}
	for _, rid := range rids {
		a.Streams = append(a.Streams, relay.Stream{RID: rid})
	}
	return a
}

// update takes a change of a track that is published.
func (r *relays) update(l *relayLink, o relay.Update) {
	s, k := r.service, l.trunk
	s.mu.Lock()
	if t := s.tracks[o.Track]; t != nil && t.session == nil && t.peer == k.id {
		t.describe(o.Announcement)
	}
	s.mu.Unlock()
	if _, ok := k.tracks[o.Track]; ok {
		r.receiveTrack(l, o.Track, o.Announcement)
	}
}

// unpublish takes a track of another node away, and tells those who see it
// whether to wait for it.
func (r *relays) unpublish(m *relayRoom, o relay.Unpublish) {
	s := r.service
	l := m.links[o.Link]
	if l == nil {
		return
	}
	k := l.trunk
	known, ok := k.tracks[o.Track]
	if !ok || known.room != m {
		return // it was refused
	}
	delete(k.tracks, o.Track)
	s.mu.Lock()
	t := s.tracks[o.Track]
	mine := t != nil && t.session == nil && t.peer == k.id
	if mine { // else its client is here now
		delete(s.tracks, o.Track)
	}
	s.mu.Unlock()
	_ = s.command(k.id, func(now time.Time, c *engine.Core) error { return c.RemoveReceive(now, k.id, string(o.Track)) }) // or the trunk has ended
	switch {
	case !mine:
	case o.Ended:
		s.dismiss(m.id, o.Track)
	default:
		s.vacate(m.id, o.Track)
		r.absent[o.Track] = absence{m.id, time.Now()}
	}
	r.service.announce(m.owner, m.id, availability(m, o.Track, known.origin, false))
}

func availability(m *relayRoom, id drtc.TrackID, origin drtc.NodeID, available bool) *medianodev1.EventsResponse {
	v := &medianodev1.TrackAvailable{Room: m.name, Track: string(id), Origin: origin.String(), Available: available}
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_TrackAvailable{TrackAvailable: v}}
}

// forward sends a layer of a track on a link, in the format that its media has.
func (r *relays) forward(l *relayLink, o relay.Forward) {
	s := r.service
	s.mu.Lock()
	t := s.tracks[o.Track]
	var source engine.PeerID
	var mime string
	if t != nil {
		source, mime = t.peer, t.codec.Mime
	}
	s.mu.Unlock()
	f, known := relay.MimeOf(mime).Format()
	home, err := s.media.Home(source)
	if err != nil || !known {
		return // it has ended
	}
	cfg := engine.RelayConfig{
		Track: o.Track, Layer: o.Index, Quality: o.Quality, Home: home, Room: l.room.id, Application: l.payer.Label(),
		SSRC: o.SSRC, RTX: o.RTX, Codec: relayedFormat(f), Extensions: relayExtensions(), AudioGroup: l.audioGroup(),
	}
	k := l.trunk.id
	_ = s.command(k, func(now time.Time, c *engine.Core) error { return c.RelayLayer(now, k, cfg) }) // or the trunk ends
}

func relayedFormat(f relay.Format) engine.PayloadType {
	return engine.PayloadType{Number: f.PayloadType, RTXNumber: f.RTX, Mime: f.Name, ClockRate: f.ClockRate}
}

func relayExtensions() engine.ExtensionIDs {
	return engine.ExtensionIDs{
		AudioLevel: relay.ExtensionAudioLevel, TransportCC: relay.ExtensionTransportCC, DependencyDescriptor: relay.ExtensionDependency, Mixed: true,
	}
}

func receiveSection(id drtc.TrackID, a relay.Announcement) engine.ReceiveSection {
	s := engine.ReceiveSection{Mid: string(id), Extensions: relayExtensions(), Active: true}
	for _, f := range relay.Formats(a.Video) {
		s.Codecs = append(s.Codecs, relayedFormat(f))
	}
	for _, stream := range a.Streams {
		if len(a.Streams) > 1 {
			s.RIDs = append(s.RIDs, stream.RID)
		}
		s.SSRCs = append(s.SSRCs, engine.SourceGroup{SSRC: stream.SSRC, RTX: stream.RTX})
	}
	return s
}

// deliverAll hands a data packet of another node's client to those that it is
// for.
func (s *Service) deliverAll(room drtc.RoomID, reliable bool, packet []byte) {
	p, err := datapacket.Parse(packet)
	if err != nil || p.Kind == datapacket.KindSpeaker {
		return
	}
	label := lossyLabel
	if reliable {
		label = reliableLabel
	}
	for _, e := range s.receivers(room, nil, p) {
		s.deliver(e, label, packet)
	}
}
