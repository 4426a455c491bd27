package signal

import (
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
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
		token, err := c.caller.refresh(v.Name, v.Metadata, v.Attributes)
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
	return roomResponse(m)
}

// trackResponse turns messages about single tracks.
func trackResponse(m room.Message) *livekit.SignalResponse {
	switch v := m.(type) {
	case room.TrackPublished:
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_TrackPublished{TrackPublished: &livekit.TrackPublishedResponse{
			Cid: v.CID, Track: trackTo(v.Track),
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
	}
	return nil
}

// roomResponse turns messages about the room and its people.
func roomResponse(m room.Message) *livekit.SignalResponse {
	switch v := m.(type) {
	case room.Update:
		u := &livekit.ParticipantUpdate{}
		for _, p := range v.Participants {
			u.Participants = append(u.Participants, participantTo(p))
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
		return &livekit.SignalResponse{Message: &livekit.SignalResponse_RoomUpdate{RoomUpdate: &livekit.RoomUpdate{Room: roomTo(v.Room)}}}
	case room.RequestDone:
		r := failed(v.Request, livekit.RequestResponse_Reason(v.Failure), v.Text, nil)
		if a, ok := v.Of.(room.AddTrack); ok {
			r.GetRequestResponse().Request = &livekit.RequestResponse_AddTrack{AddTrack: &livekit.AddTrackRequest{
				Cid: a.Track.CID, Name: a.Track.Name, Source: livekit.TrackSource(a.Track.Source), Type: typeTo(a.Track.Kind),
			}}
		}
		return r
	}
	return nil
}

func (c *client) joinResponse(w room.Welcome) *livekit.JoinResponse {
	j := &livekit.JoinResponse{
		Room: roomTo(w.Room), Participant: participantTo(w.Self),
		ServerVersion: c.server.config.Version, ServerRegion: c.server.config.Region,
		ServerInfo:   c.serverInfo(w.Node),
		PingInterval: pingInterval, PingTimeout: pingTimeout,
		EnabledPublishCodecs: codecs(), FastPublish: w.Self.Permission.Publish,
	}
	for _, p := range w.Others {
		j.OtherParticipants = append(j.OtherParticipants, participantTo(p))
	}
	return j
}

func (c *client) serverInfo(node drtc.NodeID) *livekit.ServerInfo {
	return &livekit.ServerInfo{
		Version: c.server.config.Version, Protocol: Protocol, Region: c.server.config.Region, NodeId: node.String(),
	}
}

// codecs are those that nodes forward.
func codecs() []*livekit.Codec {
	var all []*livekit.Codec
	for _, mime := range []string{"audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1", "video/rtx"} {
		all = append(all, &livekit.Codec{Mime: mime})
	}
	return all
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

func roomTo(i room.Info) *livekit.Room {
	return &livekit.Room{
		Sid: string(i.ID), Name: i.Name, Metadata: i.Metadata,
		CreationTime: i.Created.Unix(), CreationTimeMs: i.Created.UnixMilli(),
		NumParticipants: i.Participants, NumPublishers: i.Publishers, EnabledCodecs: codecs(),
	}
}

func participantTo(p room.Participant) *livekit.ParticipantInfo {
	info := &livekit.ParticipantInfo{
		Sid: string(p.ID), Identity: string(p.Identity), State: livekit.ParticipantInfo_State(p.State),
		Name: p.Name, Metadata: p.Metadata, Attributes: p.Attributes, Version: p.Version,
		JoinedAt: p.JoinedAt.Unix(), JoinedAtMs: p.JoinedAt.UnixMilli(), IsPublisher: p.Publishing,
		Permission: permissionTo(p.Permission), Kind: livekit.ParticipantInfo_Kind(p.Client.Kind),
		ClientProtocol: p.Client.Protocol, DisconnectReason: livekit.DisconnectReason(p.Reason),
	}
	for _, d := range p.Client.KindDetails {
		info.KindDetails = append(info.KindDetails, livekit.ParticipantInfo_KindDetail(d))
	}
	for _, k := range p.Client.Capabilities {
		info.Capabilities = append(info.Capabilities, livekit.ClientInfo_Capability(k))
	}
	for _, t := range p.Tracks {
		info.Tracks = append(info.Tracks, trackTo(t))
	}
	return info
}

func permissionTo(p room.Permission) *livekit.ParticipantPermission {
	out := &livekit.ParticipantPermission{
		CanSubscribe: p.Subscribe, CanPublish: p.Publish, CanPublishData: p.PublishData,
		Hidden: p.Hidden, CanUpdateMetadata: p.UpdateMetadata, CanSubscribeMetrics: p.SubscribeMetrics,
		Recorder: p.Recorder, Agent: p.Agent, //nolint:staticcheck // older clients
	}
	for _, s := range p.Sources {
		out.CanPublishSources = append(out.CanPublishSources, livekit.TrackSource(s))
	}
	return out
}

func trackTo(t room.Track) *livekit.TrackInfo {
	info := &livekit.TrackInfo{
		Sid: string(t.ID), Type: typeTo(t.Kind), Source: livekit.TrackSource(t.Source), Name: t.Name,
		Muted: t.Muted, Width: t.Width, Height: t.Height, Stream: t.Stream, MimeType: t.MIME, Mid: t.MID,
		Encryption: livekit.Encryption_Type(t.Encryption), DisableRed: t.DisableRED,
		BackupCodecPolicy: livekit.BackupCodecPolicy(t.BackupCodecPolicy),
		Simulcast:         len(t.Layers) > 1, DisableDtx: t.DisableDTX, Stereo: t.Stereo, //nolint:staticcheck // older clients
		Version: &livekit.TimedVersion{Ticks: int32(t.Version)},
	}
	codec := &livekit.SimulcastCodecInfo{MimeType: t.MIME, Mid: t.MID, Cid: t.CID, VideoLayerMode: livekit.VideoLayer_Mode(t.LayerMode)}
	for _, l := range t.Layers {
		codec.Layers = append(codec.Layers, &livekit.VideoLayer{
			Quality: livekit.VideoQuality(l.Quality), Width: l.Width, Height: l.Height, Bitrate: l.Bitrate,
			SpatialLayer: l.Spatial, Rid: l.RID, Ssrc: l.SSRC, RepairSsrc: l.Repair,
		})
	}
	info.Layers = codec.GetLayers() //nolint:staticcheck // older clients
	info.Codecs = []*livekit.SimulcastCodecInfo{codec}
	for _, f := range t.AudioFeatures {
		info.AudioFeatures = append(info.AudioFeatures, livekit.AudioTrackFeature(f))
	}
	return info
}

func typeTo(k room.Kind) livekit.TrackType {
	if k == room.Video {
		return livekit.TrackType_VIDEO
	}
	return livekit.TrackType_AUDIO
}

func midsTo(m map[string]drtc.TrackID) map[string]string {
	out := make(map[string]string, len(m))
	for mid, t := range m {
		out[mid] = string(t)
	}
	return out
}
