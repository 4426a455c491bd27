package control

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
)

// An operator may run several Orchestrators with one key, its members. A room is
// written by one of them at a time, who has a term for it, greater than those of
// all before. The node holds the members to that: it remembers the greatest term
// of each room and refuses calls about the room with a lower one, so that a
// member that was paused, or cut off, and does not know that another has taken
// its room, can't change anything any more. Calls without the headers are of
// member "" with term 0, of an operator who has one Orchestrator.

// Headers of a call beside those of package rpcauth. Like those they travel in
// TLS to a node whose certificate is pinned; they set members of one key apart,
// who trust each other.
const (
	// HeaderMember names the member, 1 to 32 of a-z A-Z 0-9 . _ -
	HeaderMember = "X-Drtc-Member"
	// HeaderTerm is the member's term for the room of the call, decimal. In a
	// refusal it is the term that the node knows.
	HeaderTerm = "X-Drtc-Term"
)

const (
	maxMember = 32 // bytes
	// maxMembers bounds the members of one owner that the node knows.
	maxMembers = 16
	// maxIdleTerms bounds the rooms of one owner of which the node has nothing
	// but a term; keepTerm is how long it is kept, for calls that come late.
	maxIdleTerms = 1024
	keepTerm     = time.Minute
	// replay is how much of what the last holder of a room was told the next one
	// is told again: it may not have been written down.
	replay = 10 * time.Second
	// deserted is for how many times OrphanAfter a room waits for another member
	// while its own is away.
	deserted = 3
)

// standing is as whom a call comes, and the room that it is in.
type standing struct {
	member string
	term   uint64
	holds  bool    // a handler's: it keeps the gate of its room until it ends
	in     *tenure // whose gate is held
}

// tenure is who writes a room.
type tenure struct {
	// gate is held shared by calls that touch the room and exclusively while the
	// term changes, so that no call of a lower term is still at work when it has.
	// It is taken before Service.mu.
	gate sync.RWMutex

	// Guarded by Service.mu.
	owner     drtc.NodeID
	member    string
	term      uint64
	idleSince time.Time // since when there is nothing of the room; zero while there is
}

type standingKey struct{}

// standingOf returns as whom a call comes; outside of a handler as nobody's
// member, without holding a gate.
func standingOf(ctx context.Context) *standing {
	if st, ok := ctx.Value(standingKey{}).(*standing); ok {
		return st
	}
	return &standing{}
}

// readStanding reads the headers of a call.
func readStanding(h http.Header) (*standing, error) {
	st := &standing{member: h.Get(HeaderMember), holds: true}
	if len(st.member) > maxMember || strings.ContainsFunc(st.member, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}) {
		return nil, invalid("%s: want 1 to %d of a-z A-Z 0-9 . _ -, got %.40q", HeaderMember, maxMember, st.member)
	}
	if text := h.Get(HeaderTerm); text != "" {
		var err error
		if st.term, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, invalid("%s: want a decimal number below 2^64, got %.40q", HeaderTerm, text)
		}
	}
	return st, nil
}

// leave ends the stay of a call in its room.
func (st *standing) leave() {
	if st.in != nil {
		st.in.gate.RUnlock()
		st.in = nil
	}
}

// terms is the interceptor that reads the headers.
type terms struct{}

// WrapUnary implements connect.Interceptor.
func (terms) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		st, err := readStanding(req.Header())
		if err != nil {
			return nil, err
		}
		defer st.leave()
		return next(context.WithValue(ctx, standingKey{}, st), req)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (terms) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		st, err := readStanding(conn.RequestHeader())
		if err != nil {
			return err
		}
		defer st.leave()
		return next(context.WithValue(ctx, standingKey{}, st), conn)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (terms) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// enter lets a call into a room if its term is not lower than what is known; a
