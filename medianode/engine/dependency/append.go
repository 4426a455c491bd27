package dependency

import (
	"encoding/binary"
	mathbits "math/bits"
)

// MaxBytes is the longest descriptor: what an element of the two-byte form
// holds (RFC 8285 section 4.3).
const MaxBytes = 255

// Targets is the set of decode targets that a receiver gets, as it is written
// into a descriptor: a bit for each, under one more that tells how many there
// are. Zero stands for "as the sender said".
type Targets uint32

// Mask makes a Targets of a bitmask of count targets. An empty mask, and one
// that is too long to have a bit above it, is none.
func Mask(mask uint32, count int) Targets {
	mask &= 1<<count - 1
	if mask == 0 || count >= MaxTargets {
		return 0
	}
	return Targets(mask | 1<<count)
}

// count is how many targets there are.
func (t Targets) count() int { return mathbits.Len32(uint32(t)) - 1 }

// Append appends a descriptor to dst with another frame number, and with
// targets as the active ones unless that is 0 (section A.4). A descriptor that
// cannot take the targets keeps its own.
func Append(dst, descriptor []byte, number uint16, targets Targets) []byte {
	start := len(dst)
	if targets != 0 {
		dst = appendActive(dst, descriptor, targets)
	}
	if len(dst) == start || len(dst)-start > MaxBytes {
		dst = append(dst[:start], descriptor...)
	}
	if Whole(descriptor) {
		binary.BigEndian.PutUint16(dst[start+numberAt:], number)
	}
	return dst
}

// appendActive appends the descriptor with a bitmask of its own. It appends
// nothing if the descriptor has another number of targets.
func appendActive(dst, descriptor []byte, targets Targets) []byte {
	if !Whole(descriptor) {
		return dst
	}
	r := bits{b: descriptor, at: 8 * mandatoryBytes}
	var flags uint32
	if len(descriptor) > mandatoryBytes {
		flags = r.f(flagBits)
	}
	const structure, active = 0x10, 0x08
	from := r.at
	if flags&structure != 0 {
		var s Structure
		if s.read(&r) != nil || s.Targets != targets.count() {
			return dst
		}
	}
	end := r.at
	w := writer{dst: append(dst, descriptor[:mandatoryBytes]...)}
	w.f(flagBits, flags|active)
	r.at = from
	w.copy(&r, end)
	w.f(targets.count(), uint32(targets))
	if flags&active != 0 {
		r.at = min(r.at+targets.count(), 8*len(descriptor))
	}
	w.copy(&r, 8*len(descriptor))
	return w.dst
}
