package record

import (
	"slices"

	"github.com/drtc-network/drtc/envelope"
)

// Select returns what is held under the keys that keep says, shown or not, in
// order of the keys. It looks at every key: 5 ms for 100,000.
func (s *Set) Select(keep func(Key) bool) []envelope.Envelope {
	var all []envelope.Envelope
	for l := range s.leaves {
		for _, en := range s.leaves[l].entries {
			if keep(s.key(en)) {
				all = append(all, s.envelope(en))
			}
		}
	}
	slices.SortFunc(all, func(a, b envelope.Envelope) int { return KeyOf(&a).compare(KeyOf(&b)) })
	return all
}

// String returns the path in lower case, for metrics.
func (p Path) String() string { return [...]string{"submitted", "gossiped", "synced"}[p] }
