package netsim

import (
	"math/rand/v2"
	"time"
)

// Node is one machine's program. All now are of the machine's own clock.
type Node[M any] interface {
	// Start is called once, before anything else.
	Start(now time.Time)
	// Receive hands over a message.
	Receive(now time.Time, from int, m M)
	// Timeout is the wake-up asked for with Port.After and this tag.
	Timeout(now time.Time, tag int)
}

// Port is what a Node acts through. A Port of a crashed life does nothing.
type Port[M any] struct {
	net    *Network[M]
	id     int
	life   int
	random *rand.Rand
}

// ID is the node's number, counted from 0 in the order of Add.
func (p *Port[M]) ID() int { return p.id }

// Now is the machine's clock.
func (p *Port[M]) Now() time.Time { return p.net.clock(p.id) }

// Rand is this machine's own source of randomness.
func (p *Port[M]) Rand() *rand.Rand { return p.random }

// Send sends a datagram; to itself it is delivered without a link. The caller no
// longer changes m: a message is handed over, not copied.
func (p *Port[M]) Send(to int, m M) {
	if p.alive() {
		p.net.send(p.id, to, m)
	}
}

// SendReliable sends a frame of a stream: in order, once, later where the link
// loses it. When a partition, a crash or a link
// that loses everything swallows one, later ones still arrive; a
// receiver that numbers its frames sees the gap where a real stream is reset.
func (p *Port[M]) SendReliable(to int, m M) {
	if p.alive() {
		p.net.sendReliable(p.id, to, m)
	}
}

// After asks for a Timeout with tag when d of true time has passed. It cannot be
// taken back; a node ignores what it no longer waits for.
func (p *Port[M]) After(d time.Duration, tag int) {
	if p.alive() {
		p.net.push(event[M]{at: p.net.now + max(0, d), kind: Woken, to: p.id, life: p.life, tag: tag})
	}
}

// Save makes disk what Saved returns after a crash. It is handed over: a node
// that goes on changing what it saved has a disk that loses nothing.
func (p *Port[M]) Save(disk any) {
	if p.alive() {
		p.net.machines[p.id].disk = disk
	}
}

// Saved is what the last Save of this machine left, nil if there was none.
func (p *Port[M]) Saved() any { return p.net.machines[p.id].disk }

func (p *Port[M]) alive() bool {
	m := p.net.machines[p.id]
	return m.up && m.life == p.life
}
