package score

import (
	"cmp"
	"slices"

	"github.com/drtc-network/drtc/econ"
)

// full is the weight of a challenger whose word counts whole. Nobody's is below 1.
const full uint32 = 1 << 16

// credibilityOf is a weight as a score, exactly.
func credibilityOf(weight uint32) econ.Wad { return econ.Wad(weight) * (econ.One / econ.Wad(full)) }

// nano is the unit of distances between scores, as a wad.
const nano econ.Wad = 1e9

// vote is what one challenger found.
type vote struct {
	challenger int32 // its number
	value      econ.Wad
}

// panel is the results of the window: a ballot for each prover.
type panel struct {
	rules       Rules
	ballots     [][]vote // each in ascending order of values
	challengers int

	// What credibility leaves behind: the last medians and, of each challenger,
	// distance and lean from them.
	middles   []econ.Wad
	usual     uint64
	distances []account
	leans     []account
}

// credibility of each challenger as a weight: full, less the further it is from the others,
// and less the more it leans to one side (spec K4, K5).
//
// A liar who wants to move a median must be far from it, which tells in the
// distances, or lean the same way again and again, which tells in the sum.
func (p *panel) credibility() []uint32 {
	weights := make([]uint32, p.challengers)
	for i := range weights {
		weights[i] = full
	}
	p.middles = make([]econ.Wad, len(p.ballots))
	for range p.rules.Iterations {
		p.medians(weights, p.middles)
		p.measure()
		for c := range weights {
			weights[c] = p.weight(p.distances[c], p.leans[c])
		}
	}
	return weights
}

func (p *panel) weight(distance, lean account) uint32 {
	near := parts(distance.mean(), p.usual, p.rules.Tolerance)
	even := parts(lean.mean(), p.usual, p.rules.Lean)
	return max(1, uint32(uint64(near)*uint64(even)/uint64(full)))
}

// apart is the credibility of a challenger without what it said on one ballot
// (spec K8). The first to see that a node has fallen is far from everybody, on
// that node; on no other is a liar who is to be believed.
func (p *panel) apart(ballot int, challenger int32) uint32 {
	distance, lean := p.distances[challenger], p.leans[challenger]
	if p.judges(ballot) {
		for _, v := range p.ballots[ballot] {
			if v.challenger == challenger {
				d := off(v.value, p.middles[ballot])
				distance.add(-int64(magnitude(d)), -1)
				lean.add(-p.clip(d), -1)
			}
		}
	}
	return p.weight(distance, lean)
}

// medians of all ballots under weights.
func (p *panel) medians(weights []uint32, into []econ.Wad) {
	var list []weighted
	for i, votes := range p.ballots {
		list = list[:0]
		for _, v := range votes {
			list = append(list, weighted{v.value, weights[v.challenger]})
		}
		into[i], _ = median(list)
	}
}

// account sums what is known of a challenger.
type account struct {
	sum   int64 // of nanos
	count int64
}

// mean is the magnitude of the mean, rounded down.
func (a account) mean() uint64 {
	if a.count == 0 {
		return 0
	}
	return magnitude(a.sum) / uint64(a.count)
}

func (a *account) add(sum, count int64) { a.sum, a.count = a.sum+sum, a.count+count }

// measure sums distances from the medians, and leans once it is known what
// distance is usual.
func (p *panel) measure() {
	p.distances, p.leans = make([]account, p.challengers), make([]account, p.challengers)
	p.each(func(c int32, d int64) { p.distances[c].add(int64(magnitude(d)), 1) })
	p.usual = max(usual(p.distances), uint64(p.rules.Spread/nano))
	p.each(func(c int32, d int64) { p.leans[c].add(p.clip(d), 1) })
}

// each calls with every vote's challenger and its distance above the median, in
// nanos.
func (p *panel) each(call func(challenger int32, distance int64)) {
	for i, votes := range p.ballots {
		if !p.judges(i) {
			continue
		}
		for _, v := range votes {
			call(v.challenger, off(v.value, p.middles[i]))
		}
	}
}

// judges reports whether a ballot says something about its challengers: the
// median of too few votes is made by those that it would judge.
func (p *panel) judges(ballot int) bool { return len(p.ballots[ballot]) >= int(p.rules.JointTests) }

func off(value, middle econ.Wad) int64 { return int64(value/nano) - int64(middle/nano) }

// clip bounds one vote's part in a lean: spoiled tests are no opinion.
func (p *panel) clip(distance int64) int64 {
	return max(-int64(p.usual), min(int64(p.usual), distance))
}

// usual is the lower median of the challengers' mean distances.
func usual(accounts []account) uint64 {
	means := make([]uint64, 0, len(accounts))
	for _, a := range accounts {
		if a.count > 0 {
			means = append(means, a.mean())
		}
	}
	return econ.Percentile(means, 50)
}

// parts is full (free usual / mean)^6, at most full.
func parts(mean, usual uint64, free econ.Bps) uint32 {
	allowed := usual * uint64(free) / uint64(econ.Whole)
	if mean <= allowed {
		return full
	}
	f := uint64(full)
	q := allowed * f / mean
	cube := q * q / f * q / f
	return uint32(cube * cube / f)
}

// newBallot is votes in the order of a panel.
func newBallot(votes []vote) []vote {
	slices.SortFunc(votes, func(a, b vote) int { return cmp.Compare(a.value, b.value) })
	return votes
}
