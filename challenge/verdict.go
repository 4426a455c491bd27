package challenge

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/qos"
)

// Void is why a test says nothing about its Prover.
type Void uint8

// The reasons (spec Q19, Q20). Zero is none: the test counts.
const (
	ChallengerAbsent     Void = iota + 1 // no report of the Challenger
	ProverAbsent                         // no report of the Prover, nor sign of it in the Challenger's
	NotConnected                         // they did not find each other
	ChallengerWithdrew                   // the Challenger ended the test
	ProverWithdrew                       // the test hurt the Prover's paying sessions
	ContradictsItself                    // the Challenger's samples are not those of its checkpoint
	ReceivedMoreThanSent                 // more at the Challenger than the Prover sent
	AcknowledgedMore                     // more in receiver reports than at the Challenger
	TripsDiffer                          // the two sides' round trips
	NoTrips                              // the Challenger measured no round trip
)

// String is the reason as the rules have it.
func (v Void) String() string {
	names := []string{
		"counts", "challenger absent", "prover absent", "unconnected", "challenger withdrew", "prover withdrew",
		"contradicts itself", "received more than sent", "acknowledged more than received", "round trips differ", "no round trips",
	}
	if int(v) >= len(names) {
		return fmt.Sprintf("void %d", uint8(v))
	}
	return names[v]
}

// Verdict is what the reports of one pair say (spec Q17 to Q21). Equal orders and
// reports give equal verdicts.
type Verdict struct {
	Order              [32]byte // Order.ID
	Test               [32]byte
	Epoch              uint64
	Kind               Kind
	Prover, Challenger drtc.NodeID

	Void Void
	// Fault is who is to answer for that, as far as signed statements show it, or
	// zero.
	Fault drtc.NodeID
	// Result is the quality of the Prover, zero in a void test. That of a Capacity
	// test is not counted by anybody: such tests are meant to be too much.
	Result qos.Result
	// Findings compare what was measured with what was advertised.
	Findings []Finding
	// Evidence are the hashes of the Prover's and the Challenger's reports, zero for
	// one that was not there.
	Evidence [2][32]byte
}

// Judge makes of an order and of one or two reports what they say, from the raw
// samples alone. The Challenger's or the Prover's report may be nil; which
// Challenger is meant is in the other. An error means that an input does not verify:
// it is that of Order.Validate, Rules.Validate or Report.Verify.
func Judge(o *Order, prover, challenger *Report, rules Rules) (Verdict, error) {
	if err := rules.Validate(); err != nil {
		return Verdict{}, err
	}
	if err := o.Validate(); err != nil {
		return Verdict{}, err
	}
	v := Verdict{Order: o.ID(), Test: o.Test, Epoch: o.Epoch, Kind: o.Kind, Prover: o.Prover}
	for i, r := range []*Report{prover, challenger} {
		if r == nil {
			continue
		}
		if side := []Side{Prover, Challenger}[i]; r.Side != side {
			return Verdict{}, fmt.Errorf("%w: a report of the %s for that of the %s", ErrForeign, r.Side, side)
		}
		if err := r.Verify(o); err != nil {
			return Verdict{}, err
		}
		v.Evidence[i] = r.Hash()
	}
	switch {
	case prover == nil && challenger == nil:
		return Verdict{}, fmt.Errorf("%w: there is none", ErrReport)
	case challenger == nil:
		v.Challenger = prover.Peer
	default:
		v.Challenger = challenger.Node
		if prover != nil && prover.Peer != challenger.Node {
			return Verdict{}, fmt.Errorf("%w: the reports are of two pairs", ErrForeign)
		}
	}
	v.Void, v.Fault, prover = admit(o, prover, challenger, rules)
	if v.Void == 0 && prover != nil {
		v.Void = compare(o, prover, challenger, rules)
	}
	if v.Void != 0 {
		return v, nil
	}
	budget, _ := o.Target(v.Challenger)
	series := challenger.Series(o)
	var err error
	v.Result, err = qos.Assess(series, qos.Terms{OfferedKbps: o.RateKbps, RTTBudget: budget.RTTBudget}, rules.Score)
	v.Findings = findings(o, prover, series, budget)
	return v, err
}

