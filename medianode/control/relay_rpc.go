package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/relay"
)

// ordered checks who orders a link, and its names.
func (s *Service) ordered(ctx context.Context, link, room, peer string) (order, error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return order{}, err
	}
	if s.cfg.Key == nil {
		return order{}, connect.NewError(connect.CodeUnimplemented, errors.New("this node has no key to open relay links with"))
	}
	o := order{self: s.cfg.Key.ID(), owner: owner, link: link, room: room}
	for _, f := range []struct{ name, value string }{{"link", link}, {"room", room}} {
		if f.value == "" || len(f.value) > relay.MaxID {
			return order{}, invalid("%s: want 1 to %d bytes, got %d", f.name, relay.MaxID, len(f.value))
		}
	}
	if o.peer, err = drtc.ParseNodeID(peer); err != nil || o.peer == o.self {
		return order{}, invalid("peer: want the id of another node, got %.64q", peer)
	}
	return o, s.enter(ctx, owner, scoped(owner, room))
}

func (o order) key() linkKey { return linkKey{o.owner, o.link} }

// instance tells the link from others of the same name: both ends know when
// both descriptions were issued.
func (o order) instance(ours, theirs uint64) relay.Instance {
	if bytes.Compare(o.self[:], o.peer[:]) < 0 {
		return relay.Instance{ours, theirs}
	}
	return relay.Instance{theirs, ours}
}

// PrepareRelay implements the ControlService.
func (s *Service) PrepareRelay(ctx context.Context, req *connect.Request[medianodev1.PrepareRelayRequest]) (*connect.Response[medianodev1.PrepareRelayResponse], error) {
	o, err := s.ordered(ctx, req.Msg.Link, req.Msg.Room, req.Msg.Peer)
	if err != nil {
		return nil, err
	}
	var p prepared
	err = s.relays.ask(ctx, func() error {
		var err error
		p, err = s.relays.prepare(time.Now(), o)
		return err
	})
	if err != nil {
		return nil, refused(err)
	}
	versions := spoken(s.cfg.RelayMaxVersion)
	d := &medianodev1.RelayDescription{
		Link: o.link, Room: o.room, Node: o.self.String(), Peer: o.peer.String(), Orchestrator: o.owner.String(),
		Fingerprint: s.cfg.Fingerprint.Sum, Ufrag: p.local.Ufrag, Pwd: p.local.Pwd,
		MinVersion: uint32(versions[0]), MaxVersion: uint32(versions[1]), IssuedAtMs: p.issued,
	}
	for _, a := range s.cfg.Candidates[:min(len(s.cfg.Candidates), maxAddresses)] {
		d.Addresses = append(d.Addresses, a.String())
	}
	signed, err := signDescription(s.cfg.Key, d)
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return connect.NewResponse(&medianodev1.PrepareRelayResponse{Description: signed}), nil
}

// prepare notes what this node says of its end of a link.
func (r *relays) prepare(now time.Time, o order) (prepared, error) {
	l, p := r.links[o.key()], r.prepared[o.key()]
	if l != nil && (l.room.name != o.room || l.trunk.end.peer != o.peer) {
		return prepared{}, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("link: %.64q is open in another room or to another node", o.link))
	}
	if p == nil && len(r.prepared) >= maxPrepared+maxLinks {
		return prepared{}, connect.NewError(connect.CodeResourceExhausted, errors.New("link: too many are prepared and not opened"))
	}
	issued := uint64(now.UnixMilli())
	if p != nil { // no two descriptions of a link are of one time
		issued = max(issued, p.issued+1)
	}
	e := r.endOf(now, o.peer)
	p = &prepared{peer: o.peer, room: o.room, local: e.local, issued: issued, at: now}
	r.prepared[o.key()] = p
	return *p, nil
}

