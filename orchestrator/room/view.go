package room

import (
	"time"

	"github.com/drtc-network/drtc"
)

// Kind of a track.
type Kind uint8

// Kinds of tracks.
const (
	Audio Kind = 1
	Video Kind = 2
)

// Source says what a track shows. The numbers are those of the client protocol.
type Source uint8

// Sources of tracks.
const (
	UnknownSource    Source = 0
	Camera           Source = 1
	Microphone       Source = 2
	ScreenShare      Source = 3
	ScreenShareAudio Source = 4
)

// State of a participant. The numbers are those of the client protocol.
type State uint8

// States of a participant.
const (
	Joining      State = 0 // its node is being prepared
	Joined       State = 1 // in the room, media not yet up
	Active       State = 2 // ICE and DTLS are up
	Disconnected State = 3 // gone
)

// Reason why a participant was disconnected. The numbers are those of the
// client protocol.
type Reason uint8

// Reasons of a disconnection.
const (
	UnknownReason      Reason = 0
	ClientInitiated    Reason = 1
	DuplicateIdentity  Reason = 2
	ServerShutdown     Reason = 3
	ParticipantRemoved Reason = 4
	RoomDeleted        Reason = 5
	StateMismatch      Reason = 6
	JoinFailure        Reason = 7
	Migration          Reason = 8
	SignalClosed       Reason = 9
	MediaFailure       Reason = 15
)

// Action that a client shall take when told to leave. The numbers are those of
// the client protocol.
type Action uint8

// Actions after a Leave.
const (
	Disconnect Action = 0 // stop for good
	DoResume   Action = 1 // come back with the same session
	Reconnect  Action = 2 // join anew
)

// Permission is what a participant's token lets it do.
type Permission struct {
	Subscribe        bool     `json:"subscribe,omitempty"`
	Publish          bool     `json:"publish,omitempty"`
	PublishData      bool     `json:"publish_data,omitempty"`
	Sources          []Source `json:"sources,omitempty"` // empty means all
	UpdateMetadata   bool     `json:"update_metadata,omitempty"`
	Hidden           bool     `json:"hidden,omitempty"`
	Recorder         bool     `json:"recorder,omitempty"`
	Agent            bool     `json:"agent,omitempty"`
	SubscribeMetrics bool     `json:"subscribe_metrics,omitempty"`
}

// MayPublish reports whether a track of this source may be published.
func (p Permission) MayPublish(s Source) bool {
	if !p.Publish {
		return false
	}
	if len(p.Sources) == 0 {
		return true
	}
	for _, allowed := range p.Sources {
		if allowed == s {
			return true
		}
	}
	return false
}

// Client is what a client tells of itself. It is copied to other clients and
// means nothing to the room.
type Client struct {
	Kind         int32   `json:"kind,omitempty"`
	KindDetails  []int32 `json:"kind_details,omitempty"`
	Protocol     int32   `json:"protocol,omitempty"` // client-to-client protocol
	Version      int32   `json:"version,omitempty"`  // of the client protocol, not copied
	Capabilities []int32 `json:"capabilities,omitempty"`
	// StreamPerTrack asks for one media stream per track: browsers that can't
	// change a stream's tracks need it.
	StreamPerTrack bool `json:"stream_per_track,omitempty"`
	// Resumes says that the client can go on with its transport on another node
	// when it is told to resume.
	Resumes bool `json:"resumes,omitempty"`
}

// Layer is one encoding of a video track.
type Layer struct {
	Quality uint8  `json:"quality"` // 0 low, 1 medium, 2 high
	Width   uint32 `json:"width,omitempty"`
	Height  uint32 `json:"height,omitempty"`
	Bitrate uint32 `json:"bitrate,omitempty"` // bits per second
	RID     string `json:"rid,omitempty"`
	Spatial int32  `json:"spatial,omitempty"`
	SSRC    uint32 `json:"ssrc,omitempty"`
	Repair  uint32 `json:"repair,omitempty"`
}

// Track is the public face of a published track.
type Track struct {
	ID     drtc.TrackID `json:"id"`
	Kind   Kind         `json:"kind"`
	Source Source       `json:"source,omitempty"`
	Name   string       `json:"name,omitempty"`
	Muted  bool         `json:"muted,omitempty"`
	Width  uint32       `json:"width,omitempty"`
	Height uint32       `json:"height,omitempty"`
	Layers []Layer      `json:"layers,omitempty"` // low to high
	// MIME is the announced type until a section says otherwise; may be empty.
	MIME    string `json:"mime,omitempty"`
	MID     string `json:"mid,omitempty"`
	CID     string `json:"cid,omitempty"`
	Stream  string `json:"stream,omitempty"`
	Version uint32 `json:"version,omitempty"`
	// Copied from the publisher to its subscribers.
	LayerMode         int32   `json:"layer_mode,omitempty"`
	DisableDTX        bool    `json:"disable_dtx,omitempty"`
	DisableRED        bool    `json:"disable_red,omitempty"`
	Stereo            bool    `json:"stereo,omitempty"`
	Encryption        int32   `json:"encryption,omitempty"`
	BackupCodecPolicy int32   `json:"backup_codec_policy,omitempty"`
	AudioFeatures     []int32 `json:"audio_features,omitempty"`
}

// Participant is the public face of a member.
type Participant struct {
	ID         drtc.ParticipantID
	Identity   drtc.Identity
	State      State
	Name       string
	Metadata   string
	Attributes map[string]string
	Permission Permission
	JoinedAt   time.Time
	Version    uint32
	Tracks     []Track
	Publishing bool
	Client     Client
	Reason     Reason // why it went, with State Disconnected
}

// Info is the public face of the room.
type Info struct {
	ID           drtc.RoomID
	Name         string
	Metadata     string
	Created      time.Time
	Participants uint32
	Publishers   uint32
	Options      Options // in force; MaxParticipants is 0 when nobody said, Metadata is above
}

// Speaker is one participant's level.
type Speaker struct {
	Participant drtc.ParticipantID
	Level       float32 // 0 to 1
	Active      bool
}

// Quality is what a participant's connection is like. The numbers are those of
// the client protocol.
type Quality uint8

// Qualities of a connection.
const (
	Poor      Quality = 0
	Good      Quality = 1
	Excellent Quality = 2
	Lost      Quality = 3
)

// Connection is one participant's connection quality.
type Connection struct {
	Participant drtc.ParticipantID
	Quality     Quality
	Score       float32 // 0 to 5
}

// Figures are a session's measurements as its node reports them.
type Figures struct {
	RoundTrip      time.Duration
	UplinkLoss     float64 // 0 to 1
	DownlinkLoss   float64
	ReceivedBytes  uint64
	SentBytes      uint64
	Connected      bool
	AddressChanges uint32
}

// Settings are what a viewer wants of a track.
type Settings struct {
	Disabled bool   `json:"disabled,omitempty"`
	Width    uint32 `json:"width,omitempty"`
	Height   uint32 `json:"height,omitempty"`
	MaxLayer uint32 `json:"max_layer,omitempty"` // 1 low to 3 high, 0 when the size decides
	FPS      uint32 `json:"fps,omitempty"`
	Priority uint32 `json:"priority,omitempty"` // higher is served first
}

// Grant lets one participant see tracks of another. Either Participant or
// Identity names the receiver.
type Grant struct {
	Participant drtc.ParticipantID `json:"participant,omitempty"`
	Identity    drtc.Identity      `json:"identity,omitempty"`
	All         bool               `json:"all,omitempty"`
	Tracks      []drtc.TrackID     `json:"tracks,omitempty"`
}