// higher one is adopted. A call stays in the room until it ends, and no other
// term is adopted until then. Call it without a lock.
func (s *Service) enter(ctx context.Context, owner drtc.NodeID, room drtc.RoomID) error {
	st := standingOf(ctx)
	for {
		t, err := s.tenureOf(owner, room, st)
		if err != nil || t == nil || st.in == t {
			return err
		}
		t.gate.RLock()
		s.mu.Lock()
		stands, refused := s.tenures[room] == t, t.refuses(st)
		higher := st.term > t.term
		s.mu.Unlock()
		switch {
		case stands && refused != nil:
			t.gate.RUnlock()
			return refused
		case stands && !higher:
			if st.holds {
				st.leave()
				st.in = t
			} else {
				t.gate.RUnlock()
			}
			return nil
		}
		t.gate.RUnlock()
		if stands {
			if err := s.adopt(room, t, st); err != nil {
				return err
			}
		}
	}
}

// tenureOf returns who writes a room, from now on the caller if nobody does; nil
// if nobody does and the caller claims nothing.
func (s *Service) tenureOf(owner drtc.NodeID, room drtc.RoomID, st *standing) (*tenure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tenures[room]; t != nil || st.term == 0 && st.member == "" {
		return t, nil
	}
	if err := s.knows(owner, st.member); err != nil {
		return nil, err
	}
	s.makeRoom(owner)
	t := &tenure{owner: owner}
	if !s.occupied(room) {
		t.idleSince = time.Now()
	}
	s.tenures[room] = t
	s.hand(room, t, st)
	return t, nil
}

// adopt takes a higher term when the calls of the lower one have ended.
func (s *Service) adopt(room drtc.RoomID, t *tenure, st *standing) error {
	t.gate.Lock()
	defer t.gate.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenures[room] != t || st.term <= t.term {
		return nil // others were quicker: look again
	}
	if err := s.knows(t.owner, st.member); err != nil {
		return err
	}
	s.hand(room, t, st)
	return nil
}

// refuses says why a call may not touch the room, nil if it may.
func (t *tenure) refuses(st *standing) error {
	if st.term > t.term || st.term == t.term && st.member == t.member {
		return nil
	}
	err := connect.NewError(connect.CodeFailedPrecondition,
		fmt.Errorf("term: %d of member %q is over: the room is member %q's with term %d", st.term, st.member, t.member, t.term))
	err.Meta().Set(HeaderTerm, strconv.FormatUint(t.term, 10))
	return err
}

// hand gives a room to the caller: what happened lately and the figures go to
// its feed. The caller of hand holds s.mu.
func (s *Service) hand(room drtc.RoomID, t *tenure, st *standing) {
	from, to := s.feeds[feedKey{t.owner, t.member}], s.feedOf(t.owner, st.member)
	t.member, t.term = st.member, st.term
	if from == nil || from == to {
		return
	}
	for _, e := range from.lately(room, time.Now()) {
		to.append(s.cfg.Instance, room, e)
	}
	for e := range s.rooms[room] {
		if last := from.drop(e.id); last != nil {
			to.note(e.id, last)
		}
	}
}

// lately returns copies of the newest events of a room: those of the replay time
// before now, or before the stream of the feed ended.
func (f *feed) lately(room drtc.RoomID, now time.Time) []*medianodev1.EventsResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := now
	if !f.idleSince.IsZero() {
		since = f.idleSince
	}
	since = since.Add(-replay)
	var out []*medianodev1.EventsResponse
	for i, o := range f.origins {
		if o.room == room && o.at.After(since) {
			out = append(out, proto.CloneOf(f.events[i]))
		}
	}
	return out
}

// knows reports whether there is a place for a member; the caller holds s.mu.
func (s *Service) knows(owner drtc.NodeID, member string) error {
	if s.feeds[feedKey{owner, member}] != nil {
		return nil
	}
	members := 0
	for k := range s.feeds {
		if k.owner == owner {
			members++
		}
	}
	if members >= maxMembers {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%s: this node knows %d members of this Orchestrator, the most that it does", HeaderMember, members))
	}
	return nil
}

