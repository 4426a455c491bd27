package engine

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
)

// CoreID numbers the cores of one node from zero; it is below MaxCores.
type CoreID uint8

// MaxCores is how many cores a node can have.
const MaxCores = 64

// Parcel is what one core has to say to another: media and the state of tracks,
// in order. Its memory is reused: media costs no allocation once it has grown.
// The zero Parcel is ready; it belongs to one goroutine at a time.
//
//	records   | media | message | media | media | skip | ...
//	arena     | level descriptor payload | level descriptor payload | ...
//	messages  | a track, a layer, a clock, a wish ...
//
// Tracks go by the handle that the core which mirrors them chose. Messages say
// how things are, not what changed: the last on a subject makes those before it
// superfluous.
type Parcel struct {
	records  []record
	arena    []byte
	messages []message
	places   map[subject]int // memory of condense
}

// Empty reports whether there is nothing in the parcel. Nil is empty.
func (p *Parcel) Empty() bool { return p == nil || len(p.records) == 0 }

// Reset empties the parcel and keeps its memory.
func (p *Parcel) Reset() {
	clear(p.messages)
	p.records, p.arena, p.messages = p.records[:0], p.arena[:0], p.messages[:0]
}

// DropMedia takes the media out of the parcel, for a receiver that does not keep
// up, and tells it on which layers something is missing. What must not be lost
// stays: the last word on each subject. It returns how many media packets went.
func (p *Parcel) DropMedia() int {
	dropped := 0
	for i := range p.records {
		r := &p.records[i]
		if r.kind == recordMessage {
			continue
		}
		if r.kind == recordMedia {
			dropped++
		}
		p.messages = append(p.messages, gapMessage{r.handle, r.layer})
	}
	p.condense()
	p.records, p.arena = p.records[:0], p.arena[:0]
	for i := range p.messages {
		p.records = append(p.records, record{kind: recordMessage, at: uint32(i)})
	}
	return dropped
}

// condense leaves the last message on each subject, in the place of the first:
// later ones may build on it.
func (p *Parcel) condense() {
	if p.places == nil {
		p.places = map[subject]int{}
	}
	clear(p.places)
	kept := p.messages[:0]
	for _, m := range p.messages {
		if at, known := p.places[m.subject()]; known {
			kept[at] = m
			continue
		}
		p.places[m.subject()] = len(kept)
		kept = append(kept, m)
	}
	clear(p.messages[len(kept):])
	p.messages = kept
}

type recordKind uint8

const (
	recordMessage recordKind = iota
	// recordMedia is one packet.
	recordMedia
	// recordSkip is a packet of padding, to be left out of the sequence.
	recordSkip
)

// record is one entry of a Parcel.
type record struct {
	seq        uint64
	arrived    time.Time
	timestamp  uint32
	handle     uint32
	at         uint32 // of the packet in the arena, or of the message
	payload    uint16 // length in the arena, behind level and dependency
	dependency uint8  // length
	level      uint8  // length
	layer      uint8
	kind       recordKind
	codec      codec.Kind
	marker     bool
	repaired   bool
	key        bool
}

// media copies a packet of a layer in.
func (p *Parcel) media(handle uint32, l *layer, k *packet) {
	p.records = append(p.records, record{
		kind: recordMedia, handle: handle, layer: uint8(l.index), codec: k.codec,
		seq: k.seq, timestamp: k.timestamp, marker: k.marker, repaired: k.repaired, key: k.key, arrived: k.arrived,
		at: uint32(len(p.arena)), level: uint8(len(k.level)), dependency: uint8(len(k.dependency)), payload: uint16(len(k.payload)),
	})
	p.arena = append(p.arena, k.level...)
	p.arena = append(p.arena, k.dependency...)
	p.arena = append(p.arena, k.payload...)
}

func (p *Parcel) skip(handle uint32, l *layer, k *packet) {
	p.records = append(p.records, record{
		kind: recordSkip, handle: handle, layer: uint8(l.index), seq: k.seq, timestamp: k.timestamp,
	})
}

func (p *Parcel) tell(m message) {
	p.records = append(p.records, record{kind: recordMessage, at: uint32(len(p.messages))})
	p.messages = append(p.messages, m)
}

// packet returns the packet of a record; its slices point into the arena.
func (p *Parcel) packet(r *record) packet {
	k := packet{
		seq: r.seq, timestamp: r.timestamp, marker: r.marker, repaired: r.repaired, key: r.key, codec: r.codec, arrived: r.arrived,
	}
	level := int(r.at)
	dependency := level + int(r.level)
	payload := dependency + int(r.dependency)
	end := payload + int(r.payload)
	if r.level > 0 {
		k.level = p.arena[level:dependency:dependency]
	}
	if r.dependency > 0 {
		k.dependency = p.arena[dependency:payload:payload]
	}
	k.payload = p.arena[payload:end:end]
	return k
}

