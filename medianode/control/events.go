package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/receipt"
)

// heartbeat is how often an event stream says that the node lives.
const heartbeat = 500 * time.Millisecond

// Events implements the ControlService.
func (s *Service) Events(ctx context.Context, req *connect.Request[medianodev1.EventsRequest], stream *connect.ServerStream[medianodev1.EventsResponse]) error {
	owner, err := s.caller(ctx)
	if err != nil {
		return err
	}
	return s.follow(ctx, owner, req.Msg, func(batch ...*medianodev1.EventsResponse) error {
		defer hold(ctx)()
		for _, m := range batch {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// follow sends what one Orchestrator is to hear, until ctx or the lease ends or
// a newer stream takes over. Messages of one call of send leave together.
func (s *Service) follow(ctx context.Context, owner drtc.NodeID, req *medianodev1.EventsRequest, send func(...*medianodev1.EventsResponse) error) error {
	member := standingOf(ctx).member
	f, err := s.streamOf(owner, member)
	if err != nil {
		return err
	}
	taken := f.open(time.Now().Add(s.cfg.Lease))
	defer func() { f.close(time.Now(), taken) }()

	after := req.After
	if req.Instance != s.cfg.Instance {
		after = 0
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	beat := func() error {
		m := s.heartbeat(f, owner)
		if err := send(m); err != nil {
			return err
		}
		f.sent(taken, m.GetHeartbeat().Reports)
		return nil
	}
	if after == 0 { // what there is, before the node counts as up: sessions of now come later
		if err := send(s.resync(owner, member, f)); err != nil {
			return err
		}
	}
	if err := beat(); err != nil {
		return err
	}
	for {
		events, missed, wake := f.after(after)
		batch := events
		if missed {
			batch = append([]*medianodev1.EventsResponse{s.resync(owner, member, f)}, events...)
		}
		if len(batch) > 0 {
			if err := send(batch...); err != nil {
				return err
			}
		}
		switch {
		case len(events) > 0:
			after = events[len(events)-1].Sequence
		case missed:
			after = f.sequence()
		}
		select {
		case <-wake:
		case <-ticker.C:
			left := f.leaseLeft(time.Now())
			if left <= 0 {
				return connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("lease of the event stream ended: renew it with RenewEvents"))
			}
			if err := beat(); err != nil {
				return err
			}
		case <-taken:
			return connect.NewError(connect.CodeAborted, fmt.Errorf("a newer event stream of the same Orchestrator took over"))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Service) heartbeat(f *feed, owner drtc.NodeID) *medianodev1.EventsResponse {
	sessions := s.Sessions()
	_, refuses := s.refusal(sessions)
	standing := s.standing(owner)
	if refuses == "" && standing.Decision >= receipt.StopNew {
		refuses = standing.Reason
	}
	return &medianodev1.EventsResponse{
		Sequence: f.sequence(), Instance: s.cfg.Instance,
		Event: &medianodev1.EventsResponse_Heartbeat{Heartbeat: &medianodev1.Heartbeat{
			Sessions: uint32(sessions), MaxSessions: uint32(s.cfg.MaxSessions), EgressBps: s.pressure.egressBps(),
			Draining: s.draining.Load(), LeaseLeftMs: uint32(max(f.leaseLeft(time.Now()).Milliseconds(), 0)),
			Refuses: refuses, ShedRatio: float32(s.Shedding().Ratio),
			Reports: f.waiting(), Relays: f.waitingRelays(), Receipts: standing.Reason,
		}},
	}
}

func (s *Service) resync(owner drtc.NodeID, member string, f *feed) *medianodev1.EventsResponse {
	r := &medianodev1.Resync{}
	s.mu.Lock()
	for k, e := range s.sessions {
		if k.owner == owner && s.holder(e.room) == member {
			r.Sessions = append(r.Sessions, string(k.id))
		}
	}
	s.mu.Unlock()
	slices.Sort(r.Sessions)
	return &medianodev1.EventsResponse{Sequence: f.sequence(), Instance: s.cfg.Instance, Event: &medianodev1.EventsResponse_Resync{Resync: r}}
}

// RenewEvents implements the ControlService.
func (s *Service) RenewEvents(ctx context.Context, _ *connect.Request[medianodev1.RenewEventsRequest]) (*connect.Response[medianodev1.RenewEventsResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	f, err := s.streamOf(owner, standingOf(ctx).member)
	if err != nil {
		return nil, err
	}
	f.renew(time.Now().Add(s.cfg.Lease))
	return connect.NewResponse(&medianodev1.RenewEventsResponse{LeaseLeftMs: uint32(s.cfg.Lease.Milliseconds())}), nil
}

// Run ends the sessions of Orchestrators that stay away and of clients whose
// consent is long gone, and speaks with other nodes, until ctx ends; then it ends
// every session and every link.
func (s *Service) Run(ctx context.Context) error {
	var relays sync.WaitGroup
	relays.Go(func() { s.relays.run(ctx) })
	defer relays.Wait()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, e := range s.all(func(*session) bool { return true }) {
				s.end(e, "node stops")
			}
			return nil
		case now := <-t.C:
			s.sweep(now)
		}
	}
}

func (s *Service) sweep(now time.Time) {
	s.mu.Lock()
	orphaned := s.orphans(now)
	var ended []*session
	for _, e := range s.sessions {
		if orphaned(e.owner, e.room) {
			ended = append(ended, e)
		}
	}
	for room, owner := range s.shared {
		if orphaned(owner, room) {
			s.relays.orphaned(room)
		}
	}
	s.forgetTerms(now)
	s.mu.Unlock()
	s.cutOff()
	for _, e := range ended {
		s.end(e, "its Orchestrator stayed away")
	}
}

func (s *Service) all(which func(*session) bool) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*session
	for _, e := range s.sessions {
		if which(e) {
			out = append(out, e)
		}
	}
	return out
}

// report adds an event to the feed of who writes a session's room.
func (s *Service) report(e *session, event *medianodev1.EventsResponse) {
	s.announce(e.owner, e.room, event)
}

// announce adds an event of a room to the feed of who writes it. It is added
// under s.mu, so that none goes to a member after the room has gone from it.
func (s *Service) announce(owner drtc.NodeID, room drtc.RoomID, event *medianodev1.EventsResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feedFor(owner, room).append(s.cfg.Instance, room, event)
}

func stateEvent(e *session, target medianodev1.Target, state medianodev1.SessionState_State, reason string) *medianodev1.EventsResponse {
	return &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SessionState{SessionState: &medianodev1.SessionState{
		Session: string(e.id), Target: target, State: state, Reason: reason,
	}}}
}

// OnEvent takes a report of the engine, in order.
func (s *Service) OnEvent(event engine.Event) {
	switch v := event.(type) {
	case engine.PeerState:
		s.onPeerState(v)
	case engine.TrackLive:
		s.onTrackLive(v)
	case engine.LayerDemand:
		s.mu.Lock()
		t := s.tracks[v.Track]
		s.mu.Unlock()
		if t == nil {
			return
		}
		if t.session == nil {
			if v.Peer == t.peer { // else of the way by which it came before
				s.relays.demand(t.room, v)
			}
			return
		}
		m := &medianodev1.LayerDemand{Session: string(t.session.id), Track: string(v.Track)}
		for _, l := range v.Layers {
			m.Layers = append(m.Layers, uint32(l))
		}
		s.report(t.session, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_LayerDemand{LayerDemand: m}})
	case engine.SubscriptionActive:
		if e := s.sessionOf(v.Peer); e != nil {
			s.report(e, &medianodev1.EventsResponse{Event: &medianodev1.EventsResponse_SubscriptionActive{
				SubscriptionActive: &medianodev1.SubscriptionActive{Session: string(e.id), Track: string(v.Track)},
			}})
		}
	case engine.Speakers:
		s.onSpeakers(v)
	case engine.Overload:
		s.pressure.observe(time.Now(), v)
	case engine.PeerReport:
		s.onPeerReport(v)
	}
}

func (s *Service) sessionOf(peer engine.PeerID) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPeer[peer]
}

// onPeerReport notes a session's figures under s.mu, so that none are noted of a
// session that has ended.
func (s *Service) onPeerReport(v engine.PeerReport) {
	e := s.sessionOf(v.Peer)
	if e == nil || e.unreported {
		return
	}
	f := figures(e.whole(v))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPeer[v.Peer] == e {
		s.feedFor(e.owner, e.room).note(e.id, f)
	}
}

// whole makes the figures of a session out of those of one of its transports and
// what the other reported last.
func (e *session) whole(v engine.PeerReport) engine.Figures {
	if !e.dual {
		return v.Figures
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if v.Peer == e.subscriber.peer {
		e.down = v.Figures
	} else {
		e.up = v.Figures
	}
	return joined(e.up, e.down)
}

func (s *Service) onPeerState(v engine.PeerState) {
	e := s.sessionOf(v.Peer)
	if e == nil {
		s.relays.onPeerState(v)
		return
	}
	target := medianodev1.Target_TARGET_PUBLISHER
	if e.dual && v.Peer == e.subscriber.peer {
		target = medianodev1.Target_TARGET_SUBSCRIBER
	}
	state := map[engine.State]medianodev1.SessionState_State{
		engine.StateConnected:    medianodev1.SessionState_STATE_CONNECTED,
		engine.StateDisconnected: medianodev1.SessionState_STATE_DISCONNECTED,
		engine.StateFailed:       medianodev1.SessionState_STATE_DISCONNECTED,
	}[v.State]
	if state != medianodev1.SessionState_STATE_UNSPECIFIED {
		s.report(e, stateEvent(e, target, state, v.Reason))
	}
}

// heard is what the first media of a track, or media of another kind, is for one
// of its names.
type heard struct {
	place
	of      *session
	viewers []*session // whose sections may be kept for another codec
	event   *medianodev1.EventsResponse
}

func (s *Service) onTrackLive(v engine.TrackLive) {
	s.mu.Lock()
	news := s.note(v)
	s.mu.Unlock()
	for _, n := range news {
		s.relays.changed(n.room, n.track, false)
		for _, e := range n.viewers {
			s.appear(e, n.track)
		}
		if n.event != nil { // else its own node tells its Orchestrator
			s.report(n.of, n.event)
		}
	}
}

// note enters what is known of a track's media, and of its aliases'; the caller
// holds s.mu.
func (s *Service) note(v engine.TrackLive) []heard {
	t := s.tracks[v.Track]
	if t == nil {
		return nil
	}
	before := t.codec.Mime
	for _, c := range t.codecs {
		if strings.EqualFold(c.Mime, v.Mime) {
			t.codec = c
			break
		}
	}
	t.mime, t.mid, t.layers = v.Mime, v.Mid, v.Layers
	var news []heard
	for _, at := range append([]place{{t.room, v.Track}}, s.alignAll(t)...) {
		named := s.tracks[at.track]
		n := heard{place: at, of: named.session}
		if !strings.EqualFold(before, t.codec.Mime) {
			n.viewers = slices.Collect(maps.Keys(s.rooms[at.room]))
		}
		if n.of != nil {
			n.event = liveEvent(n.of, at.track, named)
		}
		news = append(news, n)
	}
	return news
}

// OnClosed is told that a peer is gone: its client said goodbye, its handshake
// failed or its consent ended. The session ends with it.
func (s *Service) OnClosed(peer engine.PeerID, reason error) {
	if e := s.sessionOf(peer); e != nil {
		s.end(e, reason.Error())
		return
	}
	s.relays.onClosed(peer, reason)
}
