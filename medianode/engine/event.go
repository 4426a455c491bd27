package engine

import (
	"net/netip"
	"time"

	"github.com/drtc-network/drtc"
)

// Event is something that the shell or the Orchestrator must know. The
// concrete types are those of this file.
type Event interface{ event() }

// PeerReachable is the first authenticated connectivity check of a peer: the
// moment to begin DTLS.
type PeerReachable struct {
	Peer PeerID
	Addr netip.AddrPort
}

// PeerMoved says that datagrams for the peer now go to Addr.
type PeerMoved struct {
	Peer PeerID
	Addr netip.AddrPort
}

// AddressAdded says that the peer sent something authentic from Addr for the
// first time: datagrams from there are this core's. It takes the place of what
// any core said of the address before.
type AddressAdded struct {
	Peer PeerID
	Addr netip.AddrPort
}

// AddressRemoved takes AddressAdded of the same peer back.
type AddressRemoved struct {
	Peer PeerID
	Addr netip.AddrPort
}

// DTLSDatagram is a DTLS record layer datagram of a known peer; the bytes are
// the receiver's to keep.
type DTLSDatagram struct {
	Peer    PeerID
	Payload []byte
}

// State of a peer's transport.
type State uint8

// States of a peer.
const (
	// StateNew has seen no authenticated check, or has no keys yet.
	StateNew State = iota
	// StateConnected has an address and keys; media flows.
	StateConnected
	// StateDisconnected has heard nothing authentic for a while; media is held.
	StateDisconnected
	// StateFailed lost consent (RFC 7675); the shell should close the peer.
	StateFailed
)

// String returns the state's name.
func (s State) String() string {
	return [...]string{"new", "connected", "disconnected", "failed"}[s]
}

// PeerState reports a change of a peer's state.
type PeerState struct {
	Peer   PeerID
	State  State
	Reason string
}

// TrackLive reports the first media packet of a published track and every
// later change of the set of layers.
type TrackLive struct {
	Peer   PeerID
	Track  drtc.TrackID
	Mid    string
	Mime   string
	Layers []LayerSource
}

// LayerSource is where a layer's packets come from.
type LayerSource struct {
	RID        string
	SSRC       uint32
	RepairSSRC uint32
}

// LayerDemand is the set of layers of a track that its subscribers want, low
// to high; empty when nobody wants any. It is told of video, and of all that a
// relay peer publishes.
type LayerDemand struct {
	Peer   PeerID // that publishes the track
	Track  drtc.TrackID
	Layers []int
}

// SubscriptionActive reports the first packet forwarded on a subscription.
type SubscriptionActive struct {
	Peer  PeerID
	Track drtc.TrackID
}

// Speakers lists who of those that publish in one core speaks in a room,
// loudest first.
type Speakers struct {
	Core     CoreID
	Room     drtc.RoomID
	Speakers []Speaker
}

// Speaker is one track's smoothed audio level, above 0 to 1.
type Speaker struct {
	Session drtc.SessionID
	Track   drtc.TrackID
	Level   float64
}

// PeerReport carries the figures of one peer, every ReportInterval and when it is
// removed.
type PeerReport struct {
	Peer    PeerID
	Figures Figures
}

// Figures of a peer.
type Figures struct {
	RoundTrip      time.Duration // zero when unknown
	UplinkLoss     float64       // 0..1 over the last interval
	DownlinkLoss   float64       // 0..1 over the last interval
	DownlinkRate   uint64        // bits per second acknowledged by transport feedback
	ReceivedBytes  uint64        // media header and payload bytes received
	SentBytes      uint64        // client and relay bytes (design decision 12) sent
	ClientBytes    uint64        // of these, what clients acknowledged
	RelayBytes     uint64        // of these, what other nodes acknowledged
	AddressChanges uint32
	Connected      bool
}

func (PeerReachable) event()      {}
func (PeerMoved) event()          {}
func (AddressAdded) event()       {}
func (AddressRemoved) event()     {}
func (DTLSDatagram) event()       {}
func (PeerState) event()          {}
func (TrackLive) event()          {}
func (LayerDemand) event()        {}
func (SubscriptionActive) event() {}
func (Speakers) event()           {}
func (PeerReport) event()         {}
