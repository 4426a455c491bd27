package memory

import (
	"cmp"
	"container/list"
	"slices"
	"strings"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// history is a set of entries, one per key, in the order of revisions. The
// entries in it are not changed.
type history struct {
	entries *list.List // of state.Entry
	byKey   map[string]*list.Element
}

func newHistory() history {
	return history{entries: list.New(), byKey: map[string]*list.Element{}}
}

func (h *history) get(key string) (state.Entry, bool) {
	element, ok := h.byKey[key]
	if !ok {
		return state.Entry{}, false
	}
	return element.Value.(state.Entry), true
}

// oldest returns the entry of the lowest revision.
func (h *history) oldest() (state.Entry, bool) {
	element := h.entries.Front()
	if element == nil {
		return state.Entry{}, false
	}
	return element.Value.(state.Entry), true
}

// push adds an entry that is newer than all, in place of the one its key had.
func (h *history) push(e state.Entry) {
	h.remove(e.Key)
	h.byKey[e.Key] = h.entries.PushBack(e)
}

func (h *history) remove(key string) {
	if element, ok := h.byKey[key]; ok {
		h.entries.Remove(element)
		delete(h.byKey, key)
	}
}

// between appends to events what lies under prefix and has a revision above
// after and up to last.
func (h *history) between(after, last uint64, prefix string, kind state.Kind, events []state.Event) []state.Event {
	for element := h.entries.Back(); element != nil; element = element.Prev() {
		e := element.Value.(state.Entry)
		if e.Revision <= after {
			break
		}
		if e.Revision <= last && strings.HasPrefix(e.Key, prefix) {
			events = append(events, state.Event{Kind: kind, Entry: e})
		}
	}
	return events
}

func sortByRevision(events []state.Event) {
	slices.SortFunc(events, func(a, b state.Event) int { return cmp.Compare(a.Entry.Revision, b.Entry.Revision) })
}
