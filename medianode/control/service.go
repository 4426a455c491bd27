package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/transport"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// Media is what the service needs of the media side of the node.
type Media interface {
	// Do runs f with the core that has the peer, serialised with packets. It
	// fails with transport.ErrPeer if the peer is not open.
	Do(peer engine.PeerID, f func(now time.Time, c *engine.Core, b *engine.Batch)) error
	// Home is the core that has the peer.
	Home(peer engine.PeerID) (engine.CoreID, error)
	Peers
	Channels
}

// Peers are the client connections: ICE, DTLS, data association.
type Peers interface {
	Open(transport.PeerConfig) error
	Update(engine.PeerID, transport.Update) error
	Close(engine.PeerID)
}

// Channels are the data channels of the peers.
type Channels interface {
	OpenChannel(engine.PeerID, transport.ChannelConfig) error
	// SendData queues a message on the channel with that label.
	SendData(peer engine.PeerID, label string, payload []byte) error
}

// key scopes a session id by its owner.
type key struct {
	owner drtc.NodeID
	id    drtc.SessionID
}

// Service is the control service of one Media Node.
type Service struct {
	medianodev1connect.UnimplementedControlServiceHandler
	cfg   Config
	media Media

	nextPeer atomic.Uint64
	draining atomic.Bool
	pressure pressure

	mu       sync.Mutex
	sessions map[key]*session
	rooms    map[drtc.RoomID]map[*session]struct{}
	guests   int // of the sessions
	byPeer   map[engine.PeerID]*session
	tracks   map[drtc.TrackID]*track
	awaited  map[drtc.TrackID]map[*session]struct{}
	feeds    map[feedKey]*feed
	tenures  map[drtc.RoomID]*tenure
	// shared are the rooms of which other nodes have a part, with their owners.
	shared   map[drtc.RoomID]drtc.NodeID
	speaking speaking

	relays *relays // has a goroutine of its own
}

// New makes a service over the node's media.
func New(cfg Config, media Media) *Service {
	s := &Service{
		cfg: cfg.withDefaults(), media: media,
		sessions: map[key]*session{}, rooms: map[drtc.RoomID]map[*session]struct{}{},
		byPeer: map[engine.PeerID]*session{}, tracks: map[drtc.TrackID]*track{}, awaited: map[drtc.TrackID]map[*session]struct{}{},
		feeds: map[feedKey]*feed{}, tenures: map[drtc.RoomID]*tenure{}, shared: map[drtc.RoomID]drtc.NodeID{},
		speaking: speaking{},
	}
	s.relays = newRelays(s)
	return s
}

// maxRequest is the longest request or response message, bytes: an offer of
// many sections and some room.
const maxRequest = 1 << 20

// Handler serves the control service under the path returned. It must stand
// behind the authentication of package httpauth.
func (s *Service) Handler() (path string, h http.Handler) {
	path, h = medianodev1connect.NewControlServiceHandler(s, connect.WithReadMaxBytes(maxRequest), connect.WithCompressMinBytes(compressAbove),
		connect.WithInterceptors(terms{}))
	return path, gather(h)
}

// compressAbove is the size of a message from which compressing it is worth the
// time: events are short, and many.
const compressAbove = 4 << 10 // bytes

// Sessions is the number of clients' sessions, Capacity how many are admitted.
func (s *Service) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions) - s.guests
}

// Capacity is how many sessions the node admits.
func (s *Service) Capacity() int { return s.cfg.MaxSessions }

// caller is the Orchestrator of a call, which package httpauth has
// authenticated and admitted. The node's own key, admitted for Drain, is none.
func (s *Service) caller(ctx context.Context) (drtc.NodeID, error) {
	c, ok := httpauth.Caller(ctx)
	switch {
	case !ok:
		return drtc.NodeID{}, errUnauthenticated()
	case c.ID == s.cfg.Self:
		return drtc.NodeID{}, connect.NewError(connect.CodePermissionDenied, errors.New("the node's own key may drain it, and nothing else"))
	}
	return c.ID, nil
}

