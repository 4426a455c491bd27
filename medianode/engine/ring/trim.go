package ring

import (
	"cmp"
	"slices"
	"time"
)

// patience is how many calls of Trim in a row must find the ring too large.
const patience = 5

// Trim gives memory back that the packets of the last age have not needed for
// some calls: an arena or slots of which they use less than a quarter are
// halved until they use more, and a ring without packets has none. Call it about
// once a second.
func (r *Ring) Trim(now time.Time) {
	if r.slots == nil {
		return
	}
	at := now.Sub(r.epoch)
	young, bytes := r.youngest(at)
	if len(young) == 0 {
		if r.roomy++; r.roomy >= patience { // as new, until the next packet
			r.forget(at)
			r.slots, r.arena, r.roomy = nil, nil, 0
			r.head, r.lap, r.written = 0, 1, [blocks]time.Duration{}
		}
		return
	}
	low, high := young[0].seq, young[0].seq
	for i := range young {
		low, high = min(low, young[i].seq), max(high, young[i].seq)
	}
	span := int(high-low) + 1
	slots := fitting(len(r.slots), min(firstPackets, r.cfg.Packets), span)
	arena := fitting(len(r.arena), min(firstBytes, r.cfg.Bytes), bytes)
	if slots == len(r.slots) && arena == len(r.arena) {
		r.roomy = 0
		return
	}
	if r.roomy++; r.roomy < patience {
		return
	}
	r.roomy = 0
	r.forget(at)
	r.move(young, slots, arena)
}

// youngest returns the packets that can still be asked for, in the order in
// which they were put, and the sum of their bytes.
func (r *Ring) youngest(at time.Duration) (young []slot, bytes int) {
	for i := range r.slots {
		if s := &r.slots[i]; r.holds(s, at) {
			young = append(young, *s)
			bytes += int(s.size)
		}
	}
	slices.SortFunc(young, func(a, b slot) int { return cmp.Or(cmp.Compare(a.lap, b.lap), cmp.Compare(a.off, b.off)) })
	return young, bytes
}

// fitting halves a size that is more than four times what is used.
func fitting(size, least, used int) int {
	for size/2 >= least && size/4 >= used {
		size /= 2
	}
	return size
}

// move copies packets into a new ring of the sizes given, which they fit.
func (r *Ring) move(packets []slot, slots, arena int) {
	old := r.arena
	r.slots, r.arena = make([]slot, slots), make([]byte, arena)
	r.head, r.lap, r.written = 0, 1, [blocks]time.Duration{}
	for _, s := range packets {
		n := copy(r.arena[r.head:], old[s.off:s.off+s.size])
		s.off, s.lap = uint32(r.head), r.lap
		r.head += n
		r.slots[s.seq&uint64(slots-1)] = s
		r.stamp(s.at, int(s.off), int(s.size))
	}
}

// Size is the memory that the ring has for packets and their places, in bytes.
func (r *Ring) Size() int { return len(r.arena) + len(r.slots)*slotSize }
