package codec

import "errors"

// ErrVP9 is returned for a payload that ends inside its VP9 descriptor or that
// contradicts itself.
var ErrVP9 = errors.New("codec: VP9 payload descriptor cannot be read")

// Bits of the VP9 payload descriptor (RFC 9628 section 4.2).
const (
	vp9PictureID    = 0x80 // I, first byte
	vp9Predicted    = 0x40 // P
	vp9Layer        = 0x20 // L
	vp9Flexible     = 0x10 // F
	vp9Begins       = 0x08 // B
	vp9Ends         = 0x04 // E
	vp9Structure    = 0x02 // V
	vp9NotReference = 0x01 // Z
	vp9Long         = 0x80 // M, picture id byte
	vp9SwitchUp     = 0x10 // U, layer byte
	vp9InterLayer   = 0x01 // D
	vp9Sizes        = 0x10 // Y, scalability structure
	vp9Group        = 0x08 // G
)

// VP9Descriptor is what ParseVP9 found. Size is 0 in the zero value, which
// stands for "no descriptor".
type VP9Descriptor struct {
	// Picture holds picture id and TL0PICIDX; KeyIdx is not used.
	Picture
	// Size is the length of the descriptor in bytes.
	Size uint16
	// pictureAt, tl0At and sizesAt are offsets of those fields, 0 if absent.
	pictureAt, tl0At uint8
	sizesAt          uint8
	// SID and TID are the spatial and temporal layer, 0 to 7.
	SID, TID uint8
	// Layers is the number of spatial layers if the packet says it, else 0.
	Layers uint8
	// References are the distances to the pictures that the frame builds on,
	// where the descriptor has them (flexible mode).
	References [3]uint8
	Referred   uint8
	// Begins and Ends say that this packet is the first or the last of its frame:
	// of one spatial layer of the picture.
	Begins, Ends bool
	// Predicted says that the frame builds on other pictures, InterLayer that it
	// builds on the next lower spatial layer of its own.
	Predicted, InterLayer bool
	// Flexible says that References are all that there are.
	Flexible bool
	// SwitchUp says that no later frame of a higher temporal layer builds on a
	// frame of such a layer before this one.
	SwitchUp bool
	// NotReference says that higher spatial layers do not build on this frame.
	NotReference bool
	// HasLayer says that SID and TID are given.
	HasLayer bool
	// LongPictureID says that the picture id has 15 bits.
	LongPictureID bool
}

// HasPictureID reports whether the descriptor carries a picture id.
func (d *VP9Descriptor) HasPictureID() bool { return d.pictureAt != 0 }

// ParseVP9 reads the descriptor at the start of a payload.
func ParseVP9(payload []byte) (VP9Descriptor, error) {
	r := vp9Reader{b: payload}
	first := r.next()
	d := VP9Descriptor{
		Predicted: first&vp9Predicted != 0, Flexible: first&vp9Flexible != 0,
		Begins: first&vp9Begins != 0, Ends: first&vp9Ends != 0,
		NotReference: first&vp9NotReference != 0, HasLayer: first&vp9Layer != 0,
	}
	if first&vp9PictureID != 0 {
		d.pictureAt = uint8(r.at)
		id := r.next()
		d.ID, d.LongPictureID = uint16(id&0x7f), id&vp9Long != 0
		if d.LongPictureID {
			d.ID = d.ID<<8 | uint16(r.next())
		}
	}
	if d.HasLayer {
		layer := r.next()
		d.TID, d.SID = layer>>5, layer>>1&7
		d.SwitchUp, d.InterLayer = layer&vp9SwitchUp != 0, layer&vp9InterLayer != 0
		if !d.Flexible {
			d.tl0At = uint8(r.at)
			d.TL0PicIdx = r.next()
		}
	}
	if d.Flexible && d.Predicted {
		for more := true; more; {
			if d.Referred == uint8(len(d.References)) {
				return VP9Descriptor{}, ErrVP9
			}
			diff := r.next()
			d.References[d.Referred] = diff >> 1
			d.Referred++
			more = diff&1 != 0
		}
	}
	if first&vp9Structure != 0 {
		d.readStructure(&r)
	}
	if r.over || d.Flexible && d.pictureAt == 0 {
		return VP9Descriptor{}, ErrVP9
	}
	d.Size = uint16(r.at)
	return d, nil
}

// readStructure walks over the scalability structure.
func (d *VP9Descriptor) readStructure(r *vp9Reader) {
	first := r.next()
	d.Layers = first>>5 + 1
	if first&vp9Sizes != 0 {
		d.sizesAt = uint8(r.at)
		r.skip(4 * int(d.Layers))
	}
	if first&vp9Group == 0 {
		return
	}
	for range r.next() {
		r.skip(int(r.next() >> 2 & 3))
	}
}

// LayerSize returns the size of a spatial layer in pixels where the descriptor
// of payload says it, else zeros.
func (d *VP9Descriptor) LayerSize(payload []byte, sid uint8) (width, height uint16) {
	if d.sizesAt == 0 || sid >= d.Layers {
		return 0, 0
	}
	b := payload[int(d.sizesAt)+4*int(sid):]
	return uint16(b[0])<<8 | uint16(b[1]), uint16(b[2])<<8 | uint16(b[3])
}

// PatchVP9 writes other numbers into a descriptor; b starts with the one that d
// was read from. A 7-bit picture id stays one.
func PatchVP9(b []byte, d VP9Descriptor, p Picture) {
	switch {
	case d.LongPictureID:
		b[d.pictureAt] = vp9Long | byte(p.ID>>8)
		b[d.pictureAt+1] = byte(p.ID)
	case d.pictureAt != 0:
		b[d.pictureAt] = byte(p.ID) &^ vp9Long
	}
	if d.tl0At != 0 {
		b[d.tl0At] = p.TL0PicIdx
	}
}

// vp9Reader reads bytes; after the end it reads zeros and says so.
type vp9Reader struct {
	b    []byte
	at   int
	over bool
}

func (r *vp9Reader) next() byte {
	if r.at >= len(r.b) {
		r.over = true
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *vp9Reader) skip(n int) {
	r.at += n
	r.over = r.over || r.at > len(r.b)
}
