package score

import (
	"cmp"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// remember adds an epoch's reports to what is carried of a node (spec K11). news
// is in order of Orchestrators.
func (e *entry) remember(news []Sessions, r Rules) {
	keep := uint64(r.Window)
	for i := range e.reports {
		old := &e.reports[i]
		old.count, old.bytes = old.count*(keep-1)/keep, mulDiv(old.bytes, keep-1, keep)
	}
	for _, s := range news {
		if s.Count == 0 || s.Bytes == 0 {
			continue // nobody paid for it
		}
		i, ok := slices.BinarySearchFunc(e.reports, s.Orchestrator, func(p report, id drtc.NodeID) int { return compareIDs(p.orchestrator, id) })
		if !ok {
			e.reports = slices.Insert(e.reports, i, report{orchestrator: s.Orchestrator})
		}
		p := &e.reports[i]
		fresh := min(s.Bytes, maxCarried)
		all := p.bytes + fresh
		p.quality = econ.Wad(mulDiv(uint64(p.quality), p.bytes, all) + mulDiv(uint64(s.Quality), fresh, all))
		p.count, p.bytes = min(p.count+uint64(s.Count), maxCarried/2), min(all, maxCarried)
	}
	e.reports = slices.DeleteFunc(e.reports, func(p report) bool { return p.count == 0 || p.bytes == 0 })
	for len(e.reports) > int(r.MaxReporters) {
		least := 0
		for i, p := range e.reports {
			if p.bytes < e.reports[least].bytes {
				least = i
			}
		}
		e.reports = slices.Delete(e.reports, least, least+1)
	}
}

// lenience is what each Orchestrator's reports are raised by (spec K12): how far
// the sessions that it has are usually below the tests of the same nodes. Its
// clients' own networks are in all of them; what is the node's fault is in some.
func lenience(entries []entry, quality []econ.Wad, r Rules) map[drtc.NodeID]econ.Wad {
	gaps := map[drtc.NodeID][]int64{}
	for i, e := range entries {
		for _, p := range e.reports {
			gaps[p.orchestrator] = append(gaps[p.orchestrator], int64(quality[i])-int64(p.quality))
		}
	}
	raise := map[drtc.NodeID]econ.Wad{}
	for id, g := range gaps {
		if len(g) < int(r.Calibrate) {
			continue
		}
		slices.Sort(g)
		raise[id] = econ.Wad(max(0, g[(len(g)-1)/2]))
	}
	return raise
}

// witness is the most that V may be by what sessions show (spec K13); ok is false
// when too few speak. The reports that are no better than it are of
// MinOrchestrators at least and have SessionShare of the bytes that were paid for,
// so to lower a stranger's V takes several Orchestrators and a good part of what
// all others paid there, and to hide bad sessions takes the rest.
func (e *entry) witness(raise map[drtc.NodeID]econ.Wad, r Rules) (most econ.Wad, ok bool) {
	list := make([]report, len(e.reports))
	var count, bytes uint64
	for i, p := range e.reports {
		p.quality = min(econ.One, p.quality+raise[p.orchestrator])
		list[i] = p
		count += p.count
		bytes += p.bytes / 64 // of 64 at most: no overflow
	}
	if count < uint64(r.MinSessions) || len(list) < int(r.MinOrchestrators) {
		return 0, false
	}
	slices.SortFunc(list, func(a, b report) int {
		return cmp.Or(cmp.Compare(a.quality, b.quality), compareIDs(a.orchestrator, b.orchestrator))
	})
	share := mulDiv(bytes, uint64(r.SessionShare), uint64(econ.Whole))
	var sum uint64
	for i, p := range list {
		if sum += p.bytes / 64; i+1 >= int(r.MinOrchestrators) && sum >= share {
			return min(econ.One, p.quality+r.SessionMargin), true
		}
	}
	return econ.One, true
}
