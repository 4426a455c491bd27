package challenge

import (
	"fmt"
	"slices"

	"github.com/drtc-network/drtc/qos"
)

// Resource is something that a node advertises.
type Resource uint8

// The resources that a test polices (whitepaper 4.3.8).
const (
	Bandwidth Resource = iota + 1 // kbit/s: the order's rate against what came
	Latency                       // microseconds: the budget of the declared places against the median
	CPU                           // thousandths of a core: the node's cores against what its capacity would take
)

// String is the name of the resource.
func (r Resource) String() string {
	switch r {
	case Bandwidth:
		return "bandwidth"
	case Latency:
		return "latency"
	case CPU:
		return "cpu"
	}
	return fmt.Sprintf("resource %d", uint8(r))
}

// Finding is one resource of the Prover, as advertised and as measured (spec Q21).
type Finding struct {
	Resource             Resource
	Advertised, Measured uint64
	Holds                bool
}

// findings are those of a test that counts. CPU is there when the Prover reported
// it and its record says how many cores it has.
func findings(o *Order, prover *Report, series []qos.Sample, target Target) []Finding {
	var sum float64
	trips := make([]float64, len(series))
	for i, s := range series {
		sum += s.BitrateKbps
		trips[i] = s.RTTMs
	}
	slices.Sort(trips)
	received := uint64(sum / float64(len(series)))
	trip, budget := uint64(float64(trips[(len(trips)-1)/2]*1000)+0.5), uint64(target.RTTBudget.Microseconds())
	found := []Finding{
		{Bandwidth, uint64(o.RateKbps), received, received*20 >= uint64(o.RateKbps)*19},
		{Latency, budget, trip, trip <= budget},
	}
	if prover == nil || prover.CPUMillis == 0 || prover.Advertised.Cores == 0 {
		return found
	}
	a := prover.Advertised
	busy := uint64(a.LoadMbps)*1000 + o.share(Prover) // kbit/s
	needed := uint64(prover.CPUMillis) * uint64(a.CapacityMbps) * 1000 / busy
	cores := uint64(a.Cores) * 1000
	return append(found, Finding{CPU, cores, needed, needed <= cores})
}
