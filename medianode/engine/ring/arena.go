package ring

import "time"

// reserve returns the offset of n free bytes in the arena and moves the head
// behind them. At the end of a round it starts the next. It doubles the arena
// if a packet that is still young would be overwritten.
func (r *Ring) reserve(at time.Duration, n int) int {
	for {
		if n > len(r.arena) {
			r.growArena()
			continue
		}
		if r.head+n > len(r.arena) {
			r.head = 0
			r.lap++
		}
		if len(r.arena) == r.cfg.Bytes || !r.young(at, n) {
			break
		}
		r.growArena()
	}
	off := r.head
	r.head += n
	r.stamp(at, off, n)
	return off
}

// young reports whether the next n bytes enter a block that was written within
// the age. The block that the head is in was looked at when it was entered.
func (r *Ring) young(at time.Duration, n int) bool {
	size := r.blockSize()
	for b := (r.head + size - 1) / size; b*size < r.head+n; b++ {
		if w := r.written[b]; w > 0 && at-(w-1) <= r.cfg.Age {
			return true
		}
	}
	return false
}

// stamp notes that n bytes from off were written at a time.
func (r *Ring) stamp(at time.Duration, off, n int) {
	size := r.blockSize()
	for b := off / size; b*size < off+n; b++ {
		r.written[b] = max(r.written[b], at+1)
	}
}

func (r *Ring) blockSize() int { return (len(r.arena) + blocks - 1) / blocks }

// growArena doubles the arena: first what is left of the round before, then
// this round, as if all were of one round.
func (r *Ring) growArena() {
	arena := make([]byte, min(2*len(r.arena), r.cfg.Bytes))
	older := 0
	if r.lap > 1 {
		older = copy(arena, r.arena[r.head:])
	}
	copy(arena[older:], r.arena[:r.head])
	for i := range r.slots {
		switch s := &r.slots[i]; {
		case s.lap == r.lap:
			s.off += uint32(older)
		case s.lap > 0 && s.lap+1 == r.lap && int(s.off) >= r.head:
			s.off -= uint32(r.head)
			s.lap = r.lap
		default:
			s.lap = 0
		}
	}
	r.arena = arena
	r.head += older
	r.written = [blocks]time.Duration{}
	for i := range r.slots {
		if s := &r.slots[i]; s.lap > 0 {
			r.stamp(s.at, int(s.off), int(s.size))
		}
	}
}