// refused gives an error of the relays its code.
func refused(err error) error {
	var coded *connect.Error
	switch {
	case errors.As(err, &coded):
		return err
	case errors.Is(err, ErrDescription):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, errStopped):
		return connect.NewError(connect.CodeUnavailable, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return connect.NewError(connect.CodeInternal, err)
}

// OpenRelay implements the ControlService.
func (s *Service) OpenRelay(ctx context.Context, req *connect.Request[medianodev1.OpenRelayRequest]) (*connect.Response[medianodev1.OpenRelayResponse], error) {
	m := req.Msg
	o, err := s.ordered(ctx, m.Link, m.Room, m.Peer)
	if err != nil {
		return nil, err
	}
	if len(m.Application) > maxIDBytes || m.AudioLimit > relay.MaxTracks {
		return nil, invalid("application: at most %d bytes; audio_limit: at most %d", maxIDBytes, relay.MaxTracks)
	}
	payer, err := payerOf(o.owner, m.Application, m.Account)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	other, checked := o.read(now, m.Description)
	var version uint8
	err = s.relays.ask(ctx, func() error {
		var err error
		version, err = s.relays.open(now, o, m, payer, other, checked)
		return err
	})
	if err != nil {
		return nil, refused(err)
	}
	return connect.NewResponse(&medianodev1.OpenRelayResponse{Version: uint32(version)}), nil
}

// open opens this end of a link, or changes what its Orchestrator wants of it.
func (r *relays) open(now time.Time, o order, m *medianodev1.OpenRelayRequest, payer Payer, other remoteEnd, checked error) (uint8, error) {
	l, p := r.links[o.key()], r.prepared[o.key()]
	if l != nil && l.room.name == o.room && l.trunk.end.peer == o.peer && bytes.Equal(l.description, m.GetDescription().GetDescription()) {
		r.adjust(l, m, payer) // the same call again
		return l.trunk.core.Version(), nil
	}
	switch {
	case checked != nil:
		return 0, checked
	case l != nil && (l.room.name != o.room || l.trunk.end.peer != o.peer):
		return 0, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("link: %.64q is open in another room or to another node", o.link))
	case p == nil || p.room != o.room || p.peer != o.peer:
		return 0, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("link: %.64q is not prepared at this node: PrepareRelay comes first", o.link))
	case p.local != r.endOf(now, o.peer).local:
		return 0, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("link: what this node said of %.64q holds no longer: prepare it again", o.link))
	case l == nil && len(r.links) >= maxLinks:
		return 0, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("link: this node has %d already", maxLinks))
	}
	version, err := common(spoken(r.service.cfg.RelayMaxVersion), other.versions)
	if err != nil {
		return 0, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	issued := p.issued
	k, err := r.trunkTo(now, r.endOf(now, o.peer), other, version)
	if err != nil {
		return 0, err
	}
	instance := o.instance(issued, other.issued)
	if l = r.links[o.key()]; l != nil { // it is open on this trunk
		r.adjust(l, m, payer)
		l.description = m.Description.Description
		if l.name.Instance != instance {
			if l.next = instance; !l.up {
				r.reopen(l)
			}
		}
		return k.core.Version(), nil
	}
	return k.core.Version(), r.begin(k, o, m, payer, instance)
}

// begin opens a link that is not there yet.
func (r *relays) begin(k *trunk, o order, m *medianodev1.OpenRelayRequest, payer Payer, instance relay.Instance) error {
	if err := r.service.creditworthy(o.owner); err != nil {
		return err
	}
	room := r.rooms[scoped(o.owner, o.room)]
	if room == nil && len(r.rooms) >= maxRelayRooms {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("room: this node shares %d with others already", maxRelayRooms))
	}
	room = r.roomOf(o.owner, o.room)
	for _, other := range room.links {
		if other.trunk == k {
			return connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("link: the room has %.64q to that node already", other.key.link))
		}
	}
	l := &relayLink{key: o.key(), room: room, trunk: k, name: relay.Name{Owner: o.owner, Link: o.link, Instance: instance}, description: m.Description.Description}
	l.payer, l.audioLimit = payer, int(m.AudioLimit)
	r.links[l.key], room.links[l.id()] = l, l
	if p := r.prepared[l.key]; p == nil { // it went with the trunk before
		r.prepared[l.key] = &prepared{peer: o.peer, room: o.room, local: k.end.local, at: time.Now()}
	}
	if err := r.openLink(l); err != nil {
		r.fail(k, err)
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return nil
}

