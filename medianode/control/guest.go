package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport"
)

// A guest session stands in a room for a participant of another one, whose tracks
// it publishes as aliases. It has a transport on paper only, and takes no place of
// a client's. Everything else, the relays to other nodes among it, takes its
// tracks for those of any session: what differs is the peer that they come from.
//
//	client ──▶ session in room 1 ──▶ track ──▶ viewers in room 1
//	                                   └─▶ alias ◀── guest session in room 2 ──▶ viewers there

// place is a track in a room.
type place struct {
	room  drtc.RoomID
	track drtc.TrackID
}

// sender is the peer from which a publication comes: for an alias, that of its
// source.
func (e *session) sender(p *publication) engine.PeerID {
	if e.guest {
		return p.from
	}
	return e.publisher.peer
}

// AliasTrack implements the ControlService.
func (s *Service) AliasTrack(ctx context.Context, req *connect.Request[medianodev1.AliasTrackRequest]) (*connect.Response[medianodev1.AliasTrackResponse], error) {
	m := req.Msg
	e, err := s.find(ctx, m.Session)
	if err != nil {
		return nil, err
	}
	switch {
	case !e.guest:
		return nil, invalid("session: %.64q is a client's, want a guest", m.Session)
	case m.Track == "" || len(m.Track) > maxIDBytes:
		return nil, invalid("track: want 1 to %d bytes, got %d", maxIDBytes, len(m.Track))
	}
	if err := s.alias(e, m); err != nil {
		return nil, err
	}
	id := drtc.TrackID(m.Track)
	s.arrived(id)
	s.mu.Lock()
	live := liveEvent(e, id, s.tracks[id])
	s.mu.Unlock()
	if live != nil {
		s.report(e, live)
	}
	return connect.NewResponse(&medianodev1.AliasTrackResponse{}), nil
}

// alias makes the entry, the publication and the name in the engine.
func (s *Service) alias(e *session, m *medianodev1.AliasTrackRequest) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, of := drtc.TrackID(m.Track), drtc.TrackID(m.SourceTrack)
	switch {
	case e.closed:
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("session: %.64q has ended", e.id))
	case len(e.published) >= maxTracks && e.published[id] == nil:
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("track: a session publishes at most %d tracks", maxTracks))
	}
	entry, displaced, err := s.enlist(e, m)
	if err != nil {
		return err
	}
	if displaced != nil { // the engine has one track of an id
		_ = s.command(displaced.peer, func(now time.Time, c *engine.Core) error { return c.Unpublish(now, id) }) // or Alias says why not
	}
	err = transport.ErrPeer
	_ = s.media.Do(entry.peer, func(now time.Time, c *engine.Core, _ *engine.Batch) { // or err stays
		err = c.Alias(now, of, engine.AliasConfig{ID: id, Room: e.room, Session: e.id, Muted: m.Muted})
	})
	if err == nil {
		e.published[id] = &publication{id: id, kind: entry.kind, muted: m.Muted, from: entry.peer}
		return nil
	}
	delete(e.published, id)
	s.mu.Lock()
	s.unlink(id)
	delete(s.tracks, id)
	s.mu.Unlock()
	if errors.Is(err, engine.ErrTrackExists) {
		return connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("track: %w", err))
	}
	return connect.NewError(connect.CodeNotFound, fmt.Errorf("source_track: %w", err))
}

