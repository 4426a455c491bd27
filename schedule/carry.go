package schedule

import (
	"fmt"

	"github.com/drtc-network/drtc"
)

// Carry is the agreed data of the next epoch as far as the tests of this one
// decide it: ages, what is owed, results, pairs (spec T27). held are the tests of
// the epoch whose result was committed; a prover that failed to show up was
// tested, one whose test is void was not. Nodes, Registries, flags, extra tests,
// credibility and proven rates are those of a; the caller sets them to what score
// says. The error wraps ErrInvalid.
func (r Rules) Carry(a Agreed, held []Test) (Agreed, error) {
	a, err := a.normal(r)
	if err != nil {
		return Agreed{}, err
	}
	k := r.Target(len(a.Nodes))
	counts := make([][roles]uint32, len(a.Nodes))
	last := make([][roles]uint32, len(a.Nodes)) // slot + 1
	for i := range a.Nodes {
		n := &a.Nodes[i]
		n.ProvedAgo, n.ChallengedAgo = min(n.ProvedAgo+r.Slots, Never), min(n.ChallengedAgo+r.Slots, Never)
		if n.MeasuredAgo != Never {
			n.MeasuredAgo++
		}
	}
	for _, t := range held {
		if t.Epoch != a.Epoch || t.Slot >= r.Slots {
			return Agreed{}, fmt.Errorf("%w: a test of epoch %d, slot %d, in epoch %d", ErrInvalid, t.Epoch, t.Slot, a.Epoch)
		}
		p, ok := a.find(t.Prover)
		if !ok {
			return Agreed{}, fmt.Errorf("%w: a test of node %s, which was not eligible", ErrInvalid, t.Prover)
		}
		if t.Kind == Capacity {
			a.Nodes[p].MeasuredAgo = 1
			continue
		}
		if err := a.meet(t, p, counts, last); err != nil {
			return Agreed{}, err
		}
	}
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if last[i][prover] > 0 {
			n.ProvedAgo = r.Slots - (last[i][prover] - 1)
		}
		if last[i][challenger] > 0 {
			n.ChallengedAgo = r.Slots - (last[i][challenger] - 1)
		}
		n.OwedProver = owed(k, n.OwedProver, counts[i][prover])
		n.OwedChallenger = owed(k, n.OwedChallenger, counts[i][challenger])
	}
	a.Epoch++
	return a.normal(r)
}

// meet counts a quality or extra test of the prover at p.
func (a *Agreed) meet(t Test, p int, counts, last [][roles]uint32) error {
	a.Nodes[p].Results++
	at := [roles][]drtc.NodeID{{t.Prover}, t.Challengers}
	for role, ids := range at {
		for _, id := range ids {
			i, ok := a.find(id)
			if !ok {
				return fmt.Errorf("%w: a test by node %s, which was not eligible", ErrInvalid, id)
			}
			last[i][role] = max(last[i][role], t.Slot+1)
			if t.Kind == Quality {
				counts[i][role]++
			}
		}
	}
	for _, id := range t.Challengers {
		a.Pairs = append(a.Pairs, Pair{A: t.Prover, B: id, Epoch: a.Epoch})
	}
	return nil
}

// owed is what an epoch fell short of k and of what it owed itself, -1 to 1.
func owed(k uint32, before int8, held uint32) int8 {
	short := int64(k) + int64(before) - int64(held)
	return int8(max(-1, min(1, short)))
}
