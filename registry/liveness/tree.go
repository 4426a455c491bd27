package liveness

import (
	"bytes"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// mergeBelow is how many nodes two neighbouring pages may have together to
// become one again. Far enough below MaxSightings that a page does not split and
// merge in turn.
const mergeBelow = MaxSightings / 2

// leaf is one page of a tree.
type leaf struct {
	subject drtc.NodeID
	depth   int
	prefix  uint64
	nodes   []*watched // in order of id

	issued  time.Time // last; zero for never
	refresh time.Time // when the next is due if nothing changes
	dirty   bool      // a vote changed since
	full    time.Time // of the token bucket
}

// tree divides nodes into pages by the first bits of their ids. Only a page that
// is too full is divided, so somebody who makes ids that begin alike gets deep
// pages and nobody else does. A page of MaxDepth takes any number; what is over
// MaxSightings is not written.
type tree struct {
	leaves map[drtc.NodeID]*leaf // by subject
	depths [MaxDepth + 1]int     // leaves of each depth
	gone   map[drtc.NodeID]*leaf // issued pages that are no more
}

func newTree() *tree {
	t := &tree{leaves: map[drtc.NodeID]*leaf{}, gone: map[drtc.NodeID]*leaf{}}
	t.add(0, 0)
	return t
}

func (t *tree) add(depth int, prefix uint64) *leaf {
	subject := Page(depth, prefix)
	l := &leaf{subject: subject, depth: depth, prefix: prefix & mask(depth)}
	t.leaves[subject] = l
	t.depths[depth]++
	if old := t.gone[subject]; old != nil { // its record still stands
		l.issued, l.full, l.dirty = old.issued, old.full, true
		delete(t.gone, subject)
	}
	return l
}

func (t *tree) remove(l *leaf) {
	delete(t.leaves, l.subject)
	t.depths[l.depth]--
	if !l.issued.IsZero() {
		t.gone[l.subject] = l
	}
}

// find is the leaf whose prefix id has. Every id has one: a divided page leaves
// both halves, empty or not.
func (t *tree) find(id drtc.NodeID) *leaf {
	for depth, n := range t.depths {
		if n > 0 {
			if l := t.leaves[Page(depth, prefixOf(id))]; l != nil {
				return l
			}
		}
	}
	return nil
}

func compareWatched(w *watched, id drtc.NodeID) int { return bytes.Compare(w.id[:], id[:]) }

// insert puts w on its page, which divides if it is full.
func (t *tree) insert(w *watched) {
	l := t.find(w.id)
	at, _ := slices.BinarySearchFunc(l.nodes, w.id, compareWatched)
	l.nodes, w.page = slices.Insert(l.nodes, at, w), l
	for len(l.nodes) > MaxSightings && l.depth < MaxDepth {
		l = t.split(l)
	}
}

// split divides l and returns the half with more nodes.
func (t *tree) split(l *leaf) *leaf {
	t.remove(l)
	half := uint64(1) << (63 - l.depth)
	low, high := t.add(l.depth+1, l.prefix), t.add(l.depth+1, l.prefix|half)
	at := slices.IndexFunc(l.nodes, func(w *watched) bool { return prefixOf(w.id)&half != 0 })
	if at < 0 {
		at = len(l.nodes)
	}
	low.take(l.nodes[:at], l)
	high.take(l.nodes[at:], l)
	if len(low.nodes) > len(high.nodes) {
		return low
	}
	return high
}

// take moves nodes of from onto l. What was written about them is written again
// soon, so that the old page can go.
func (l *leaf) take(nodes []*watched, from *leaf) {
	l.nodes = append(l.nodes, nodes...)
	l.dirty = l.dirty || !from.issued.IsZero()
	for _, w := range nodes {
		w.page = l
	}
}

// drop takes w off its page, which joins its neighbour when both are small.
func (t *tree) drop(w *watched) {
	l := w.page
	at, _ := slices.BinarySearchFunc(l.nodes, w.id, compareWatched)
	l.nodes, w.page = slices.Delete(l.nodes, at, at+1), nil
	for l.depth > 0 {
		other := t.leaves[Page(l.depth, l.prefix^uint64(1)<<(64-l.depth))]
		if other == nil || len(l.nodes)+len(other.nodes) > mergeBelow {
			return
		}
		low, high := l, other
		if low.prefix > high.prefix {
			low, high = high, low
		}
		t.remove(low)
		t.remove(high)
		l = t.add(l.depth-1, low.prefix)
		l.take(low.nodes, low)
		l.take(high.nodes, high)
	}
}

// write reports whether a page is worth a record: the root always is, so that
// everybody sees that this Registry is at work.
func (l *leaf) write() bool { return l.depth == 0 || len(l.nodes) > 0 }

// sorted returns the pages in order of their subjects.
func (t *tree) sorted() []*leaf {
	all := make([]*leaf, 0, len(t.leaves))
	for _, l := range t.leaves {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *leaf) int { return bytes.Compare(a.subject[:], b.subject[:]) })
	return all
}
