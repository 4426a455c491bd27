// Package schedule is the common plan of QoS tests: who proves to whom in each
// slot of an epoch, without anybody who coordinates (whitepaper 4.2.4, the
// selection of challenger and prover nodes). The rules are spec/schedule.md,
// T10 to T27.
//
//	agreed data of the epoch ─▶ Begin ─▶ Course
//	                                      │ Next(round of the slot's beginning)
//	                                      ▼
//	        extra tests ─▶ capacity tests ─▶ quality tests     []Test
//	        (flagged)      (declared rates)   (k a role)           │
//	                                          witnesses, Verify ◀──┘
//
// Contract: EQUAL AGREED DATA AND EQUAL ROUNDS GIVE EQUAL PLANS, on every
// machine and whatever the order in which the data came. Only integers are
// computed with, and every draw is exact: a number below the sum of tickets is
// drawn from SHA-256 in counter mode without bias, so no logarithm has to round
// alike anywhere (the successive draw is the same distribution as sorting by
// -ln(u)/w).
//
// What is known in one place alone, which node answers now for instance, has no
// part in it: a planned test whose node is away is void, and no other is held
// instead.
//
// The package is a core. A Course belongs to one goroutine at a time; all else is
// a value.
package schedule
