package sequence

// Unwrapper extends 16-bit sequence numbers to 64 bits. The zero value is ready
// to use.
type Unwrapper struct {
	highest uint64
	started bool
}

// Unwrap returns the extended number nearest to the highest so far. The first
// is put at 2^16 or above, so that packets that were sent before it and arrive
// after it stay positive.
func (u *Unwrapper) Unwrap(seq uint16) uint64 {
	if !u.started {
		u.started = true
		u.highest = 1<<16 + uint64(seq)
		return u.highest
	}
	extended := u.highest + uint64(int64(int16(seq-uint16(u.highest))))
	if extended > u.highest {
		u.highest = extended
	}
	return extended
}

// Highest returns the highest extended number so far, 0 before the first.
func (u *Unwrapper) Highest() uint64 { return u.highest }
