package receipt

import (
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
)

// Decision is what a node does for an Orchestrator, from best to worst.
type Decision uint8

// The decisions (RC7).
const (
	Serve   Decision = iota
	Warn             // serve, and say that receipts are due
	StopNew          // take no new sessions
	Stop             // end what there is
)

// String returns the decision in words.
func (d Decision) String() string { return [...]string{"serve", "warn", "stop new", "stop"}[d] }

// enter is the share of the credit, in per cent, from which on a decision holds;
// leave is below what it is left again, so that nothing flaps.
var (
	enter = [...]uint64{Serve: 0, Warn: 50, StopNew: 75, Stop: 100}
	leave = [...]uint64{Serve: 0, Warn: 25, StopNew: 50, Stop: 50}
)

// Standing is how an Orchestrator stands with a node.
type Standing struct {
	Decision Decision
	// Reason of everything but Serve, for the Orchestrator.
	Reason string
	// Owed is bytes without receipt beyond what is tolerated, Lag how old the
	// oldest of them are.
	Owed uint64
	Lag  time.Duration
}

// mark says that a total was passed at a time.
type mark struct {
	at    time.Time
	total uint64
}

// maxMarks bounds the marks of a customer.
const maxMarks = 64

// mark notes when bytes were counted, to a 32nd of the credit's time.
func (k *customer) mark(now time.Time, rules TillRules) {
	last := len(k.marks) - 1
	if last >= 0 && (now.Sub(k.marks[last].at) < rules.CreditTime/32 || len(k.marks) >= maxMarks) {
		k.marks[last].total = k.counted
		return
	}
	k.marks = append(k.marks, mark{now, k.counted})
}

// settled drops the marks that receipts have reached.
func (k *customer) settled(tolerated uint64) {
	n := 0
	for n < len(k.marks) && k.marks[n].total <= k.paid+tolerated {
		n++
	}
	k.marks = append(k.marks[:0], k.marks[n:]...)
}

// lower has the marks go with totals that an end of accounts has made smaller.
func (k *customer) lower(by uint64) {
	for i := range k.marks {
		k.marks[i].total = saturating(k.marks[i].total, by)
	}
}

// tolerated is what an Orchestrator may owe for ever.
func (t *Till) tolerated(k *customer) uint64 {
	return t.rules.Slack + share(k.counted, t.rules.Tolerance)
}

// Judge says whether to serve an Orchestrator. Ask it from time to time: an
// Orchestrator that owes is cut off by time as well.
func (t *Till) Judge(now time.Time, orchestrator drtc.NodeID) Standing {
	t.roll(now)
	k := t.customers[orchestrator]
	if k == nil {
		if len(t.customers) >= t.rules.MaxOrchestrators {
			return Standing{Decision: StopNew, Reason: fmt.Sprintf("this node keeps accounts of %d Orchestrators, as many as it does", len(t.customers))}
		}
		return Standing{}
	}
	tolerated := t.tolerated(k)
	k.settled(tolerated)
	s := Standing{Owed: saturating(k.counted, k.paid+tolerated)}
	if s.Owed > 0 && len(k.marks) > 0 {
		s.Lag = max(0, now.Sub(k.marks[0].at))
	}
	used := max(percent(s.Owed, t.rules.CreditBytes), percent(uint64(s.Lag), uint64(t.rules.CreditTime)))
	k.standing = decide(k.standing, used)
	s.Decision = k.standing
	if s.Decision != Serve {
		s.Reason = fmt.Sprintf("receipts lag: %d bytes served here are not signed for (credit %d), the oldest for %s (credit %s)",
			s.Owed, t.rules.CreditBytes, s.Lag.Round(time.Second), t.rules.CreditTime)
	}
	return s
}

// decide goes to the worst decision whose mark is reached, and back only below
// the mark where a decision is left.
func decide(before Decision, used uint64) Decision {
	d := Stop
	for used < enter[d] {
		d--
	}
	for ; before > d; before-- {
		if used >= leave[before] {
			return before
		}
	}
	return d
}

// percent of n in whole, capped where nothing changes any more.
func percent(n, whole uint64) uint64 {
	if n >= whole {
		return 100
	}
	return uint64(float64(n) / float64(whole) * 100)
}
