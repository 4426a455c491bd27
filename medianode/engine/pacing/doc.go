// Package pacing decides when media of one peer leaves (whitepaper section 4.3).
//
// Contract: a packet for which Take said yes leaves at once and is counted; one
// for which it said no is asked for again, at Next or later, and until then its
// owner remembers where it lies, not the packet: what leaves carries the
// transport-wide number and the send time of its real departure.
//
// A congestion controller comes in as another Pacer, which knows the rate that
// the peer's feedback allows.
//
// Not safe for concurrent use.
package pacing
