package wire

import (
	"time"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// Codecs are those that nodes forward.
func Codecs() []*livekit.Codec {
	var all []*livekit.Codec
	for _, mime := range []string{"audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1", "video/rtx"} {
		all = append(all, &livekit.Codec{Mime: mime})
	}
	return all
}

// Room is the public face of a room.
func Room(i room.Info) *livekit.Room {
	return &livekit.Room{
		Sid: string(i.ID), Name: i.Name, Metadata: i.Metadata,
		CreationTime: i.Created.Unix(), CreationTimeMs: i.Created.UnixMilli(),
		NumParticipants: i.Participants, NumPublishers: i.Publishers, EnabledCodecs: Codecs(),
		EmptyTimeout:     uint32(i.Options.EmptyTimeout / time.Second),     //nolint:gosec // some days
		DepartureTimeout: uint32(i.Options.DepartureTimeout / time.Second), //nolint:gosec // some days
		MaxParticipants:  i.Options.MaxParticipants,
	}
}

// Participant is the public face of a participant.
func Participant(p room.Participant) *livekit.ParticipantInfo {
	info := &livekit.ParticipantInfo{
		Sid: string(p.ID), Identity: string(p.Identity), State: livekit.ParticipantInfo_State(p.State),
		Name: p.Name, Metadata: p.Metadata, Attributes: p.Attributes, Version: p.Version,
		JoinedAt: p.JoinedAt.Unix(), JoinedAtMs: p.JoinedAt.UnixMilli(), IsPublisher: p.Publishing,
		Permission: Permission(p.Permission), Kind: livekit.ParticipantInfo_Kind(p.Client.Kind),
		ClientProtocol: p.Client.Protocol, DisconnectReason: livekit.DisconnectReason(p.Reason),
	}
	for _, d := range p.Client.KindDetails {
		info.KindDetails = append(info.KindDetails, livekit.ParticipantInfo_KindDetail(d))
	}
	for _, k := range p.Client.Capabilities {
		info.Capabilities = append(info.Capabilities, livekit.ClientInfo_Capability(k))
	}
	for _, t := range p.Tracks {
		info.Tracks = append(info.Tracks, Track(t))
	}
	return info
}

// Permission is what a participant may do.
func Permission(p room.Permission) *livekit.ParticipantPermission {
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

// Track is the public face of a published track.
func Track(t room.Track) *livekit.TrackInfo {
	info := &livekit.TrackInfo{
		Sid: string(t.ID), Type: TrackType(t.Kind), Source: livekit.TrackSource(t.Source), Name: t.Name,
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

// TrackType is the kind of a track.
func TrackType(k room.Kind) livekit.TrackType {
	if k == room.Video {
		return livekit.TrackType_VIDEO
	}
	return livekit.TrackType_AUDIO
}
