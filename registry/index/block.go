package index

import "slices"

// Sizes of blocks. With copies each block that a change falls into and one
// pointer per block: some 10 KB for one change at 100,000 nodes.
const (
	maxBlock  = 256
	usedBlock = 192 // of the parts when one is split
	minBlock  = 64  // a shorter one is joined with its neighbour when it changes
)

// block is a run of items that never changes and is never empty. Several
// Snapshots share the items.
type block[T any] struct {
	items []T
	box   box // of the places in items, if they are places
}

// edit puts an item in, in place of one that compares equal, or takes it out.
type edit[T any] struct {
	item T
	gone bool
}

// locate returns the block in which key is if it is anywhere: the last that does
// not begin behind it, or the first.
func locate[T, K any](blocks []block[T], key K, compare func(T, K) int) int {
	i, exact := slices.BinarySearchFunc(blocks, key, func(b block[T], key K) int { return compare(b.items[0], key) })
	if !exact && i > 0 {
		i--
	}
	return i
}

// apply returns the blocks after the edits, which are in order. What no edit
// falls into is shared with old.
func apply[T any](old []block[T], edits []edit[T], compare func(a, b T) int, around func([]T) box) []block[T] {
	out := make([]block[T], 0, len(old)+1)
	var open []T // contents of blocks that end here, not in out yet
	if len(old) == 0 {
		open, edits = merge(open, nil, edits, compare), nil
	}
	for len(edits) > 0 || 0 < len(open) && len(open) < minBlock && len(old) > 0 {
		if len(open) == 0 || len(open) >= minBlock {
			out, open = seal(out, open, around), nil
			i := locate(old, edits[0].item, compare)
			out, old = append(out, old[:i]...), old[i:]
		}
		n := len(edits) // that fall into old[0]
		if len(old) > 1 {
			n, _ = slices.BinarySearchFunc(edits, old[1].items[0], func(e edit[T], first T) int { return compare(e.item, first) })
		}
		open = merge(open, old[0].items, edits[:n], compare)
		edits, old = edits[n:], old[1:]
	}
	if 0 < len(open) && len(open) < minBlock && len(out) > 0 { // the last one
		last := out[len(out)-1]
		out, open = out[:len(out)-1], slices.Concat(last.items, open)
	}
	return append(seal(out, open, around), old...)
}

// merge appends items with the edits made.
func merge[T any](to, items []T, edits []edit[T], compare func(a, b T) int) []T {
	if to == nil {
		to = make([]T, 0, len(items)+len(edits))
	}
	for _, e := range edits {
		i, there := slices.BinarySearchFunc(items, e.item, compare)
		to, items = append(to, items[:i]...), items[i:]
		if there {
			items = items[1:]
		}
		if !e.gone {
			to = append(to, e.item)
		}
	}
	return append(to, items...)
}

// seal cuts items into blocks of like size.
func seal[T any](out []block[T], items []T, around func([]T) box) []block[T] {
	parts := 1
	if len(items) > maxBlock {
		parts = (len(items) + usedBlock - 1) / usedBlock
	}
	for ; len(items) > 0; parts-- {
		n := len(items) / parts
		b := block[T]{items: slices.Clip(items)}
		if parts > 1 { // or the parts would keep each other in memory
			b.items = slices.Clip(slices.Clone(items[:n]))
		}
		if around != nil {
			b.box = around(b.items)
		}
		out, items = append(out, b), items[n:]
	}
	return out
}