// enlist enters an alias into the index, or says why not. What another node's
// track of that id was is returned.
func (s *Service) enlist(e *session, m *medianodev1.AliasTrackRequest) (entry, displaced *track, err error) {
	id, of := drtc.TrackID(m.Track), drtc.TrackID(m.SourceTrack)
	s.mu.Lock()
	defer s.mu.Unlock()
	source, old := s.tracks[of], s.tracks[id]
	publisher := s.sessions[key{e.owner, drtc.SessionID(m.SourceSession)}]
	switch {
	case source == nil || source.pending || publisher == nil || source.session != publisher:
		return nil, nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("source_track: session %.64q publishes no track %.64q here", m.SourceSession, m.SourceTrack))
	case publisher.guest:
		return nil, nil, invalid("source_track: %.64q is an alias itself", m.SourceTrack)
	case publisher.payer != e.payer:
		return nil, nil, connect.NewError(connect.CodePermissionDenied, errors.New("source_session: it is of another application"))
	case source.room == e.room:
		return nil, nil, invalid("source_track: %.64q is in the room of the guest", m.SourceTrack)
	case old != nil && (old.room != e.room || old.session != nil && (old.session != e || old.of != of)):
		return nil, nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("track: there is a track %.64q already", m.Track))
	case old != nil && old.session == e:
		entry = old
	default:
		entry = &track{session: e, room: e.room, of: of, pending: true, displaces: old != nil}
		displaced = old
		s.tracks[id] = entry
		source.aliases = append(source.aliases, id)
	}
	entry.hushed = m.Muted
	entry.align(source)
	return entry, displaced, nil
}

// align takes over what an alias has from its source.
func (t *track) align(source *track) {
	t.peer, t.kind, t.codec, t.codecs = source.peer, source.kind, source.codec, source.codecs
	t.mime, t.rids, t.sizes, t.layers = source.mime, source.rids, source.sizes, source.layers
	t.muted = t.hushed || source.muted
}

// alignAll has the aliases of a track agree with it, and returns them; the caller
// holds s.mu.
func (s *Service) alignAll(source *track) []place {
	if source == nil {
		return nil
	}
	var all []place
	for _, id := range source.aliases {
		t := s.tracks[id]
		t.align(source)
		all = append(all, place{t.room, id})
	}
	return all
}

// noteMute notes that a track of a session is muted or not, and returns where
// other nodes are to be told.
func (s *Service) noteMute(e *session, id drtc.TrackID, muted bool) []place {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tracks[id]
	if t == nil || t.session != e {
		return nil
	}
	if source := s.tracks[t.of]; source != nil {
		t.hushed = muted
		t.muted = muted || source.muted
	} else {
		t.muted = muted
	}
	return append(s.alignAll(t), place{t.room, id})
}

// unlink takes an alias from its source; the caller holds s.mu.
func (s *Service) unlink(id drtc.TrackID) {
	if t := s.tracks[id]; t != nil {
		if source := s.tracks[t.of]; source != nil {
			source.aliases = slices.DeleteFunc(source.aliases, func(o drtc.TrackID) bool { return o == id })
		}
	}
}

// bereft tells guests that the sources of their tracks are gone.
func (s *Service) bereft(guests map[drtc.TrackID]*session) {
	for id, e := range guests {
		e.mu.Lock()
		delete(e.published, id)
		e.mu.Unlock()
		s.report(e, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_TrackEnded{
			TrackEnded: &medianodev1.TrackEnded{Session: string(e.id), Track: string(id), Reason: "its source has ended"},
		}})
	}
}

// withdraw takes the names of a guest's tracks from the engine, when it ends.
func (s *Service) withdraw(e *session) {
	e.mu.Lock()
	all := make([]*publication, 0, len(e.published))
	for _, p := range e.published {
		all = append(all, p)
	}
	e.mu.Unlock()
	for _, p := range all {
		_ = s.command(p.from, func(now time.Time, c *engine.Core) error { return c.Unpublish(now, p.id) }) // or its source has ended
	}
}

// liveEvent tells of the media of a session's track; nil if there was none yet.
func liveEvent(e *session, id drtc.TrackID, t *track) *medianodev1.EventsResponse {
	if t == nil || t.mime == "" {
		return nil
	}
	m := &medianodev1.TrackLive{Session: string(e.id), Track: string(id), Mid: t.mid, Mime: t.mime}
	for _, l := range t.layers {
		m.Layers = append(m.Layers, &medianodev1.LiveLayer{Rid: l.RID, Ssrc: l.SSRC, RepairSsrc: l.RepairSSRC})
	}
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_TrackLive{TrackLive: m}}
}
