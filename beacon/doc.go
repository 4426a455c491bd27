// Package beacon is randomness that nobody chose and everybody can check: rounds
// of it, numbered and dated, from which the plan of QoS tests is drawn
// (whitepaper 4.2.4, Randomness). The rules are spec/schedule.md, T1 to T9.
//
//	drand, BLS signatures ──▶ Verifier ─┐
//	Registries, commit-reveal ▶ Council ─┼──▶ Round{Number, Randomness} ──▶ schedule
//	a devnet's seed ──────────▶ Seeded ──┘
//
// Contract: A ROUND IS WHAT ITS PROOF SAYS, WHOEVER BROUGHT IT. Of each number
// there is one valid Round, known to nobody before its time (Seeded aside, whose
// name says so), and Verify is a pure function of public data.
//
// A drand round is the threshold signature of the League of Entropy over the
// round's number; its randomness is the signature's SHA-256. Fewer than the
// threshold of its operators can neither foresee nor choose it. Commit-reveal is
// for networks that must not depend on it: the package says there who can bias
// what, and by how much (Council).
//
// The package is a core: fetching is package beacon/drand. All types are values
// or immutable and safe for concurrent use.
package beacon
