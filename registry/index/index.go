// Package index answers "which nodes near here are good" from RAM (whitepaper
// section 4.2.2, Index-Based Queries, and 4.2.3.2).
//
// Contract: a Snapshot never changes. With makes the next one, which shares with
// it all that did not change; whoever holds an old one may go on reading it.
// Paging over changing Snapshots shows every node that was there all the time
// exactly once.
//
//	Snapshot -- ids ----> [block] [block] [block] ...    order of id
//	        \-- places -> [block] [block] [block] ...    order of S2 leaf cell
//
// The nodes stand in blocks of at most 256. Neighbours on the curve of S2 cells
// are neighbours on the earth, so a block of the second list is a small piece of
// it, known by its box in space. A query by distance takes the blocks in order of
// their least distance and ends when the next one begins behind the page: at most
// a few blocks, and every block only if nothing matches.
//
// This package is a core. A Snapshot is safe for concurrent use.
package index

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"github.com/drtc-network/drtc"
)

// Snapshot is the nodes at one moment. The zero Snapshot is empty.
type Snapshot struct {
	ids     []block[row]
	places  []block[spot] // without nodes that have no place, or a refuted one
	nodes   int
	down    int
	version uint64
}

// Version rises by one with every change, so equal versions of one process mean
// equal Snapshots.
func (s *Snapshot) Version() uint64 { return s.version }

// Len counts the nodes, those that are down included.
func (s *Snapshot) Len() int { return s.nodes }

// Count tells the nodes that are shown from those that are down.
func (s *Snapshot) Count() (shown, down int) { return s.nodes - s.down, s.down }

// All lists the nodes in order of id, those that are down included.
func (s *Snapshot) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, b := range s.ids {
			for i := range b.items {
				if !yield(b.items[i].entry) {
					return
				}
			}
		}
	}
}

// From lists the nodes in order from an id on, those that are down included.
func (s *Snapshot) From(id drtc.NodeID) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		if len(s.ids) == 0 {
			return
		}
		b, i := s.seek(id)
		for ; b < len(s.ids); b, i = b+1, 0 {
			for ; i < len(s.ids[b].items); i++ {
				if !yield(s.ids[b].items[i].entry) {
					return
				}
			}
		}
	}
}

// IDs lists the nodes in order, those that are down included.
func (s *Snapshot) IDs() []drtc.NodeID {
	ids := make([]drtc.NodeID, 0, s.nodes)
	for e := range s.All() {
		ids = append(ids, e.ID)
	}
	return ids
}

// Get returns a node that is up.
func (s *Snapshot) Get(id drtc.NodeID) (*Entry, bool) {
	e := s.find(id)
	if e == nil || e.State == Down {
		return nil, false
	}
	return e, true
}

// Lookup returns a node even if it is down.
func (s *Snapshot) Lookup(id drtc.NodeID) (*Entry, bool) {
	e := s.find(id)
	return e, e != nil
}

func (s *Snapshot) find(id drtc.NodeID) *Entry {
	b, i := s.seek(id)
	if b < len(s.ids) && i < len(s.ids[b].items) && s.ids[b].items[i].entry.ID == id {
		return s.ids[b].items[i].entry
	}
	return nil
}

// seek returns where the first node from id on is, or would be: block and item.
func (s *Snapshot) seek(id drtc.NodeID) (b, i int) {
	b = locate(s.ids, id, isID)
	if b < len(s.ids) {
		i, _ = slices.BinarySearchFunc(s.ids[b].items, id, isID)
	}
	return b, i
}

// Change is one difference between Snapshots.
type Change struct {
	ID drtc.NodeID
	// Entry is the node as it is now, nil if it is gone.
	Entry *Entry
}

// With returns the Snapshot after the changes; of several for one node the last
// counts. Entries are not copied: the caller no longer writes to them.
func (s *Snapshot) With(changes []Change) *Snapshot {
	next := &Snapshot{nodes: s.nodes, down: s.down, version: s.version + 1}
	var ids []edit[row]
	var places []edit[spot]
	for _, c := range lastOfEach(changes) {
		old := s.find(c.ID)
		if old != nil {
			next.count(old, -1)
		}
		switch {
		case c.Entry != nil:
			next.count(c.Entry, 1)
			ids = append(ids, edit[row]{item: newRow(c.Entry)})
		case old != nil:
			ids = append(ids, edit[row]{item: row{entry: old}, gone: true})
		}
		// What stands in the same place is replaced, not taken out and put in.
		here := c.Entry != nil && c.Entry.somewhere()
		if old != nil && old.somewhere() && !(here && old.cell == c.Entry.cell) {
			places = append(places, edit[spot]{item: spot{row: row{entry: old}}, gone: true})
		}
		if here {
			places = append(places, edit[spot]{item: newSpot(c.Entry)})
		}
	}
	slices.SortFunc(places, func(a, b edit[spot]) int { return byCell(a.item, b.item) })
	next.ids = apply(s.ids, ids, byID, nil)
	next.places = apply(s.places, places, byCell, around)
	return next
}

func (s *Snapshot) count(e *Entry, n int) {
	s.nodes += n
	if e.State == Down {
		s.down += n
	}
}

// lastOfEach returns the changes in order of id, of several for one node the
// last.
func lastOfEach(changes []Change) []Change {
	sorted := slices.Clone(changes)
	slices.SortStableFunc(sorted, func(a, b Change) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	kept := sorted[:0]
	for i, c := range sorted {
		if i+1 == len(sorted) || sorted[i+1].ID != c.ID {
			kept = append(kept, c)
		}
	}
	return kept
}

// Since lists the nodes that differ between old and s in order of id, as they
// were (nil: new) and as they are (nil: gone). What the Snapshots share is not
// looked at.
func (s *Snapshot) Since(old *Snapshot) iter.Seq2[*Entry, *Entry] {
	return func(yield func(before, after *Entry) bool) {
		was, is := walk{blocks: old.ids}, walk{blocks: s.ids}
		for {
			skipShared(&was, &is)
			before, after := was.entry(), is.entry()
			switch {
			case before == nil && after == nil:
				return
			case before == nil || after != nil && after.before(before):
				before = nil
			case after == nil || before.before(after):
				after = nil
			}
			if before != nil {
				was.next()
			}
			if after != nil {
				is.next()
			}
			if before != after && !yield(before, after) {
				return
			}
		}
	}
}

// walk is a place in a list of blocks.
type walk struct {
	blocks []block[row] // the rest, from the one we are in
	item   int
}

func (w *walk) entry() *Entry {
	if len(w.blocks) == 0 {
		return nil
	}
	return w.blocks[0].items[w.item].entry
}

func (w *walk) next() {
	if w.item++; w.item == len(w.blocks[0].items) {
		w.blocks, w.item = w.blocks[1:], 0
	}
}

func skipShared(a, b *walk) {
	for a.item == 0 && b.item == 0 && len(a.blocks) > 0 && len(b.blocks) > 0 && &a.blocks[0].items[0] == &b.blocks[0].items[0] {
		a.blocks, b.blocks = a.blocks[1:], b.blocks[1:]
	}
}

func isID(r row, id drtc.NodeID) int { return bytes.Compare(r.entry.ID[:], id[:]) }

func byID(a, b row) int { return isID(a, b.entry.ID) }

func byCell(a, b spot) int {
	return cmp.Or(cmp.Compare(a.entry.cell, b.entry.cell), byID(a.row, b.row))
}
