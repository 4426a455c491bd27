package compound

import (
	"encoding/binary"
	"errors"

	"github.com/pion/rtcp"
)

// ErrCompound is returned for bytes that are not a chain of RTCP packets.
var ErrCompound = errors.New("compound: packet lengths do not fill the datagram")

// Kind is what a packet is, as far as the engine takes notice of it.
type Kind uint8

// The kinds. Other is anything well formed that is skipped: SDES, BYE, REMB,
// extended reports, and what is unknown.
const (
	Other Kind = iota
	Malformed
	SenderReport
	ReceiverReport
	NACK
	PictureLoss
	FullIntra
	TransportFeedback
)

const (
	headerSize    = 4
	reportSize    = 24 // a reception report block
	senderSize    = 20 // the sender information without the SSRC
	feedbackSize  = headerSize + 8
	nackSize      = 4
	fullIntraSize = 8
	// transportSize is a transport feedback without statuses.
	transportSize = feedbackSize + 8
)

// Packet types and formats (RFC 3550 section 12.1, RFC 4585 section 6, RFC 5104
// section 4.3.1; 15 is of the transport-wide congestion control draft).
const (
	typeSenderReport   = 200
	typeReceiverReport = 201
	typeDescription    = 202
	typeTransport      = 205
	typePayload        = 206

	formatNACK      = 1
	formatPLI       = 1
	formatFIR       = 4
	formatTransport = 15
)

// Packet is one packet of a compound.
type Packet struct {
	Kind Kind
	// bytes is the packet with its header, without padding.
	bytes []byte
}

// Reader walks over a compound packet. Use Read.
type Reader struct{ rest []byte }

// Read begins to read a compound packet, after it has looked at all of its
// headers: nothing is yielded of a compound that ends inside a packet.
func Read(b []byte) (Reader, error) {
	for rest := b; ; {
		n := length(rest)
		if n == 0 {
			return Reader{}, ErrCompound
		}
		if rest = rest[n:]; len(rest) == 0 {
			return Reader{rest: b}, nil
		}
	}
}

// length is that of the first packet in b, 0 if there is none.
func length(b []byte) int {
	if len(b) < headerSize || b[0]>>6 != 2 {
		return 0
	}
	n := (int(binary.BigEndian.Uint16(b[2:])) + 1) * 4
	if n > len(b) {
		return 0
	}
	return n
}

// Next returns the next packet, false after the last.
func (r *Reader) Next() (Packet, bool) {
	n := length(r.rest)
	if n == 0 {
		return Packet{}, false
	}
	p := Packet{bytes: r.rest[:n:n]}
	r.rest = r.rest[n:]
	p.Kind = p.identify()
	return p, true
}

// identify cuts the padding off and tells the kind of a packet that is long
// enough for what its header promises.
func (p *Packet) identify() Kind {
	if p.bytes[0]&0x20 != 0 {
		padding := int(p.bytes[len(p.bytes)-1])
		if padding == 0 || padding > len(p.bytes)-headerSize {
			return Malformed
		}
		p.bytes = p.bytes[:len(p.bytes)-padding]
	}
	kind, least := p.form()
	if len(p.bytes) < least {
		return Malformed
	}
	return kind
}

// form returns what the header says: the kind, and how long such a packet is
// at least.
func (p *Packet) form() (kind Kind, least int) {
	count := int(p.bytes[0] & 0x1f)
	switch p.bytes[1] {
	case typeSenderReport:
		return SenderReport, headerSize + 4 + senderSize + count*reportSize
	case typeReceiverReport:
		return ReceiverReport, headerSize + 4 + count*reportSize
	case typeTransport:
		switch count {
		case formatNACK:
			return NACK, feedbackSize + nackSize
		case formatTransport:
			return TransportFeedback, transportSize
		}
	case typePayload:
		switch count {
		case formatPLI:
			return PictureLoss, feedbackSize
		case formatFIR:
			return FullIntra, feedbackSize + fullIntraSize
		}
	}
	return Other, 0
}

// SenderSSRC is who sent the packet, of any kind but Other and Malformed.
func (p Packet) SenderSSRC() uint32 { return binary.BigEndian.Uint32(p.bytes[headerSize:]) }

// MediaSSRC is the stream that a NACK, PictureLoss or TransportFeedback is
// about. A FullIntra names its streams in its entries.
func (p Packet) MediaSSRC() uint32 { return binary.BigEndian.Uint32(p.bytes[headerSize+4:]) }

// Bytes is the packet with its header, without padding.
func (p Packet) Bytes() []byte { return p.bytes }

// Sender returns the sender's part of a SenderReport, without its reports.
func (p Packet) Sender() rtcp.SenderReport {
	b := p.bytes[headerSize:]
	return rtcp.SenderReport{
		SSRC:        binary.BigEndian.Uint32(b),
		NTPTime:     binary.BigEndian.Uint64(b[4:]),
		RTPTime:     binary.BigEndian.Uint32(b[12:]),
		PacketCount: binary.BigEndian.Uint32(b[16:]),
		OctetCount:  binary.BigEndian.Uint32(b[20:]),
	}
}

// Receptions returns the reports of a SenderReport or ReceiverReport.
func (p Packet) Receptions() Receptions {
	at := headerSize + 4
	if p.Kind == SenderReport {
		at += senderSize
	}
	return Receptions{p.bytes[at : at+int(p.bytes[0]&0x1f)*reportSize]}
}

// NACKs returns the entries of a NACK.
func (p Packet) NACKs() NACKs { return NACKs{p.bytes[feedbackSize:]} }

// FullIntras returns the entries of a FullIntra.
func (p Packet) FullIntras() FullIntras { return FullIntras{p.bytes[feedbackSize:]} }

// Receptions are the reception report blocks of a report.
type Receptions struct{ b []byte }

// Len is the number of blocks, at most 31.
func (r Receptions) Len() int { return len(r.b) / reportSize }

// At returns one of them.
func (r Receptions) At(i int) rtcp.ReceptionReport {
	b := r.b[i*reportSize:][:reportSize]
	return rtcp.ReceptionReport{
		SSRC:               binary.BigEndian.Uint32(b),
		FractionLost:       b[4],
		TotalLost:          uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7]),
		LastSequenceNumber: binary.BigEndian.Uint32(b[8:]),
		Jitter:             binary.BigEndian.Uint32(b[12:]),
		LastSenderReport:   binary.BigEndian.Uint32(b[16:]),
		Delay:              binary.BigEndian.Uint32(b[20:]),
	}
}

// NACKs are the entries of a generic NACK.
type NACKs struct{ b []byte }

// Len is the number of entries, at least one.
func (n NACKs) Len() int { return len(n.b) / nackSize }

// At returns one of them: up to 17 sequence numbers.
func (n NACKs) At(i int) rtcp.NackPair {
	b := n.b[i*nackSize:][:nackSize]
	return rtcp.NackPair{
		PacketID:    binary.BigEndian.Uint16(b),
		LostPackets: rtcp.PacketBitmap(binary.BigEndian.Uint16(b[2:])),
	}
}

// FullIntras are the entries of a full intra request.
type FullIntras struct{ b []byte }

// Len is the number of entries, at least one.
func (f FullIntras) Len() int { return len(f.b) / fullIntraSize }

// At returns one of them.
func (f FullIntras) At(i int) rtcp.FIREntry {
	b := f.b[i*fullIntraSize:][:fullIntraSize]
	return rtcp.FIREntry{SSRC: binary.BigEndian.Uint32(b), SequenceNumber: b[4]}
}
