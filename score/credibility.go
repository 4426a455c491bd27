package score

import (
	"cmp"
	"slices"

	"github.com/drtc-network/drtc/econ"
)

// Full is the credibility of a challenger whose word counts whole. Nobody's is
// below 1.
const Full uint32 = 1 << 16

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
}

// credibility of each challenger: Full, less the further it is from the others,
// and less the more it leans to one side (spec K4, K5).
//
// A liar who wants to move a median must be far from it, which tells in the
// distances, or lean the same way again and again, which tells in the sum.
func (p *panel) credibility() []uint32 {
	weights := make([]uint32, p.challengers)
	for i := range weights {
		weights[i] = Full
	}
	middles := make([]econ.Wad, len(p.ballots))
	for range p.rules.Iterations {
		p.medians(weights, middles)
		distances := p.distances(middles)
		usual := max(usual(distances), uint64(p.rules.Spread/nano))
		leans := p.leans(middles, usual)
		for c := range weights {
			near := parts(distances[c].mean(), usual, p.rules.Tolerance)
			even := parts(leans[c].mean(), usual, p.rules.Lean)
			weights[c] = max(1, uint32(uint64(near)*uint64(even)/uint64(Full)))
		}
	}
	return weights
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

func (p *panel) distances(middles []econ.Wad) []account {
	accounts := make([]account, p.challengers)
	p.each(middles, func(a, distance int64) {
		accounts[a].sum += int64(magnitude(distance))
		accounts[a].count++
	})
	return accounts
}

func (p *panel) leans(middles []econ.Wad, usual uint64) []account {
	accounts := make([]account, p.challengers)
	p.each(middles, func(a, distance int64) {
		accounts[a].sum += max(-int64(usual), min(int64(usual), distance))
		accounts[a].count++
	})
	return accounts
}

// each calls with every vote's challenger and its distance above the median, in
// nanos. Ballots of too few votes are left out: their median is made by the votes
// that it would judge.
func (p *panel) each(middles []econ.Wad, call func(challenger, distance int64)) {
	for i, votes := range p.ballots {
		if len(votes) < int(p.rules.JointTests) {
			continue
		}
		for _, v := range votes {
			call(int64(v.challenger), int64(v.value/nano)-int64(middles[i]/nano))
		}
	}
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

// parts is Full (free usual / mean)^6, at most Full.
func parts(mean, usual uint64, free econ.Bps) uint32 {
	allowed := usual * uint64(free) / uint64(econ.Whole)
	if mean <= allowed {
		return Full
	}
	f := uint64(Full)
	q := allowed * f / mean
	cube := q * q / f * q / f
	return uint32(cube * cube / f)
}

// newBallot is votes in the order of a panel.
func newBallot(votes []vote) []vote {
	slices.SortFunc(votes, func(a, b vote) int { return cmp.Compare(a.value, b.value) })
	return votes
}
