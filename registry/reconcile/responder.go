package reconcile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc/registry/record"
)

// readRoot answers a partner that begins.
func (s *Session) readRoot(r *reader) (Step, error) {
	if v := r.byte(); v != version {
		return Step{}, fmt.Errorf("is of version %d, want %d", v, version)
	}
	if theirs := r.hash(); theirs == s.src.Root() {
		s.state, s.stats.Complete = over, true
		return Step{Send: [][]byte{{frameSame}}}, nil
	}
	frame := make([]byte, 1, 1+record.Groups*32)
	frame[0] = frameGroups
	for g := range record.Groups {
		h := s.src.Group(g)
		frame = append(frame, h[:]...)
	}
	s.state = awaitNeed
	return Step{Send: [][]byte{frame}}, nil
}

// readNeed sends the leaves that are asked for, and remembers which are empty.
func (s *Session) readNeed(r *reader) (Step, error) {
	bits := r.take(record.Groups / 8)
	if bits == nil {
		return Step{}, r.err
	}
	const each = 1 + leavesPerGroup*32
	frame := []byte{frameLeaves}
	var step Step
	s.empty = make([]bool, record.Leaves)
	for g := range record.Groups {
		if s.need[g] = bits[g/8]&(1<<(g%8)) != 0; !s.need[g] {
			continue
		}
		if len(frame)+each > s.limits.MaxMessage {
			step.Send, frame = append(step.Send, frame), []byte{frameLeaves}
		}
		frame = append(frame, byte(g))
		for l := g * leavesPerGroup; l < (g+1)*leavesPerGroup; l++ {
			h := s.src.Leaf(l)
			frame = append(frame, h[:]...)
			s.empty[l] = h == record.EmptyLeaf()
		}
	}
	if len(frame) == 1 {
		return Step{}, errors.New("needs nothing")
	}
	s.state = awaitTurn
	step.Send = append(step.Send, frame)
	return step, nil
}

// readOffer finds what the partner lacks and what this side does, and speaks.
func (s *Session) readOffer(r *reader) (Step, error) {
	s.empty, s.wants, s.started = nil, nil, false // what could come before cannot any more
	s.ask = []byte{frameWant}
	spans := 0
	for ; r.more(); spans++ {
		theirs := r.readSpan()
		if r.err != nil {
			return Step{}, r.err
		}
		l := theirs.first.Leaf()
		switch {
		case spans == maxSpans:
			return Step{}, fmt.Errorf("offers more than %d leaves", maxSpans)
		case !s.need[l/leavesPerGroup]:
			return Step{}, fmt.Errorf("offers leaf %d, whose group was not asked for", l)
		case s.covered != nil && !less(*s.covered, theirs.first):
			return Step{}, errOrder
		}
		s.covered = &theirs.last
		s.answer(l, &theirs)
	}
	if spans == 0 {
		return Step{}, errors.New("offers nothing")
	}
	if s.spent() {
		return s.leave(byeCut), nil
	}
	return s.speak(), nil
}

// answer compares a span with what is held.
func (s *Session) answer(l int, theirs *span) {
	s.stats.Leaves++
	offered := theirs.items
	for _, ours := range s.src.Items(l) {
		if less(ours.ID, theirs.first) || less(theirs.last, ours.ID) {
			continue
		}
		for len(offered) > 0 && less(offered[0].ID, ours.ID) {
			s.want(offered[0])
			offered = offered[1:]
		}
		if len(offered) == 0 || offered[0].ID != ours.ID {
			s.tasks = append(s.tasks, task{id: ours.ID})
			continue
		}
		it := offered[0]
		offered = offered[1:]
		if it.Hash == ours.Hash {
			continue
		}
		if !ours.Version.Less(it.Version) {
			s.tasks = append(s.tasks, task{id: it.ID, rule: beyond, item: it})
		}
		if !it.Version.Less(ours.Version) {
			s.want(it)
		}
	}
	for _, it := range offered {
		s.want(it)
	}
}

func (s *Session) want(it record.Item) {
	s.wants = append(s.wants, task{id: it.ID, rule: atLeast, item: it})
	s.ask = append(s.ask, it.ID[:]...)
}

func less(a, b record.ItemID) bool { return compare(a, b) < 0 }

func compare(a, b record.ItemID) int { return bytes.Compare(a[:], b[:]) }

// inTasks finds what was wanted under id.
func inTasks(tasks []task, id record.ItemID) (task, bool) {
	if i, ok := slices.BinarySearchFunc(tasks, id, func(t task, id record.ItemID) int { return compare(t.id, id) }); ok {
		return tasks[i], true
	}
	return task{}, false
}
