package nodes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/orchestrator/room"
)

func asConnect(err error) (*connect.Error, bool) {
	var e *connect.Error
	ok := errors.As(err, &e)
	return e, ok
}

// nameOf is the command's name for metrics and logs.
func nameOf(c room.NodeCommand) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", c), "room.")
}

// failure is the result of a command that could not be carried out; nil for
// commands without one.
func failure(node drtc.NodeID, s drtc.SessionID, c room.NodeCommand, reason string, code connect.Code) room.Command {
	switch c := c.(type) {
	case room.OpenSession:
		return room.SessionOpened{Node: node, Session: s, Err: reason}
	case room.InspectSession:
		if code == connect.CodeNotFound {
			reason = "" // the node's word
		}
		return room.Inspected{Session: s, Err: reason}
	case room.SendOffer:
		unusable := code == connect.CodeFailedPrecondition
		return room.Offered{Session: s, ID: c.ID, Err: reason, Invalid: unusable || code == connect.CodeInvalidArgument, Unusable: unusable}
	case room.SetSources:
		return room.SourcesSet{Session: s, Seats: c.Seats, Err: reason}
	case room.AliasTrack:
		return room.Aliased{Session: s, Track: c.Track, Err: reason}
	case room.SubscribeTracks:
		failed := room.Subscribed{Session: s, Err: reason}
		for _, sub := range c.Subscriptions {
			failed.Tracks = append(failed.Tracks, sub.Track)
		}
		return failed
	}
	return relayFailure(node, c, reason)
}

// call makes the call for one command.
func (l *link) call(ctx context.Context, s drtc.SessionID, c room.NodeCommand) (room.Command, error) {
	session := string(s)
	if result, ok, err := l.relay(ctx, c); ok {
		return result, err
	}
	switch c := c.(type) {
	case room.OpenSession:
		return l.open(ctx, s, c)
	case room.SendOffer:
		return l.offer(ctx, s, c)
	case room.SubscribeTracks:
		return l.subscribe(ctx, s, c)
	case room.SetSources:
		return l.setSources(ctx, s, c)
	case room.CloseSession:
		_, err := l.client.CloseSession(ctx, connect.NewRequest(&medianodev1.CloseSessionRequest{Session: session}))
		return nil, err
	case room.InspectSession:
		r, err := l.client.GetSession(ctx, connect.NewRequest(&medianodev1.GetSessionRequest{Session: session}))
		if err != nil {
			return nil, err
		}
		return room.Inspected{
			Session: s, Found: true, LastSequence: r.Msg.GetLastReliableSequence(), Figures: figures(r.Msg.GetFigures()),
		}, nil
	case room.SendCandidates:
		_, err := l.client.AddCandidates(ctx, connect.NewRequest(&medianodev1.AddCandidatesRequest{Session: session, Candidates: c.Candidates}))
		return nil, err
	case room.UnsubscribeTracks:
		r, err := l.client.Unsubscribe(ctx, connect.NewRequest(&medianodev1.UnsubscribeRequest{Session: session, Tracks: texts(c.Tracks)}))
		if err != nil {
			return nil, err
		}
		return room.Unsubscribed{Session: s, Negotiate: r.Msg.GetNegotiationNeeded()}, nil
	case room.ChangeSettings:
		_, err := l.client.SetTrackSettings(ctx, connect.NewRequest(&medianodev1.SetTrackSettingsRequest{
			Session: session, Tracks: texts(c.Tracks), Settings: settings(&c.Settings),
		}))
		return nil, err
	case room.ChangePermission:
		_, err := l.client.UpdateSession(ctx, connect.NewRequest(&medianodev1.UpdateSessionRequest{
			Session: session, Permissions: permissions(c.Permission),
		}))
		return nil, err
	case room.UnpublishTrack:
		_, err := l.client.Unpublish(ctx, connect.NewRequest(&medianodev1.UnpublishRequest{Session: session, Track: string(c.Track)}))
		return nil, err
	case room.SendPacket:
		request := &medianodev1.SendDataRequest{Room: string(c.Room), Reliable: c.Reliable, Packet: c.Packet}
		for _, to := range c.Sessions {
			request.Sessions = append(request.Sessions, string(to))
		}
		_, err := l.client.SendData(ctx, connect.NewRequest(request))
		return nil, err
	case room.AliasTrack:
		_, err := l.client.AliasTrack(ctx, connect.NewRequest(&medianodev1.AliasTrackRequest{
			Session: session, Track: string(c.Track), SourceSession: string(c.Session), SourceTrack: string(c.Source), Muted: c.Muted,
		}))
		return room.Aliased{Session: s, Track: c.Track}, err
	case room.MuteTrack:
		_, err := l.client.MuteTrack(ctx, connect.NewRequest(&medianodev1.MuteTrackRequest{Session: session, Track: string(c.Track), Muted: c.Muted}))
		return nil, err
	}
	return nil, fmt.Errorf("nodes: no call for %T", c)
}

