package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc/registry/record"
)

// readGroups asks for the leaves of the groups that differ.
func (s *Session) readGroups(r *reader) (Step, error) {
	frame := make([]byte, 1+record.Groups/8)
	frame[0] = frameNeed
	differ := false
	for g := range record.Groups {
		if theirs := r.hash(); theirs != s.src.Group(g) {
			s.need[g], differ = true, true
			frame[1+g/8] |= 1 << (g % 8)
		}
	}
	if !differ { // this side has caught up since
		return s.leave(byeFinished), nil
	}
	s.state = awaitLeaves
	return Step{Send: [][]byte{frame}}, nil
}

// readLeaves notes the leaves that differ and, with the last of them, begins to
// speak.
func (s *Session) readLeaves(r *reader) (Step, error) {
	for first := true; first || r.more(); first = false {
		g := int(r.byte())
		if g >= record.Groups || !s.need[g] || slices.Contains(s.need[:g], true) {
			return Step{}, fmt.Errorf("names group %d out of turn", g)
		}
		s.need[g] = false
		for l := g * leavesPerGroup; l < (g+1)*leavesPerGroup; l++ {
			theirs, ours := r.hash(), s.src.Leaf(l)
			switch {
			case r.err != nil || theirs == ours:
			case theirs == record.EmptyLeaf():
				s.push = append(s.push, l)
			default:
				s.compare = append(s.compare, l)
			}
		}
	}
	if r.err != nil || slices.Contains(s.need[:], true) {
		return Step{}, r.err
	}
	s.stats.Leaves = len(s.push) + len(s.compare)
	return s.speak(), nil
}

// offer takes the next leaves from compare, as many as Limits allow.
func (s *Session) offer() []byte {
	frame := []byte{frameOffer}
	s.offered = nil
	for leaves := 0; leaves < s.limits.MaxLeaves && len(s.compare) > 0; leaves++ {
		next := wholeLeaf(s.compare[0])
		if s.from != nil {
			next = *s.from
		}
		for _, it := range s.src.Items(s.compare[0]) {
			if !less(it.ID, next.first) {
				next.items = append(next.items, it)
			}
		}
		if b := appendSpan(frame, next); len(b) <= s.limits.MaxMessage {
			frame = b
			s.offered = append(s.offered, next)
			s.compare, s.from = s.compare[1:], nil
			continue
		}
		if len(s.offered) > 0 {
			break
		}
		part, rest := split(next, s.limits.MaxMessage)
		s.offered, s.from = []span{part}, &rest
		return appendSpan(frame, part)
	}
	return frame
}

// split cuts a leaf that is too large for one frame. Nobody's leaf is, but of
// somebody who searches for keys that crowd one.
func split(s span, size int) (part, rest span) {
	const largest = 16 + 2*binary.MaxVarintLen64 + 32
	n := (size - 64) / largest
	part, rest = s, span{first: s.items[n-1].ID, last: s.last}
	part.items, part.last = s.items[:n], s.items[n-1].ID
	for i := len(rest.first) - 1; i >= 0; i-- { // the id after it
		if rest.first[i]++; rest.first[i] != 0 {
			break
		}
	}
	return part, rest
}

// readWant notes which of the offered records the partner lacks, and speaks.
func (s *Session) readWant(r *reader) (Step, error) {
	var last record.ItemID
	for first := true; r.more(); first = false {
		id := r.id()
		if r.err != nil {
			return Step{}, r.err
		}
		t, ok := inSpans(s.offered, id)
		if !ok || t.rule == whatever {
			return Step{}, errors.New("wants what was not offered")
		}
		if !first && !less(last, id) {
			return Step{}, errOrder
		}
		t.rule, last = atLeast, id
		s.tasks = append(s.tasks, t)
	}
	s.offered = nil
	if s.spent() {
		return s.leave(byeCut), nil
	}
	return s.speak(), nil
}

// inSpans finds what an answer to an offer may hold under id.
func inSpans(spans []span, id record.ItemID) (task, bool) {
	i, _ := slices.BinarySearchFunc(spans, id, func(s span, id record.ItemID) int { return compare(s.last, id) })
	if i == len(spans) || less(id, spans[i].first) {
		return task{}, false
	}
	items := spans[i].items
	if j, ok := slices.BinarySearchFunc(items, id, func(it record.Item, id record.ItemID) int { return compare(it.ID, id) }); ok {
		return task{id: id, rule: beyond, item: items[j]}, true
	}
	return task{id: id}, true
}
