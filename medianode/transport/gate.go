package transport

import "encoding/binary"

// Bounds of what a peer may feed to the DTLS state machine. A full handshake
// numbers its messages 0 to 7; browsers' certificates are below 2 kB.
const (
	maxHandshakeSequence = 32
	maxHandshakeMessage  = 16 << 10
	// lateHandshakes is how many datagrams with handshake records are taken
	// after the handshake: repeats of the peer's last flight, which we answer
	// by repeating ours.
	lateHandshakes = 64
)

// Content types of the DTLS record layer (RFC 6347 section 4.1).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplication      = 23
)

// gate decides which datagrams reach the DTLS implementation. Records before
// the first cipher are not authenticated, so once keys exist an alert or a
// broken record of that kind must not end the association (RFC 6347 section
// 4.1.2.7), nor may handshake records pile up. The zero gate is for a
// handshake that begins.
type gate struct {
	late int // datagrams with handshake records since the handshake
}

// admit reports whether the datagram may pass. It keeps nothing of b.
func (g *gate) admit(b []byte, established bool) bool {
	if len(b) == 0 {
		return false
	}
	handshake := false
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
		if epoch == 0 && !admitPlain(kind, body, established) {
			return false
		}
		if kind < recordChangeCipherSpec || kind > recordApplication || epoch > 1 {
			return false // no renegotiation, no connection ids
		}
		if epoch == 1 && kind == recordChangeCipherSpec {
			return false // pion takes one unauthenticated in any epoch
		}
		handshake = handshake || kind == recordHandshake
	}
	if handshake && established {
		g.late++
		return g.late <= lateHandshakes
	}
	return true
}

// admitPlain judges a record that no cipher protects.
func admitPlain(kind byte, body []byte, established bool) bool {
	switch kind {
	case recordChangeCipherSpec:
		return len(body) == 1 && body[0] == 1
	case recordAlert:
		return !established && len(body) == 2
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
