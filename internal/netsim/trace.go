package netsim

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what an event was.
type Kind uint8

// The kinds of events.
const (
	Delivered Kind = iota // a message reached its node
	Lost                  // the link lost a message, or its queue was full
	Doubled               // the link delivers a message a second time
	Cut                   // a partition or a crash stood in the way of a message
	Woken                 // a node was woken
	Started               // a node started, the first time or again
	Crashed               // a node crashed
	Parted                // the network was parted or healed
	Called                // a call made with At
	kinds
)

// String returns the kind in lower case.
func (k Kind) String() string {
	return [...]string{"delivered", "lost", "doubled", "cut", "woken", "started", "crashed", "parted", "called"}[k]
}

// Stats counts what happened, by Kind.
type Stats [kinds]int

// Events is how many things happened in all.
func (s Stats) Events() int {
	n := 0
	for _, c := range s {
		n += c
	}
	return n
}

type line[M any] struct {
	at       time.Duration
	kind     Kind
	from, to int
	tag      int
	message  M
}

// note counts an event, hashes it and keeps it for Report.
func (n *Network[M]) note(kind Kind, from, to, tag int, m M) {
	n.stats[kind]++
	// FNV-1a, a word at a time: fixed, so that hashes of two runs compare.
	for _, word := range [...]uint64{uint64(n.now), uint64(kind), uint64(from), uint64(to), uint64(tag)} {
		n.hash = (n.hash ^ word) * 1099511628211
		n.hash ^= n.hash >> 29
	}
	if n.config.Trace > 0 {
		l := line[M]{n.now, kind, from, to, tag, m}
		if len(n.lines) < n.config.Trace {
			n.lines = append(n.lines, l)
		} else {
			n.lines[n.noted%n.config.Trace] = l
		}
		n.noted++
	}
}

// Stats returns what has happened so far.
func (n *Network[M]) Stats() Stats { return n.stats }

// Hash is over every event so far, its time and its nodes: equal runs, and with
// all but certainty no others, have equal hashes.
func (n *Network[M]) Hash() uint64 { return n.hash }

// Report is for the message of a failed test: the seed, what happened, and the
// last Config.Trace events, the latest at the end.
func (n *Network[M]) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s of virtual time, hash %016x", n.config.Seed, n.now, n.hash)
	for k, c := range n.stats {
		if c > 0 {
			fmt.Fprintf(&b, ", %d %s", c, Kind(k))
		}
	}
	b.WriteByte('\n')
	for i := max(0, n.noted-len(n.lines)); i < n.noted; i++ {
		n.lines[i%n.config.Trace].write(&b, n.config.Describe)
	}
	return b.String()
}

func (l *line[M]) write(b *strings.Builder, describe func(M) string) {
	fmt.Fprintf(b, "%14s %-9s", l.at, l.kind)
	switch l.kind {
	case Delivered, Lost, Doubled, Cut:
		fmt.Fprintf(b, " %d -> %d", l.from, l.to)
		if describe != nil {
			fmt.Fprintf(b, " %s", describe(l.message))
		}
	case Woken:
		fmt.Fprintf(b, " %d, tag %d", l.to, l.tag)
	case Started, Crashed:
		fmt.Fprintf(b, " %d", l.to)
	case Parted, Called:
	}
	b.WriteByte('\n')
}
