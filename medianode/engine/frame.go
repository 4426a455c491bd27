package engine

import (
	"slices"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/codec"
)

// MaxFrameHold bounds Config.FrameHold.
const MaxFrameHold = 3 * time.Millisecond

const (
	// maxHeld is how many packets of one frame wait for each other: what the
	// kernel takes in one segmented message.
	maxHeld = 64
	// maxPadding is how many bytes a packet may be padded by so that a frame
	// leaves in one segmented message. Encoders split a frame into nearly equal
	// packets; more is cheaper to send as a message of its own.
	maxPadding = 16
)

// gather takes one packet of a layer on its way out. The packets of a video
// frame wait for each other, so that each subscriber gets them in one message:
// until the marker, the next frame, maxHeld packets, or Config.FrameHold. Audio
// and repairs never wait. k's payload need not outlive the call if it is in the
// ring.
func (c *Core) gather(now time.Time, l *layer, k packet, batch *Batch) {
	if len(l.held) > 0 && l.held[0].timestamp != k.timestamp {
		c.releaseFrame(now, l, batch)
	}
	alone := !l.codec.Video() || k.repaired || k.marker && len(l.held) == 0
	if !alone {
		kept, ok := l.ring.Get(now, k.seq)
		if ok { // what is young is not overwritten in the ring
			k.payload = kept.Payload
			if k.dependency != nil { // the ring's is empty if there is none, not nil
				k.dependency = kept.Descriptor
			}
		}
		alone = !ok
	}
	if alone {
		c.single[0] = k
		c.distribute(now, l, c.single[:], batch)
		c.single[0] = packet{}
		return
	}
	if len(l.held) == 0 {
		l.heldUntil = now.Add(c.cfg.FrameHold)
		c.holding = append(c.holding, l)
	}
	l.held = append(l.held, k)
	if k.marker || len(l.held) == maxHeld {
		c.releaseFrame(now, l, batch)
	}
}

// releaseFrame forwards what a layer holds.
func (c *Core) releaseFrame(now time.Time, l *layer, batch *Batch) {
	c.distribute(now, l, l.held, batch)
	c.dropFrame(l)
}

// dropFrame forgets what a layer holds.
func (c *Core) dropFrame(l *layer) {
	if len(l.held) == 0 {
		return
	}
	clear(l.held)
	l.held = l.held[:0]
	c.holding = slices.DeleteFunc(c.holding, func(o *layer) bool { return o == l })
}

// releaseFrames forwards the frames that have waited long enough.
func (c *Core) releaseFrames(now time.Time, batch *Batch) {
	for len(c.holding) > 0 && !c.holding[0].heldUntil.After(now) {
		c.releaseFrame(now, c.holding[0], batch)
	}
}

// distribute forwards packets of one frame, a subscriber after the other: what
// goes to one of them lies together in the batch. Other cores have theirs.
func (c *Core) distribute(now time.Time, l *layer, frame []packet, batch *Batch) {
	c.readLayers(l, frame)
	if len(frame) > 1 && !c.cfg.NoPadding {
		equalise(frame)
	}
	c.handOver(l, frame)
	before := c.counters.Forwarded
	for n, s := range l.track.subscriptions {
		if n%ahead == 0 {
			c.warm(l.track.subscriptions[n:min(n+ahead, len(l.track.subscriptions))])
		}
		for i := range frame {
			c.forward(now, s, l, &frame[i], batch)
		}
		batch.relieve()
	}
	if c.counters.Forwarded > before {
		for i := range frame {
			batch.forwarded(frame[i].arrived)
		}
	}
}

// equalise sets the padding of a frame's packets: in a segmented message all
// but the last, which may be shorter, have one size. Packets that differ by
// more than maxPadding begin another message.
func equalise(frame []packet) {
	for len(frame) > 0 {
		n, size := equalRun(frame)
		for i := range frame[:n-1] {
			frame[i].padding = uint8(size - frame[i].size())
		}
		frame[n-1].padding = 0
		frame = frame[n:]
	}
}

// equalRun returns how many of the first packets can be made to fit one
// message, and their size.
func equalRun(frame []packet) (n, size int) {
	least, most := frame[0].size(), frame[0].size()
	for n = 1; n < len(frame); n++ {
		next := frame[n].size()
		if max(most, next)-least > maxPadding {
			break // longer than what the others can be padded to
		}
		most = max(most, next)
		if most-next > maxPadding {
			return n + 1, most // too short to be padded: it is the last
		}
		least = min(least, next)
	}
	return n, most
}

// size is what the packet adds to the length of a datagram, bytes.
func (k *packet) size() int {
	if k.codec == codec.AV1 {
		return len(k.payload) + len(k.dependency)
	}
	return len(k.payload)
}
