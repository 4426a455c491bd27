// Package bonds reads from the contract Bonds who is bonded: Registries,
// Orchestrators and operators of Media Nodes, which Registries report, and from
// which generation of its records on a key is believed (whitepaper section 5.5).
//
// The contract in one sentence: what Read returns is what holds at the end of one
// settled block, told in two ways that agree, or an error that says what to do.
//
//	events of settled blocks ─▶ fold ─▶ ┐
//	                                    ├─ equal? ─▶ State, on disk ─▶ Read
//	pages of the contract, one block ─▶ ┘
//
// Events give the block of the last change, which everybody who reads the same
// chain finds alike, whenever he began; pages show when an endpoint has left
// events out. Both are of blocks that count as settled (client.Finality), so a
// reorganisation above them changes nothing. One below is a broken promise: the
// reader begins anew and says so.
//
// The endpoint is believed about the chain. It must know the block that the
// contracts were deployed on, have the contract's code, and not contradict itself;
// one that lies well is found out by nobody here, so it should be one's own.
//
// A Reader belongs to one goroutine. A State is read only and may be shared.
package bonds
