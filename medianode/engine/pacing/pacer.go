package pacing

import "time"

// Class is why a packet is sent, the most urgent first.
type Class uint8

// The classes.
const (
	Audio          Class = iota
	Video                // as it comes from the publisher
	Retransmission       // asked for by a NACK
	Replay               // what a viewer that has just come missed of the picture
	Probe                // sent to find out how much the way carries
)

// Pacer decides when packets of one peer leave.
type Pacer interface {
	// Take reports whether a packet of so many bytes of payload may leave now.
	// If it says yes, the packet leaves.
	Take(now time.Time, class Class, bytes int) bool
	// Next is when Take may say yes to a class again, after it said no.
	Next(now time.Time, class Class) time.Time
}

const (
	// replayBurst packets of a replay leave at once.
	replayBurst = 16
	// replayInterval is after which as many more may leave.
	replayInterval = 10 * time.Millisecond
)

// PassThrough lets everything leave at once except replays, which leave in
// bursts of 16 packets every 10 ms: about 15 Mbit/s. Use NewPassThrough.
type PassThrough struct{ replay Bucket }

// NewPassThrough returns a pacer whose first burst is due.
func NewPassThrough() *PassThrough {
	return &PassThrough{replay: Bucket{Burst: replayBurst, Interval: replayInterval}}
}

// Take implements Pacer.
func (p *PassThrough) Take(now time.Time, class Class, _ int) bool {
	return class != Replay || p.replay.Take(now, 1)
}

// Next implements Pacer.
func (p *PassThrough) Next(now time.Time, class Class) time.Time {
	if class != Replay {
		return now
	}
	return p.replay.Next(now)
}
