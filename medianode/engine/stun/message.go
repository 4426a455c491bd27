package stun

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
)

// Message types (RFC 8489 section 5): class and method of Binding.
const (
	BindingRequest    uint16 = 0x0001
	BindingIndication uint16 = 0x0011
	BindingSuccess    uint16 = 0x0101
	BindingError      uint16 = 0x0111
)

// Error codes of RFC 8489 section 14.8 and RFC 8445 section 7.3.1.1.
const (
	CodeBadRequest       = 400
	CodeUnauthenticated  = 401
	CodeUnknownAttribute = 420
	CodeRoleConflict     = 487
)

// MaxSize is the longest message Parse accepts, in bytes: one datagram of the
// smallest IPv6 MTU.
const MaxSize = 1280

const (
	headerSize      = 20
	magicCookie     = 0x2112A442
	fingerprintXOR  = 0x5354554e
	integritySize   = 20
	maxUsernameSize = 512
	maxUnknown      = 8
)

// Attribute types of RFC 8489 section 18.3 and RFC 8445 section 16.1.
const (
	attrMappedAddress    = 0x0001
	attrUsername         = 0x0006
	attrMessageIntegrity = 0x0008
	attrErrorCode        = 0x0009
	attrUnknown          = 0x000A
	attrRealm            = 0x0014
	attrNonce            = 0x0015
	attrXORMappedAddress = 0x0020
	attrPriority         = 0x0024
	attrUseCandidate     = 0x0025
	attrFingerprint      = 0x8028
	attrControlled       = 0x8029
	attrControlling      = 0x802A
)

// The reasons for which Parse refuses a datagram.
var (
	ErrHeader           = errors.New("stun: not a STUN message: want 20 bytes or more, two zero bits and the magic cookie")
	ErrLength           = errors.New("stun: length field: want a multiple of 4 that equals the bytes after the header, at most 1260")
	ErrAttribute        = errors.New("stun: attribute: its length leaves the message or is wrong for its type")
	ErrFingerprint      = errors.New("stun: FINGERPRINT: must be right and the last attribute")
	ErrUnknownAttribute = errors.New("stun: comprehension-required attribute that is not known, see Message.UnknownAttributes")
)

// Message is one STUN message. Slices point into the datagram.
type Message struct {
	// Type is one of the Binding constants or any other type read.
	Type          uint16
	TransactionID [12]byte
	// Username is "receiver's ufrag:sender's ufrag", nil if absent.
	Username []byte
	// Priority is that of a peer reflexive candidate, 0 if absent.
	Priority     uint32
	UseCandidate bool
	// Controlling and Controlled tell the sender's role, TieBreaker its number.
	Controlling, Controlled bool
	TieBreaker              uint64
	// HasIntegrity says that a MESSAGE-INTEGRITY is there, not that it is right.
	HasIntegrity bool
	// HasFingerprint says that a FINGERPRINT is there and right.
	HasFingerprint bool
	// ErrorCode is 300 to 699 in an error response, else 0.
	ErrorCode int
	// Mapped is the XOR-MAPPED-ADDRESS, invalid if absent.
	Mapped netip.AddrPort

	raw         []byte
	integrityAt int
	unknown     [maxUnknown]uint16
	unknowns    int
}

// Is reports whether b looks like STUN among the protocols that share a media
// port (RFC 7983). It is the cheap test before Parse.
func Is(b []byte) bool {
	return len(b) >= headerSize && b[0] < 4 && binary.BigEndian.Uint32(b[4:]) == magicCookie
}

// Parse reads one message. With ErrUnknownAttribute the message is complete and
// UnknownAttributes tells what a 420 answer has to name; with any other error
// the Message is useless.
func Parse(b []byte) (Message, error) {
	if !Is(b) {
		return Message{}, ErrHeader
	}
	if n := int(binary.BigEndian.Uint16(b[2:])); n%4 != 0 || n != len(b)-headerSize || len(b) > MaxSize {
		return Message{}, ErrLength
	}
	m := Message{Type: binary.BigEndian.Uint16(b), raw: b}
	copy(m.TransactionID[:], b[8:headerSize])
	for at := headerSize; at < len(b); {
		if len(b)-at < 4 {
			return Message{}, ErrAttribute
		}
		kind, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		end := at + 4 + (size+3)&^3
		if end > len(b) {
			return Message{}, ErrAttribute
		}
		if err := m.attribute(kind, at, b[at+4:at+4+size]); err != nil {
			return Message{}, err
		}
		at = end
	}
	if m.unknowns > 0 {
		return m, ErrUnknownAttribute
	}
	return m, nil
}

