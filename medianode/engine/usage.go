package engine

import (
	"maps"

	"github.com/drtc-network/drtc/medianode/engine/meter"
)

// maxEnded is of how many applications a core remembers what peers counted that
// are gone, until TakeUsage.
const maxEnded = 1024

// settle keeps what a peer counted that goes away.
func (c *Core) settle(p *peer) {
	p.takeUsage(c.end)
}

// end keeps what was counted for an application.
func (c *Core) end(application string, counted meter.Counters) {
	if _, known := c.ended[application]; !known && len(c.ended) >= maxEnded {
		application = meter.Other
	}
	sum := c.ended[application]
	sum.Add(counted)
	c.ended[application] = sum
}

// TakeUsage hands over what peers counted since the call before, by application:
// what is taken is in no later call, and nothing is left out.
func (c *Core) TakeUsage(add func(application string, counted meter.Counters)) {
	for _, p := range c.order {
		p.takeUsage(add)
	}
	for application, counted := range maps.All(c.ended) {
		if counted != (meter.Counters{}) {
			add(application, counted)
		}
	}
	clear(c.ended)
}
