package rtpheader

import "encoding/binary"

// Extension is one header extension element: the id negotiated for it and its
// value. In Outgoing the id is 1 to 14 and the value 1 to 16 bytes long, or to
// 255 bytes with TwoByte.
type Extension struct {
	ID    uint8
	Value []byte
}

// Outgoing is the header of a packet to send. The caller keeps and patches one
// per stream; Append copies the values.
type Outgoing struct {
	SSRC           uint32
	Timestamp      uint32
	SequenceNumber uint16
	PayloadType    uint8
	Marker         bool
	// Padding sets the P bit; the caller appends the padding with its count.
	Padding bool
	// TwoByte asks for the two-byte form of the extensions, which holds values of
	// up to 255 bytes: only where it was negotiated for the stream.
	TwoByte bool
	// Extensions are written in this order in the one-byte form unless
	// TwoByte. An element with no value, or one that does not fit the form, is left out.
	Extensions []Extension
}

// MaxOneByte is the longest value of an element in the one-byte form.
const MaxOneByte = 16

// maxTwoByte is the same for the two-byte form.
const maxTwoByte = 255

// Append appends the header to dst.
func Append(dst []byte, o Outgoing) []byte {
	first, second := byte(2<<6), o.PayloadType&0x7f
	if o.Padding {
		first |= 0x20
	}
	if o.Marker {
		second |= 0x80
	}
	start, longest, profile := len(dst), MaxOneByte, uint16(profileOneByte)
	if o.TwoByte {
		longest, profile = maxTwoByte, profileTwoByte
	}
	dst = append(dst, first, second)
	dst = binary.BigEndian.AppendUint16(dst, o.SequenceNumber)
	dst = binary.BigEndian.AppendUint32(dst, o.Timestamp)
	dst = binary.BigEndian.AppendUint32(dst, o.SSRC)
	for _, e := range o.Extensions {
		if e.ID == 0 || e.ID > 14 || len(e.Value) == 0 || len(e.Value) > longest {
			continue
		}
		if dst[start]&0x10 == 0 {
			dst[start] |= 0x10
			dst = binary.BigEndian.AppendUint16(dst, profile)
			dst = append(dst, 0, 0)
		}
		if o.TwoByte {
			dst = append(dst, e.ID, byte(len(e.Value)))
		} else {
			dst = append(dst, e.ID<<4|byte(len(e.Value)-1))
		}
		dst = append(dst, e.Value...)
	}
	if dst[start]&0x10 == 0 {
		return dst
	}
	const elements = fixedSize + 4
	for (len(dst)-start)%4 != 0 {
		dst = append(dst, 0)
	}
	binary.BigEndian.PutUint16(dst[start+fixedSize+2:], uint16((len(dst)-start-elements)/4))
	return dst
}
