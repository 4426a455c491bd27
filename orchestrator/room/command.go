package room

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// Command is an input of the room.
type Command interface{ command() }

// Conn names one signalling connection of the owner's; 0 is none.
type Conn uint64

// Commands of clients and of the owner.
type (
	// Join asks for a place in the room. The ids are new and chosen by the owner.
	Join struct {
		Conn          Conn
		Participant   drtc.ParticipantID
		Session       drtc.SessionID
		Identity      drtc.Identity
		Name          string
		Metadata      string
		Attributes    map[string]string
		Permission    Permission
		TokenFrom     time.Time // from when on its token is valid
		Client        Client
		AutoSubscribe bool
		Place         *drtc.Place // where the client says it is
		Application   string      // who pays
		APIKey        string      // by whose token it comes
		RoomMetadata  string      // for a room that has none yet
		Offer         *Offer      // the first offer, if it came with the request
		Tracks        []AddTrack  // tracks announced with the request
		Watch         *Watch      // makes it a spectator

		// What the application's policy says.
		Role  string // host, speaker, viewer or another word; empty for none
		Lobby bool   // it waits until it is let in
		Rules *Rules // of the room from now on; nil leaves them
	}
	// Watch says what a spectator sees. A spectator is not a participant: nobody
	// hears of it, it hears of nobody, and any number may have one identity. It
	// makes one offer, and what its sections show changes without another.
	Watch struct {
		Identity     drtc.Identity // whose tracks; empty for the active speaker's
		Audio, Video int           // sections of its offer
	}
	// Resume asks to take up a session with a new connection.
	Resume struct {
		Conn        Conn
		Participant drtc.ParticipantID
		Identity    drtc.Identity
	}
	// Dropped says that a signalling connection has ended without a Leave.
	Dropped struct {
		Conn        Conn
		Participant drtc.ParticipantID
	}
	// Leave ends a participant's stay.
	Leave struct{ Participant drtc.ParticipantID }
	// Dismiss ends a participant's stay with a message to it. The owner's, not
	// the client's. With DoResume it stays, and moves to another session.
	Dismiss struct {
		Participant drtc.ParticipantID
		Reason      Reason
		Action      Action
	}
	// Offer hands over a client's SDP.
	Offer struct {
		Participant drtc.ParticipantID
		ID          uint32
		SDP         string
	}
	// Trickle hands over ICE candidates, "candidate:...".
	Trickle struct {
		Participant drtc.ParticipantID
		Candidates  []string
	}
	// AddTrack announces a track. Track.ID is new and chosen by the owner.
	AddTrack struct {
		Participant drtc.ParticipantID
		Track       Track
	}
	// Mute mutes or unmutes a track of the participant's own.
	Mute struct {
		Participant drtc.ParticipantID
		Track       drtc.TrackID
		Muted       bool
	}
	// Subscribe asks for tracks or for their end.
	Subscribe struct {
		Participant drtc.ParticipantID
		Tracks      []drtc.TrackID
		On          bool
	}
	// SetTrack says what a viewer wants of tracks.
	SetTrack struct {
		Participant drtc.ParticipantID
		Tracks      []drtc.TrackID
		Settings    Settings
	}
	// SetPermission says who may subscribe to the participant's tracks.
	SetPermission struct {
		Participant drtc.ParticipantID
		All         bool
		Grants      []Grant
	}
	// SetMetadata changes name, metadata and attributes. Empty strings leave a
	// field as it is; an attribute with an empty value is deleted.
	SetMetadata struct {
		Participant drtc.ParticipantID
		Request     uint32
		Name        string
		Metadata    string
		Attributes  map[string]string
	}
	// SetFeatures changes what the publisher says of a track.
	SetFeatures struct {
		Participant   drtc.ParticipantID
		Track         drtc.TrackID
		AudioFeatures []int32
		Width, Height uint32
	}
)

