package ring

import "time"

// maxKeyPackets bounds how far before the packet that counts as the start of a
// key frame another start of the same frame is looked for.
const maxKeyPackets = 16

// Group returns the group of pictures that the ring holds: the numbers of the
// first packet of the last key frame and of the newest packet, and the sum of
// their payloads in bytes. ok is false if any packet between them is missing or
// too old.
func (r *Ring) Group(now time.Time) (first, last uint64, bytes int, ok bool) {
	first, ok = r.KeyFrame(now)
	if !ok {
		return 0, 0, 0, false
	}
	// A parameter set may have been overtaken by the picture that it is for.
	for n := first - 1; n+maxKeyPackets > r.keySeq; n-- {
		p, held := r.Get(now, n)
		if !held || p.Timestamp != r.keyStamp {
			break
		}
		if p.KeyFrame {
			first = n
		}
	}
	last = r.highest
	for n := first; n <= last; n++ {
		p, held := r.Get(now, n)
		if !held {
			return 0, 0, 0, false
		}
		bytes += len(p.Payload)
	}
	return first, last, bytes, true
}