// admit says whether there is something to compare (spec Q19). It drops a report
// of the Prover that contradicts the Prover's own checkpoint: that side has spoken
// twice and is heard no more.
func admit(o *Order, prover, challenger *Report, rules Rules) (void Void, fault drtc.NodeID, heard *Report) {
	switch {
	case challenger == nil && prover.Heard != nil:
		return ChallengerAbsent, prover.Peer, nil // it took part, and kept what it measured
	case challenger == nil:
		return ChallengerAbsent, drtc.NodeID{}, nil
	case prover == nil && challenger.Heard == nil:
		return ProverAbsent, drtc.NodeID{}, nil
	case prover != nil && !challenger.Keeps(prover.Heard):
		return ContradictsItself, challenger.Node, prover
	case challenger.End == Stopped || challenger.End == Withdrawn:
		return ChallengerWithdrew, drtc.NodeID{}, prover
	case prover != nil && !prover.Keeps(challenger.Heard):
		fault, prover = prover.Node, nil
	case prover != nil && prover.End == Withdrawn && prover.Advertised.Hurts(o, Prover, rules):
		return ProverWithdrew, drtc.NodeID{}, prover
	}
	switch {
	case challenger.End == Unconnected || prover != nil && prover.End == Unconnected && challenger.Heard == nil:
		return NotConnected, fault, prover
	case len(trips(challenger)) == 0:
		return NoTrips, fault, prover
	}
	return 0, fault, prover
}

// compare holds the two sides against each other, sample by sample as far as both
// have them, and in their round trips (spec Q20). Each bound is one that holds for two
// honest sides whatever the path between them does.
func compare(o *Order, prover, challenger *Report, rules Rules) Void {
	for i := range min(len(prover.Samples), len(challenger.Samples)) {
		p, c := prover.Samples[i], challenger.Samples[i]
		slack := o.slack(rules, p.Packets, max(0, c.At-p.At))
		if c.Packets > p.Packets+slack || c.Expected > p.Packets+slack || c.Bytes > p.Bytes+slack*uint64(o.PacketBytes) {
			return ReceivedMoreThanSent
		}
	}
	// What a receiver report says was so when it was sent, and is so in a sample that
	// was surely taken later, however fast the path lets go of what it held.
	later := 1 + int((rules.Skew+o.Interval-1)/o.Interval)
	for i := later; i < len(challenger.Samples) && i-later < len(prover.Samples); i++ {
		p, c := prover.Samples[i-later], challenger.Samples[i]
		slack := rules.share(c.Expected)
		if p.Expected > c.Expected+slack || p.Expected-p.Lost > c.Packets+slack {
			return AcknowledgedMore
		}
	}
	if tripsDiffer(trips(prover), trips(challenger), rules) {
		return TripsDiffer
	}
	return 0
}

// slack is by how many packets a Challenger's count may pass the Prover's: what
// the rate sends while the clocks are apart and the sample is later, what a late
// sender catches up with, and a share.
func (o *Order) slack(rules Rules, count uint64, late time.Duration) uint64 {
	p := Pacer{rateKbps: uint64(o.RateKbps), packetBytes: uint64(o.PacketBytes)}
	return p.at(rules.Skew+late+maxBurst) + rules.share(count)
}

// share is by how many of count two counters may differ for no reason that the
// rules know, and two packets.
func (r Rules) share(count uint64) uint64 { return count*uint64(r.Share)/uint64(econ.Whole) + 2 }

// tripsDiffer reports whether the Challenger's median lies outside of what the
// Prover measured in the middle four fifths of its intervals. With few
// measurements nothing is said.
func tripsDiffer(prover, challenger []time.Duration, rules Rules) bool {
	const few = 8
	if len(prover) < few || len(challenger) < few {
		return false
	}
	median := percentile(challenger, 50)
	allowed := func(trip time.Duration) time.Duration {
		return max(rules.Trip, max(trip, median)/time.Duration(econ.Whole)*time.Duration(rules.TripShare))
	}
	low, high := percentile(prover, 10), percentile(prover, 90)
	return median > high+allowed(high) || low > median+allowed(low)
}

// trips are the round trips that a side measured, ascending.
func trips(r *Report) []time.Duration {
	var trips []time.Duration
	for _, s := range r.Samples {
		if s.Trip != 0 {
			trips = append(trips, s.Trip)
		}
	}
	slices.Sort(trips)
	return trips
}

// percentile is the value at place ceil(n percent / 100).
func percentile(ascending []time.Duration, percent int) time.Duration {
	return ascending[(len(ascending)*percent+99)/100-1]
}