// Planned gives the room a plan: the answer to NeedPlan, or a better plan that
// the owner has found by itself. The Shape that it was made from must be that
// of the room at this moment.
type Planned struct {
	Plan plan.Plan
	// Err says why there is no plan at all; the room keeps the one that it has,
	// and those who wait for a home are refused with it.
	Err string
	// Wait keeps those who have no home in the plan waiting: nodes are still
	// coming up. The room asks again soon.
	Wait bool
}

// SyncState is what a client that resumes says of its transport.
type SyncState struct {
	Participant drtc.ParticipantID
	Channels    []Channel // data channels that it believes to be open
}

// Channel is a data channel of a client.
type Channel struct {
	Label string `json:"label"`
	ID    uint32 `json:"id"` // SCTP stream
}

// Results of node commands.
type (
	// SessionOpened is the result of OpenSession.
	SessionOpened struct {
		Node    drtc.NodeID
		Session drtc.SessionID
		Err     string // empty when it worked
	}
	// Offered is the result of SendOffer.
	Offered struct {
		Session      drtc.SessionID
		ID           uint32
		SDP          string
		MIDs         map[string]drtc.TrackID
		Published    []Section
		MissingAudio uint32
		MissingVideo uint32
		Refused      map[drtc.TrackID]string
		Restarted    bool
		Err          string
		Invalid      bool // the SDP itself was refused
		Unusable     bool // and is right, but has no codec that the node knows
	}
	// Subscribed is the result of SubscribeTracks.
	Subscribed struct {
		Session      drtc.SessionID
		Tracks       []drtc.TrackID
		MissingAudio uint32
		MissingVideo uint32
		Negotiate    bool
		Refused      map[drtc.TrackID]string
		Err          string
	}
	// Unsubscribed is the result of UnsubscribeTracks.
	Unsubscribed struct {
		Session   drtc.SessionID
		Negotiate bool
	}
	// SourcesSet is the result of SetSources.
	SourcesSet struct {
		Session drtc.SessionID
		Seats   []Showing
		Refused map[drtc.TrackID]string // by seat
		Err     string
	}
	// Inspected is the result of InspectSession.
	Inspected struct {
		Session      drtc.SessionID
		Found        bool
		LastSequence uint32
		Figures      Figures
		// Err says that the node did not answer; the session may well be there.
		Err string
	}
)

// Results of relay commands.
type (
	// RelayPrepared is the result of PrepareRelay.
	RelayPrepared struct {
		Node        drtc.NodeID
		Link        cascade.LinkID
		Description []byte // as its node wrote it
		Signature   []byte // and signed it
		Err         string // empty when it worked
	}
	// RelayOpened is the result of OpenRelay.
	RelayOpened struct {
		Node    drtc.NodeID
		Link    cascade.LinkID
		Version uint32 // of the relay protocol
		Err     string
	}
	// RoutesSet is the result of SetRelayRoutes.
	RoutesSet struct {
		Node drtc.NodeID
		Err  string
	}
	// Claimed is the result of ClaimRoom: what the node has of the room.
	Claimed struct {
		Node     drtc.NodeID
		Sessions []drtc.SessionID
		Links    []cascade.LinkID
		Tracks   []drtc.TrackID // of clients of other nodes
		Err      string
	}
)

// Events of relay links.
type (
	// RelayChanged reports the state of one end of a link.
	RelayChanged struct {
		Node      drtc.NodeID
		Link      cascade.LinkID
		Connected bool
		Closed    bool
		Reason    string
		Version   uint32
	}
	// TrackAvailable says that a track of another node's client is on this node
	// now, or is not any more.
	TrackAvailable struct {
		Node      drtc.NodeID
		Track     drtc.TrackID
		Origin    drtc.NodeID
		Available bool
	}
	// RelayReported carries the figures of one end of a link.
	RelayReported struct {
		Node    drtc.NodeID
		Link    cascade.LinkID
		Figures RelayFigures
	}
)

