package datapacket

import (
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/drtc-network/drtc"
	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of a packet.
const (
	// MaxSize is the longest packet, bytes.
	MaxSize = 64 << 10
	// MaxDestinations is how many participants a packet may name.
	MaxDestinations = 512
)

// Errors of Parse.
var (
	// ErrSize: the packet is longer than MaxSize.
	ErrSize = errors.New("datapacket: too long")
	// ErrDestinations: the packet names more than MaxDestinations.
	ErrDestinations = errors.New("datapacket: too many destinations")
	// ErrMalformed: the packet is no protobuf message.
	ErrMalformed = errors.New("datapacket: malformed")
)

// Kind is what a packet carries: the field number of its value.
type Kind uint8

// Kinds of packets. An unknown one reads as KindNone.
const (
	KindNone          Kind = 0
	KindUser          Kind = 2
	KindSpeaker       Kind = 3 // of servers; never forwarded from a client
	KindSIPDTMF       Kind = 6
	KindTranscription Kind = 7
	KindMetrics       Kind = 8
	KindChat          Kind = 9
	KindRPCRequest    Kind = 10
	KindRPCAck        Kind = 11
	KindRPCResponse   Kind = 12
	KindStreamHeader  Kind = 13
	KindStreamChunk   Kind = 14
	KindStreamTrailer Kind = 15
	KindEncrypted     Kind = 18
)

// Other fields of DataPacket.
const (
	fieldIdentity     protowire.Number = 4
	fieldDestinations protowire.Number = 5
	fieldSequence     protowire.Number = 16
	fieldSID          protowire.Number = 17
)

// Fields of UserPacket. All but the payload and the topic are of old clients.
const (
	userSID             protowire.Number = 1
	userDestinationSIDs protowire.Number = 3
	userIdentity        protowire.Number = 5
	userDestinations    protowire.Number = 6
)

// Packet is what a node needs to know of a data packet. It refers to the
// memory of the parsed bytes.
type Packet struct {
	// Kind of the value.
	Kind Kind
	// Sequence of a reliable packet, rising per sender; zero without one.
	Sequence uint32

	raw              []byte
	user             int // offset of the value, if KindUser
	destinations     int // in the packet
	userDestinations int // in its UserPacket
	destinationSIDs  int // in its UserPacket
}

// Parse reads a packet. It fails with ErrSize, ErrDestinations or ErrMalformed.
func Parse(b []byte) (Packet, error) {
	if len(b) > MaxSize {
		return Packet{}, fmt.Errorf("%w: want at most %d bytes, got %d", ErrSize, MaxSize, len(b))
	}
	p := Packet{raw: b}
	for at := 0; at < len(b); {
		f, err := nextField(b[at:])
		if err != nil {
			return Packet{}, err
		}
		if err := p.take(f, at); err != nil {
			return Packet{}, err
		}
		at += f.size
	}
	if p.destinations > MaxDestinations || p.userDestinations > MaxDestinations || p.destinationSIDs > MaxDestinations {
		return Packet{}, fmt.Errorf("%w: want at most %d", ErrDestinations, MaxDestinations)
	}
	return p, nil
}

// take notes a field of the packet.
func (p *Packet) take(f field, at int) error {
	switch {
	case f.number == fieldDestinations && f.kind == protowire.BytesType:
		p.destinations++
		return f.validString()
	case f.number == fieldSequence && f.kind == protowire.VarintType:
		p.Sequence = uint32(f.varint)
	case f.isValue():
		if kind := Kind(f.number); kind != p.Kind { // the last kind wins, equal ones merge
			p.Kind, p.user = kind, at
			p.userDestinations, p.destinationSIDs = 0, 0
		}
		if p.Kind == KindUser {
			return p.takeUser(f.bytes)
		}
	}
	return nil
}

func (p *Packet) takeUser(b []byte) error {
	for len(b) > 0 {
		f, err := nextField(b)
		if err != nil {
			return err
		}
		b = b[f.size:]
		if f.kind != protowire.BytesType {
			continue
		}
		switch f.number {
		case userDestinations:
			p.userDestinations++
			err = f.validString()
		case userDestinationSIDs:
			p.destinationSIDs++
			err = f.validString()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Addressed reports whether the packet names who shall get it. Otherwise
// everybody in the room does.
func (p Packet) Addressed() bool {
	return p.destinations > 0 || p.userDestinations > 0 || p.destinationSIDs > 0
}

// Destinations are the identities that shall get the packet.
func (p Packet) Destinations() iter.Seq[drtc.Identity] {
	return func(yield func(drtc.Identity) bool) {
		if p.destinations == 0 {
			p.eachOfUser(userDestinations, func(b []byte) bool { return yield(drtc.Identity(b)) })
			return
		}
		each(p.raw, fieldDestinations, func(b []byte) bool { return yield(drtc.Identity(b)) })
	}
}

// DestinationIDs are participants that shall get the packet too; old clients
// name them so.
func (p Packet) DestinationIDs() iter.Seq[drtc.ParticipantID] {
	return func(yield func(drtc.ParticipantID) bool) {
		p.eachOfUser(userDestinationSIDs, func(b []byte) bool { return yield(drtc.ParticipantID(b)) })
	}
}

// eachOfUser visits a field of the UserPacket, whose parts are merged.
func (p Packet) eachOfUser(number protowire.Number, visit func([]byte) bool) {
	if p.Kind != KindUser {
		return
	}
	each(p.raw[p.user:], protowire.Number(KindUser), func(user []byte) bool { return each(user, number, visit) })
}

// each visits the fields of a valid message that have the number and are
// length-delimited, until visit returns false, which it then returns too.
func each(b []byte, number protowire.Number, visit func([]byte) bool) bool {
	for len(b) > 0 {
		f, err := nextField(b)
		if err != nil {
			return false
		}
		b = b[f.size:]
		if f.number == number && f.kind == protowire.BytesType && !visit(f.bytes) {
			return false
		}
	}
	return true
}

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	size   int    // with its tag
	bytes  []byte // of a length-delimited field
	varint uint64 // of a varint field
}

// nextField reads the first field of b.
func nextField(b []byte) (field, error) {
	number, kind, tag := protowire.ConsumeTag(b)
	if tag < 0 || number > protowire.MaxValidNumber {
		return field{}, fmt.Errorf("%w: broken tag", ErrMalformed)
	}
	f := field{number: number, kind: kind}
	var n int
	switch kind {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b[tag:])
	case protowire.VarintType:
		f.varint, n = protowire.ConsumeVarint(b[tag:])
	default:
		n = protowire.ConsumeFieldValue(number, kind, b[tag:])
	}
	if n < 0 {
		return field{}, fmt.Errorf("%w: broken field %d", ErrMalformed, number)
	}
	f.size = tag + n
	return f, nil
}

// isValue reports whether the field is one of DataPacket's values.
func (f field) isValue() bool {
	if f.kind != protowire.BytesType || f.number > protowire.Number(KindEncrypted) {
		return false
	}
	switch Kind(f.number) {
	case KindUser, KindSpeaker, KindSIPDTMF, KindTranscription, KindMetrics, KindChat, KindRPCRequest, KindRPCAck,
		KindRPCResponse, KindStreamHeader, KindStreamChunk, KindStreamTrailer, KindEncrypted:
		return true
	}
	return false
}

func (f field) validString() error {
	if !utf8.Valid(f.bytes) {
		return fmt.Errorf("%w: field %d is not UTF-8", ErrMalformed, f.number)
	}
	return nil
}
