package receipt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// TillRules are what a node holds Orchestrators to. Start from DefaultTillRules.
type TillRules struct {
	Clock Clock
	// Domain of the signatures, epoch.ReceiptDomain.
	Domain identity.Domain
	// Grace is how long after an epoch's end its receipts are taken. What is not
	// signed by then counts into the next epoch.
	Grace time.Duration
	// CreditBytes and CreditTime are how much an Orchestrator may owe, and for how
	// long, before nothing more is served to it.
	CreditBytes uint64
	CreditTime  time.Duration
	// Tolerance is the share of the bytes of an epoch that may stay unsigned for
	// ever, Slack such bytes besides: reports get lost with those who send them.
	Tolerance econ.Bps
	Slack     uint64
	// Keep is for how many epochs the last receipts are kept.
	Keep uint64
	// MaxOrchestrators bounds for whom accounts are kept, MaxApplications the
	// accounts of one of them in an epoch.
	MaxOrchestrators, MaxApplications int
}

// DefaultTillRules returns the usual bounds; Clock and Domain are to be filled in.
func DefaultTillRules() TillRules {
	return TillRules{
		Grace: 2 * time.Minute, CreditBytes: 4e9, CreditTime: 2 * time.Minute, Tolerance: 50, Slack: 256 << 10,
		Keep: 31, MaxOrchestrators: 1024, MaxApplications: 1024,
	}
}

// Validate names the field that is out of range.
func (r TillRules) Validate() error {
	switch {
	case r.Grace < 0 || r.Grace > r.Clock.Length:
		return fmt.Errorf("receipt: Grace: want 0s up to the length of an epoch, %s, got %s", r.Clock.Length, r.Grace)
	case r.CreditBytes == 0 || r.CreditBytes >= MaxBytes:
		return fmt.Errorf("receipt: CreditBytes: want 1 up to 2^62, got %d", r.CreditBytes)
	case r.CreditTime < time.Second:
		return fmt.Errorf("receipt: CreditTime: want at least 1s, got %s", r.CreditTime)
	case r.Tolerance > econ.Whole:
		return fmt.Errorf("receipt: Tolerance: want at most %d bps, got %d", econ.Whole, r.Tolerance)
	case r.Keep < 1 || r.MaxOrchestrators < 1 || r.MaxApplications < 1:
		return errors.New("receipt: Keep, MaxOrchestrators, MaxApplications: want at least 1")
	}
	return r.Clock.Validate()
}

// Till is a node's side: it counts what the node served each Orchestrator, takes
// receipts for that and says whom to serve. Use NewTill.
type Till struct {
	node      drtc.NodeID
	rules     TillRules
	epoch     uint64    // never goes back
	sweepAt   time.Time // when an account is to be closed; zero: none
	customers map[drtc.NodeID]*customer
	evidence  []Contradiction
	dirty     map[Account]bool // to be journalled
	proven    int              // of evidence, what is journalled
}

// maxProofs bounds the contradictions that a Till keeps.
const maxProofs = 256

// customer is one Orchestrator.
type customer struct {
	lines map[Account]*line
	// counted and paid are sums over the lines that are not closed.
	counted, paid uint64
	marks         []mark
	standing      Decision
}

// line is one account.
type line struct {
	counted Counters
	last    Signed // Sequence 0: none yet
	closed  bool   // it takes no more receipts
}

func (l *line) owed() Counters { return l.counted.less(l.last.Counters) }

// NewTill is the Till of a node without anything in it.
func NewTill(node drtc.NodeID, rules TillRules) (*Till, error) {
	if err := rules.Validate(); err != nil {
		return nil, err
	}
	return &Till{node: node, rules: rules, epoch: epoch.None, customers: map[drtc.NodeID]*customer{}, dirty: map[Account]bool{}}, nil
}

