package allocate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/drtc-network/drtc"
)

// ErrNoNode is what every *Refusal is, for errors.Is.
var ErrNoNode = errors.New("allocate: no node")

// Refusal is the error of Decide when no candidate remained.
type Refusal struct {
	Room     drtc.RoomID
	Pin      drtc.NodeID // the one node that would have done, or zero
	Rejected []Rejection // every candidate, by id
}

// maxListed bounds the text of a Refusal; Rejected has all.
const maxListed = 8

// Error names the candidates and why each fell out, the first few one by one
// and the rest by number. Where one node alone would have done, it speaks of
// that.
func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "allocate: no node for room %s: ", r.Room)
	rejected := r.Rejected
	if !r.Pin.IsZero() {
		fmt.Fprintf(&b, "it lives on %s: ", r.Pin)
		rejected = slices.DeleteFunc(slices.Clone(rejected), func(x Rejection) bool { return x.Cause == NotPinned })
	}
	if len(rejected) == 0 {
		b.WriteString("no such node is known")
	}
	for i, rejection := range rejected[:min(maxListed, len(rejected))] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(rejection.String())
	}
	if len(rejected) > maxListed {
		fmt.Fprintf(&b, "; and %d more: %s", len(rejected)-maxListed, count(rejected[maxListed:]))
	}
	return b.String()
}

// count says how many fell out for each cause.
func count(rejected []Rejection) string {
	counts := map[Cause]int{}
	for _, r := range rejected {
		counts[r.Cause]++
	}
	var texts []string
	for cause, n := range counts {
		texts = append(texts, fmt.Sprintf("%d %s", n, cause))
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// Unwrap makes errors.Is(err, ErrNoNode) true.
func (r *Refusal) Unwrap() error { return ErrNoNode }
