package shape

import "time"

// flight holds packets by the time at which they leave, those of one time in
// the order in which they came: a binary heap.
type flight struct {
	heap   []flying
	pushed uint64
}

type flying struct {
	at     time.Time
	order  uint64 // of coming into flight
	number uint64 // of arrival
	bytes  []byte
}

func (f flying) before(g flying) bool {
	if f.at.Equal(g.at) {
		return f.order < g.order
	}
	return f.at.Before(g.at)
}

func (f *flight) next() (at time.Time, ok bool) {
	if len(f.heap) == 0 {
		return time.Time{}, false
	}
	return f.heap[0].at, true
}

func (f *flight) push(at time.Time, number uint64, bytes []byte) {
	f.pushed++
	f.heap = append(f.heap, flying{at, f.pushed, number, bytes})
	h := f.heap
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (f *flight) pop() flying {
	first, last := f.heap[0], len(f.heap)-1
	f.heap[0], f.heap[last] = f.heap[last], flying{}
	f.heap = f.heap[:last]
	h := f.heap
	for i := 0; ; {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < last && h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
