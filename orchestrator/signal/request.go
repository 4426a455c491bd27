package signal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/wire"
)

// Bounds of what one message may hold.
const (
	maxGrants   = 1024
	maxText     = 512
	maxChannels = 16
)

// resumesFrom is the oldest protocol in which a client can be told to resume.
const resumesFrom = 13

// joinFrom makes a Join of a token and a request.
func joinFrom(caller Caller, jr *livekit.JoinRequest) room.Join {
	g := caller.grants
	join := room.Join{
		Identity: drtc.Identity(caller.Identity), Name: g.Name, Metadata: g.Metadata,
		Attributes: map[string]string{}, Permission: permissionFrom(caller),
		Client:        clientFrom(caller, jr.GetClientInfo()),
		AutoSubscribe: jr.GetConnectionSettings() == nil || jr.GetConnectionSettings().GetAutoSubscribe(),
		Application:   caller.Application,
		APIKey:        caller.APIKey,
		RoomMetadata:  g.GetRoomConfiguration().GetMetadata(),
		TokenFrom:     caller.validFrom,
	}
	for k, v := range g.Attributes {
		join.Attributes[k] = v
	}
	if join.Permission.UpdateMetadata {
		join.Metadata = cmp.Or(jr.GetMetadata(), join.Metadata)
		for k, v := range jr.GetParticipantAttributes() {
			if !room.Reserved(k) { // as the token has them, the application says so
				join.Attributes[k] = v
			}
		}
	}
	if o := jr.GetPublisherOffer(); o.GetSdp() != "" {
		join.Offer = &room.Offer{ID: o.GetId(), SDP: o.GetSdp()}
	}
	for _, a := range jr.GetAddTrackRequests() {
		if t, ok := trackFrom(a); ok && len(join.Tracks) < wire.MaxTracksNamed {
			t.ID = drtc.TrackID(newID(drtc.TrackPrefix))
			join.Tracks = append(join.Tracks, room.AddTrack{Track: t})
		}
	}
	return join
}

// permissionFrom reads what a token permits. Naming sources allows them.
func permissionFrom(caller Caller) room.Permission {
	p := wire.PermissionFrom(caller.grants.Video.ToPermission())
	p.Publish = p.Publish || len(p.Sources) > 0
	return p
}

func clientFrom(caller Caller, info *livekit.ClientInfo) room.Client {
	c := room.Client{
		Kind: int32(caller.grants.GetParticipantKind()), Protocol: info.GetClientProtocol(), Version: info.GetProtocol(),
		StreamPerTrack: strings.EqualFold(info.GetBrowser(), "firefox"),
		Resumes:        info.GetProtocol() >= resumesFrom,
	}
	for _, d := range caller.grants.GetKindDetails() {
		c.KindDetails = append(c.KindDetails, int32(d))
	}
	for _, k := range info.GetCapabilities() {
		if len(c.Capabilities) < 32 {
			c.Capabilities = append(c.Capabilities, int32(k))
		}
	}
	return c
}

