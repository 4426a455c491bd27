package score

import (
	"encoding/binary"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Report is the outcome of an epoch, and what it was computed from.
type Report struct {
	Epoch  uint64
	Inputs []Source // rules, the book before, and each list of the Input
	Book   [32]byte // hash of the book after
	Scores []Score  // of the epoch's nodes, by id
}

// Score is one node's, with what it came from.
type Score struct {
	Node drtc.NodeID
	econ.Scores

	Results  int      // in the window
	Measured econ.Wad // weighted median of them
	Few      bool     // too few results: Tested is capped by the network's
	Tested   econ.Wad // V by tests alone
	// SessionLimit is the most that sessions let V be; econ.One when they do not
	// speak.
	SessionLimit econ.Wad

	Standing Standing
	Further  int // tests beyond the usual in the next epoch
	// Credibility as a challenger, above 0; econ.One for one that was none. Further
	// tests are for challengers from Rules.Credible on: any of them, not the most
	// credible, who are those that agreed with the liars before a fall was seen.
	Credibility econ.Wad

	Place    Finding
	Cell     Cell   // 0 unless the place is unrefuted
	Counted  bool   // in ranks and densities
	Up, Life uint64 // seconds
	Supplied uint64 // bytes, decayed
}

// Find returns the score of a node.
func (r Report) Find(node drtc.NodeID) (score Score, ok bool) {
	i, ok := slices.BinarySearchFunc(r.Scores, node, func(s Score, id drtc.NodeID) int { return compareIDs(s.Node, id) })
	if ok {
		score = r.Scores[i]
	}
	return score, ok
}

// Hash is that of the whole report (spec K3): two Registries that have the same
// computed the same from the same.
func (r Report) Hash() [32]byte {
	b := binary.BigEndian.AppendUint64([]byte("drtc/score/report/1\n"), r.Epoch)
	for _, s := range r.Inputs {
		b = append(append(b, s.Name...), 0)
		b = append(b, s.Hash[:]...)
	}
	b = append(b, r.Book[:]...)
	for _, s := range r.Scores {
		b = append(b, s.Node[:]...)
		for _, n := range []uint64{
			uint64(s.Availability), uint64(s.History), uint64(s.Location), uint64(s.Coverage), uint64(s.Quality),
			uint64(s.Results), uint64(s.Measured), uint64(s.Tested), uint64(s.SessionLimit), uint64(s.Further),
			uint64(s.Credibility), uint64(s.Cell), s.Up, s.Life, s.Supplied,
		} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		b = append(b, bit(s.Few), byte(s.Standing), byte(s.Place), bit(s.Counted))
	}
	return identity.Keccak256(b)
}
