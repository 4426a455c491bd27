package room

import (
	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/cascade"
)

// Effect is an output of the room, to be carried out by its owner in order.
type Effect interface{ effect() }

// Effects.
type (
	// ToClient sends a message on a signalling connection.
	ToClient struct {
		Conn    Conn
		Message Message
	}
	// CloseClient closes a signalling connection after what was sent on it.
	CloseClient struct{ Conn Conn }
	// Refuse turns away a connection that asked to join; nothing was sent on it.
	Refuse struct {
		Conn   Conn
		Reason string
	}
	// ToNode sends a command to a node; commands of one session stay in order.
	ToNode struct {
		Node    drtc.NodeID
		Session drtc.SessionID
		Command NodeCommand
	}
	// NeedPlan asks for a plan, answered by Planned. It is not repeated before
	// the answer; the owner makes the plan from the Shape at that time.
	NeedPlan struct{}
	// Ended says that the room is over: nobody is in it any more.
	Ended struct{}
)

func (ToClient) effect()    {}
func (CloseClient) effect() {}
func (Refuse) effect()      {}
func (ToNode) effect()      {}
func (NeedPlan) effect()    {}
func (Ended) effect()       {}

// NodeCommand is a command to a Media Node about one session, one link ("link:"
// and its id stand for the session then) or one room ("room:" and its id).
type NodeCommand interface{ nodeCommand() }

// Node commands. Those with a result say which.
type (
	// OpenSession is answered by SessionOpened.
	OpenSession struct {
		Room        drtc.RoomID
		Participant drtc.ParticipantID
		Identity    drtc.Identity
		Permission  Permission
		Application string
		APIKey      string // by whose token it came
		// Unreported says that the room wants no SessionReport of it.
		Unreported bool
		// Guest is for a participant without a client (AliasTrack).
		Guest bool
	}
	// CloseSession ends the session.
	CloseSession struct{}
	// InspectSession is answered by Inspected.
	InspectSession struct{}
	// SendOffer is answered by Offered.
	SendOffer struct {
		ID           uint32
		SDP          string
		Publications []Publication
		Seats        []Seat
		// Restore comes with the first offer of a session that takes the place
		// of one on another node; else nil.
		Restore *Restoration
	}
	// SendCandidates hands over the client's candidates.
	SendCandidates struct{ Candidates []string }
	// SubscribeTracks is answered by Subscribed.
	SubscribeTracks struct{ Subscriptions []Subscription }
	// UnsubscribeTracks is answered by Unsubscribed.
	UnsubscribeTracks struct{ Tracks []drtc.TrackID }
	// SetSources is answered by SourcesSet.
	SetSources struct{ Seats []Showing }
	// ChangeSettings says what the viewer wants of tracks.
	ChangeSettings struct {
		Tracks   []drtc.TrackID
		Settings Settings
	}
	// MuteTrack stops or resumes a published track.
	MuteTrack struct {
		Track drtc.TrackID
		Muted bool
	}
)

// Node commands of relay links between nodes.
type (
	// PrepareRelay is answered by RelayPrepared.
	PrepareRelay struct {
		Link cascade.LinkID
		Room drtc.RoomID
		Peer drtc.NodeID
	}
	// OpenRelay is answered by RelayOpened.
	OpenRelay struct {
		Link        cascade.LinkID
		Room        drtc.RoomID
		Peer        drtc.NodeID
		Description []byte // of the other end
		Signature   []byte
		Application string // who pays for what this end sends
		AudioLimit  int    // of audio tracks sent at a time, 0 for all
	}
	// CloseRelay ends a link; it has no result.
	CloseRelay struct{ Link cascade.LinkID }
	// SetRelayRoutes replaces the routes of the room on the node. It is answered
	// by RoutesSet.
	SetRelayRoutes struct {
		Room   drtc.RoomID
		Routes []cascade.Route
	}
	// ClaimRoom tells the node who writes the room, and asks what it has of it.
	// It is answered by Claimed.
	ClaimRoom struct{ Room drtc.RoomID }
)

// Restoration lets a client go on with its transport on another node: the same
// tracks on the same sections, and its streams known by their SSRCs.
type Restoration struct {
	Tracks   []RestoredTrack
	Sources  []RestoredSource
	Channels []Channel
}

// RestoredTrack is a track that the client receives. It need not be on the node
// yet.
type RestoredTrack struct {
	MID    string
	Track  drtc.TrackID
	Stream string
	Kind   Kind
	MIME   string // as which the client was sent it; empty when unknown
}

// RestoredSource is one stream that the client sends.
type RestoredSource struct {
	MID    string
	RID    string // empty when there is one stream on the section
	SSRC   uint32
	Repair uint32 // 0 when there is none
}

// Publication is an announced track that no section carries yet.
type Publication struct {
	Track  drtc.TrackID
	CID    string
	Kind   Kind
	Muted  bool
	Layers []Layer
	MIME   string // as which the client wants to publish it; empty for no wish
}

