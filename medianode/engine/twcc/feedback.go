package twcc

import (
	"encoding/binary"
	"math"
)

const (
	// maxArrivals in one packet keeps it below 1200 bytes: an arrival after a
	// gap takes at most two chunks and two bytes of delta.
	maxArrivals = 128
	// maxGap is the longest run of missing numbers that is reported. Nothing
	// is said about the numbers of a longer jump: the sender began anew.
	maxGap = 4096

	maxRun = 1<<13 - 1
)

// Symbols of a packet status (draft section 3.1.1).
const (
	missing = 0
	small   = 1
	large   = 2
)

// Feedback appends one RTCP packet with the oldest arrivals that were not
// reported yet, or nothing if there are none. Call it until Pending is 0.
func (r *Recorder) Feedback(dst []byte, senderSSRC, mediaSSRC uint32) []byte {
	if len(r.pending) == 0 {
		return dst
	}
	base, n := r.extent()
	batch := r.pending[:n]
	last := batch[n-1].seq
	// Arithmetic shift: the reference is never after the first arrival.
	referenceTime := batch[0].at >> 8

	start := len(dst)
	dst = append(dst, 2<<6|15, 205, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, senderSSRC)
	dst = binary.BigEndian.AppendUint32(dst, mediaSSRC)
	dst = binary.BigEndian.AppendUint16(dst, uint16(base))
	dst = binary.BigEndian.AppendUint16(dst, uint16(last-base+1))
	dst = binary.BigEndian.AppendUint32(dst, uint32(referenceTime)<<8|uint32(r.count))
	dst = appendChunks(dst, batch, base, referenceTime*int64(reference))
	dst = appendDeltas(dst, batch, referenceTime*int64(reference))
	if pad := -(len(dst) - start) & 3; pad > 0 {
		dst[start] |= 0x20
		dst = append(dst, make([]byte, pad)...)
		dst[len(dst)-1] = byte(pad)
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16((len(dst)-start)/4-1))

	r.count++
	r.reported = max(r.reported, last)
	r.pending = r.pending[:copy(r.pending, r.pending[n:])]
	return dst
}

// extent chooses the base number and how many pending arrivals the next packet
// covers. Late arrivals get packets of their own without gaps, since what lies
// between them was reported before.
func (r *Recorder) extent() (base uint64, n int) {
	first := r.pending[0]
	base = first.seq
	if first.seq > r.reported && first.seq-r.reported <= maxGap {
		base = r.reported + 1
	}
	for n = 1; n < len(r.pending) && n < maxArrivals; n++ {
		before, a := r.pending[n-1], r.pending[n]
		gap, step := a.seq-before.seq-1, a.at-before.at
		late := before.seq <= r.reported
		if late && (gap > 0 || a.seq > r.reported) || gap > maxGap {
			break
		}
		if step < math.MinInt16 || step > math.MaxInt16 {
			break
		}
	}
	return base, n
}

func appendDeltas(dst []byte, batch []arrival, before int64) []byte {
	for _, a := range batch {
		step := a.at - before
		before = a.at
		if symbol(step) == small {
			dst = append(dst, byte(step))
		} else {
			dst = binary.BigEndian.AppendUint16(dst, uint16(int16(step)))
		}
	}
	return dst
}

func symbol(step int64) uint8 {
	if step >= 0 && step <= math.MaxUint8 {
		return small
	}
	return large
}

func appendChunks(dst []byte, batch []arrival, base uint64, before int64) []byte {
	var c chunk
	next := base
	for _, a := range batch {
		for ; next < a.seq; next++ {
			dst = c.add(dst, missing)
		}
		dst = c.add(dst, symbol(a.at-before))
		before = a.at
		next++
	}
	return c.finish(dst)
}

// chunk gathers statuses until they no longer fit one chunk: a run of equal
// ones, 14 of one bit, or 7 of two bits.
type chunk struct {
	symbols [14]uint8
	size    int
	mixed   bool
	large   bool
}

func (c *chunk) add(dst []byte, s uint8) []byte {
	for !c.fits(s) {
		dst = c.emit(dst)
	}
	if c.size < len(c.symbols) {
		c.symbols[c.size] = s
	}
	c.size++
	c.mixed = c.mixed || s != c.symbols[0]
	c.large = c.large || s == large
	return dst
}

func (c *chunk) fits(s uint8) bool {
	switch {
	case c.size < 7:
		return true
	case !c.mixed && s == c.symbols[0]:
		return c.size < maxRun
	default:
		return c.size < len(c.symbols) && !c.large && s != large
	}
}

// emit writes one chunk and keeps the statuses that it did not hold.
func (c *chunk) emit(dst []byte) []byte {
	switch {
	case !c.mixed:
		dst = binary.BigEndian.AppendUint16(dst, uint16(c.symbols[0])<<13|uint16(c.size))
		*c = chunk{}
	case c.size == len(c.symbols):
		dst = c.oneBit(dst)
		*c = chunk{}
	default:
		rest := *c
		dst = c.twoBit(dst)
		*c = chunk{}
		for i := 7; i < rest.size; i++ {
			dst = c.add(dst, rest.symbols[i])
		}
	}
	return dst
}

// finish writes what is left. Statuses past the count are 0 and mean nothing.
func (c *chunk) finish(dst []byte) []byte {
	switch {
	case c.size == 0:
		return dst
	case !c.mixed:
		return c.emit(dst)
	case c.size <= 7:
		return c.twoBit(dst)
	default:
		return c.oneBit(dst)
	}
}

func (c *chunk) oneBit(dst []byte) []byte {
	v := uint16(0x8000)
	for i := range min(c.size, 14) {
		v |= uint16(c.symbols[i]) << (13 - i)
	}
	return binary.BigEndian.AppendUint16(dst, v)
}

func (c *chunk) twoBit(dst []byte) []byte {
	v := uint16(0xc000)
	for i := range min(c.size, 7) {
		v |= uint16(c.symbols[i]) << (12 - 2*i)
	}
	return binary.BigEndian.AppendUint16(dst, v)
}
