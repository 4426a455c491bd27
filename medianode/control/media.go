package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/transport"
)

// Offer implements the ControlService.
func (s *Service) Offer(ctx context.Context, req *connect.Request[medianodev1.OfferRequest]) (*connect.Response[medianodev1.OfferResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	m := req.Msg
	if e.guest {
		return nil, invalid("session: %.64q is a guest, which has no transport", m.Session)
	}
	if m.Target == medianodev1.Target_TARGET_SUBSCRIBER {
		return nil, invalid("target: the node makes the offers on the subscriber transport")
	}
	if !e.offers.Allow() {
		return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("sdp: more than %d offers a second of one session", offerRate))
	}
	announced, err := publicationsOf(m.Publications)
	if err != nil {
		return nil, err
	}
	resp, over, err := s.offer(e, m, announced)
	for _, p := range resp.GetPublished() {
		s.arrived(drtc.TrackID(p.Track))
	}
	for _, id := range over {
		s.trackEnded(e, id, "the client stopped publishing it")
	}
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(resp), nil
}

// offer answers a client's offer and returns the tracks that it ended.
func (s *Service) offer(e *session, m *medianodev1.OfferRequest, announced []*publication) (*medianodev1.OfferResponse, []drtc.TrackID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("session: %.64q has ended", e.id))
	}
	if len(e.published)+len(announced) > maxTracks {
		return nil, nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("publications: a session publishes at most %d tracks", maxTracks))
	}
	if err := e.furnish(m.Seats); err != nil {
		return nil, nil, err
	}
	undo, err := e.restore(m.Restore)
	if err != nil {
		return nil, nil, err
	}
	l := e.publisher
	for _, p := range announced {
		l.describe.Prefer(p.cid, p.mime)
	}
	a, err := l.describe.Answer(m.Sdp)
	if err != nil {
		undo()
	}
	if errors.Is(err, negotiate.ErrNoCodec) {
		return nil, nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("sdp: %w", err))
	}
	if err != nil {
		return nil, nil, invalid("sdp: %w", err)
	}
	if err := s.forsake(e, a.Placed); err != nil {
		return nil, nil, err
	}
	over := e.ended(a.Receive, announced)
	if e.perms.publish {
		e.match(a.Receive, announced)
		s.claim(e)
	}
	if err := e.apply(s.media, l, a); err != nil {
		return nil, over, connect.NewError(connect.CodeInternal, err)
	}
	s.showKept(e)
	resp := &medianodev1.OfferResponse{Sdp: a.SDP, MidToTrack: map[string]string{}, Restarted: a.Restarted, Refused: map[string]string{}}
	for mid, id := range a.Placed {
		resp.MidToTrack[mid] = string(id)
	}
	for _, r := range a.Refused {
		resp.Refused[string(r.TrackID)] = r.Reason
	}
	for _, r := range a.Receive {
		if !r.Active {
			continue
		}
		p := &medianodev1.PublishedSection{Mid: r.Mid, Cid: r.CID, Kind: kindOf(r.Kind), Track: string(e.onMid(r.Mid))}
		if len(r.Codecs) > 0 {
			p.Mime = r.Codecs[0].Mime
		}
		resp.Published = append(resp.Published, p)
	}
	resp.MissingAudio, resp.MissingVideo = e.missing()
	return resp, over, nil
}

// trackEnded forgets a track that its client no longer publishes and says so.
func (s *Service) trackEnded(e *session, id drtc.TrackID, reason string) {
	s.forget(true, id)
	if err := s.command(e.publisher.peer, func(now time.Time, c *engine.Core) error { return c.Unpublish(now, id) }); err != nil {
		reason = err.Error()
	}
	s.report(e, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_TrackEnded{
		TrackEnded: &medianodev1.TrackEnded{Session: string(e.id), Track: string(id), Reason: reason},
	}})
}

// claim enters the session's tracks into the node's index; the caller holds
// e.mu. A track id that another session holds is not published, and one that
// came from another node does not any more. Nobody finds them before arrived.
func (s *Service) claim(e *session) {
	displaced := map[drtc.TrackID]engine.PeerID{}
	s.mu.Lock()
	for id, p := range e.published {
		t := s.tracks[id]
		if t != nil && t.session != e && (t.session != nil || t.room != e.room) {
			delete(e.published, id)
			continue
		}
		now := &track{session: e, room: e.room, peer: e.publisher.peer, kind: p.kind, codec: p.codec, codecs: p.codecs, pending: true}
		switch {
		case t == nil:
		case t.session == nil:
			now.displaces = true
			displaced[id] = t.peer
		default:
			now = t
		}
		now.rids, now.sizes, now.muted = p.rids, p.sizes, p.muted
		s.tracks[id] = now
	}
	s.mu.Unlock()
	for id, peer := range displaced { // the engine has one track of an id
		_ = s.command(peer, func(now time.Time, c *engine.Core) error { return c.Unpublish(now, id) }) // or Publish says why not
	}
}