// streamOf returns the feed of a member, or why it gets none.
func (s *Service) streamOf(owner drtc.NodeID, member string) (*feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.knows(owner, member); err != nil {
		return nil, err
	}
	return s.feedOf(owner, member), nil
}

// holder is the member that writes a room; the caller holds s.mu.
func (s *Service) holder(room drtc.RoomID) string {
	if t := s.tenures[room]; t != nil {
		return t.member
	}
	return ""
}

// occupied reports whether the node has anything of a room; the caller holds
// s.mu.
func (s *Service) occupied(room drtc.RoomID) bool {
	_, shared := s.shared[room]
	return shared || len(s.rooms[room]) > 0
}

// makeRoom forgets the term that has been of no use for longest if the owner has
// too many such; the caller holds s.mu.
func (s *Service) makeRoom(owner drtc.NodeID) {
	var oldest drtc.RoomID
	idle := 0
	for room, t := range s.tenures {
		if t.owner != owner || t.idleSince.IsZero() {
			continue
		}
		if idle++; oldest == "" || t.idleSince.Before(s.tenures[oldest].idleSince) {
			oldest = room
		}
	}
	if idle >= maxIdleTerms {
		delete(s.tenures, oldest)
	}
}

// forgetTerms drops the terms of rooms that have been gone for a while; the
// caller holds s.mu.
func (s *Service) forgetTerms(now time.Time) {
	for room, t := range s.tenures {
		switch {
		case s.occupied(room):
			t.idleSince = time.Time{}
		case t.idleSince.IsZero():
			t.idleSince = now
		case now.Sub(t.idleSince) > keepTerm:
			delete(s.tenures, room)
		}
	}
}

// orphans tells which rooms nobody looks after: those of an owner of whom no
// member has had a stream for OrphanAfter, and those of a member who has been
// away for much longer while no other took the room. Feeds that nobody will read
// go. The caller holds s.mu.
func (s *Service) orphans(now time.Time) func(drtc.NodeID, drtc.RoomID) bool {
	inUse, here := map[feedKey]bool{}, map[drtc.NodeID]bool{}
	for _, e := range s.sessions {
		inUse[feedKey{e.owner, s.holder(e.room)}] = true
	}
	for room, owner := range s.shared {
		inUse[feedKey{owner, s.holder(room)}] = true
	}
	away := map[feedKey]bool{}
	for k, f := range s.feeds {
		if !f.orphaned(now, s.cfg.OrphanAfter) {
			here[k.owner] = true
			continue
		}
		away[k] = f.orphaned(now, min(s.cfg.OrphanAfter, math.MaxInt64/deserted)*deserted)
		if !inUse[k] {
			delete(s.feeds, k)
		}
	}
	return func(owner drtc.NodeID, room drtc.RoomID) bool {
		return !here[owner] || away[feedKey{owner, s.holder(room)}]
	}
}

// ClaimRoom implements the ControlService.
func (s *Service) ClaimRoom(ctx context.Context, req *connect.Request[medianodev1.ClaimRoomRequest]) (*connect.Response[medianodev1.ClaimRoomResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if n := len(req.Msg.Room); n == 0 || n > maxIDBytes {
		return nil, invalid("room: want 1 to %d bytes, got %d", maxIDBytes, n)
	}
	room := scoped(owner, req.Msg.Room)
	if err := s.enter(ctx, owner, room); err != nil {
		return nil, err
	}
	resp := &medianodev1.ClaimRoomResponse{}
	s.mu.Lock()
	for e := range s.rooms[room] {
		resp.Sessions = append(resp.Sessions, string(e.id))
	}
	s.mu.Unlock()
	if resp.Links, resp.Tracks, err = s.relaysOf(ctx, room); err != nil {
		return nil, refused(err)
	}
	for _, list := range [][]string{resp.Sessions, resp.Links, resp.Tracks} {
		slices.Sort(list)
	}
	return connect.NewResponse(resp), nil
}
