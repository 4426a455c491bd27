package codec

import "errors"

// ErrVP8 is returned for a payload that ends inside its VP8 descriptor.
var ErrVP8 = errors.New("codec: VP8 payload ends inside its descriptor")

// Bits of the VP8 payload descriptor (RFC 7741 section 4.2).
const (
	vp8Extended  = 0x80 // X, first byte
	vp8Reference = 0x20 // N: no other frame refers to this one
	vp8Start     = 0x10 // S: a partition starts
	vp8Partition = 0x07
	vp8PictureID = 0x80 // I, extension byte
	vp8TL0       = 0x40 // L
	vp8TID       = 0x20 // T
	vp8KeyIdx    = 0x10 // K
	vp8Long      = 0x80 // M, picture id byte
	vp8Sync      = 0x20 // Y, TID byte
)

// Picture holds the running numbers of a VP8 frame.
type Picture struct {
	// ID is the picture id, 15 or 7 bits.
	ID uint16
	// TL0PicIdx counts frames of the base temporal layer, 8 bits.
	TL0PicIdx uint8
	// KeyIdx counts key frames, 5 bits.
	KeyIdx uint8
}

// VP8Descriptor is what ParseVP8 found. Size is 0 in the zero value, which
// stands for "no descriptor".
type VP8Descriptor struct {
	Picture
	// Size is the length of the descriptor in bytes.
	Size uint8
	// pictureAt, tl0At and tidAt are offsets of those fields, 0 if absent.
	pictureAt, tl0At, tidAt uint8
	// TID is the temporal layer, 0 to 3.
	TID uint8
	// Start says that this packet is the first of its frame.
	Start bool
	// KeyFrame says that this packet is the first of a key frame.
	KeyFrame bool
	// Sync says that the frame depends on the base layer only.
	Sync bool
	// Discardable says that no other frame refers to this one.
	Discardable bool
	// LongPictureID says that the picture id has 15 bits.
	LongPictureID bool
	hasKeyIdx     bool
}

// HasPictureID reports whether the descriptor carries a picture id.
func (d *VP8Descriptor) HasPictureID() bool { return d.pictureAt != 0 }

// ParseVP8 reads the descriptor at the start of a payload. A payload with
// nothing after its descriptor is an error too.
func ParseVP8(payload []byte) (VP8Descriptor, error) {
	if len(payload) == 0 {
		return VP8Descriptor{}, ErrVP8
	}
	first := payload[0]
	d := VP8Descriptor{
		Start:       first&vp8Start != 0 && first&vp8Partition == 0,
		Discardable: first&vp8Reference != 0,
		Size:        1,
	}
	if first&vp8Extended != 0 {
		if len(payload) < 2 {
			return VP8Descriptor{}, ErrVP8
		}
		if !d.locate(payload) {
			return VP8Descriptor{}, ErrVP8
		}
		d.read(payload)
	}
	if len(payload) <= int(d.Size) {
		return VP8Descriptor{}, ErrVP8
	}
	// RFC 7741 section 4.3: P is the inverse key frame flag.
	d.KeyFrame = d.Start && payload[d.Size]&1 == 0
	return d, nil
}

// locate finds the optional fields; it says false if they leave the payload.
func (d *VP8Descriptor) locate(payload []byte) bool {
	has, at := payload[1], uint8(2)
	if has&vp8PictureID != 0 {
		if len(payload) < 3 {
			return false
		}
		d.pictureAt = at
		d.LongPictureID = payload[2]&vp8Long != 0
		at++
		if d.LongPictureID {
			at++
		}
	}
	if has&vp8TL0 != 0 {
		d.tl0At = at
		at++
	}
	if has&(vp8TID|vp8KeyIdx) != 0 {
		d.tidAt = at
		d.hasKeyIdx = has&vp8KeyIdx != 0
		at++
	}
	d.Size = at
	return len(payload) >= int(at)
}

func (d *VP8Descriptor) read(payload []byte) {
	switch {
	case d.LongPictureID:
		d.ID = uint16(payload[d.pictureAt]&0x7f)<<8 | uint16(payload[d.pictureAt+1])
	case d.pictureAt != 0:
		d.ID = uint16(payload[d.pictureAt])
	}
	if d.tl0At != 0 {
		d.TL0PicIdx = payload[d.tl0At]
	}
	if d.tidAt == 0 {
		return
	}
	b := payload[d.tidAt]
	if payload[1]&vp8TID != 0 {
		d.TID, d.Sync = b>>6, b&vp8Sync != 0
	}
	if d.hasKeyIdx {
		d.KeyIdx = b & 0x1f
	}
}

// AppendVP8 appends the descriptor of payload to dst with the numbers of p in
// place of its own. The length does not change: a 7-bit picture id stays one.
// The frame data, payload[d.Size:], is for the caller to append.
func AppendVP8(dst, payload []byte, d VP8Descriptor, p Picture) []byte {
	start := len(dst)
	dst = append(dst, payload[:d.Size]...)
	PatchVP8(dst[start:], d, p)
	return dst
}

// PatchVP8 does in place what AppendVP8 does; b starts with the descriptor
// that d was read from.
func PatchVP8(b []byte, d VP8Descriptor, p Picture) {
	switch {
	case d.LongPictureID:
		b[d.pictureAt] = vp8Long | byte(p.ID>>8)
		b[d.pictureAt+1] = byte(p.ID)
	case d.pictureAt != 0:
		b[d.pictureAt] = byte(p.ID) &^ vp8Long
	}
	if d.tl0At != 0 {
		b[d.tl0At] = p.TL0PicIdx
	}
	if d.hasKeyIdx {
		b[d.tidAt] = b[d.tidAt]&^0x1f | p.KeyIdx&0x1f
	}
}
