// Package challenge is a test of one Media Node by another: the order of a
// witness, what either side does and when, the signed samples of both, and what
// anybody makes of them (whitepaper 4.3.8 and 4.2.4). The rules are spec/qos.md,
// Q8 to Q22.
//
//	witness ── Order ──▶ Docket.Take ──▶ accept, or a signed Refusal
//	                          │
//	Prover    Session ── paced stream ═══════▶ Session    Challenger
//	          Sample each 5 s                  Sample each 5 s
//	              └─ Checkpoint of the hash chain, both ways ─┘
//	              └──▶ Report                   Report ◀──┘
//	                        └──▶ Judge ◀──┘──▶ Verdict, V      (anybody)
//
// Contract: A VERDICT FOLLOWS FROM THE ORDER AND THE TWO SIGNED REPORTS ALONE,
// in integers and qos's arithmetic, so that all who hold them hold one V. The
// numbers that a side computed itself are not part of a report.
//
// A Session is one side of one pair. It is driven by time and by what the shell
// tells it, and answers with actions:
//
//	Timeout, Connected, Disconnected, Measured, Hear, Advertise ─▶ Session ─▶ Poll
//	            waiting ─▶ connecting ⇄ connected ─▶ measuring ─▶ ended
//
// After any call the shell polls until there is no action, and calls Timeout
// when NextTimeout has come. A test of several Challengers has one Session for
// each at the Prover.
//
// The package is a core: no socket, no clock. A Docket and a Session are for one
// goroutine each; everything else is a value.
package challenge
