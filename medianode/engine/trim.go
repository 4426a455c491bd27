package engine

// spare is how many buffers an idle batch keeps.
const spare = 32

// note remembers how much of the batch was in use.
func (b *Batch) note() { b.peak = max(b.peak, b.used) }

// trim gives back the memory that nobody has needed since trim was called the
// time before the last. The datagrams in the batch stay.
func (b *Batch) trim() {
	b.note()
	keep := max(b.peak, b.peakBefore, spare)
	b.peak, b.peakBefore = 0, b.peak
	if len(b.slots) <= 2*keep {
		return
	}
	b.slots = append(make([][]byte, 0, keep), b.slots[:keep]...)
	if cap(b.datagrams) > 2*keep {
		b.datagrams = append(make([]Datagram, 0, keep), b.datagrams...)
	}
	if cap(b.arrivals) > 2*keep {
		b.arrivals = append(b.arrivals[:0:0], b.arrivals...)
	}
}