// Seat is a section of a spectator. Its source changes without a negotiation.
type Seat struct {
	ID     drtc.TrackID // not a track's
	Kind   Kind
	Stream string
}

// Showing is what a seat shows.
type Showing struct {
	Seat  drtc.TrackID
	Track drtc.TrackID // empty for nothing
}

// Subscription asks for one track.
type Subscription struct {
	Track    drtc.TrackID
	Stream   string // media stream id for the viewer
	Settings *Settings
}

func (OpenSession) nodeCommand()       {}
func (CloseSession) nodeCommand()      {}
func (InspectSession) nodeCommand()    {}
func (SendOffer) nodeCommand()         {}
func (SendCandidates) nodeCommand()    {}
func (SubscribeTracks) nodeCommand()   {}
func (UnsubscribeTracks) nodeCommand() {}
func (SetSources) nodeCommand()        {}
func (ChangeSettings) nodeCommand()    {}
func (MuteTrack) nodeCommand()         {}
func (PrepareRelay) nodeCommand()      {}
func (OpenRelay) nodeCommand()         {}
func (CloseRelay) nodeCommand()        {}
func (SetRelayRoutes) nodeCommand()    {}
func (ClaimRoom) nodeCommand()         {}

// Message is a message to a client.
type Message interface{ message() }

// Messages to clients.
type (
	// Welcome is the first message after a Join.
	Welcome struct {
		Room   Info
		Self   Participant
		Others []Participant
		Node   drtc.NodeID
	}
	// WelcomeBack is the first message after a Resume.
	WelcomeBack struct {
		Node         drtc.NodeID
		LastSequence uint32 // last reliable packet that the node has of the client
	}
	// RefreshToken asks the signalling to sign a new token for the client.
	RefreshToken struct {
		Name       string
		Metadata   string
		Attributes map[string]string
		Permission Permission
	}
	// Answer is the node's answer to an offer with the same id.
	Answer struct {
		ID   uint32
		SDP  string
		MIDs map[string]drtc.TrackID
	}
	// NodeCandidate is one of the node's candidates.
	NodeCandidate struct {
		Candidate string
		Final     bool
	}
	// Update carries participants that changed.
	Update struct{ Participants []Participant }
	// TrackPublished answers AddTrack.
	TrackPublished struct {
		CID   string
		Track Track
	}
	// TrackUnpublished tells a publisher that a track of its is gone.
	TrackUnpublished struct{ Track drtc.TrackID }
	// TrackSubscribed tells a publisher that somebody receives a track.
	TrackSubscribed struct{ Track drtc.TrackID }
	// NeedSections asks the client for so many more sections and a new offer;
	// zero and zero ask for the offer alone.
	NeedSections struct{ Audio, Video uint32 }
	// MaySubscribe tells a viewer whether a publisher lets it see a track.
	MaySubscribe struct {
		Publisher drtc.ParticipantID
		Track     drtc.TrackID
		Allowed   bool
	}
	// SubscriptionFailed tells a viewer that a track can't come.
	SubscriptionFailed struct {
		Track  drtc.TrackID
		Reason string
	}
	// Qualities tells a publisher which of low, medium and high anybody wants.
	Qualities struct {
		Track   drtc.TrackID
		MIME    string
		Enabled [3]bool
	}
	// Speakers carries speakers that changed.
	Speakers struct{ Speakers []Speaker }
	// Connections carries connection qualities that changed.
	Connections struct{ Connections []Connection }
	// RoomChanged carries the room's figures and metadata.
	RoomChanged struct{ Room Info }
	// RequestDone answers a request; Failure is FailureNone when it worked.
	RequestDone struct {
		Request uint32
		Failure Failure
		Text    string
		Of      Command // the request, when it carries no number
	}
	// Goodbye tells the client to go and what to do then. Text, if any, is the
	// cause in words; Unusable is that of Offered.
	Goodbye struct {
		Reason   Reason
		Action   Action
		Text     string
		Unusable bool
	}
)

// Failure of a request. The numbers are those of the client protocol.
type Failure uint8

// Failures of requests.
const (
	FailureNone        Failure = 0
	FailureNotFound    Failure = 1
	FailureNotAllowed  Failure = 2
	FailureLimit       Failure = 3
	FailureUnsupported Failure = 5
)

func (Welcome) message()            {}
func (WelcomeBack) message()        {}
func (RefreshToken) message()       {}
func (Answer) message()             {}
func (NodeCandidate) message()      {}
func (Update) message()             {}
func (TrackPublished) message()     {}
func (TrackUnpublished) message()   {}
func (TrackSubscribed) message()    {}
func (NeedSections) message()       {}
func (MaySubscribe) message()       {}
func (SubscriptionFailed) message() {}
func (Qualities) message()          {}
func (Speakers) message()           {}
func (Connections) message()        {}
func (RoomChanged) message()        {}
func (RequestDone) message()        {}
func (Goodbye) message()            {}