// Count adds bytes that were served for an application by order of an
// Orchestrator and acknowledged. Before genesis nothing counts. An application
// beyond MaxApplications counts for the Orchestrator's own account.
func (t *Till) Count(now time.Time, orchestrator drtc.NodeID, application Application, c Counters) {
	t.roll(now)
	if t.epoch == epoch.None || c == (Counters{}) || orchestrator.IsZero() {
		return
	}
	if application == (Application{}) {
		application = orchestrator
	}
	a := Account{Application: application, Orchestrator: orchestrator, Node: t.node, Epoch: t.epoch}
	k := t.customers[orchestrator]
	if k == nil {
		if len(t.customers) >= t.rules.MaxOrchestrators {
			return // Judge lets nobody in who has no account
		}
		k = &customer{lines: map[Account]*line{}}
		t.customers[orchestrator] = k
	}
	if k.lines[a] == nil && k.open(t.epoch) >= t.rules.MaxApplications {
		a.Application = orchestrator
	}
	l := k.line(a)
	l.counted = l.counted.plus(c)
	k.counted += c.Sum()
	k.mark(now, t.rules)
	t.dirty[a] = true
}

// line returns the line of an account, a new one if there is none.
func (k *customer) line(a Account) *line {
	l := k.lines[a]
	if l == nil {
		l = &line{}
		k.lines[a] = l
	}
	return l
}

// open is how many accounts there are in an epoch.
func (k *customer) open(e uint64) (n int) {
	for a := range k.lines {
		if a.Epoch == e {
			n++
		}
	}
	return n
}

// roll goes on to the epoch of now, closes accounts whose grace is over and forgets
// those that are long gone.
func (t *Till) roll(now time.Time) {
	e := t.rules.Clock.At(now)
	later := e != epoch.None && (t.epoch == epoch.None || e > t.epoch)
	if later {
		t.epoch = e
	}
	if later || !t.sweepAt.IsZero() && !now.Before(t.sweepAt) {
		t.sweep(now)
	}
}

func (t *Till) sweep(now time.Time) {
	t.sweepAt = time.Time{}
	for id, k := range t.customers {
		for a, l := range k.lines {
			if !l.closed && a.Epoch < t.epoch {
				if end := t.closes(a.Epoch); now.Before(end) {
					t.sweepBy(end)
				} else {
					t.close(k, a, l)
				}
			}
			if l.closed && (l.last.Sequence == 0 || a.Epoch+t.rules.Keep < t.epoch) {
				delete(k.lines, a)
			}
		}
		if len(k.lines) == 0 {
			delete(t.customers, id)
		}
	}
}

// closes is when an epoch takes no more receipts.
func (t *Till) closes(e uint64) time.Time { return t.rules.Clock.End(e).Add(t.rules.Grace) }

func (t *Till) sweepBy(at time.Time) {
	if t.sweepAt.IsZero() || at.Before(t.sweepAt) {
		t.sweepAt = at
	}
}

// close ends an account. What is not signed counts into the present epoch unless
// it is within the tolerance (RC6).
func (t *Till) close(k *customer, a Account, l *line) {
	before, counted := k.counted, l.counted.Sum()
	owed := l.owed()
	k.counted -= counted
	k.paid -= l.last.Sum()
	l.counted, l.closed = l.last.Counters, true
	t.dirty[a] = true
	if owed.Sum() > share(counted, t.rules.Tolerance) {
		now := a
		now.Epoch = t.epoch
		next := k.line(now)
		next.counted = next.counted.plus(owed)
		k.counted += owed.Sum()
		t.dirty[now] = true
	}
	k.lower(before - k.counted)
}

// share of n, rounded down.
func share(n uint64, ratio econ.Bps) uint64 {
	whole, part := uint64(econ.Whole), uint64(ratio)
	return n/whole*part + n%whole*part/whole
}

// Claim is what a node has counted of an account, and the last receipt for it.
type Claim struct {
	Application Application
	Epoch       uint64
	Counted     Counters
	Last        Signed // Sequence 0: none
}

// Claims are the open accounts of an Orchestrator, earlier epochs first.
func (t *Till) Claims(now time.Time, orchestrator drtc.NodeID) []Claim {
	t.roll(now)
	var all []Claim
	if k := t.customers[orchestrator]; k != nil {
		for a, l := range k.lines {
			if !l.closed {
				all = append(all, Claim{Application: a.Application, Epoch: a.Epoch, Counted: l.counted, Last: l.last})
			}
		}
	}
	slices.SortFunc(all, func(a, b Claim) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), bytes.Compare(a.Application[:], b.Application[:]))
	})
	return all
}

