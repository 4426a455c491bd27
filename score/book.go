package score

import (
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// Book is what one epoch hands to the next: the results of the window, standings
// and running sums of every node. It is agreed data with one encoding (spec K19).
// The zero Book is that of a new network. A Book is not changed by Advance.
type Book struct {
	next    uint64 // the least epoch that may follow
	entries []entry
	hash    [32]byte // zero: not computed yet
}

// entry is what is carried of one node.
type entry struct {
	id       drtc.NodeID
	seen     uint64 // the last epoch in which it was among the nodes
	results  []held // oldest first
	standing Standing
	waited   uint8  // epochs of an alarm without verdict
	good     uint8  // epochs of a quarantine with a good one
	up, life uint64 // seconds
	supplied uint64 // bytes, decayed
	reports  []report
}

// held is a result that is carried.
type held struct {
	epoch      uint64
	challenger drtc.NodeID
	further    bool
	quality    econ.Wad
}

// report is what an Orchestrator has said of its sessions on a node, decayed.
type report struct {
	orchestrator drtc.NodeID
	count        uint64
	bytes        uint64
	quality      econ.Wad
}

// maxCarried bounds running sums, so that none of them overflows.
const maxCarried = 1 << 62

// Next is the least epoch that Advance takes.
func (b Book) Next() uint64 { return b.next }

// Len is the number of nodes in the book.
func (b Book) Len() int { return len(b.entries) }

// Standing of a node; Sound for one that is not in the book.
func (b Book) Standing(node drtc.NodeID) Standing {
	if i, ok := b.find(node); ok {
		return b.entries[i].standing
	}
	return Sound
}

func (b Book) find(node drtc.NodeID) (int, bool) {
	return slices.BinarySearchFunc(b.entries, node, func(e entry, id drtc.NodeID) int { return compareIDs(e.id, id) })
}

// open copies the book for an epoch: with an entry for each of its nodes, without
// those that are forgotten, and without results older than the window.
func (b Book) open(in Input, r Rules) []entry {
	entries := make([]entry, 0, len(b.entries)+len(in.Nodes))
	old, nodes := b.entries, in.Nodes
	for len(old) > 0 || len(nodes) > 0 {
		switch {
		case len(nodes) == 0 || len(old) > 0 && compareIDs(old[0].id, nodes[0].ID) < 0:
			if in.Epoch-old[0].seen <= uint64(r.Forget) {
				entries = append(entries, old[0].open(in.Epoch, r))
			}
			old = old[1:]
		case len(old) == 0 || old[0].id != nodes[0].ID:
			entries = append(entries, entry{id: nodes[0].ID, seen: in.Epoch})
			nodes = nodes[1:]
		default:
			e := old[0].open(in.Epoch, r)
			e.seen = in.Epoch
			entries = append(entries, e)
			old, nodes = old[1:], nodes[1:]
		}
	}
	return entries
}

// open is a copy without the results that have left the window.
func (e entry) open(epoch uint64, r Rules) entry {
	gone := func(h held) bool { return epoch-h.epoch >= uint64(r.Window) }
	e.results = slices.DeleteFunc(slices.Clone(e.results), gone)
	e.reports = slices.Clone(e.reports)
	return e
}

// lists reports whether a sorted Input has the node.
func (in Input) lists(node drtc.NodeID) bool {
	_, ok := slices.BinarySearchFunc(in.Nodes, node, func(n Node, id drtc.NodeID) int { return compareIDs(n.ID, id) })
	return ok
}
