package nodes

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// relayFailure is failure for the commands of relay links and rooms.
func relayFailure(node drtc.NodeID, c room.NodeCommand, reason string) room.Command {
	switch c := c.(type) {
	case room.PrepareRelay:
		return room.RelayPrepared{Node: node, Link: c.Link, Err: reason}
	case room.OpenRelay:
		return room.RelayOpened{Node: node, Link: c.Link, Err: reason}
	case room.SetRelayRoutes:
		return room.RoutesSet{Node: node, Err: reason}
	case room.ClaimRoom:
		return room.Claimed{Node: node, Err: reason}
	}
	return nil
}

// relay makes the call for one command of a relay link or a room; ok is false
// for other commands.
func (l *link) relay(ctx context.Context, c room.NodeCommand) (result room.Command, ok bool, err error) {
	switch c := c.(type) {
	case room.PrepareRelay:
		result, err = l.prepareRelay(ctx, c)
	case room.OpenRelay:
		result, err = l.openRelay(ctx, c)
	case room.CloseRelay:
		_, err = l.client.CloseRelay(ctx, connect.NewRequest(&medianodev1.CloseRelayRequest{Link: string(c.Link)}))
	case room.SetRelayRoutes:
		result, err = l.setRelayRoutes(ctx, c)
	case room.ClaimRoom:
		result, err = l.claimRoom(ctx, c)
	default:
		return nil, false, nil
	}
	return result, true, err
}

func (l *link) prepareRelay(ctx context.Context, c room.PrepareRelay) (room.Command, error) {
	r, err := l.client.PrepareRelay(ctx, connect.NewRequest(&medianodev1.PrepareRelayRequest{
		Link: string(c.Link), Room: string(c.Room), Peer: c.Peer.String(),
	}))
	if err != nil {
		return nil, err
	}
	d := r.Msg.GetDescription()
	return room.RelayPrepared{Node: l.target.ID, Link: c.Link, Description: d.GetDescription(), Signature: d.GetSignature()}, nil
}

func (l *link) openRelay(ctx context.Context, c room.OpenRelay) (room.Command, error) {
	r, err := l.client.OpenRelay(ctx, connect.NewRequest(&medianodev1.OpenRelayRequest{
		Link: string(c.Link), Room: string(c.Room), Peer: c.Peer.String(), Application: c.Application,
		Description: &medianodev1.SignedDescription{Description: c.Description, Signature: c.Signature},
		AudioLimit:  uint32(max(0, c.AudioLimit)),
		Account:     l.pool.account(c.Application),
	}))
	if err != nil {
		return nil, err
	}
	return room.RelayOpened{Node: l.target.ID, Link: c.Link, Version: r.Msg.GetVersion()}, nil
}

func (l *link) setRelayRoutes(ctx context.Context, c room.SetRelayRoutes) (room.Command, error) {
	request := &medianodev1.SetRelayRoutesRequest{Room: string(c.Room)}
	for _, route := range c.Routes {
		request.Routes = append(request.Routes, &medianodev1.RelayRoute{Origin: route.Origin.String(), Link: string(route.Link)})
	}
	if _, err := l.client.SetRelayRoutes(ctx, connect.NewRequest(request)); err != nil {
		return nil, err
	}
	return room.RoutesSet{Node: l.target.ID}, nil
}

func (l *link) claimRoom(ctx context.Context, c room.ClaimRoom) (room.Command, error) {
	r, err := l.client.ClaimRoom(ctx, connect.NewRequest(&medianodev1.ClaimRoomRequest{Room: string(c.Room)}))
	if err != nil {
		return nil, err
	}
	claimed := room.Claimed{Node: l.target.ID}
	for _, s := range r.Msg.GetSessions() {
		claimed.Sessions = append(claimed.Sessions, drtc.SessionID(s))
	}
	for _, k := range r.Msg.GetLinks() {
		claimed.Links = append(claimed.Links, cascade.LinkID(k))
	}
	for _, t := range r.Msg.GetTracks() {
		claimed.Tracks = append(claimed.Tracks, drtc.TrackID(t))
	}
	return claimed, nil
}

// translateRelay is translate for the events of relay links.
func translateRelay(node drtc.NodeID, m *medianodev1.EventsResponse) (Event, bool) {
	switch v := m.GetEvent().(type) {
	case *medianodev1.EventsResponse_RelayState:
		s := v.RelayState
		return Event{Node: node, Room: drtc.RoomID(s.GetRoom()), Command: room.RelayChanged{
			Node: node, Link: cascade.LinkID(s.GetLink()), Reason: shortened(s.GetReason()), Version: s.GetVersion(),
			Connected: s.GetState() == medianodev1.RelayState_STATE_CONNECTED,
			Closed:    s.GetState() == medianodev1.RelayState_STATE_CLOSED,
		}}, true
	case *medianodev1.EventsResponse_TrackAvailable:
		t := v.TrackAvailable
		origin, err := drtc.ParseNodeID(t.GetOrigin())
		if err != nil {
			return Event{}, false
		}
		return Event{Node: node, Room: drtc.RoomID(t.GetRoom()), Command: room.TrackAvailable{
			Node: node, Track: drtc.TrackID(t.GetTrack()), Origin: origin, Available: t.GetAvailable(),
		}}, true
	}
	return Event{}, false
}

// relayed turns a link's report that a heartbeat carries into an event.
func relayed(node drtc.NodeID, r *medianodev1.RelayReport) Event {
	link := cascade.LinkID(r.GetLink())
	return Event{Node: node, Link: link, Command: room.RelayReported{Node: node, Link: link, Figures: room.RelayFigures{
		RoundTrip: time.Duration(r.GetRoundTripUs()) * time.Microsecond,
		LossSent:  fraction(r.GetLossSent()), LossReceived: fraction(r.GetLossReceived()),
		SentBytes: r.GetSentBytes(), ReceivedBytes: r.GetReceivedBytes(), RelayBytes: r.GetRelayBytes(), Layers: r.GetLayers(),
	}}}
}

// restoreTo writes what a client had on another node.
func restoreTo(r *room.Restoration) *medianodev1.Restore {
	if r == nil {
		return nil
	}
	m := &medianodev1.Restore{}
	for _, t := range r.Tracks {
		m.Tracks = append(m.Tracks, &medianodev1.RestoredTrack{
			Mid: t.MID, Track: string(t.Track), Stream: t.Stream, Kind: kindTo(t.Kind), Mime: t.MIME,
		})
	}
	for _, s := range r.Sources {
		m.Sources = append(m.Sources, &medianodev1.RestoredSource{Mid: s.MID, Rid: s.RID, Ssrc: s.SSRC, RepairSsrc: s.Repair})
	}
	for _, c := range r.Channels {
		m.Channels = append(m.Channels, &medianodev1.RestoredChannel{Label: c.Label, Id: c.ID})
	}
	return m
}
