package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/datapacket"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport"
)

// The data channels of the client protocol (client-protocol 3.8).
const (
	reliableLabel = "_reliable"
	lossyLabel    = "_lossy"
)

func reliableChannel() transport.ChannelConfig { return transport.ChannelConfig{Label: reliableLabel} }

func lossyChannel() transport.ChannelConfig {
	return transport.ChannelConfig{Label: lossyLabel, Unordered: true, MaxRetransmits: new(uint16)}
}

// OnData takes one message from a client's data channel and hands it to the
// other participants of the room that it is for, with the true sender in it.
func (s *Service) OnData(peer engine.PeerID, label string, payload []byte) {
	e := s.sessionOf(peer)
	if e == nil {
		s.relays.onMessage(peer, label, payload)
		return
	}
	if label != reliableLabel && label != lossyLabel {
		return
	}
	p, err := datapacket.Parse(payload)
	if err != nil {
		return
	}
	e.mu.Lock()
	allowed := e.perms.publishData && !e.perms.hidden && !e.closed
	if allowed && label == reliableLabel && p.Sequence > e.lastReliable {
		e.lastReliable = p.Sequence
	}
	e.mu.Unlock()
	if !allowed {
		return
	}
	if p.Kind == datapacket.KindSpeaker {
		return // the node's own to say
	}
	out := datapacket.Rewrite(nil, payload, e.participant, e.identity)
	for _, to := range s.receivers(e.room, e, p) {
		s.deliver(to, label, out)
	}
	s.relays.originate(e.room, label == reliableLabel, out)
}

// receivers lists the sessions of the room but the sender's, all or those
// addressed.
func (s *Service) receivers(room drtc.RoomID, from *session, p datapacket.Packet) []*session {
	if !p.Addressed() {
		return slices.DeleteFunc(s.audience(room), func(e *session) bool { return e == from })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	named, ids := map[drtc.Identity]bool{}, map[drtc.ParticipantID]bool{}
	for identity := range p.Destinations() {
		named[identity] = true
	}
	for id := range p.DestinationIDs() {
		ids[id] = true
	}
	var out []*session
	for e := range s.rooms[room] {
		if e != from && (named[e.identity] || ids[e.participant]) {
			out = append(out, e)
		}
	}
	return out
}

// audience lists the sessions of a room that get what is for everybody.
func (s *Service) audience(room drtc.RoomID) []*session {
	return slices.DeleteFunc(s.inRoom(room), func(e *session) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.perms.secluded()
	})
}

// deliver queues a message. A client that is not connected yet misses it; one
// that reads too slowly for a reliable channel would see a hole from now on, so
// its session ends.
func (s *Service) deliver(to *session, label string, payload []byte) {
	if err := s.media.SendData(to.subscriber.peer, label, payload); errors.Is(err, transport.ErrSlowPeer) {
		s.end(to, err.Error())
	}
}

// SendData implements the ControlService.
func (s *Service) SendData(ctx context.Context, req *connect.Request[medianodev1.SendDataRequest]) (*connect.Response[medianodev1.SendDataResponse], error) {
	owner, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	if n := len(req.Msg.Packet); n == 0 || n > maxPacket {
		return nil, invalid("packet: want 1 to %d bytes, got %d", maxPacket, n)
	}
	if _, err := datapacket.Parse(req.Msg.Packet); err != nil {
		return nil, invalid("packet: %w", err)
	}
	label := lossyLabel
	if req.Msg.Reliable {
		label = reliableLabel
	}
	room := scoped(owner, req.Msg.Room)
	if err := s.enter(ctx, owner, room); err != nil {
		return nil, err
	}
	var to []*session
	if len(req.Msg.Sessions) == 0 {
		to = s.audience(room)
	} else {
		to = slices.DeleteFunc(s.inRoom(room), func(e *session) bool { return !slices.Contains(req.Msg.Sessions, string(e.id)) })
	}
	if len(to) == 0 {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("room: no such session in %.64q on this node", req.Msg.Room))
	}
	for _, e := range to {
		s.deliver(e, label, req.Msg.Packet)
	}
	return connect.NewResponse(&medianodev1.SendDataResponse{}), nil
}
