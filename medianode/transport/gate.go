package transport

import "encoding/binary"

// Bounds of what a peer may feed to the DTLS state machine. A full handshake
// numbers its messages 0 to 7; browsers' certificates are below 2 kB.
const (
	maxHandshakeSequence = 32
	maxHandshakeMessage  = 16 << 10
)

// Content types of the DTLS record layer (RFC 6347 section 4.1).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplication      = 23
)

// admit decides which datagrams reach the handshake, whose records nothing
// protects yet: whole records of the kinds and sizes that belong there. Once it
// is done the record layer judges, by their keys, all that comes. It keeps
// nothing of b.
func admit(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) > 0 {
		if len(b) < 13 {
			return false
		}
		kind, epoch := b[0], binary.BigEndian.Uint16(b[3:])
		size := int(binary.BigEndian.Uint16(b[11:]))
		if b[1] != 0xfe || size == 0 || len(b) < 13+size {
			return false
		}
		body := b[13 : 13+size]
		b = b[13+size:]
		if epoch == 0 && !admitPlain(kind, body) {
			return false
		}
		if kind < recordChangeCipherSpec || kind > recordApplication || epoch > 1 {
			return false // no connection ids
		}
		if epoch == 1 && kind == recordChangeCipherSpec {
			return false // pion takes one unauthenticated in any epoch
		}
	}
	return true
}

// split parts a datagram that was admitted into the records that a handshake
// needs and the protected ones that belong to what follows it. Both may be in
// b's memory.
func split(b []byte) (handshake, other []byte) {
	for rest := b; len(rest) > 0; {
		size := 13 + int(binary.BigEndian.Uint16(rest[11:]))
		record := rest[:size:size]
		rest = rest[size:]
		if binary.BigEndian.Uint16(record[3:]) == 0 || record[0] == recordHandshake {
			handshake = join(handshake, record)
		} else {
			other = join(other, record)
		}
	}
	return handshake, other
}

// join appends a record without writing to the memory of the datagram that the
// records are from.
func join(to, record []byte) []byte {
	if to == nil {
		return record
	}
	return append(to, record...)
}

// admitPlain judges a record that no cipher protects.
func admitPlain(kind byte, body []byte) bool {
	switch kind {
	case recordChangeCipherSpec:
		return len(body) == 1 && body[0] == 1
	case recordAlert:
		return len(body) == 2
	case recordHandshake:
		return admitMessages(body)
	default:
		return false
	}
}

// admitMessages judges the handshake messages or fragments of a plain record.
func admitMessages(body []byte) bool {
	for len(body) > 0 {
		if len(body) < 12 {
			return false
		}
		total := int(body[1])<<16 | int(body[2])<<8 | int(body[3])
		sequence := binary.BigEndian.Uint16(body[4:])
		offset := int(body[6])<<16 | int(body[7])<<8 | int(body[8])
		size := int(body[9])<<16 | int(body[10])<<8 | int(body[11])
		if total > maxHandshakeMessage || sequence > maxHandshakeSequence || offset+size > total || len(body) < 12+size {
			return false
		}
		body = body[12+size:]
	}
	return true
}
