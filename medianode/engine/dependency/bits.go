package dependency

// bits reads a descriptor bit by bit. After the end it reads zeros and says so.
type bits struct {
	b    []byte
	at   int // in bits
	over bool
}

// f reads an unsigned number of n bits, at most 16.
func (r *bits) f(n int) uint32 {
	if r.at+n > 8*len(r.b) {
		r.at, r.over = 8*len(r.b), true
		return 0
	}
	var v uint32
	for n > 0 {
		free := 8 - r.at%8
		take := min(n, free)
		chunk := r.b[r.at/8] >> (free - take) & (1<<take - 1)
		v = v<<take | uint32(chunk)
		r.at += take
		n -= take
	}
	return v
}

// flag reads one bit.
func (r *bits) flag() bool { return r.f(1) == 1 }

// ns reads a number below n in as few bits as possible (section A.8.2).
func (r *bits) ns(n uint32) uint32 {
	w := 0
	for x := n; x != 0; x >>= 1 {
		w++
	}
	if w == 0 {
		return 0
	}
	m := uint32(1)<<w - n
	v := r.f(w - 1)
	if v < m {
		return v
	}
	return v<<1 - m + r.f(1)
}

// writer appends bits to dst. It starts at a whole byte.
type writer struct {
	dst  []byte
	free int // bits in the last byte
}

// f writes the low n bits of v, at most 32.
func (w *writer) f(n int, v uint32) {
	for n > 0 {
		if w.free == 0 {
			w.dst = append(w.dst, 0)
			w.free = 8
		}
		take := min(n, w.free)
		chunk := byte(v>>(n-take)) & (1<<take - 1)
		w.dst[len(w.dst)-1] |= chunk << (w.free - take)
		w.free -= take
		n -= take
	}
}

// copy writes the bits of r up to an end.
func (w *writer) copy(r *bits, end int) {
	for r.at < end {
		n := min(end-r.at, 16)
		w.f(n, r.f(n))
	}
}
