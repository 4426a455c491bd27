package engine

import "time"

// distribute forwards packets of one frame of a layer to all who see it, and to
// the cores in which others do.
func (c *Core) distribute(now time.Time, l *layer, frame []packet, batch *Batch) {
	for _, s := range l.track.subscriptions {
		for i := range frame {
			c.forward(now, s, l, &frame[i], frame[i].key, batch)
		}
	}
	c.handOver(l, frame)
}
