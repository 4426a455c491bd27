package rtpheader

import (
	"encoding/binary"
	"errors"
)

// The reasons for which a packet is refused.
var (
	ErrVersion   = errors.New("rtpheader: version: want 2")
	ErrShort     = errors.New("rtpheader: packet ends inside its header")
	ErrExtension = errors.New("rtpheader: extension element leaves the header extension")
	ErrPadding   = errors.New("rtpheader: padding count: want 1 to the length of the payload")
)

// Profiles of the two extension forms (RFC 8285 sections 4.2 and 4.3). The low
// four bits of the second are free for applications.
const (
	profileOneByte = 0xBEDE
	profileTwoByte = 0x1000
)

const fixedSize = 12

// Header is the header of one RTP packet. Offsets count bytes from the start
// of the packet.
type Header struct {
	SSRC           uint32
	Timestamp      uint32
	SequenceNumber uint16
	PayloadType    uint8
	Marker         bool
	// Padding is the P bit, PaddingSize the bytes of padding, its count
	// included; 0 after Peek.
	Padding     bool
	PaddingSize int
	// PayloadOffset is the size of the whole header.
	PayloadOffset int
	// ExtensionProfile is 0 without a header extension; the elements lie at
	// ExtensionOffset, ExtensionLength bytes long.
	ExtensionProfile uint16
	ExtensionOffset  int
	ExtensionLength  int
}

// Parse reads the header of a plain packet and checks its extension elements
// and padding.
func Parse(b []byte) (Header, error) {
	h, err := Peek(b)
	if err != nil {
		return Header{}, err
	}
	if !h.wellFormed(b) {
		return Header{}, ErrExtension
	}
	if !h.Padding {
		return h, nil
	}
	if len(b) == h.PayloadOffset {
		return Header{}, ErrPadding
	}
	h.PaddingSize = int(b[len(b)-1])
	if h.PaddingSize == 0 || h.PaddingSize > len(b)-h.PayloadOffset {
		return Header{}, ErrPadding
	}
	return h, nil
}

// Peek reads the header of a packet whose payload is still encrypted: SRTP
// leaves the header in clear but not the padding count at the end.
func Peek(b []byte) (Header, error) {
	if len(b) < fixedSize {
		return Header{}, ErrShort
	}
	if b[0]>>6 != 2 {
		return Header{}, ErrVersion
	}
	h := Header{
		Padding:        b[0]&0x20 != 0,
		Marker:         b[1]&0x80 != 0,
		PayloadType:    b[1] & 0x7f,
		SequenceNumber: binary.BigEndian.Uint16(b[2:]),
		Timestamp:      binary.BigEndian.Uint32(b[4:]),
		SSRC:           binary.BigEndian.Uint32(b[8:]),
		PayloadOffset:  fixedSize + 4*int(b[0]&0x0f),
	}
	if b[0]&0x10 != 0 {
		if len(b) < h.PayloadOffset+4 {
			return Header{}, ErrShort
		}
		h.ExtensionProfile = binary.BigEndian.Uint16(b[h.PayloadOffset:])
		h.ExtensionLength = 4 * int(binary.BigEndian.Uint16(b[h.PayloadOffset+2:]))
		h.ExtensionOffset = h.PayloadOffset + 4
		h.PayloadOffset = h.ExtensionOffset + h.ExtensionLength
	}
	if len(b) < h.PayloadOffset {
		return Header{}, ErrShort
	}
	return h, nil
}

// Payload returns the payload of b, the packet that h was read from, without
// its padding.
func (h *Header) Payload(b []byte) []byte { return b[h.PayloadOffset : len(b)-h.PaddingSize] }

// Extension returns the value of the first extension element with the id that
// was negotiated for it (1 to 14, or 1 to 255 in the two-byte form), nil if it
// is absent. A two-byte element may be empty and is then not nil.
func (h *Header) Extension(b []byte, id uint8) []byte {
	if id == 0 {
		return nil
	}
	at := h.elements(b)
	for {
		element, ok := at.next()
		if !ok {
			return nil
		}
		if element.ID == id {
			return element.Value
		}
	}
}

func (h *Header) wellFormed(b []byte) bool {
	at := h.elements(b)
	for {
		if _, ok := at.next(); !ok {
			return !at.broken
		}
	}
}

// elements returns a walk over the extension elements of b.
func (h *Header) elements(b []byte) walk {
	switch {
	case h.ExtensionProfile == profileOneByte:
		return walk{rest: b[h.ExtensionOffset : h.ExtensionOffset+h.ExtensionLength]}
	case h.ExtensionProfile&0xfff0 == profileTwoByte:
		return walk{rest: b[h.ExtensionOffset : h.ExtensionOffset+h.ExtensionLength], twoByte: true}
	}
	return walk{}
}

// walk reads extension elements one after the other.
type walk struct {
	rest    []byte
	twoByte bool
	broken  bool
}

func (w *walk) next() (Extension, bool) {
	for len(w.rest) > 0 && w.rest[0] == 0 {
		w.rest = w.rest[1:]
	}
	if len(w.rest) == 0 {
		return Extension{}, false
	}
	id, size, head := w.rest[0]>>4, int(w.rest[0]&0x0f)+1, 1
	if w.twoByte {
		if len(w.rest) < 2 {
			w.broken = true
			return Extension{}, false
		}
		id, size, head = w.rest[0], int(w.rest[1]), 2
	} else if id == 0 || id == 15 {
		return Extension{}, false // RFC 8285 section 4.2: stop here
	}
	if len(w.rest) < head+size {
		w.broken = true
		return Extension{}, false
	}
	value := w.rest[head : head+size : head+size]
	w.rest = w.rest[head+size:]
	return Extension{ID: id, Value: value}, true
}