// find returns the caller's session if the caller writes its room.
func (s *Service) find(ctx context.Context, id string) (*session, error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	e := s.sessions[key{owner, drtc.SessionID(id)}]
	s.mu.Unlock()
	if e == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("session: no session %.64q on this node", id))
	}
	if err := s.enter(ctx, owner, e.room); err != nil {
		return nil, err
	}
	return e, nil
}

// invalid is a refusal that names the field.
func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

// CreateSession implements the ControlService.
func (s *Service) CreateSession(ctx context.Context, req *connect.Request[medianodev1.CreateSessionRequest]) (*connect.Response[medianodev1.CreateSessionResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	m := req.Msg
	for _, f := range []struct{ name, value string }{
		{"session", m.Session}, {"room", m.Room}, {"participant", m.Participant},
	} {
		if f.value == "" || len(f.value) > maxIDBytes {
			return nil, invalid("%s: want 1 to %d bytes, got %d", f.name, maxIDBytes, len(f.value))
		}
	}
	if m.Identity == "" || len(m.Identity) > 512 || len(m.Application) > maxIDBytes {
		return nil, invalid("identity: want 1 to 512 bytes; application: at most %d", maxIDBytes)
	}
	payer, err := payerOf(owner, m.Application, m.Account)
	if err != nil {
		return nil, err
	}
	if m.Mode < medianodev1.Mode_MODE_SINGLE || m.Mode > medianodev1.Mode_MODE_GUEST {
		return nil, invalid("mode: want MODE_SINGLE, MODE_DUAL or MODE_GUEST")
	}
	e := &session{
		owner: owner, id: drtc.SessionID(m.Session), room: scoped(owner, m.Room),
		participant: drtc.ParticipantID(m.Participant), identity: drtc.Identity(m.Identity), payer: payer,
		dual: m.Mode == medianodev1.Mode_MODE_DUAL, guest: m.Mode == medianodev1.Mode_MODE_GUEST, unreported: m.Unreported, perms: permissionsOf(m.Permissions),
		offers:    rate.NewLimiter(offerRate, offerBurst),
		published: map[drtc.TrackID]*publication{}, wanted: map[drtc.TrackID]*want{}, seats: map[drtc.TrackID]*seat{},
	}
	if e.publisher, err = newLeg(s.cfg, s.newPeer(), negotiate.Answerer); err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	e.subscriber = e.publisher
	if e.dual {
		if e.subscriber, err = newLeg(s.cfg, s.newPeer(), negotiate.Offerer); err != nil {
			return nil, connect.NewError(connect.CodeInternal, err)
		}
	}
	if e.guest {
		e.perms = permissions{publish: true, hidden: e.perms.hidden}
	}
	if err := s.enter(ctx, owner, e.room); err != nil {
		return nil, err
	}
	if err := s.creditworthy(owner); err != nil {
		return nil, err
	}
	if err := s.admit(e); err != nil {
		return nil, err
	}
	if e.dual && e.perms.subscribe { // the data channels must not wait for the first track
		s.offerSubscriber(e)
	}
	resp := &medianodev1.CreateSessionResponse{}
	for _, a := range s.cfg.Candidates {
		resp.Addresses = append(resp.Addresses, a.String())
	}
	return connect.NewResponse(resp), nil
}

func (s *Service) newPeer() engine.PeerID { return engine.PeerID(s.nextPeer.Add(1)) }

// admit registers a session or says why not.
func (s *Service) admit(e *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{e.owner, e.id}
	if s.sessions[k] != nil {
		return connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("session: %.64q exists", e.id))
	}
	switch {
	case !e.guest:
		if err := s.admits(len(s.sessions) - s.guests); err != nil {
			return err
		}
	case s.guests >= s.cfg.MaxSessions:
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("node has %d guests, as many as it takes", s.guests))
	default:
		s.guests++
	}
	s.sessions[k] = e
	if s.rooms[e.room] == nil {
		s.rooms[e.room] = map[*session]struct{}{}
	}
	s.rooms[e.room][e] = struct{}{}
	s.byPeer[e.publisher.peer], s.byPeer[e.subscriber.peer] = e, e
	s.feedFor(e.owner, e.room)
	if t := s.tenures[e.room]; t != nil {
		t.idleSince = time.Time{}
	}
	return nil
}