// adjust takes what may change of an open link.
func (r *relays) adjust(l *relayLink, m *medianodev1.OpenRelayRequest, payer Payer) {
	l.payer = payer
	if limit := int(m.AudioLimit); limit != l.audioLimit {
		if l.audioLimit = limit; l.up {
			r.limitAudio(l)
		}
	}
}

// CloseRelay implements the ControlService.
func (s *Service) CloseRelay(ctx context.Context, req *connect.Request[medianodev1.CloseRelayRequest]) (*connect.Response[medianodev1.CloseRelayResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	var room drtc.RoomID
	key := linkKey{owner, req.Msg.Link}
	err = s.relays.ask(ctx, func() error {
		if l := s.relays.links[key]; l != nil {
			room = l.room.id
		}
		return nil
	})
	if err != nil {
		return nil, refused(err)
	}
	if room == "" {
		return connect.NewResponse(&medianodev1.CloseRelayResponse{}), nil
	}
	if err := s.enter(ctx, owner, room); err != nil {
		return nil, err
	}
	err = s.relays.ask(ctx, func() error {
		if l := s.relays.links[key]; l != nil && l.room.id == room {
			s.relays.closeLink(l, "closed by the Orchestrator")
		}
		return nil
	})
	if err != nil {
		return nil, refused(err)
	}
	return connect.NewResponse(&medianodev1.CloseRelayResponse{}), nil
}

// SetRelayRoutes implements the ControlService.
func (s *Service) SetRelayRoutes(ctx context.Context, req *connect.Request[medianodev1.SetRelayRoutesRequest]) (*connect.Response[medianodev1.SetRelayRoutesResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	m := req.Msg
	if m.Room == "" || len(m.Room) > relay.MaxID || len(m.Routes) > relay.MaxOrigins {
		return nil, invalid("room: want 1 to %d bytes; routes: at most %d", relay.MaxID, relay.MaxOrigins)
	}
	routes := map[drtc.NodeID]relay.Link{}
	for i, route := range m.Routes {
		origin, err := drtc.ParseNodeID(route.Origin)
		if err != nil || route.Link == "" || len(route.Link) > relay.MaxID {
			return nil, invalid("routes[%d]: want the id of a node and a link of 1 to %d bytes", i, relay.MaxID)
		}
		if _, twice := routes[origin]; twice {
			return nil, invalid("routes[%d].origin: %s comes twice", i, origin)
		}
		routes[origin] = relay.Link(route.Link)
	}
	if err := s.enter(ctx, owner, scoped(owner, m.Room)); err != nil {
		return nil, err
	}
	err = s.relays.ask(ctx, func() error { return s.relays.route(owner, m.Room, routes) })
	if err != nil {
		return nil, refused(err)
	}
	return connect.NewResponse(&medianodev1.SetRelayRoutesResponse{}), nil
}

func (r *relays) route(owner drtc.NodeID, name string, routes map[drtc.NodeID]relay.Link) error {
	room := r.rooms[scoped(owner, name)]
	switch {
	case room == nil && len(routes) == 0:
		return nil
	case room == nil && len(r.rooms) >= maxRelayRooms:
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("room: this node shares %d with others already", maxRelayRooms))
	}
	room = r.roomOf(owner, name)
	room.exchange.SetRoutes(routes)
	r.act(room)
	return nil
}

// relaysOf lists what the relays have of a room: links, and tracks of other
// nodes.
func (s *Service) relaysOf(ctx context.Context, room drtc.RoomID) (links, tracks []string, err error) {
	s.mu.Lock()
	_, shared := s.shared[room]
	s.mu.Unlock()
	if !shared {
		return nil, nil, nil
	}
	err = s.relays.ask(ctx, func() error {
		m := s.relays.rooms[room]
		if m == nil {
			return nil
		}
		for id := range m.links {
			links = append(links, string(id))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, t := range s.tracks {
			if t.session == nil && t.room == room {
				tracks = append(tracks, string(id))
			}
		}
		return nil
	})
	return links, tracks, err
}
