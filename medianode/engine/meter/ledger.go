package meter

import (
	"cmp"
	"slices"
)

// Other stands for the applications that have no line of their own in a Ledger:
// those without a name, and those that were not heard of for longest.
const Other = "other"

// Usage is one line of a Ledger.
type Usage struct {
	Application string
	Counters    Counters
}

// Ledger sums what sessions counted by application, for longer than sessions
// last. It holds a bounded number of applications; what is taken from one of
// them is added to Other, so that the sum of all lines never falls. Use
// NewLedger. Not safe for concurrent use.
type Ledger struct {
	limit int
	lines map[string]*line
	adds  uint64
}

type line struct {
	counters Counters
	used     uint64 // number of the last Add
}

// NewLedger returns an empty Ledger of at most limit applications besides Other.
func NewLedger(limit int) *Ledger {
	return &Ledger{limit: max(limit, 1), lines: map[string]*line{}}
}

// Add adds what an application's sessions counted.
func (l *Ledger) Add(application string, c Counters) {
	if application == "" {
		application = Other
	}
	l.adds++
	a := l.lines[application]
	if a == nil {
		if application != Other && l.named() >= l.limit {
			l.fold()
		}
		a = &line{}
		l.lines[application] = a
	}
	a.counters.Add(c)
	a.used = l.adds
}

// named is how many lines there are besides that of Other.
func (l *Ledger) named() int {
	if l.lines[Other] != nil {
		return len(l.lines) - 1
	}
	return len(l.lines)
}

// fold adds the line that was not used for longest to that of Other.
func (l *Ledger) fold() {
	oldest := ""
	for name, a := range l.lines {
		if name != Other && (oldest == "" || a.used < l.lines[oldest].used) {
			oldest = name
		}
	}
	gone := l.lines[oldest]
	delete(l.lines, oldest)
	if l.lines[Other] == nil {
		l.lines[Other] = &line{}
	}
	l.lines[Other].counters.Add(gone.counters)
}

// Lines returns all lines, by the name of the application.
func (l *Ledger) Lines() []Usage {
	lines := make([]Usage, 0, len(l.lines))
	for name, a := range l.lines {
		lines = append(lines, Usage{Application: name, Counters: a.counters})
	}
	slices.SortFunc(lines, func(a, b Usage) int { return cmp.Compare(a.Application, b.Application) })
	return lines
}