// commandsFrom turns a message into commands. A response is for messages that
// we refuse by ourselves.
func commandsFrom(p drtc.ParticipantID, m *livekit.SignalRequest, newTrack func() drtc.TrackID) ([]room.Command, *livekit.SignalResponse) {
	one := func(c room.Command) ([]room.Command, *livekit.SignalResponse) { return []room.Command{c}, nil }
	switch v := m.GetMessage().(type) {
	case *livekit.SignalRequest_Offer:
		return one(room.Offer{Participant: p, ID: v.Offer.GetId(), SDP: v.Offer.GetSdp()})
	case *livekit.SignalRequest_Trickle:
		if c := candidateFrom(v.Trickle.GetCandidateInit()); c != "" {
			return one(room.Trickle{Participant: p, Candidates: []string{c}})
		}
	case *livekit.SignalRequest_AddTrack:
		if v.AddTrack.GetSid() != "" {
			return nil, failed(0, livekit.RequestResponse_UNSUPPORTED_TYPE, "a second codec for a published track is not offered",
				func(r *livekit.RequestResponse) { r.Request = &livekit.RequestResponse_AddTrack{AddTrack: v.AddTrack} })
		}
		t, ok := trackFrom(v.AddTrack)
		if !ok {
			return nil, failed(0, livekit.RequestResponse_INVALID_REQUEST, "a track needs a cid and a type of audio or video",
				func(r *livekit.RequestResponse) { r.Request = &livekit.RequestResponse_AddTrack{AddTrack: v.AddTrack} })
		}
		t.ID = newTrack()
		return one(room.AddTrack{Participant: p, Track: t})
	case *livekit.SignalRequest_Mute:
		return one(room.Mute{Participant: p, Track: drtc.TrackID(v.Mute.GetSid()), Muted: v.Mute.GetMuted()})
	case *livekit.SignalRequest_Subscription:
		return one(room.Subscribe{Participant: p, Tracks: wire.TracksOf(v.Subscription), On: v.Subscription.GetSubscribe()})
	case *livekit.SignalRequest_TrackSetting:
		return one(room.SetTrack{Participant: p, Tracks: wire.TrackIDs(v.TrackSetting.GetTrackSids()), Settings: settingsFrom(v.TrackSetting)})
	case *livekit.SignalRequest_Leave:
		return one(room.Leave{Participant: p})
	case *livekit.SignalRequest_SubscriptionPermission:
		return one(setPermission(p, v.SubscriptionPermission))
	case *livekit.SignalRequest_SyncState:
		return syncState(p, v.SyncState), nil
	case *livekit.SignalRequest_UpdateMetadata:
		u := v.UpdateMetadata
		return one(room.SetMetadata{
			Participant: p, Request: u.GetRequestId(), Name: u.GetName(), Metadata: u.GetMetadata(), Attributes: u.GetAttributes(),
		})
	case *livekit.SignalRequest_UpdateAudioTrack:
		c := room.SetFeatures{Participant: p, Track: drtc.TrackID(v.UpdateAudioTrack.GetTrackSid())}
		for _, f := range v.UpdateAudioTrack.GetFeatures() {
			c.AudioFeatures = append(c.AudioFeatures, int32(f))
		}
		return one(c)
	case *livekit.SignalRequest_UpdateVideoTrack:
		u := v.UpdateVideoTrack
		return one(room.SetFeatures{Participant: p, Track: drtc.TrackID(u.GetTrackSid()), Width: u.GetWidth(), Height: u.GetHeight()})
	case *livekit.SignalRequest_PublishDataTrackRequest:
		return nil, failed(0, livekit.RequestResponse_UNSUPPORTED_TYPE, "data tracks are not offered yet",
			func(r *livekit.RequestResponse) {
				r.Request = &livekit.RequestResponse_PublishDataTrack{PublishDataTrack: v.PublishDataTrackRequest}
			})
	case *livekit.SignalRequest_StoreDataBlobRequest:
		return nil, failed(v.StoreDataBlobRequest.GetRequestId(), livekit.RequestResponse_UNSUPPORTED_TYPE, "data blobs are not offered yet", nil)
	case *livekit.SignalRequest_GetDataBlobRequest:
		return nil, failed(v.GetDataBlobRequest.GetRequestId(), livekit.RequestResponse_NOT_FOUND, "data blobs are not offered yet", nil)
	}
	return nil, nil
}

func failed(id uint32, reason livekit.RequestResponse_Reason, text string, of func(*livekit.RequestResponse)) *livekit.SignalResponse {
	r := &livekit.RequestResponse{RequestId: id, Reason: reason, Message: text}
	if of != nil {
		of(r)
	}
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_RequestResponse{RequestResponse: r}}
}

// candidateFrom reads the JSON of an RTCIceCandidateInit.
func candidateFrom(text string) string {
	var c struct {
		Candidate string `json:"candidate"`
	}
	if len(text) > 4*maxText || json.Unmarshal([]byte(text), &c) != nil {
		return ""
	}
	return c.Candidate
}

// trackFrom reads an announcement. ok is false for one that can't be a track.
func trackFrom(a *livekit.AddTrackRequest) (t room.Track, ok bool) {
	t = room.Track{
		CID: a.GetCid(), Name: a.GetName(), Source: room.Source(a.GetSource()), Muted: a.GetMuted(), //nolint:gosec // small numbers
		Width: a.GetWidth(), Height: a.GetHeight(), Stream: a.GetStream(),
		DisableDTX: a.GetDisableDtx(), DisableRED: a.GetDisableRed(), Stereo: a.GetStereo(), //nolint:staticcheck // older clients
		Encryption: int32(a.GetEncryption()), BackupCodecPolicy: int32(a.GetBackupCodecPolicy()),
	}
	switch a.GetType() {
	case livekit.TrackType_AUDIO:
		t.Kind = room.Audio
	case livekit.TrackType_VIDEO:
		t.Kind = room.Video
	default:
		return room.Track{}, false
	}
	if t.CID == "" || max(len(t.CID), len(t.Name), len(t.Stream)) > maxText {
		return room.Track{}, false
	}
	for _, f := range a.GetAudioFeatures() {
		if len(t.AudioFeatures) < 16 {
			t.AudioFeatures = append(t.AudioFeatures, int32(f))
		}
	}
	layers := a.GetLayers()
	if codecs := a.GetSimulcastCodecs(); len(codecs) > 0 { // the first is published, others are backups
		t.LayerMode = int32(codecs[0].GetVideoLayerMode())
		t.MIME = mimeOf(codecs[0].GetCodec())
		if len(codecs[0].GetLayers()) > 0 {
			layers = codecs[0].GetLayers()
		}
	}
	t.Layers = layersFrom(layers)
	return t, true
}

