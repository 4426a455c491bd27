package rtpheader

import "encoding/binary"

// Extension is one header extension element: the id negotiated for it and its
// value. In Outgoing the id is 1 to 14 and the value 1 to 16 bytes long, or to
// 255 bytes where Mixed is set.
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
	// Extensions are written in this order in the one-byte form. An element
	// with no value, or one that does not fit the form, is left out.
	Extensions []Extension
	// Mixed says that both forms were negotiated for the stream: a header with
	// a value of 17 to 255 bytes is written in the two-byte form.
	Mixed bool
}

// longest is the largest value of an element in the form that o takes.
func (o *Outgoing) longest() int {
	if o.Mixed {
		for i := range o.Extensions {
			if n := len(o.Extensions[i].Value); n > maxOneByte && n <= maxTwoByte {
				return maxTwoByte
			}
		}
	}
	return maxOneByte
}

// The longest values that the two forms can hold.
const (
	maxOneByte = 16
	maxTwoByte = 255
)

// Append appends the header to dst.
func Append(dst []byte, o Outgoing) []byte {
	first, second := byte(2<<6), o.PayloadType&0x7f
	if o.Padding {
		first |= 0x20
	}
	if o.Marker {
		second |= 0x80
	}
	start, longest := len(dst), o.longest()
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
			profile := uint16(profileOneByte)
			if longest > maxOneByte {
				profile = profileTwoByte
			}
			dst = binary.BigEndian.AppendUint16(dst, profile)
			dst = append(dst, 0, 0)
		}
		if longest > maxOneByte {
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