// Accept takes a receipt from the Orchestrator that brings it (RC4). Nil means
// that it is the last one of its account now, or was already; journal what Flush
// gives before saying so. A receipt of more than was counted is welcome.
func (t *Till) Accept(now time.Time, from drtc.NodeID, s Signed) error {
	t.roll(now)
	if s.Node != t.node || s.Orchestrator != from {
		return fmt.Errorf("%w: it is of Orchestrator %s for node %s", ErrParty, s.Orchestrator, s.Node)
	}
	if s.Sequence == 0 {
		return fmt.Errorf("%w: sequence: want at least 1", ErrMalformed)
	}
	k := t.customers[from]
	var l *line
	if k != nil {
		l = k.lines[s.Account]
	}
	switch {
	case l != nil && l.last == s:
		return nil
	case t.epoch == epoch.None || s.Epoch > t.epoch || l != nil && l.closed || !now.Before(t.closes(s.Epoch)):
		return fmt.Errorf("%w: it is of epoch %d, in %d", ErrEpoch, s.Epoch, t.epoch)
	case l != nil && s.Sequence < l.last.Sequence:
		return fmt.Errorf("%w: sequence %d, the last was %d", ErrOld, s.Sequence, l.last.Sequence)
	case k == nil && len(t.customers) >= t.rules.MaxOrchestrators,
		l == nil && k != nil && k.open(s.Epoch) >= t.rules.MaxApplications:
		return ErrFull
	}
	if err := s.Verify(t.rules.Domain); err != nil {
		return err
	}
	switch {
	case l != nil && s.contradicts(l.last):
		t.prove(contradiction(s, l.last))
		return fmt.Errorf("%w: sequence %d", ErrContradiction, s.Sequence)
	case l != nil && s.Sequence == l.last.Sequence: // another signature
		return nil
	case l != nil && !s.covers(l.last.Counters):
		return fmt.Errorf("%w: %d client and %d relay bytes, were %d and %d", ErrLower, s.Client, s.Relay, l.last.Client, l.last.Relay)
	}
	if k == nil {
		k = &customer{lines: map[Account]*line{}}
		t.customers[from] = k
	}
	t.settle(k, k.line(s.Account), s)
	return nil
}

// settle makes s the last receipt of a line.
func (t *Till) settle(k *customer, l *line, s Signed) {
	if s.Epoch < t.epoch {
		t.sweepBy(t.closes(s.Epoch))
	}
	counted := l.counted.most(s.Counters)
	k.counted += counted.Sum() - l.counted.Sum()
	k.paid += s.Sum() - l.last.Sum()
	l.counted, l.last = counted, s
	k.settled(t.tolerated(k))
	t.dirty[s.Account] = true
}

func (t *Till) prove(c Contradiction) {
	if !slices.Contains(t.evidence, c) && len(t.evidence) < maxProofs {
		t.evidence = append(t.evidence, c)
	}
}

// Epoch is the present one, epoch.None before genesis.
func (t *Till) Epoch(now time.Time) uint64 {
	t.roll(now)
	return t.epoch
}

// Pages are those of an epoch, for the Registries.
func (t *Till) Pages(e uint64) []Page {
	var receipts []Signed
	for _, k := range t.customers {
		for a, l := range k.lines {
			if a.Epoch == e && l.last.Sequence > 0 {
				receipts = append(receipts, l.last)
			}
		}
	}
	var evidence []Contradiction
	for _, c := range t.evidence {
		if c.First.Epoch == e {
			evidence = append(evidence, c)
		}
	}
	return Pages(t.node, e, receipts, evidence)
}

// Epochs lists those of which there are receipts, in order.
func (t *Till) Epochs() []uint64 {
	var all []uint64
	for _, k := range t.customers {
		for a, l := range k.lines {
			if l.last.Sequence > 0 {
				all = append(all, a.Epoch)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Evidence is the contradictions that were found.
func (t *Till) Evidence() []Contradiction { return slices.Clone(t.evidence) }
