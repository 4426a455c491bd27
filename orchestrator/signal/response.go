package signal

import (
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/wire"
)

// What clients are told about keeping the connection alive, in seconds.
const (
	pingInterval = 5
	pingTimeout  = 15
)

// responseTo turns a message of the room into one of the client's protocol; nil
// when there is none.
func (c *client) responseTo(m room.Message) *livekit.SignalResponse {
	switch v := m.(type) {
	case room.Welcome:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: c.joinResponse(v)}}
	case room.WelcomeBack:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{
			ServerInfo: c.serverInfo(v.Node), LastMessageSeq: v.LastSequence,
		}}}
	case room.RefreshToken:
		token, err := c.caller.refresh(c.caller.Room, v.Name, v.Metadata, v.Attributes, v.Permission)
		if err != nil {
			c.server.config.Log.Warn("token was not refreshed", slog.Any("error", err))
			return nil
		}
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: token}}
	case room.Answer:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{Answer: &livekit.SessionDescription{
			Type: "answer", Sdp: v.SDP, Id: v.ID, MidToTrackId: midsTo(v.MIDs),
		}}}
	case room.NodeCandidate:
		return trickle(v)
	case room.Goodbye:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{
			Reason: livekit.DisconnectReason(v.Reason), Action: livekit.LeaveRequest_Action(v.Action),
			CanReconnect: v.Action != room.Disconnect,
		}}}
	}
	if r := trackResponse(m); r != nil {
		return r
	}
	return c.roomResponse(m)
}

// trackResponse turns messages about single tracks.
func trackResponse(m room.Message) *livekit.SignalResponse {
	switch v := m.(type) {
	case room.TrackPublished:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_TrackPublished{TrackPublished: &livekit.TrackPublishedResponse{
			Cid: v.CID, Track: wire.Track(v.Track),
		}}}
	case room.TrackUnpublished:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_TrackUnpublished{TrackUnpublished: &livekit.TrackUnpublishedResponse{
			TrackSid: string(v.Track),
		}}}
	case room.TrackSubscribed:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_TrackSubscribed{TrackSubscribed: &livekit.TrackSubscribed{
			TrackSid: string(v.Track),
		}}}
	case room.NeedSections:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_MediaSectionsRequirement{
			MediaSectionsRequirement: &livekit.MediaSectionsRequirement{NumAudios: v.Audio, NumVideos: v.Video},
		}}
	case room.MaySubscribe:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_SubscriptionPermissionUpdate{
			SubscriptionPermissionUpdate: &livekit.SubscriptionPermissionUpdate{
				ParticipantSid: string(v.Publisher), TrackSid: string(v.Track), Allowed: v.Allowed,
			},
		}}
	case room.SubscriptionFailed:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_SubscriptionResponse{
			SubscriptionResponse: &livekit.SubscriptionResponse{TrackSid: string(v.Track), Err: subscriptionError(v.Reason)},
		}}
	case room.Qualities:
		return qualities(v)
	case room.Muted:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_Mute{Mute: &livekit.MuteTrackRequest{
			Sid: string(v.Track), Muted: v.Muted,
		}}}
	}
	return nil
}

// roomResponse turns messages about the room and its people.
func (c *client) roomResponse(m room.Message) *livekit.SignalResponse {
	switch v := m.(type) {
	case room.Update:
		u := &livekit.ParticipantUpdate{}
		for _, p := range v.Participants {
			u.Participants = append(u.Participants, wire.Participant(p))
		}
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{Update: u}}
	case room.Speakers:
		s := &livekit.SpeakersChanged{}
		for _, speaker := range v.Speakers {
			s.Speakers = append(s.Speakers, &livekit.SpeakerInfo{Sid: string(speaker.Participant), Level: speaker.Level, Active: speaker.Active})
		}
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_SpeakersChanged{SpeakersChanged: s}}
	case room.Connections:
		u := &livekit.ConnectionQualityUpdate{}
		for _, q := range v.Connections {
			u.Updates = append(u.Updates, &livekit.ConnectionQualityInfo{
				ParticipantSid: string(q.Participant), Quality: livekit.ConnectionQuality(q.Quality), Score: q.Score,
			})
		}
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_ConnectionQuality{ConnectionQuality: u}}
	case room.RoomChanged:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_RoomUpdate{RoomUpdate: &livekit.RoomUpdate{Room: wire.Room(v.Room)}}}
	case room.Moved:
		return c.moved(v)
	case room.RequestDone:
		r := failed(v.Request, livekit.RequestResponse_Reason(v.Failure), v.Text, nil)
		if a, ok := v.Of.(room.AddTrack); ok {
			r.GetRequestResponse().Request = &livekit.RequestResponse_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: a.Track.CID, Name: a.Track.Name, Source: livekit.TrackSource(a.Track.Source), Type: wire.TrackType(a.Track.Kind),
			}}
		}
		return r
	}
	return nil
}