func (l *link) open(ctx context.Context, s drtc.SessionID, c room.OpenSession) (room.Command, error) {
	mode := medianodev1.Mode_MODE_SINGLE
	if c.Guest {
		mode = medianodev1.Mode_MODE_GUEST
	}
	_, err := l.client.CreateSession(ctx, connect.NewRequest(&medianodev1.CreateSessionRequest{
		Session: string(s), Mode: mode, Room: string(c.Room),
		Participant: string(c.Participant), Identity: string(c.Identity), Application: c.Application,
		Unreported:  c.Guest, // the bytes of all others are counted by their reports
		Account:     l.pool.account(c.Application),
		Permissions: permissions(c.Permission),
	}))
	return room.SessionOpened{Node: l.target.ID, Session: s}, err
}

func permissions(p room.Permission) *medianodev1.Permissions {
	return &medianodev1.Permissions{Publish: p.Publish, Subscribe: p.Subscribe, PublishData: p.PublishData, Hidden: p.Hidden}
}

func (l *link) offer(ctx context.Context, s drtc.SessionID, c room.SendOffer) (room.Command, error) {
	request := &medianodev1.OfferRequest{Session: string(s), Sdp: c.SDP, Restore: restoreTo(c.Restore)}
	for _, p := range c.Publications {
		publication := &medianodev1.Publication{Track: string(p.Track), Cid: p.CID, Kind: kindTo(p.Kind), Muted: p.Muted, Mime: p.MIME}
		for _, layer := range p.Layers {
			publication.Layers = append(publication.Layers, &medianodev1.Layer{
				Rid: layer.RID, Width: layer.Width, Height: layer.Height, Bitrate: layer.Bitrate,
			})
		}
		request.Publications = append(request.Publications, publication)
	}
	for _, seat := range c.Seats {
		request.Seats = append(request.Seats, &medianodev1.Seat{Seat: string(seat.ID), Kind: kindTo(seat.Kind), Stream: seat.Stream})
	}
	r, err := l.client.Offer(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	result := room.Offered{
		Session: s, ID: c.ID, SDP: r.Msg.GetSdp(), MIDs: tracksByKey(r.Msg.GetMidToTrack()),
		MissingAudio: r.Msg.GetMissingAudio(), MissingVideo: r.Msg.GetMissingVideo(),
		Refused: reasonsByTrack(r.Msg.GetRefused()), Restarted: r.Msg.GetRestarted(),
	}
	for _, p := range r.Msg.GetPublished() {
		result.Published = append(result.Published, room.Section{
			MID: p.GetMid(), CID: p.GetCid(), Kind: room.Kind(p.GetKind()), Track: drtc.TrackID(p.GetTrack()), MIME: p.GetMime(),
		})
	}
	return result, nil
}

func (l *link) subscribe(ctx context.Context, s drtc.SessionID, c room.SubscribeTracks) (room.Command, error) {
	request := &medianodev1.SubscribeRequest{Session: string(s)}
	result := room.Subscribed{Session: s}
	for _, sub := range c.Subscriptions {
		result.Tracks = append(result.Tracks, sub.Track)
		request.Subscriptions = append(request.Subscriptions, &medianodev1.Subscription{
			Track: string(sub.Track), Stream: sub.Stream, Settings: settings(sub.Settings),
		})
	}
	r, err := l.client.Subscribe(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	result.MissingAudio, result.MissingVideo = r.Msg.GetMissingAudio(), r.Msg.GetMissingVideo()
	result.Negotiate, result.Refused = r.Msg.GetNegotiationNeeded(), reasonsByTrack(r.Msg.GetRefused())
	return result, nil
}

func (l *link) setSources(ctx context.Context, s drtc.SessionID, c room.SetSources) (room.Command, error) {
	request := &medianodev1.SetSourcesRequest{Session: string(s)}
	for _, source := range c.Seats {
		request.Sources = append(request.Sources, &medianodev1.Source{Seat: string(source.Seat), Track: string(source.Track)})
	}
	r, err := l.client.SetSources(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	return room.SourcesSet{Session: s, Seats: c.Seats, Refused: reasonsByTrack(r.Msg.GetRefused())}, nil
}

// translate turns a node's event into what the rooms understand.
func translate(node drtc.NodeID, m *medianodev1.EventsResponse) (Event, bool) {
	e := Event{Node: node}
	session := func(id string) drtc.SessionID {
		e.Session = drtc.SessionID(id)
		return e.Session
	}
	switch v := m.GetEvent().(type) {
	case *medianodev1.EventsResponse_Resync:
		synced := room.NodeSynced{Node: node}
		for _, s := range v.Resync.GetSessions() {
			synced.Sessions = append(synced.Sessions, drtc.SessionID(s))
		}
		e.Command = synced
	case *medianodev1.EventsResponse_SessionState:
		s := v.SessionState
		e.Command = room.SessionChanged{
			Session: session(s.GetSession()), Reason: s.GetReason(),
			Connected: s.GetState() == medianodev1.SessionState_STATE_CONNECTED,
			Closed:    s.GetState() == medianodev1.SessionState_STATE_CLOSED,
		}
	case *medianodev1.EventsResponse_TrackLive:
		t := v.TrackLive
		live := room.TrackLive{Session: session(t.GetSession()), Track: drtc.TrackID(t.GetTrack()), MID: t.GetMid(), MIME: t.GetMime()}
		for _, layer := range t.GetLayers() {
			live.Layers = append(live.Layers, room.Layer{RID: layer.GetRid(), SSRC: layer.GetSsrc(), Repair: layer.GetRepairSsrc()})
		}
		e.Command = live
	case *medianodev1.EventsResponse_TrackEnded:
		t := v.TrackEnded
		e.Command = room.TrackEnded{Session: session(t.GetSession()), Track: drtc.TrackID(t.GetTrack()), Reason: t.GetReason()}
	case *medianodev1.EventsResponse_NegotiationNeeded:
		n := v.NegotiationNeeded
		e.Command = room.NegotiationNeeded{Session: session(n.GetSession()), MissingAudio: n.GetMissingAudio(), MissingVideo: n.GetMissingVideo()}
	case *medianodev1.EventsResponse_LayerDemand:
		d := v.LayerDemand
		e.Command = room.LayerDemand{Session: session(d.GetSession()), Track: drtc.TrackID(d.GetTrack()), Layers: d.GetLayers()}
	case *medianodev1.EventsResponse_SpeakerLevels:
		e.Room = drtc.RoomID(v.SpeakerLevels.GetRoom())
		levels := room.SpeakerLevels{Node: node}
		for _, s := range v.SpeakerLevels.GetSpeakers() {
			levels.Speakers = append(levels.Speakers, room.SessionLevel{Session: drtc.SessionID(s.GetSession()), Level: s.GetLevel(), Active: s.GetActive()})
		}
		e.Command = levels
	case *medianodev1.EventsResponse_SubscriptionActive:
		a := v.SubscriptionActive
		e.Command = room.SubscriptionActive{Session: session(a.GetSession()), Track: drtc.TrackID(a.GetTrack())}
	default:
		return translateRelay(node, m) // or of a newer node, or of a mode that is not used
	}
	return e, true
}

// reported turns a report that a heartbeat carries into an event.
func reported(node drtc.NodeID, r *medianodev1.SessionReport) Event {
	id := drtc.SessionID(r.GetSession())
	return Event{Node: node, Session: id, Command: room.SessionReport{Session: id, Figures: figures(r.GetFigures())}}
}

func figures(f *medianodev1.SessionFigures) room.Figures {
	return room.Figures{
		RoundTrip:  time.Duration(f.GetRoundTripUs()) * time.Microsecond,
		UplinkLoss: fraction(f.GetUplinkLoss()), DownlinkLoss: fraction(f.GetDownlinkLoss()),
		ReceivedBytes: f.GetReceivedBytes(), SentBytes: f.GetSentBytes(),
		Connected: f.GetConnected(), AddressChanges: f.GetAddressChanges(),
	}
}

// fraction keeps what a node says between 0 and 1.
func fraction(v float32) float64 {
	if math.IsNaN(float64(v)) {
		return 0
	}
	return min(1, max(0, float64(v)))
}

func settings(s *room.Settings) *medianodev1.TrackSettings {
	if s == nil {
		return nil
	}
	return &medianodev1.TrackSettings{
		Disabled: s.Disabled, Width: s.Width, Height: s.Height,
		MaxLayer: s.MaxLayer, Fps: s.FPS, Priority: s.Priority,
	}
}

func kindTo(k room.Kind) medianodev1.Kind {
	if k == room.Video {
		return medianodev1.Kind_KIND_VIDEO
	}
	return medianodev1.Kind_KIND_AUDIO
}

func texts(ids []drtc.TrackID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func tracksByKey(m map[string]string) map[string]drtc.TrackID {
	out := make(map[string]drtc.TrackID, len(m))
	for k, v := range m {
		out[k] = drtc.TrackID(v)
	}
	return out
}

func reasonsByTrack(m map[string]string) map[drtc.TrackID]string {
	out := make(map[drtc.TrackID]string, len(m))
	for k, v := range m {
		out[drtc.TrackID(k)] = v
	}
	return out
}
