package control

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/transport"
)

// A client that moves here from another node goes on with the sections, streams
// and data channels that it has. What it received is promised: its section stays
// as it was, empty until Subscribe names the track and the track is here, in
// whichever order. Such a subscription is a seat of the engine under the track's
// id, since a seat needs no negotiation to begin.
//
//	         Restore            Subscribe               arrived
//	(none) ──────────▶ promised ──────────▶ awaited ─────────────▶ shown
//	                      │                    (or shown at once)
//	                      └─▶ gone with the second negotiation

// restore prepares a session for the first offer of a client that comes from
// another node; the caller holds e.mu. If the offer is refused, undo takes it
// back, so that the next one may be restored too.
func (e *session) restore(m *medianodev1.Restore) (undo func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	if e.dual || e.publisher.open {
		return nil, invalid("restore: want it with the first offer of a session of mode MODE_SINGLE")
	}
	channels, err := restoredChannels(m.Channels)
	if err != nil {
		return nil, err
	}
	var sources []negotiate.Source
	for _, r := range m.Sources {
		sources = append(sources, negotiate.Source{Mid: r.Mid, RID: r.Rid, SSRC: r.Ssrc, RTX: r.RepairSsrc})
	}
	if err := e.publisher.describe.Restore(sources); err != nil {
		return nil, invalid("restore: %w", err)
	}
	var placed []drtc.TrackID
	undo = func() {
		for _, id := range placed {
			delete(e.wanted, id)
			e.subscriber.describe.Unbind(id)
		}
		e.channels = nil
	}
	if e.perms.subscribe {
		for i, r := range m.Tracks {
			if err := e.promise(r); err != nil {
				undo()
				return nil, invalid("restore.tracks[%d]: %w", i, err)
			}
			placed = append(placed, drtc.TrackID(r.Track))
		}
	}
	e.channels = channels
	return undo, nil
}

// promise keeps a section for a track.
func (e *session) promise(r *medianodev1.RestoredTrack) error {
	id := drtc.TrackID(r.Track)
	switch {
	case e.wanted[id] != nil || e.seats[id] != nil:
		return fmt.Errorf("track: the session has %.64q already", r.Track)
	case len(e.wanted) >= maxSubscriptions:
		return fmt.Errorf("a session subscribes to at most %d tracks", maxSubscriptions)
	}
	w := &want{id: id, stream: r.Stream, kind: negotiate.Audio, kept: true, promised: true, ssrc: e.freshSSRC(), rtx: e.freshSSRC()}
	if r.Kind == medianodev1.Kind_KIND_VIDEO {
		w.kind = negotiate.Video
	}
	if err := e.subscriber.describe.Place(r.Mid, w.described(negotiate.Codec{Mime: r.Mime})); err != nil {
		return err
	}
	e.wanted[id] = w
	return nil
}

// described is the track in the words of SDP.
func (w *want) described(codec negotiate.Codec) negotiate.Track {
	t := negotiate.Track{ID: w.id, Stream: w.stream, Kind: w.kind, Codec: codec, SSRC: w.ssrc}
	if w.kind == negotiate.Video {
		t.RTXSSRC = w.rtx
	}
	return t
}

func (w *want) seat() engine.SeatConfig {
	return engine.SeatConfig{ID: w.id, Video: w.kind == negotiate.Video, SSRC: w.ssrc, RTX: w.rtx}
}

// open gives the engine the seat of a kept subscription.
func (w *want) open(now time.Time, c *engine.Core, peer engine.PeerID) error {
	if err := c.OpenSeat(now, peer, w.seat()); err != nil || w.promised {
		return err
	}
	return c.SetSettings(now, peer, w.id, w.settings)
}

// restoredChannels are channels that the client will not announce again.
func restoredChannels(in []*medianodev1.RestoredChannel) ([]transport.ChannelConfig, error) {
	if len(in) > transport.MaxChannels {
		return nil, invalid("restore.channels: at most %d, got %d", transport.MaxChannels, len(in))
	}
	var out []transport.ChannelConfig
	taken := map[uint32]bool{}
	for i, m := range in {
		if len(m.Label) > transport.MaxLabel || m.Id > 65534 || taken[m.Id] {
			return nil, invalid("restore.channels[%d]: want a label of at most %d bytes and an id of its own, 0 to 65534", i, transport.MaxLabel)
		}
		taken[m.Id] = true
		ch := transport.ChannelConfig{Label: m.Label}
		if m.Label == lossyLabel {
			ch = lossyChannel()
		}
		id := uint16(m.Id)
		ch.Negotiated = &id
		out = append(out, ch)
	}
	return out, nil
}

// forsake drops the promises for which the client has no section any more; the
// caller holds e.mu.
func (s *Service) forsake(e *session, placed map[string]drtc.TrackID) error {
	kept := slices.Collect(maps.Values(placed))
	for id, w := range e.wanted {
		if !w.promised || slices.Contains(kept, id) {
			continue
		}
		if err := s.drop(e, w); err != nil {
			return err
		}
	}
	return nil
}

// drop ends a subscription; the caller holds e.mu.
func (s *Service) drop(e *session, w *want) error {
	delete(e.wanted, w.id)
	e.subscriber.describe.Unbind(w.id)
	s.mu.Lock()
	s.disregard(e, w.id)
	s.mu.Unlock()
	return s.command(e.subscriber.peer, func(now time.Time, c *engine.Core) error { return c.Unsubscribe(now, e.subscriber.peer, w.id) })
}

