// Package qos turns what a test measured into the quality V of a Media Node:
// the whitepaper's algorithms 3, 4 and 5 and the three scores that come of them
// (4.3.8), V (4.2.4), and beside it the adequacy that the whitepaper's scores
// do not see. The rules are spec/qos.md, Q1 to Q7.
//
//	bitrate ─▶ algorithm 3 ─▶ B ┐
//	loss    ─▶ algorithm 4 ─▶ F ├─▶ v_paper = F (B + L) / 2 ─┐
//	RTT     ─▶ algorithm 5 ─▶ L ┘                            ├─▶ v = v_paper g
//	bitrate and RTT against what was ordered ─▶ adequacy g ──┘
//
// Contract: EQUAL SAMPLES GIVE EQUAL RESULTS ON EVERY MACHINE. Every operation on
// a float64 is one of IEEE 754 in a fixed order, none of them fused; scores are
// counts, V and g are wads that are rounded down once.
//
// B and L say how steady a stream was, not how fast: a constant 50 kbit/s has
// v_paper 1. That is why v is what pays, unless Options say otherwise.
//
// Units are kbit/s, milliseconds and fractions of 1. The package is a core;
// its types are values and its functions safe for concurrent use.
package qos
