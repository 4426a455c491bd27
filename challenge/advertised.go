package challenge

import (
	"encoding/binary"

	"github.com/drtc-network/drtc/econ"
)

// Advertised is what a node's own record says of its means, in the version that
// was its newest. Whoever holds that record can tell whether it is true.
type Advertised struct {
	Generation, Seq uint64 // version of the record
	CapacityMbps    uint32 // in each direction
	LoadMbps        uint32 // sent for paying sessions
	Cores           uint32 // 0 is not said
	Draining        bool
}

const advertisedSize = 8 + 8 + 4 + 4 + 4 + 1

func (a Advertised) bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, advertisedSize), a.Generation)
	b = binary.BigEndian.AppendUint64(b, a.Seq)
	for _, v := range []uint32{a.CapacityMbps, a.LoadMbps, a.Cores} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return appendFlag(b, a.Draining)
}

func (r *reader) advertised() Advertised {
	return Advertised{
		Generation: r.u64(), Seq: r.u64(),
		CapacityMbps: r.u32(), LoadMbps: r.u32(), Cores: r.u32(), Draining: r.flag(),
	}
}

// Hurts reports whether a test would take from paying sessions (spec Q13). A
// Prover sends to each of the order's Challengers, a Challenger receives once.
func (a Advertised) Hurts(o *Order, side Side, rules Rules) bool {
	if a.Draining {
		return true
	}
	capacity, load := uint64(a.CapacityMbps)*1000, uint64(a.LoadMbps)*1000 // kbit/s, below 2^42
	whole := uint64(econ.Whole)
	if o.Kind == Capacity && side == Prover {
		return load*whole > capacity*uint64(rules.Idle)
	}
	return (load+o.share(side))*whole > capacity*uint64(rules.Headroom)
}

// share is what a test takes of a side, kbit/s.
func (o *Order) share(side Side) uint64 {
	if side == Prover {
		return uint64(o.RateKbps) * uint64(len(o.Challengers))
	}
	return uint64(o.RateKbps)
}
