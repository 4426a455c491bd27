package wire

import (
	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// MaxTracksNamed is how many tracks one message may name; more are passed over.
const MaxTracksNamed = 1024

// maxSources is how many sources a permission may name.
const maxSources = 16

// PermissionFrom reads what a participant may do.
func PermissionFrom(p *livekit.ParticipantPermission) room.Permission {
	out := room.Permission{
		Subscribe: p.GetCanSubscribe(), Publish: p.GetCanPublish(), PublishData: p.GetCanPublishData(),
		UpdateMetadata: p.GetCanUpdateMetadata(), SubscribeMetrics: p.GetCanSubscribeMetrics(),
		Hidden: p.GetHidden(), Recorder: p.GetRecorder(), Agent: p.GetAgent(), //nolint:staticcheck // older clients
	}
	for _, s := range p.GetCanPublishSources() {
		if len(out.Sources) < maxSources {
			// One that nobody knows must not be left out: none named means all.
			out.Sources = append(out.Sources, room.Source(min(max(s, 0), 255))) //nolint:gosec // 0 to 255
		}
	}
	return out
}

// TrackNamer is a message that names tracks, also by participant.
type TrackNamer interface {
	GetTrackSids() []string
	GetParticipantTracks() []*livekit.ParticipantTracks
}

// TracksOf lists the tracks that a message names.
func TracksOf(m TrackNamer) []drtc.TrackID {
	ids := TrackIDs(m.GetTrackSids())
	for _, p := range m.GetParticipantTracks() {
		ids = append(ids, TrackIDs(p.GetTrackSids())...)
	}
	return ids[:min(len(ids), MaxTracksNamed)]
}

// TrackIDs reads ids of tracks.
func TrackIDs(sids []string) []drtc.TrackID {
	var ids []drtc.TrackID
	for _, s := range sids[:min(len(sids), MaxTracksNamed)] {
		ids = append(ids, drtc.TrackID(s))
	}
	return ids
}