// feedFor returns the feed of who writes a room; the caller holds s.mu.
func (s *Service) feedFor(owner drtc.NodeID, room drtc.RoomID) *feed {
	return s.feedOf(owner, s.holder(room))
}

// feedOf returns a member's feed; the caller holds s.mu.
func (s *Service) feedOf(owner drtc.NodeID, member string) *feed {
	k := feedKey{owner, member}
	f := s.feeds[k]
	if f == nil {
		f = newFeed(time.Now())
		s.feeds[k] = f
	}
	return f
}

func permissionsOf(m *medianodev1.Permissions) permissions {
	return permissions{publish: m.GetPublish(), subscribe: m.GetSubscribe(), publishData: m.GetPublishData(), hidden: m.GetHidden()}
}

// CloseSession implements the ControlService.
func (s *Service) CloseSession(ctx context.Context, req *connect.Request[medianodev1.CloseSessionRequest]) (*connect.Response[medianodev1.CloseSessionResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		if connect.CodeOf(err) == connect.CodeNotFound {
			return connect.NewResponse(&medianodev1.CloseSessionResponse{}), nil
		}
		return nil, err
	}
	s.end(e, "closed by the Orchestrator")
	return connect.NewResponse(&medianodev1.CloseSessionResponse{}), nil
}

// end removes a session and everything of it, and says so in the feed.
func (s *Service) end(e *session, reason string) {
	s.mu.Lock()
	k := key{e.owner, e.id}
	if s.sessions[k] != e {
		s.mu.Unlock()
		return
	}
	delete(s.sessions, k)
	if e.guest {
		s.guests--
	}
	delete(s.rooms[e.room], e)
	if len(s.rooms[e.room]) == 0 {
		delete(s.rooms, e.room)
		delete(s.speaking, e.room)
	}
	delete(s.byPeer, e.publisher.peer)
	delete(s.byPeer, e.subscriber.peer)
	last := s.feedFor(e.owner, e.room).drop(e.id)
	s.mu.Unlock()

	e.mu.Lock()
	e.closed = true
	if f, ok := s.finally(e); ok {
		last = figures(f)
	}
	tracks := slices.Collect(maps.Keys(e.published))
	wanted := slices.Collect(maps.Keys(e.wanted))
	opened := []*leg{e.publisher}
	if e.dual {
		opened = append(opened, e.subscriber)
	}
	e.mu.Unlock()

	s.mu.Lock()
	for _, id := range wanted {
		s.disregard(e, id)
	}
	s.mu.Unlock()
	if e.guest { // before others may have the names
		s.withdraw(e)
	}
	s.forget(false, tracks...)
	for _, l := range opened {
		if l.open {
			s.media.Close(l.peer)
		}
	}
	closed := stateEvent(e, medianodev1.Target_TARGET_UNSPECIFIED, medianodev1.SessionState_STATE_CLOSED, reason)
	closed.GetSessionState().Figures = last
	s.announce(e.owner, e.room, closed)
}

