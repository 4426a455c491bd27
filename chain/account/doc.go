// Package account is what somebody has on the dRTC Chain and does there: Media
// Node Keys and their delegations, pools and what they owe, data credits, veHUDL
// and the record of epochs (whitepaper sections 3.3, 5.4 to 5.8).
//
// The contract in one sentence: what a method does has effect once or not at all and
// says which, and who asks again after being stopped asks for the same.
//
//	Open ─▶ Ledger (reads: keys, pool, credits, epoch)
//	          └─ with a key: Account (buys, delegates, claims, authorises ...)
//
// A transaction goes through chain/client's Sender with its journal, under a name
// made of what was asked for. One that a killed process left under way is waited for
// before anything else is sent; when the next thing asked for has its name, it is
// that one, and nothing is sent (Done.Resumed). Where a contract takes HUDL, the
// allowance is raised first, to exactly what is needed.
//
// A method that reads several things reads each as of the newest block, one after
// the other: a block may come between.
//
// Amounts are wei of HUDL or whole data credits as *big.Int; Amount is their text
// for people. A Ledger is safe for concurrent use, an Account does one thing at a
// time.
package account
