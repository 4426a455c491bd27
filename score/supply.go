package score

import (
	"slices"

	"github.com/drtc-network/drtc/econ"
)

// supply adds what applications paid for in the epoch to the running sums (spec
// K18). An application's bytes at one node count to a percentile of all such, and
// old bytes fade: rank that was bought must be bought again.
func supply(entries []entry, supplies []Supply, r Rules) {
	var pairs []uint64
	for _, s := range supplies {
		if s.Bytes > 0 {
			pairs = append(pairs, s.Bytes)
		}
	}
	most := min(econ.Percentile(pairs, int(r.SupplyPercentile)), maxCarried)
	if r.SupplyDecay > 0 {
		for i := range entries {
			entries[i].supplied -= entries[i].supplied / uint64(r.SupplyDecay)
		}
	}
	for _, s := range supplies {
		i, _ := Book{entries: entries}.find(s.Node)
		entries[i].supplied = min(maxCarried, entries[i].supplied+min(s.Bytes, most))
	}
}

// histories ranks the nodes that count by bytes supplied (spec K18); the others
// stand at the floor.
func histories(entries []entry, counted []bool, r Rules) []econ.Wad {
	var supplied []econ.Bytes
	for i, e := range entries {
		if counted[i] {
			supplied = append(supplied, econ.NewWei(e.supplied))
		}
	}
	ranks, next := econ.Ranks(supplied), 0
	scores := make([]econ.Wad, len(entries))
	for i := range entries {
		if scores[i] = r.MinHistory; counted[i] {
			scores[i] = ranks[next].History(r.MinHistory)
			next++
		}
	}
	return scores
}

// attend adds an epoch's uptime where more than half of the Registries gave one:
// the lower median of each (spec K20). uptimes are of one node.
func (e *entry) attend(uptimes []Uptime, registries uint32) {
	if 2*uint64(len(uptimes)) <= uint64(registries) {
		return
	}
	up, life := make([]uint32, len(uptimes)), make([]uint32, len(uptimes))
	for i, u := range uptimes {
		up[i], life[i] = u.Up, u.Life
	}
	slices.Sort(up)
	slices.Sort(life)
	middle := (len(uptimes) - 1) / 2
	e.life = min(maxCarried, e.life+uint64(life[middle]))
	e.up = min(e.life, e.up+uint64(min(up[middle], life[middle])))
}
