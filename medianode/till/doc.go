// Package till keeps a Media Node's accounts with Orchestrators (whitepaper 3.3;
// design decision 12): it gives receipt.Till a clock, a lock, a file and the
// Registries.
//
// Contract: A RECEIPT THAT DELIVER TOOK IS ON DISK, and what was counted is in the
// file a second later, so that a node that is killed has what it was signed for
// and loses a second of counting. Receipts go to the Registries as records of kind
// "receipt", soon after they come and again until each has them.
//
//	engine ─Count─▶ ┌──────┐ ◀─Claims, Deliver, Judge─ control (Orchestrators)
//	                │ Till │ ─pages─▶ Registries
//	                └──┬───┘
//	                 file: frames of receipt.Till, appended; now and then anew
//
// A Till is safe for concurrent use. Run returns when its goroutines have ended.
package till