// forget drops tracks of this node's clients from the index and from every
// viewer, here and on other nodes, and their aliases with them. Ended says that
// nobody publishes them any more; else they may come back from elsewhere.
func (s *Service) forget(ended bool, tracks ...drtc.TrackID) {
	s.mu.Lock()
	rooms, guests := map[drtc.TrackID]drtc.RoomID{}, map[drtc.TrackID]*session{}
	for _, id := range tracks {
		t := s.tracks[id]
		if t == nil {
			continue
		}
		rooms[id] = t.room
		for _, alias := range t.aliases {
			rooms[alias], guests[alias] = s.tracks[alias].room, s.tracks[alias].session
			delete(s.tracks, alias)
		}
		s.unlink(id)
		delete(s.tracks, id)
	}
	s.mu.Unlock()
	s.bereft(guests)
	for id, room := range rooms {
		s.dismiss(room, id)
		s.relays.changed(room, id, ended)
	}
}

// dismiss takes a track from every viewer of a room.
func (s *Service) dismiss(room drtc.RoomID, id drtc.TrackID) {
	for _, e := range s.inRoom(room) {
		e.mu.Lock()
		if w := e.wanted[id]; w != nil && w.kept {
			_ = s.drop(e, w) // the transport may have ended
		} else if w != nil {
			delete(e.wanted, id)
			e.subscriber.describe.Unbind(id)
		}
		for _, st := range e.seats {
			if st.source == id {
				st.source = ""
			}
		}
		e.mu.Unlock()
	}
}

// inRoom lists the sessions of a room.
func (s *Service) inRoom(room drtc.RoomID) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.rooms[room]))
}

// UpdateSession implements the ControlService.
func (s *Service) UpdateSession(ctx context.Context, req *connect.Request[medianodev1.UpdateSessionRequest]) (*connect.Response[medianodev1.UpdateSessionResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.perms = permissionsOf(req.Msg.Permissions)
	var revoked []drtc.TrackID
	if !e.perms.publish {
		for id := range e.published {
			revoked = append(revoked, id)
		}
	}
	e.mu.Unlock()
	for _, id := range revoked {
		if err := s.unpublish(e, id); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&medianodev1.UpdateSessionResponse{}), nil
}

// GetSession implements the ControlService.
func (s *Service) GetSession(ctx context.Context, req *connect.Request[medianodev1.GetSessionRequest]) (*connect.Response[medianodev1.GetSessionResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	up, down, last := e.publisher.peer, e.subscriber.peer, e.lastReliable
	e.mu.Unlock()
	f := s.figuresOf(up)
	if down != up {
		f = joined(f, s.figuresOf(down))
	}
	return connect.NewResponse(&medianodev1.GetSessionResponse{Figures: figures(f), LastReliableSequence: last}), nil
}

// figuresOf returns the figures of a peer, zero before its first agreement.
func (s *Service) figuresOf(peer engine.PeerID) (f engine.Figures) {
	_ = s.figuresInto(peer, &f)
	return f
}

func (s *Service) figuresInto(peer engine.PeerID, f *engine.Figures) error {
	return s.media.Do(peer, func(_ time.Time, c *engine.Core, _ *engine.Batch) { *f, _ = c.Figures(peer) })
}

// joined makes one of the figures of the two transports of a dual session.
func joined(up, down engine.Figures) engine.Figures {
	up.RoundTrip = max(up.RoundTrip, down.RoundTrip)
	up.DownlinkLoss = down.DownlinkLoss
	up.ReceivedBytes += down.ReceivedBytes
	up.SentBytes += down.SentBytes
	up.ClientBytes += down.ClientBytes
	up.RelayBytes += down.RelayBytes
	up.AddressChanges += down.AddressChanges
	return up
}

func figures(f engine.Figures) *medianodev1.SessionFigures {
	return &medianodev1.SessionFigures{
		RoundTripUs: uint32(min(f.RoundTrip.Microseconds(), 1<<32-1)),
		UplinkLoss:  float32(f.UplinkLoss), DownlinkLoss: float32(f.DownlinkLoss),
		ReceivedBytes: f.ReceivedBytes, SentBytes: f.SentBytes, ClientBytes: f.ClientBytes, RelayBytes: f.RelayBytes,
		Connected: f.Connected, AddressChanges: f.AddressChanges,
	}
}