// RelayFigures are a link's measurements as one end reports them.
type RelayFigures struct {
	RoundTrip     time.Duration
	LossSent      float64 // 0 to 1, before retransmission
	LossReceived  float64
	SentBytes     uint64 // RTP header and payload bytes since the link began
	ReceivedBytes uint64
	RelayBytes    uint64 // of those sent, what the other end has acknowledged
	Layers        uint32 // that this end sends now
}

// Section is a section of an SDP on which the client publishes.
type Section struct {
	MID   string
	CID   string
	Kind  Kind
	Track drtc.TrackID // empty when no announced track matched
	MIME  string
}

// Events of nodes.
type (
	// SessionChanged reports the transport of a session.
	SessionChanged struct {
		Session   drtc.SessionID
		Connected bool
		Closed    bool
		Reason    string
	}
	// TrackLive reports first media, or a change of layers.
	TrackLive struct {
		Session drtc.SessionID
		Track   drtc.TrackID
		MID     string
		MIME    string
		Layers  []Layer // RID, SSRC and Repair only
	}
	// TrackEnded reports that a published track is gone.
	TrackEnded struct {
		Session drtc.SessionID
		Track   drtc.TrackID
		Reason  string
	}
	// NegotiationNeeded asks for a new offer of the client.
	NegotiationNeeded struct {
		Session      drtc.SessionID
		MissingAudio uint32
		MissingVideo uint32
	}
	// LayerDemand is the set of layers that somebody wants of a track.
	LayerDemand struct {
		Session drtc.SessionID
		Track   drtc.TrackID
		Layers  []uint32
	}
	// SpeakerLevels lists who speaks of those on a node, loudest first.
	SpeakerLevels struct {
		Node     drtc.NodeID
		Speakers []SessionLevel
	}
	// SubscriptionActive reports the first packet of a subscription.
	SubscriptionActive struct {
		Session drtc.SessionID
		Track   drtc.TrackID
	}
	// SessionReport carries the figures of one session.
	SessionReport struct {
		Session drtc.SessionID
		Figures Figures
	}
	// NodeLost says that a node is dead to us.
	NodeLost struct{ Node drtc.NodeID }
	// NodeDraining says that a node wants to be rid of its sessions; Undone that
	// it is back in service.
	NodeDraining struct {
		Node   drtc.NodeID
		Undone bool
	}
	// NodeSynced lists the sessions that a node still has of ours after events
	// were missed, or when it is back after it was lost.
	NodeSynced struct {
		Node     drtc.NodeID
		Sessions []drtc.SessionID
	}
)

// SessionLevel is the audio level of one session.
type SessionLevel struct {
	Session drtc.SessionID
	Level   float32 // 0 to 1
	Active  bool
}

func (Join) command()               {}
func (Resume) command()             {}
func (Dropped) command()            {}
func (Leave) command()              {}
func (Dismiss) command()            {}
func (Offer) command()              {}
func (Trickle) command()            {}
func (AddTrack) command()           {}
func (Mute) command()               {}
func (Subscribe) command()          {}
func (SetTrack) command()           {}
func (SetPermission) command()      {}
func (SetMetadata) command()        {}
func (SetFeatures) command()        {}
func (Planned) command()            {}
func (SyncState) command()          {}
func (RelayPrepared) command()      {}
func (RelayOpened) command()        {}
func (RoutesSet) command()          {}
func (Claimed) command()            {}
func (RelayChanged) command()       {}
func (TrackAvailable) command()     {}
func (RelayReported) command()      {}
func (NodeDraining) command()       {}
func (SessionOpened) command()      {}
func (Offered) command()            {}
func (Subscribed) command()         {}
func (Unsubscribed) command()       {}
func (SourcesSet) command()         {}
func (Inspected) command()          {}
func (SessionChanged) command()     {}
func (TrackLive) command()          {}
func (TrackEnded) command()         {}
func (NegotiationNeeded) command()  {}
func (LayerDemand) command()        {}
func (SpeakerLevels) command()      {}
func (SubscriptionActive) command() {}
func (SessionReport) command()      {}
func (NodeLost) command()           {}
func (NodeSynced) command()         {}