// moved hands over a token for the other room. Who is there comes with the join.
func (c *client) moved(v room.Moved) *livekit.SignalResponse {
	token, err := c.caller.refresh(v.Room.Name, v.Self.Name, v.Self.Metadata, v.Self.Attributes, v.Self.Permission)
	if err != nil {
		c.server.config.Log.Warn("token for another room was not signed", slog.Any("error", err))
		return nil
	}
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_RoomMoved{RoomMoved: &livekit.RoomMovedResponse{
		Room: wire.Room(v.Room), Token: token, Participant: wire.Participant(v.Self),
	}}}
}

func (c *client) joinResponse(w room.Welcome) *livekit.JoinResponse {
	j := &livekit.JoinResponse{
		Room: wire.Room(w.Room), Participant: wire.Participant(w.Self),
		ServerVersion: c.server.config.Version, ServerRegion: c.server.config.Region,
		ServerInfo:   c.serverInfo(w.Node),
		PingInterval: pingInterval, PingTimeout: pingTimeout,
		EnabledPublishCodecs: wire.Codecs(), FastPublish: w.Self.Permission.Publish,
	}
	for _, p := range w.Others {
		j.OtherParticipants = append(j.OtherParticipants, wire.Participant(p))
	}
	return j
}

func (c *client) serverInfo(node drtc.NodeID) *livekit.ServerInfo {
	return &livekit.ServerInfo{
		Version: c.server.config.Version, Protocol: Protocol, Region: c.server.config.Region, NodeId: node.String(),
	}
}

// trickle repeats one of the node's candidates. The last one carries the mark
// itself: clients read every message as a candidate.
func trickle(n room.NodeCandidate) *livekit.SignalResponse {
	init, err := json.Marshal(struct {
		Candidate     string `json:"candidate"`
		SDPMid        string `json:"sdpMid"`
		SDPMLineIndex int    `json:"sdpMLineIndex"`
	}{Candidate: n.Candidate, SDPMid: "0"})
	if err != nil {
		return nil
	}
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Trickle{Trickle: &livekit.TrickleRequest{
		CandidateInit: string(init), Target: livekit.SignalTarget_PUBLISHER, Final: n.Final,
	}}}
}

func qualities(q room.Qualities) *livekit.SignalResponse {
	u := &livekit.SubscribedQualityUpdate{TrackSid: string(q.Track)}
	codec := &livekit.SubscribedCodec{Codec: strings.ToLower(strings.TrimPrefix(q.MIME, "video/"))}
	for i, on := range q.Enabled {
		codec.Qualities = append(codec.Qualities, &livekit.SubscribedQuality{Quality: livekit.VideoQuality(i), Enabled: on})
	}
	u.SubscribedCodecs = []*livekit.SubscribedCodec{codec}
	u.SubscribedQualities = codec.GetQualities() //nolint:staticcheck // older clients
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_SubscribedQualityUpdate{SubscribedQualityUpdate: u}}
}

func subscriptionError(reason string) livekit.SubscriptionError {
	if strings.Contains(reason, "codec") {
		return livekit.SubscriptionError_SE_CODEC_UNSUPPORTED
	}
	if strings.Contains(reason, "unknown track") {
		return livekit.SubscriptionError_SE_TRACK_NOTFOUND
	}
	return livekit.SubscriptionError_SE_UNKNOWN
}

func midsTo(m map[string]drtc.TrackID) map[string]string {
	out := make(map[string]string, len(m))
	for mid, t := range m {
		out[mid] = string(t)
	}
	return out
}
