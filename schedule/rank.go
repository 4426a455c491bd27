package schedule

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Rank of a constraint on pairs: the lower is given up first (spec T20).
type Rank uint8

// The ranks.
const (
	// None: the pair breaks nothing.
	None Rank = iota
	// Repeat: both were tested together in the last Rules.RepeatEpochs epochs.
	Repeat
	// System: both are in one autonomous system.
	System
	// Network: both have an address in one /24 or /48.
	Network
	// Forbidden: one owner, one pool, or one node. Never given up.
	Forbidden
)

// String is the rank's word in records.
func (r Rank) String() string {
	return [...]string{"none", "repeat", "system", "network", "forbidden"}[min(r, Forbidden)]
}

// rank is the highest constraint that the pair breaks.
func (c *Course) rank(a, b int) Rank {
	r := c.apart(a, b)
	if r == None {
		if _, met := c.recent[pairKey(a, b)]; met {
			return Repeat
		}
	}
	return r
}

// apart is rank without Repeat: what the nodes are, not what they did.
func (c *Course) apart(a, b int) Rank {
	x, y := &c.agreed.Nodes[a], &c.agreed.Nodes[b]
	switch {
	case a == b, x.Owner == y.Owner && !x.Owner.IsZero(), x.Pool == y.Pool && x.Pool != [20]byte{}:
		return Forbidden
	case slices.ContainsFunc(c.nodes[a].networks, func(n uint64) bool { return slices.Contains(c.nodes[b].networks, n) }):
		return Network
	case x.AS == y.AS && x.AS != 0:
		return System
	}
	return None
}

// networks are the /24 of IPv4 and the /48 of IPv6 addresses, as numbers that
// differ: an IPv6 network has its lowest bit set above 48 bits, IPv4 has not.
func networks(addresses []netip.Addr) []uint64 {
	var nets []uint64
	for _, a := range addresses {
		var n uint64
		if a.Is4() {
			four := a.As4()
			n = uint64(binary.BigEndian.Uint32(four[:]) >> 8)
		} else {
			wide := a.As16()
			n = 1<<48 | binary.BigEndian.Uint64(wide[:8])>>16
		}
		if !slices.Contains(nets, n) {
			nets = append(nets, n)
		}
	}
	return nets
}