// frame returns the media records from the i-th on that belong to one frame of
// one layer.
func (p *Parcel) frame(i int) []record {
	first := &p.records[i]
	end := i + 1
	for end < len(p.records) && p.records[end].continues(first) {
		end++
	}
	return p.records[i:end]
}

func (r *record) continues(first *record) bool {
	return r.kind == recordMedia && r.handle == first.handle && r.layer == first.layer &&
		r.timestamp == first.timestamp && r.repaired == first.repaired
}

// message is one of those below. They are not changed once they are sent.
type message interface{ subject() subject }

// subject is what a message speaks of.
type subject struct {
	of     messageKind
	layer  uint8
	handle uint32
}

type messageKind uint8

const (
	ofTrack messageKind = iota
	ofLayer
	ofClock
	ofGap
	ofEnd
	ofWant
	ofRelease
	ofInterest
	ofKeyFrame
	ofUrgentKeyFrame
)

// From the home of a track to a mirror.
type (
	// trackMessage is the state of a track.
	trackMessage struct {
		handle  uint32
		video   bool
		muted   bool
		mutes   uint32      // how often it was muted
		layers  []LayerSize // low to high
		sizes   []LayerSize // as announced last
		allowed []int       // nil for all
	}
	// layerMessage is the state of one of its layers.
	layerMessage struct {
		handle      uint32
		layer       uint8
		incarnation uint8
		live        bool
		mime        string // of the track
		clockRate   uint32
	}
	// clockMessage is what the publisher's last sender report said.
	clockMessage struct {
		handle uint32
		layer  uint8
		clock  clock.Mapping
	}
	// gapMessage says that packets of a layer are missing before the next.
	gapMessage struct {
		handle uint32
		layer  uint8
	}
	// endedMessage says that the track is not there any more, or not for those
	// who asked. The handle means nothing from now on.
	endedMessage struct{ handle uint32 }
)

// From a mirror to the home of its track.
type (
	// wantMessage asks for a track, which may be published later, on behalf of
	// peers of a room, and names it.
	wantMessage struct {
		handle uint32
		track  drtc.TrackID
		room   drtc.RoomID
	}
	// releaseMessage says that nobody looks any more.
	releaseMessage struct{ handle uint32 }
	// interestMessage says which layers are to be handed over, and which the
	// subscribers want of the publisher, one bit each. demand is not known
	// before the state of the track has come.
	interestMessage struct {
		handle        uint32
		media, demand uint8
		known         bool
	}
	// keyFrameMessage asks for a key frame.
	keyFrameMessage struct {
		handle uint32
		layer  uint8
		urgent bool
	}
)

func (m trackMessage) subject() subject { return subject{of: ofTrack, handle: m.handle} }
func (m layerMessage) subject() subject {
	return subject{of: ofLayer, handle: m.handle, layer: m.layer}
}
func (m clockMessage) subject() subject {
	return subject{of: ofClock, handle: m.handle, layer: m.layer}
}
func (m gapMessage) subject() subject      { return subject{of: ofGap, handle: m.handle, layer: m.layer} }
func (m endedMessage) subject() subject    { return subject{of: ofEnd, handle: m.handle} }
func (m wantMessage) subject() subject     { return subject{of: ofWant, handle: m.handle} }
func (m releaseMessage) subject() subject  { return subject{of: ofRelease, handle: m.handle} }
func (m interestMessage) subject() subject { return subject{of: ofInterest, handle: m.handle} }
func (m keyFrameMessage) subject() subject {
	if m.urgent {
		return subject{of: ofUrgentKeyFrame, handle: m.handle, layer: m.layer}
	}
	return subject{of: ofKeyFrame, handle: m.handle, layer: m.layer}
}

// trackState is the state of a track as others are told it.
func trackState(k *link, t *track) trackMessage {
	m := trackMessage{
		handle: k.handle, video: t.cfg.Video, muted: t.muted, mutes: t.mutes,
		sizes: slices.Clone(t.sizes), allowed: slices.Clone(t.allowed),
	}
	if a := t.aliasIn(k.room); a != nil {
		m.muted, m.mutes = m.muted || a.muted, m.mutes+a.mutes
	}
	for _, l := range t.layers {
		size := l.size
		size.RID = l.rid
		m.layers = append(m.layers, size)
	}
	return m
}