// missing counts the sections that the client lacks; the caller holds e.mu.
func (e *session) missing() (audio, video uint32) {
	if e.dual {
		return 0, 0
	}
	n := e.subscriber.describe.Pending()
	return uint32(n[negotiate.Audio]), uint32(n[negotiate.Video])
}

func publicationsOf(in []*medianodev1.Publication) ([]*publication, error) {
	if len(in) > maxTracks {
		return nil, invalid("publications: at most %d, got %d", maxTracks, len(in))
	}
	var out []*publication
	for i, m := range in {
		if m.Track == "" || len(m.Track) > maxIDBytes {
			return nil, invalid("publications[%d].track: want 1 to %d bytes", i, maxIDBytes)
		}
		p := &publication{id: drtc.TrackID(m.Track), cid: m.Cid, mime: m.Mime, kind: negotiate.Audio, muted: m.Muted}
		if m.Kind == medianodev1.Kind_KIND_VIDEO {
			p.kind = negotiate.Video
		}
		for _, l := range m.Layers {
			p.sizes = append(p.sizes, engine.LayerSize{RID: l.Rid, Width: l.Width, Height: l.Height, Bitrate: l.Bitrate})
		}
		out = append(out, p)
	}
	return out, nil
}

func kindOf(k negotiate.Kind) medianodev1.Kind {
	if k == negotiate.Video {
		return medianodev1.Kind_KIND_VIDEO
	}
	return medianodev1.Kind_KIND_AUDIO
}

// Answer implements the ControlService.
func (s *Service) Answer(ctx context.Context, req *connect.Request[medianodev1.AnswerRequest]) (*connect.Response[medianodev1.AnswerResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	if !e.dual {
		return nil, invalid("session: %.64q is in single mode, its client makes the offers", req.Msg.Session)
	}
	e.mu.Lock()
	a, err := e.subscriber.describe.Accept(req.Msg.Sdp)
	if err == nil {
		err = e.apply(s.media, e.subscriber, a)
		s.showKept(e)
	}
	stale := err == nil && e.subscriber.describe.Stale()
	e.mu.Unlock()
	if err != nil {
		return nil, invalid("sdp: %w", err)
	}
	if stale { // what changed while the offer was open
		s.offerSubscriber(e)
	}
	return connect.NewResponse(&medianodev1.AnswerResponse{}), nil
}

// offerSubscriber makes an offer on the subscriber transport of a dual session
// and reports it; while one is open, the answer brings the next.
func (s *Service) offerSubscriber(e *session) {
	e.mu.Lock()
	sdp, err := e.subscriber.describe.Offer()
	e.mu.Unlock()
	if err != nil {
		return // an offer is open
	}
	s.report(e, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SubscriberOffer{
		SubscriberOffer: &medianodev1.SubscriberOffer{Session: string(e.id), Sdp: sdp},
	}})
}

// AddCandidates implements the ControlService. A lite node learns addresses
// from checks alone, so candidates are only looked at.
func (s *Service) AddCandidates(ctx context.Context, req *connect.Request[medianodev1.AddCandidatesRequest]) (*connect.Response[medianodev1.AddCandidatesResponse], error) {
	if _, err := s.find(ctx, req.Msg.Session); err != nil {
		return nil, err
	}
	if len(req.Msg.Candidates) > 64 {
		return nil, invalid("candidates: at most 64 a call, got %d", len(req.Msg.Candidates))
	}
	for i, c := range req.Msg.Candidates {
		if c != "" && !strings.HasPrefix(c, "candidate:") || len(c) > 1024 {
			return nil, invalid("candidates[%d]: want \"candidate:\" and at most 1024 bytes", i)
		}
	}
	return connect.NewResponse(&medianodev1.AddCandidatesResponse{}), nil
}

