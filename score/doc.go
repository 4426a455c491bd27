// Package score makes the scores of an epoch's leaves from what was agreed on:
// results of tests, paid receipts, uptimes that a majority signed (whitepaper
// 2.3.1, 4.2.4 and 5.7). The rules are spec/score.md, K1 to K20.
//
//	results of 7 epochs ─▶ credibility of challengers ─▶ medians ─▶ V ◀─ sessions
//	        │                                              ▲
//	        └▶ alarm ─▶ further tests ─▶ quarantine     few results: capped
//	uptimes ─▶ A   receipts ─▶ H   places and demand by S2 cell ─▶ L, C
//
// Contract: EQUAL EVIDENCE GIVES EQUAL BYTES, on every machine and in any order.
// Advance takes the book of the epoch before, what the epoch added and the rules;
// it returns the next book and a report, which names the hash of everything that
// it was computed from. All of it is integers: scores are wads, weights parts of
// 2^16, places micro-degrees.
//
// Nobody is believed alone. A challenger counts the less the further it is from
// what others found of the same nodes, or the more it leans to one side. Sessions
// are reported through Orchestrators, who are paid for by somebody: they can lower
// V, never raise it, and only several of them together.
//
// The package is a core. A Book and a Report are values that are not changed;
// everything may be used from several goroutines.
package score