// mimeOf is the type of a video codec that a client names. One that nodes do not
// forward becomes VP8, which the client takes as the order to publish that.
func mimeOf(codec string) string {
	if codec == "" {
		return ""
	}
	for _, c := range wire.Codecs() {
		if name, video := strings.CutPrefix(c.GetMime(), "video/"); video && name != "rtx" && strings.EqualFold(name, strings.TrimPrefix(strings.ToLower(codec), "video/")) {
			return c.GetMime()
		}
	}
	return "video/VP8"
}

// layersFrom sorts layers from low to high and gives each its RTP stream id: the
// client's, or the one that its quality has among so many.
func layersFrom(layers []*livekit.VideoLayer) []room.Layer {
	var out []room.Layer
	for _, l := range layers[:min(len(layers), 3)] {
		out = append(out, room.Layer{
			Quality: uint8(min(max(l.GetQuality(), 0), 2)), Width: l.GetWidth(), Height: l.GetHeight(), //nolint:gosec // 0 to 2
			Bitrate: l.GetBitrate(), Spatial: l.GetSpatialLayer(), RID: l.GetRid(),
		})
	}
	slices.SortStableFunc(out, func(a, b room.Layer) int { return cmp.Compare(a.Quality, b.Quality) })
	if len(out) > 1 {
		for i, rid := range []string{"q", "h", "f"}[:len(out)] {
			if out[i].RID == "" {
				out[i].RID = rid
			}
		}
	}
	return out
}

// settingsFrom reads what a viewer wants. A priority of 1 is the highest with
// the client and the lowest with the node.
func settingsFrom(u *livekit.UpdateTrackSettings) room.Settings {
	s := room.Settings{Disabled: u.GetDisabled(), Width: u.GetWidth(), Height: u.GetHeight(), FPS: u.GetFps()}
	if s.Width == 0 || s.Height == 0 {
		s.Width, s.Height = 0, 0
		switch u.GetQuality() {
		case livekit.VideoQuality_OFF:
			s.Disabled = true
		default:
			s.MaxLayer = uint32(min(max(u.GetQuality(), 0), 2)) + 1 //nolint:gosec // 0 to 2
		}
	}
	if p := u.GetPriority(); p > 0 {
		s.Priority = 1000 - min(p, 999)
	}
	return s
}

func setPermission(p drtc.ParticipantID, s *livekit.SubscriptionPermission) room.SetPermission {
	c := room.SetPermission{Participant: p, All: s.GetAllParticipants()}
	for _, t := range s.GetTrackPermissions() {
		if len(c.Grants) == maxGrants {
			break
		}
		c.Grants = append(c.Grants, room.Grant{
			Participant: drtc.ParticipantID(t.GetParticipantSid()), Identity: drtc.Identity(t.GetParticipantIdentity()),
			All: t.GetAllTracks(), Tracks: wire.TrackIDs(t.GetTrackSids()),
		})
	}
	return c
}

// syncState repeats what the client had asked for before a resume. The room has
// kept all of it; a client that asked while it was away is heard now. New is
// which data channels its transport has.
func syncState(p drtc.ParticipantID, s *livekit.SyncState) []room.Command {
	var commands []room.Command
	state := room.SyncState{Participant: p}
	for _, c := range s.GetDataChannels() {
		if len(state.Channels) < maxChannels && len(c.GetLabel()) <= maxText {
			state.Channels = append(state.Channels, room.Channel{Label: c.GetLabel(), ID: c.GetId()})
		}
	}
	if len(state.Channels) > 0 {
		commands = append(commands, state)
	}
	if sub := s.GetSubscription(); sub != nil && len(wire.TracksOf(sub)) > 0 {
		commands = append(commands, room.Subscribe{Participant: p, Tracks: wire.TracksOf(sub), On: sub.GetSubscribe()})
	}
	if off := s.GetTrackSidsDisabled(); len(off) > 0 {
		commands = append(commands, room.SetTrack{Participant: p, Tracks: wire.TrackIDs(off), Settings: room.Settings{Disabled: true}})
	}
	return commands
}
