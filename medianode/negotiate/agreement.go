package negotiate

import (
	"net/netip"

	"github.com/drtc-network/drtc"
)

// Kind is what a section or a track carries.
type Kind string

// The kinds of media.
const (
	Audio Kind = "audio"
	Video Kind = "video"
)

// application is the kind of the section of the SCTP association.
const application Kind = "application"

// ICE is one side's short-term credentials (RFC 8445 section 5.3).
type ICE struct {
	Ufrag string // 4 to 256 characters
	Pwd   string // 22 to 256 characters
}

// DTLSRole is the node's own role in the DTLS handshake.
type DTLSRole uint8

// The roles of RFC 8842. Passive waits for the ClientHello.
const (
	Passive DTLSRole = iota + 1
	Active
)

// String returns the word of a=setup.
func (r DTLSRole) String() string {
	switch r {
	case Passive:
		return "passive"
	case Active:
		return "active"
	}
	return "none"
}

// Agreement is what a transport has agreed on after a negotiation. It is
// complete: what it does not list is not in use any more. Slices and maps are
// the caller's to keep.
type Agreement struct {
	SDP    string // the answer to return to the peer; empty after Accept
	Local  ICE    // ours, new after an ICE restart
	Remote ICE

	// Restarted says that the peer restarted ICE: Remote differs from the last
	// agreement. The DTLS association stays.
	Restarted bool

	// RemoteFingerprints: the peer's certificate must match one of them. They
	// never change in a transport's life.
	RemoteFingerprints []Fingerprint
	Role               DTLSRole // ours; never changes in a transport's life

	Receive     []Receive               // sections on which the peer publishes or has published, in order
	Send        []Send                  // sections that carry one of our tracks, in order
	Placed      map[string]drtc.TrackID // mid to track, the same as Send
	Refused     []Refusal               // tracks that this peer cannot receive
	Rejected    []Rejection             // sections of the peer that the node does not use
	Application *SCTP                   // nil without a data section
	Candidates  []Candidate             // the peer's, for diagnosis: an ICE-lite agent learns addresses from checks
}

// Receive is a section on which the peer publishes one track.
type Receive struct {
	Mid        string
	Kind       Kind
	CID        string        // track id of the peer's a=msid, may be empty
	StreamID   string        // stream id of the peer's a=msid, may be empty
	Codecs     []Codec       // what the peer may send, most wanted first
	Extensions Extensions    // ids on packets of this section
	RIDs       []string      // simulcast layers in the peer's order, at most MaxRIDs; nil without simulcast
	SSRCs      []SourceGroup // as far as the peer told or Restore did, in the order of RIDs; browsers tell none for simulcast
	Active     bool          // false: the peer stopped publishing here
}

// SourceGroup is one RTP stream and its retransmission stream (0 for none).
type SourceGroup struct{ SSRC, RTX uint32 }

// Send is a section that carries one of the node's tracks to the peer.
type Send struct {
	Mid        string
	Kind       Kind
	TrackID    drtc.TrackID
	SSRC       uint32
	RTXSSRC    uint32 // 0 when Codec has no retransmission payload type
	Codec      Codec  // the one to send, with the peer's payload types
	Extensions Extensions
	Active     bool // false: the peer answered that it does not receive here now
}

// Refusal says why a track cannot be sent to this peer.
type Refusal struct {
	TrackID drtc.TrackID
	Reason  string
}

// Rejection says why a section of the peer is not used (port 0).
type Rejection struct {
	Mid    string
	Kind   Kind
	Reason string
}

// SCTP is the peer's side of the data association.
type SCTP struct {
	Mid            string
	Port           uint16
	MaxMessageSize uint32 // bytes the peer accepts in one message; 0 means no limit
}

// Candidate is an address the peer named.
type Candidate struct {
	Addr netip.AddrPort
	Type string // host, srflx, prflx, relay
}

// Track is a track that the node sends to the peer.
type Track struct {
	ID     drtc.TrackID // track id of a=msid: 1 to 64 printable characters without space
	Stream string       // stream id of a=msid, "PA_x|camera": same limits
	Kind   Kind
	// Codec says Mime, and Fmtp for H.264's profile; the rest is not read. With
	// an empty Mime the track may be of any codec of its kind, of a new one at
	// any time: its section keeps all that both sides know (see Format).
	Codec   Codec
	SSRC    uint32 // not 0, unique among the tracks of the transport
	RTXSSRC uint32 // 0 for no retransmission stream
}

// Binding says where a track went.
type Binding struct {
	Mid          string // section that will carry it in the next negotiation; empty while it waits
	NeedsSection bool   // answering transport: no section is free, the client must offer more (see Pending)
	Refused      string // not empty: the peer's last offer has no codec for it; tried again with the next offer
}
