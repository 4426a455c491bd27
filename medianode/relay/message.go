package relay

import (
	"errors"
	"slices"

	"github.com/drtc-network/drtc"
)

// Versions of the protocol.
const (
	// Version1 announces tracks, routes and wishes and carries data packets.
	Version1 = 1
	// Version2 also tells mutes, tells changes of a track without all of its
	// description, and numbers data packets so that none is delivered twice.
	Version2 = 2
	// Newest is the highest version of this package.
	Newest = Version2
)

// Bounds of what one message may hold and of what one link may make a node
// remember.
const (
	MaxID      = 64       // bytes of a link, room or track id
	MaxReason  = 200      // bytes
	MaxPath    = 8        // nodes that a track passes, its origin's included
	MaxCodecs  = 16       // of a track
	MaxStreams = 4        // of a track, simulcast layers
	MaxOrigins = 2048     // of one link
	MaxTracks  = 4096     // of one link
	MaxLinks   = 1024     // of one trunk
	MaxPacket  = 64 << 10 // bytes of a client's data packet
	// MaxMessage is the longest message, bytes: a data packet and its wrapper.
	MaxMessage = MaxPacket + 256
	maxRID     = 32
	maxFmtp    = 255
)

// ErrProtocol is what the other end did wrong; the trunk ends with it.
var ErrProtocol = errors.New("relay: the other node breaks the protocol")

// Message is what one node tells another on the control channel. Number is the
// sender's name for the link.
type Message interface {
	number() uint32
}

// Hello is the first message of each end.
type Hello struct {
	Version uint8
	// Node says it, Peer is whom it says it to.
	Node, Peer drtc.NodeID
}

// Open says that the sender has opened its end of a link.
type Open struct {
	Number uint32
	// Owner is the Orchestrator that ordered the link, Link its name for it.
	Owner drtc.NodeID
	Link  string
	// Instance tells a link from an earlier one of the same name (RELAY-7).
	Instance Instance
	Room     string
}

// Instance is when the descriptions were issued with which a link was opened,
// Unix time in milliseconds: that of the node with the lower id first.
type Instance [2]uint64

// Close says that the sender has closed its end of a link.
type Close struct {
	Number uint32
	Reason string
}

// Routes says of which origins the sender takes the tracks over the link. It
// replaces what was said before.
type Routes struct {
	Number  uint32
	Origins []drtc.NodeID
}

// Track announces a track, or what has changed of it.
type Track struct {
	Number uint32
	Track  drtc.TrackID
	Announcement
}

// Gone takes a track back.
type Gone struct {
	Number uint32
	Track  drtc.TrackID
	// Ended says that its client published it no longer; else it may come back,
	// from elsewhere.
	Ended bool
}

// Want says which layers of a track the sender wants. It replaces what was said
// before.
type Want struct {
	Number uint32
	Track  drtc.TrackID
	Wish
}

// State changes an announced track. Version2.
type State struct {
	Number uint32
	Track  drtc.TrackID
	Muted  bool
	Mime   Mime
}

// Wish is which streams of a track are wanted, bit 0 the lowest. Of a scalable
// track there is one; Quality is the highest wanted spatial layer plus one, 0
// for all.
type Wish struct {
	Streams uint8
	Quality uint8
}

// Announcement describes a track.
type Announcement struct {
	// Path are the nodes that the track has passed, its origin first, the sender
	// last.
	Path  []drtc.NodeID
	Video bool
	// Muted is told from Version2 on.
	Muted bool
	// Mime is what the media that came last is of, 0 before any came.
	Mime Mime
	// Codecs are what it may be of, most likely first; one or more.
	Codecs []Codec
	// Sizes are the pictures, low to high, as the publisher announced them.
	Sizes []Size
	// Streams are the RTP streams, low to high; one or more.
	Streams []Stream
}

// Codec is a format that a track may have.
type Codec struct {
	Mime     Mime
	Channels uint8
	Fmtp     string
}

// Size is an announced picture.
type Size struct {
	RID           string
	Width, Height uint32
	Bitrate       uint32 // bits per second
}

// Stream is one RTP stream on the trunk with its retransmission stream.
type Stream struct {
	RID  string
	SSRC uint32
	RTX  uint32 // 0 for audio
}

// Origin is the node whose client publishes the track.
func (a *Announcement) Origin() drtc.NodeID {
	if len(a.Path) == 0 {
		return drtc.NodeID{}
	}
	return a.Path[0]
}

// sameTrack reports whether the two differ in what a State can tell alone.
func (a *Announcement) sameTrack(b *Announcement) bool {
	return slices.Equal(a.Path, b.Path) && a.Video == b.Video && slices.Equal(a.Codecs, b.Codecs) &&
		slices.Equal(a.Sizes, b.Sizes) && slices.Equal(a.Streams, b.Streams)
}

// Data is a client's data packet on its way through the room.
type Data struct {
	Number uint32
	Origin drtc.NodeID
	// Hops are the nodes that have passed it on, 1 on its first link.
	Hops uint8
	// Sequence names the packet among those of its origin in the room; 0 when
	// it is not known (Version1).
	Sequence uint64
	Packet   []byte
}

func (m Hello) number() uint32  { return 0 }
func (m Open) number() uint32   { return m.Number }
func (m Close) number() uint32  { return m.Number }
func (m Routes) number() uint32 { return m.Number }
func (m Track) number() uint32  { return m.Number }
func (m Gone) number() uint32   { return m.Number }
func (m Want) number() uint32   { return m.Number }
func (m State) number() uint32  { return m.Number }
