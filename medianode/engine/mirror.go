package engine

import (
	"net/netip"
	"time"
)

// Outbound is what has collected for another core since the last TakeOutbound,
// nil or empty for nothing.
func (c *Core) Outbound(to CoreID) *Parcel { return nil }

// TakeOutbound returns what has collected for another core, nil for nothing,
// and goes on collecting in the parcel given, which must be empty.
func (c *Core) TakeOutbound(to CoreID, empty *Parcel) *Parcel { return nil }

// HandleParcel takes what another core collected for this one, and keeps
// nothing of its memory.
func (c *Core) HandleParcel(now time.Time, from CoreID, p *Parcel, batch *Batch) {}

// Knows reports whether a peer of this core sent something authentic from the
// address, and was not forgotten there since.
func (c *Core) Knows(from netip.AddrPort) bool { return c.byAddr[from] != nil }
