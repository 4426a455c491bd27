// Package datapacket reads and rewrites the DataPacket of the client protocol
// on the wire, without its schema (design: client-protocol 3.8; whitepaper
// 4.3.5).
//
// Contract: Rewrite changes who the sender is and nothing else. Every other
// field, known or not, keeps its bytes and its order, so that kinds of packets
// that do not exist yet pass through.
//
//	field  1 kind           4 participant_identity   5 destination_identities
//	       2 user           16 sequence              17 participant_sid
//	user:  1 participant_sid  5 participant_identity (both replaced by 4 and 17)
//
// The node is no party to the packets: it must not read what they carry. This
// package knows four numbers of the outer message and two of the legacy copy
// inside a user packet. Functions are pure and safe for concurrent use.
package datapacket

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of a packet that is taken.
const (
	// MaxSize is the longest packet, bytes.
	MaxSize = 64 << 10
	// MaxDestinations is how many receivers one packet may name.
	MaxDestinations = 512
)

// The reasons for which a packet is refused.
var (
	ErrTooLarge     = errors.New("datapacket: packet is longer than 65536 bytes")
	ErrMalformed    = errors.New("datapacket: not a protobuf message of the expected fields")
	ErrDestinations = errors.New("datapacket: more than 512 destinations")
)

const (
	fieldUser         protowire.Number = 2
	fieldIdentity     protowire.Number = 4
	fieldDestinations protowire.Number = 5
	fieldSequence     protowire.Number = 16
	fieldSID          protowire.Number = 17

	userSID      protowire.Number = 1
	userIdentity protowire.Number = 5
)

// Packet is what the node needs to know of a packet.
type Packet struct {
	// Sequence numbers the sender's reliable packets from 1, 0 if absent.
	Sequence uint32
	// Destinations are the identities it is for; none means everybody.
	Destinations []string
}

// Parse reads a packet and checks that Rewrite can walk it.
func Parse(b []byte) (Packet, error) {
	if len(b) > MaxSize {
		return Packet{}, ErrTooLarge
	}
	var p Packet
	err := walk(b, func(num protowire.Number, typ protowire.Type, value, _ []byte) error {
		switch num {
		case fieldDestinations:
			if typ != protowire.BytesType {
				return ErrMalformed
			}
			if len(p.Destinations) == MaxDestinations {
				return ErrDestinations
			}
			p.Destinations = append(p.Destinations, string(value))
		case fieldSequence:
			if typ != protowire.VarintType {
				return ErrMalformed
			}
			v, _ := protowire.ConsumeVarint(value)
			p.Sequence = uint32(v)
		case fieldUser:
			if typ != protowire.BytesType {
				return ErrMalformed
			}
			return walk(value, func(protowire.Number, protowire.Type, []byte, []byte) error { return nil })
		}
		return nil
	})
	return p, err
}

// Rewrite appends b to dst with the sender replaced by sid and identity,
// wherever a packet names its sender. b must have passed Parse.
func Rewrite(dst, b []byte, sid, identity string) []byte {
	rest := walk(b, func(num protowire.Number, typ protowire.Type, value, field []byte) error {
		switch {
		case num == fieldIdentity || num == fieldSID:
		case num == fieldUser && typ == protowire.BytesType:
			dst = protowire.AppendTag(dst, fieldUser, protowire.BytesType)
			dst = protowire.AppendBytes(dst, rewriteUser(value, sid, identity))
		default:
			dst = append(dst, field...)
		}
		return nil
	})
	if rest != nil {
		return dst // a caller that skipped Parse loses the malformed end
	}
	dst = protowire.AppendString(protowire.AppendTag(dst, fieldIdentity, protowire.BytesType), identity)
	return protowire.AppendString(protowire.AppendTag(dst, fieldSID, protowire.BytesType), sid)
}

// rewriteUser replaces the sender in a user packet, where older clients look
// for it, if the packet names one there.
func rewriteUser(b []byte, sid, identity string) []byte {
	out := make([]byte, 0, len(b)+len(sid)+len(identity)+8)
	var hasSID, hasIdentity bool
	err := walk(b, func(num protowire.Number, _ protowire.Type, _, field []byte) error {
		switch num {
		case userSID:
			hasSID = true
		case userIdentity:
			hasIdentity = true
		default:
			out = append(out, field...)
		}
		return nil
	})
	if err != nil {
		return nil
	}
	if hasSID {
		out = protowire.AppendString(protowire.AppendTag(out, userSID, protowire.BytesType), sid)
	}
	if hasIdentity {
		out = protowire.AppendString(protowire.AppendTag(out, userIdentity, protowire.BytesType), identity)
	}
	return out
}

// walk calls visit for each field of a message: its number, type, value (the
// content of a length-delimited field, else the bytes of the value) and the
// whole field with its tag.
func walk(b []byte, visit func(num protowire.Number, typ protowire.Type, value, field []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(m))
		}
		value := b[n : n+m]
		if typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		if err := visit(num, typ, value, b[:n+m]); err != nil {
			return err
		}
		b = b[n+m:]
	}
	return nil
}
