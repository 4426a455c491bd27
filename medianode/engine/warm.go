package engine

// ahead is for how many subscribers at a time warm reads. Twice as many do not
// fit what a processor can wait for at once.
const ahead = 4

// warm reads a word of each line of memory that forwarding to some subscribers
// will need. A room's state leaves the caches between two frames, and then
// forwarding waits for memory some twenty times a subscriber, once for each
// pointer that it follows; these reads do not wait for each other. The result
// says nothing.
func (c *Core) warm(next []*subscription) {
	var sum uint64
	for _, s := range next {
		sum += uint64(s.ssrc) + uint64(s.codec) + s.rtxSeq + s.entered + uint64(s.backlog.class)
	}
	for _, s := range next {
		p := s.peer
		sum += uint64(p.state) + uint64(p.transportSeq) + p.departures.Warm()
		if s.stream != nil {
			sum += s.stream.Warm() + s.sender.Warm() + s.bytes.Warm() + s.sent.Warm()
		}
		if p.keys != nil {
			sum += p.keys.Warm()
		}
	}
	c.warmth = sum
}
