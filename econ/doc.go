// Package econ is everything that pays, as functions: the scores and the reward
// of a Media Node, data credits, mint, burn and supply, the policy that adapts
// them, delegation, and the condition under which nobody earns from serving
// itself (whitepaper 2.3, 3 and 5.6). The rules are spec/economics.md, E1 to E30;
// the contracts compute the same integers from the same text.
//
// Contract: AMOUNTS ARE INTEGERS AND EVERY ROUNDING IS STATED. Payouts, mint,
// burn and scores are rounded down, charges up. What a division leaves over is
// carried or returned, so that sums are conserved to the wei.
//
// Two number types carry units: Wei is an amount of HUDL (10^18 to one), Wad a
// score between 0 and One. Ratios of governance are Bps. Functions whose name
// ends in Float are the same rules in float64, for simulation and plots alone.
//
// Amounts stay below MaxAmount, 2^200 wei; where an operation would leave 256
// bits it panics, so whoever takes amounts from outside checks them first (Wei.Valid).
//
// A value of this package is safe to copy and to share; nothing here has state.
package econ