// Subscribe implements the ControlService.
func (s *Service) Subscribe(ctx context.Context, req *connect.Request[medianodev1.SubscribeRequest]) (*connect.Response[medianodev1.SubscribeResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	resp := &medianodev1.SubscribeResponse{Refused: map[string]string{}}
	e.mu.Lock()
	for i, m := range req.Msg.Subscriptions {
		if m.Track == "" || m.Stream == "" || len(m.Track) > maxIDBytes || len(m.Stream) > 2*maxIDBytes {
			e.mu.Unlock()
			return nil, invalid("subscriptions[%d]: want a track and a stream id", i)
		}
		if reason := s.subscribe(e, m); reason != "" {
			resp.Refused[m.Track] = reason
		}
	}
	resp.MissingAudio, resp.MissingVideo = e.missing()
	resp.NegotiationNeeded = e.subscriber.describe.Stale() || resp.MissingAudio+resp.MissingVideo > 0
	e.mu.Unlock()
	if e.dual && resp.NegotiationNeeded {
		s.offerSubscriber(e)
	}
	return connect.NewResponse(resp), nil
}

// subscribe binds one track, or says why not; the caller holds e.mu.
func (s *Service) subscribe(e *session, m *medianodev1.Subscription) string {
	id := drtc.TrackID(m.Track)
	switch {
	case e.closed:
		return "the session has ended"
	case e.guest || !e.perms.subscribe:
		return "the participant may not subscribe"
	case len(e.wanted) >= maxSubscriptions && e.wanted[id] == nil:
		return fmt.Sprintf("a session subscribes to at most %d tracks", maxSubscriptions)
	}
	if w := e.wanted[id]; w != nil && w.kept {
		return s.redeem(e, w, settingsOf(m.Settings))
	}
	return s.subscribeAnew(e, id, m.Stream, settingsOf(m.Settings))
}

// subscribeAnew binds a track to a section of its own, or says why not; the
// caller holds e.mu.
func (s *Service) subscribeAnew(e *session, id drtc.TrackID, stream string, settings engine.Settings) string {
	kind, codec, publisher, ok := s.lookup(e, id)
	if !ok {
		return "no such track in this room on this node"
	}
	w := &want{id: id, publisher: publisher, kind: kind, stream: stream, settings: settings, kept: s.remote(id)}
	if old := e.wanted[id]; old != nil {
		w.ssrc, w.rtx = old.ssrc, old.rtx
	} else {
		w.ssrc, w.rtx = e.freshSSRC(), e.freshSSRC()
	}
	b, err := e.subscriber.describe.Bind(w.described(codec))
	if err != nil {
		return err.Error()
	}
	if b.Refused != "" {
		e.subscriber.describe.Unbind(id)
		return b.Refused
	}
	if w.kept {
		e.wanted[id] = w
		if err := s.openKept(e, w); err != nil {
			_ = s.drop(e, w) // its engine has refused it
			return err.Error()
		}
		return ""
	}
	if e.subscriber.open { // else the first agreement subscribes
		err = s.forward(e.subscriber.peer, w)
	}
	if err != nil {
		e.subscriber.describe.Unbind(id)
		return err.Error()
	}
	e.wanted[id] = w
	return ""
}

// forward subscribes a peer to a track, unless one of the two has ended.
func (s *Service) forward(subscriber engine.PeerID, w *want) error {
	home, err := s.media.Home(w.publisher)
	if errors.Is(err, transport.ErrPeer) {
		return nil
	}
	return s.command(subscriber, func(now time.Time, c *engine.Core) error { return c.Subscribe(now, subscriber, w.config(home)) })
}

// lookup finds a track that another session publishes in the same room, and the
// peer that sends it.
func (s *Service) lookup(e *session, id drtc.TrackID) (negotiate.Kind, negotiate.Codec, engine.PeerID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.visible(e, id)
	if t == nil {
		return "", negotiate.Codec{}, 0, false
	}
	return t.kind, t.codec, t.peer, true
}

// visible returns a track that a session may have, nil if it is not here; the
// caller holds s.mu.
func (s *Service) visible(e *session, id drtc.TrackID) *track {
	t := s.tracks[id]
	if t == nil || t.pending || t.room != e.room || t.session == e {
		return nil
	}
	return t
}

func settingsOf(m *medianodev1.TrackSettings) engine.Settings {
	if m == nil {
		return engine.Settings{}
	}
	return engine.Settings{
		Disabled: m.Disabled, Width: m.Width, Height: m.Height, MaxLayer: int(min(m.MaxLayer, 8)), Priority: m.Priority,
	}
}

// Unsubscribe implements the ControlService.
func (s *Service) Unsubscribe(ctx context.Context, req *connect.Request[medianodev1.UnsubscribeRequest]) (*connect.Response[medianodev1.UnsubscribeResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	for _, id := range req.Msg.Tracks {
		w := e.wanted[drtc.TrackID(id)]
		if w == nil {
			continue
		}
		if err := s.drop(e, w); err != nil {
			e.mu.Unlock()
			return nil, err
		}
	}
	stale := e.subscriber.describe.Stale()
	e.mu.Unlock()
	if e.dual && stale {
		s.offerSubscriber(e)
	}
	return connect.NewResponse(&medianodev1.UnsubscribeResponse{NegotiationNeeded: stale}), nil
}

// SetTrackSettings implements the ControlService. Tracks that the session is
// not subscribed to are passed over: the client's wish may cross their end.
func (s *Service) SetTrackSettings(ctx context.Context, req *connect.Request[medianodev1.SetTrackSettingsRequest]) (*connect.Response[medianodev1.SetTrackSettingsResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	settings := settingsOf(req.Msg.Settings)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range req.Msg.Tracks {
		w := e.wanted[drtc.TrackID(id)]
		if w == nil {
			continue
		}
		w.settings = settings
		if err := s.command(e.subscriber.peer, func(now time.Time, c *engine.Core) error {
			return c.SetSettings(now, e.subscriber.peer, w.id, settings)
		}); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&medianodev1.SetTrackSettingsResponse{}), nil
}

// publication returns a track of the session; the caller holds e.mu.
func (e *session) publication(id string) (*publication, error) {
	if p := e.published[drtc.TrackID(id)]; p != nil {
		return p, nil
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("track: session %.64q publishes no track %.64q", e.id, id))
}

// SetPublisherLayers implements the ControlService.
func (s *Service) SetPublisherLayers(ctx context.Context, req *connect.Request[medianodev1.SetPublisherLayersRequest]) (*connect.Response[medianodev1.SetPublisherLayersResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	var layers []int
	for i, l := range req.Msg.Layers {
		if l > 7 {
			return nil, invalid("layers[%d]: want 0 to 7, got %d", i, l)
		}
		layers = append(layers, int(l))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.publication(req.Msg.Track)
	if err != nil {
		return nil, err
	}
	if e.guest {
		return nil, invalid("track: %.64q is an alias: its source's session says which layers may be used", p.id)
	}
	if err := s.command(e.publisher.peer, func(now time.Time, c *engine.Core) error { return c.SetPublisherLayers(now, p.id, layers) }); err != nil {
		return nil, err
	}
	return connect.NewResponse(&medianodev1.SetPublisherLayersResponse{}), nil
}

// MuteTrack implements the ControlService.
func (s *Service) MuteTrack(ctx context.Context, req *connect.Request[medianodev1.MuteTrackRequest]) (*connect.Response[medianodev1.MuteTrackResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.publication(req.Msg.Track)
	if err != nil {
		return nil, err
	}
	p.muted = req.Msg.Muted
	if err := s.command(e.sender(p), func(now time.Time, c *engine.Core) error { return c.MuteTrack(now, p.id, p.muted) }); err != nil {
		return nil, err
	}
	for _, at := range s.noteMute(e, p.id, p.muted) {
		s.relays.changed(at.room, at.track, false)
	}
	return connect.NewResponse(&medianodev1.MuteTrackResponse{}), nil
}

// Unpublish implements the ControlService.
func (s *Service) Unpublish(ctx context.Context, req *connect.Request[medianodev1.UnpublishRequest]) (*connect.Response[medianodev1.UnpublishResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	if err := s.unpublish(e, drtc.TrackID(req.Msg.Track)); err != nil {
		return nil, err
	}
	return connect.NewResponse(&medianodev1.UnpublishResponse{}), nil
}

func (s *Service) unpublish(e *session, id drtc.TrackID) error {
	e.mu.Lock()
	p := e.published[id]
	delete(e.published, id)
	e.mu.Unlock()
	if p == nil {
		return nil
	}
	s.forget(true, id)
	return s.command(e.sender(p), func(now time.Time, c *engine.Core) error { return c.Unpublish(now, id) })
}

// command runs one engine command in the core that has the peer. What it names
// may have ended on its own in the meantime, which is no error of the caller.
func (s *Service) command(peer engine.PeerID, f func(now time.Time, c *engine.Core) error) error {
	var err error
	if closed := s.media.Do(peer, func(now time.Time, c *engine.Core, _ *engine.Batch) { err = f(now, c) }); closed != nil {
		err = closed
	}
	for _, gone := range []error{transport.ErrPeer, engine.ErrPeer, engine.ErrTrack, engine.ErrSubscription} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	if err != nil {
		return connect.NewError(connect.CodeInternal, err)
	}
	return nil
}