// redeem subscribes a session to what it was promised, or says why not; the
// caller holds e.mu. A track that is not here yet is remembered.
func (s *Service) redeem(e *session, w *want, settings engine.Settings) string {
	w.settings, w.promised = settings, false
	err := s.command(e.subscriber.peer, func(now time.Time, c *engine.Core) error {
		return c.SetSettings(now, e.subscriber.peer, w.id, settings)
	})
	if err == nil {
		_, err = e.subscriber.describe.Bind(w.described(negotiate.Codec{}))
	}
	if err != nil {
		return err.Error()
	}
	if !s.await(e, w.id) {
		return ""
	}
	return s.show(e, w)
}

// show lets a track that is here flow on the section that was kept for it, or
// subscribes to it anew if the section can't carry it; the caller holds e.mu.
func (s *Service) show(e *session, w *want) string {
	kind, codec, publisher, ok := s.lookup(e, w.id)
	if !ok {
		return ""
	}
	format, suits := e.subscriber.describe.Format(w.id, codec)
	if !suits || kind != w.kind {
		if err := s.drop(e, w); err != nil {
			return err.Error()
		}
		return s.subscribeAnew(e, w.id, w.stream, w.settings)
	}
	home, err := s.media.Home(publisher)
	if err != nil {
		return "" // it has ended
	}
	if _, err := e.subscriber.describe.Bind(w.described(codec)); err != nil {
		return err.Error()
	}
	w.publisher, w.format, w.shown = publisher, format, true
	err = s.command(e.subscriber.peer, func(now time.Time, c *engine.Core) error {
		return c.SetSource(now, e.subscriber.peer, w.id, w.id, home, payloadType(format))
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// await reports whether a track is here for a session, and otherwise has arrived
// tell it. The caller holds e.mu.
func (s *Service) await(e *session, id drtc.TrackID) (here bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.visible(e, id) != nil {
		return true
	}
	if s.awaited[id] == nil {
		s.awaited[id] = map[*session]struct{}{}
	}
	s.awaited[id][e] = struct{}{}
	return false
}

// disregard ends the waiting of a session; the caller holds s.mu.
func (s *Service) disregard(e *session, id drtc.TrackID) {
	delete(s.awaited[id], e)
	if len(s.awaited[id]) == 0 {
		delete(s.awaited, id)
	}
}

// arrived gives tracks that the engine has now to those who wait for them. No
// session may be locked.
func (s *Service) arrived(tracks ...drtc.TrackID) {
	for _, id := range tracks {
		s.mu.Lock()
		t := s.tracks[id]
		displaces := t != nil && t.displaces
		s.mu.Unlock()
		if t == nil {
			continue
		}
		if displaces { // they saw the other's
			s.vacate(t.room, id)
		}
		for _, e := range s.reveal(t, id) {
			s.appear(e, id)
		}
		s.relays.changed(t.room, id, false)
		s.mu.Lock()
		aliases := s.alignAll(t)
		s.mu.Unlock()
		for _, at := range aliases {
			s.relays.changed(at.room, at.track, false)
		}
	}
}

// reveal lets a track be found and returns the sessions that wait for it.
func (s *Service) reveal(t *track, id drtc.TrackID) (waiting []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.pending, t.displaces = false, false
	for e := range s.awaited[id] {
		if s.visible(e, id) != nil {
			waiting = append(waiting, e)
			s.disregard(e, id)
		}
	}
	return waiting
}

// appear shows a session what it has waited for, and asks for a negotiation if
// that takes one.
func (s *Service) appear(e *session, id drtc.TrackID) {
	e.mu.Lock()
	w := e.wanted[id]
	if e.closed || w == nil || !w.kept || w.promised {
		e.mu.Unlock()
		return
	}
	s.show(e, w)
	needed := &medianodev1.NegotiationNeeded{Session: string(e.id)}
	needed.MissingAudio, needed.MissingVideo = e.missing()
	stale := e.subscriber.describe.Stale()
	e.mu.Unlock()
	if stale || needed.MissingAudio+needed.MissingVideo > 0 {
		s.report(e, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_NegotiationNeeded{NegotiationNeeded: needed}})
	}
}

// remote reports whether a track comes from another node. Such tracks are shown
// like those of a client that moved here: when the client that publishes one
// moves to another node, nobody negotiates anything.
func (s *Service) remote(id drtc.TrackID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tracks[id]
	return t != nil && t.session == nil
}

// placed reports whether a track has a section that its client has agreed to.
func (e *session) placed(id drtc.TrackID) bool {
	_, ok := e.subscriber.describe.Format(id, negotiate.Codec{})
	return ok
}

// openKept gives the engine the seat of a subscription and shows the track on
// it, if its section is negotiated already; the caller holds e.mu.
func (s *Service) openKept(e *session, w *want) error {
	if !e.subscriber.open { // the first agreement does
		return nil
	}
	err := s.command(e.subscriber.peer, func(now time.Time, c *engine.Core) error { return w.open(now, c, e.subscriber.peer) })
	if err == nil && e.placed(w.id) {
		s.show(e, w)
	}
	return err
}

// showKept shows what a negotiation has given a section; the caller holds e.mu.
func (s *Service) showKept(e *session) {
	for _, w := range slices.Collect(maps.Values(e.wanted)) {
		if w.kept && !w.promised && !w.shown && e.placed(w.id) && s.await(e, w.id) {
			s.show(e, w)
		}
	}
}

// vacate lets the viewers of a track wait until it comes back from elsewhere.
func (s *Service) vacate(room drtc.RoomID, id drtc.TrackID) {
	for _, e := range s.inRoom(room) {
		e.mu.Lock()
		if w := e.wanted[id]; w != nil && w.kept && !w.promised && !e.closed {
			w.shown = false
			s.await(e, id)
		}
		for _, st := range e.seats {
			if st.source == id {
				st.source = ""
			}
		}
		e.mu.Unlock()
	}
}