// attribute takes in the attribute that starts at the given offset. The first
// of a kind counts; after MESSAGE-INTEGRITY only FINGERPRINT does (RFC 8489
// section 14.5).
func (m *Message) attribute(kind uint16, at int, v []byte) error {
	if kind == attrFingerprint {
		return m.fingerprint(at, v)
	}
	if m.HasIntegrity {
		return nil
	}
	switch kind {
	case attrUsername:
		if len(v) > maxUsernameSize {
			return ErrAttribute
		}
		if m.Username == nil {
			m.Username = v
		}
	case attrMessageIntegrity:
		if len(v) != integritySize {
			return ErrAttribute
		}
		m.HasIntegrity, m.integrityAt = true, at
	case attrErrorCode:
		return m.errorCode(v)
	case attrXORMappedAddress:
		return m.mapped(v)
	case attrPriority:
		if len(v) != 4 {
			return ErrAttribute
		}
		m.Priority = binary.BigEndian.Uint32(v)
	case attrUseCandidate:
		if len(v) != 0 {
			return ErrAttribute
		}
		m.UseCandidate = true
	case attrControlled, attrControlling:
		if len(v) != 8 {
			return ErrAttribute
		}
		m.TieBreaker = binary.BigEndian.Uint64(v)
		m.Controlled, m.Controlling = kind == attrControlled, kind == attrControlling
	case attrMappedAddress, attrUnknown, attrRealm, attrNonce:
	default:
		if kind < 0x8000 && m.unknowns < maxUnknown {
			m.unknown[m.unknowns] = kind
			m.unknowns++
		}
	}
	return nil
}

// fingerprint checks the CRC over all before it and that nothing follows.
func (m *Message) fingerprint(at int, v []byte) error {
	if len(v) != 4 || at+8 != len(m.raw) {
		return ErrFingerprint
	}
	if binary.BigEndian.Uint32(v) != crc32.ChecksumIEEE(m.raw[:at])^fingerprintXOR {
		return ErrFingerprint
	}
	m.HasFingerprint = true
	return nil
}

func (m *Message) errorCode(v []byte) error {
	if len(v) < 4 {
		return ErrAttribute
	}
	class, number := int(v[2]&7), int(v[3])
	if class < 3 || class > 6 || number > 99 {
		return ErrAttribute
	}
	if m.ErrorCode == 0 {
		m.ErrorCode = class*100 + number
	}
	return nil
}

// mapped undoes the XOR with the cookie and, for IPv6, the transaction id.
func (m *Message) mapped(v []byte) error {
	if len(v) < 4 {
		return ErrAttribute
	}
	port := binary.BigEndian.Uint16(v[2:]) ^ magicCookie>>16
	var a netip.Addr
	switch family := v[1]; {
	case family == 1 && len(v) == 8:
		ip := [4]byte(v[4:])
		xorBytes(ip[:], m.raw[4:headerSize])
		a = netip.AddrFrom4(ip)
	case family == 2 && len(v) == 20:
		ip := [16]byte(v[4:])
		xorBytes(ip[:], m.raw[4:headerSize])
		a = netip.AddrFrom16(ip)
	default:
		return ErrAttribute
	}
	if !m.Mapped.IsValid() {
		m.Mapped = netip.AddrPortFrom(a, port)
	}
	return nil
}

// UnknownAttributes lists the comprehension-required attributes that Parse did
// not know, at most eight.
func (m *Message) UnknownAttributes() []uint16 { return m.unknown[:m.unknowns] }

func xorBytes(dst, key []byte) {
	for i := range dst {
		dst[i] ^= key[i]
	}
}
