// Package registry is the Registry (whitepaper section 4.2): one of many equals
// at which Media Nodes announce themselves and Orchestrators find them.
//
//	Media Nodes, Orchestrators               other Registries
//	          |                                  |     ^
//	         api                                gossip |
//	          | Submit                      Take |     | Publish
//	          v                                  v     |
//	        ledger: record.Set under one lock, its one writer to store
//	          |  what is on disk, in order             |
//	          v                                        |
//	       observer ------ what was submitted here ----+
//	          |
//	          +-- registry, admission --> book: whom gossip dials, who may attest
//	          +-- node, liveness -------> rounds: dials, keepalives, votes counted
//	          +-- node, with verdicts --> directory: the answers --> api
//	          +-- two of one version ---> duties
//
//	rounds (pages), duties (own record, list, proofs) --> author --> ledger
//
// The ledger holds what everybody signed, and the observer passes on what it
// committed. The book is what Registries say about themselves. The rounds watch
// over the nodes of which this Registry is a prober, and count what all probers
// saw. The directory makes the answers out of records, verdicts and places. The
// duties say who this Registry is, whom it admits and who was caught; the author
// signs whatever it says.
//
// Contract: when a record is acknowledged it is on disk and in the answers, and
// handed to gossip; a node that left, that expired, or that a majority of its
// probers call down is in no answer.
//
// Compose it with New and Run. What decides is in the cores record, reconcile,
// liveness, place and index; this package owns the clock, the goroutines and the
// lifetimes. All methods of Registry are safe for concurrent use.
package registry
