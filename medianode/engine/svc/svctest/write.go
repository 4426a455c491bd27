package svctest

// Indications of table A.1.
const (
	notPresent = iota
	discardable
	switching
	required
)

// target numbers the decode targets: every spatial layer at every frame rate.
func (m Mode) targets() int { return m.Spatial * m.Temporal }

// indication says what a frame is to the target of layers s and t.
func (f *Frame) indication(s, t int) int {
	switch {
	case f.T > t || f.S > s:
		return notPresent
	case f.KeyPicture && f.S == 0:
		return switching
	case f.S < s && f.Key && !f.KeyPicture:
		return notPresent
	case f.S < s:
		return required
	case f.T > 0 && f.T == t:
		return discardable
	}
	return switching
}

// Size is the size of a spatial layer in pixels: the highest is 1280 by 720.
func (m Mode) Size(spatial int) (width, height int) {
	down := m.Spatial - 1 - spatial
	return 1280 >> down, 720 >> down
}

// Descriptor writes the dependency descriptor of a packet of the frame. The
// first packet of a key picture carries the structure. active, unless it is 0,
// is written as the active targets.
func (f *Frame) Descriptor(first, last bool, active uint32) []byte {
	w := &bitWriter{}
	w.flag(first)
	w.flag(last)
	w.f(6, uint32(f.S*f.Temporal+f.T+offset))
	w.f(16, uint32(f.Number))
	structure := f.KeyPicture && f.S == 0 && first
	w.flag(structure)
	w.flag(active != 0)
	w.flag(f.KeyPicture) // dtis: the templates have those of other pictures
	w.flag(true)         // fdiffs
	w.flag(true)         // chains
	if structure {
		f.structure(w)
	}
	if active != 0 {
		w.f(f.targets(), active)
	}
	if f.KeyPicture {
		f.indications(w)
	}
	for _, reference := range f.References {
		distance := f.Number - reference - 1
		size := 1
		for distance >= 1<<(4*size) {
			size++
		}
		w.f(2, uint32(size))
		w.f(4*size, uint32(distance))
	}
	w.f(2, 0)
	for _, chain := range f.Chains {
		if chain < 0 || f.Number-chain > 255 {
			chain = f.Number
		}
		w.f(8, uint32(f.Number-chain))
	}
	return w.b
}

const offset = 60 // template ids wrap

func (f *Frame) indications(w *bitWriter) {
	for s := range f.Mode.Spatial {
		for t := range f.Mode.Temporal {
			w.f(2, uint32(f.indication(s, t)))
		}
	}
}

// structure writes one template per layer.
func (f *Frame) structure(w *bitWriter) {
	w.f(6, offset)
	w.f(5, uint32(f.targets()-1))
	for i := range f.targets() {
		switch {
		case i == f.targets()-1:
			w.f(2, 3)
		case i%f.Mode.Temporal == f.Mode.Temporal-1:
			w.f(2, 2)
		default:
			w.f(2, 1)
		}
	}
	for i := range f.targets() {
		steady := Frame{Mode: f.Mode, S: i / f.Mode.Temporal, T: i % f.Mode.Temporal}
		steady.indications(w)
	}
	for range f.targets() {
		w.flag(false)
	}
	w.ns(f.targets()+1, f.Mode.Spatial)
	for i := range f.targets() {
		w.ns(f.Mode.Spatial, i/f.Mode.Temporal)
	}
	for range f.targets() * f.Mode.Spatial {
		w.f(4, 0)
	}
	w.flag(true)
	for s := range f.Mode.Spatial {
		width, height := f.Size(s)
		w.f(16, uint32(width-1))
		w.f(16, uint32(height-1))
	}
}

// VP9 writes the payload descriptor of a packet of the frame, with a picture id
// of 15 bits and, in the first of a key picture, the sizes of the active layers.
func (f *Frame) VP9(first, last, flexible bool, active int) []byte {
	sizes := f.KeyPicture && f.S == 0 && first
	bit := func(on bool, mask byte) byte {
		if on {
			return mask
		}
		return 0
	}
	apart := f.Key && !f.KeyPicture && f.S < f.Mode.Spatial-1
	b := []byte{
		0x80 | bit(!f.KeyPicture, 0x40) | 0x20 | bit(flexible, 0x10) | bit(first, 8) | bit(last, 4) | bit(sizes, 2) | bit(apart, 1),
		0x80 | byte(f.Picture>>8), byte(f.Picture),
		byte(f.T)<<5 | bit(f.SwitchUp, 0x10) | byte(f.S)<<1 | bit(f.inter, 1),
	}
	if !flexible {
		b = append(b, byte(f.base))
	} else {
		for i, picture := range f.pictures {
			b = append(b, byte(f.Picture-picture)<<1|bit(i < len(f.pictures)-1, 1))
		}
	}
	if sizes {
		b = append(b, byte(active-1)<<5|0x10)
		for s := range active {
			width, height := f.Size(s)
			b = append(b, byte(width>>8), byte(width), byte(height>>8), byte(height))
		}
	}
	return b
}

// bitWriter writes bits, highest first.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) f(n int, v uint32) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) flag(on bool) {
	if on {
		w.f(1, 1)
		return
	}
	w.f(1, 0)
}

func (w *bitWriter) ns(n, v int) {
	bits := 0
	for x := n; x != 0; x >>= 1 {
		bits++
	}
	m := 1<<bits - n
	if v < m {
		w.f(bits-1, uint32(v))
		return
	}
	w.f(bits, uint32(v+m))
}
