// Package devnet runs the whole network on one machine: Registries, Media
// Nodes in declared places, an Orchestrator with the call page, each a child
// process of the same program, so that each can be killed and measured alone.
//
// The contract in one sentence: when Run returns, no child is left, also after
// kill -9 of this process, and a temporary folder is gone.
//
//	stage 1        stage 2           stage 3            stage 4
//	registry-1 ──▶ registry-2..n ──▶ medianode-1..n ──▶ orchestrator ──▶ ready file, final block
//	                                 store
//
// Registries find each other through the first. devnet makes the keys beforehand
// and has everybody bonded on the chain, or, without a chain, writes the list of who
// takes part (bonding.json); a node obeys the Orchestrator once a quorum of the
// Registries has signed that list.
//
// Several Orchestrators are those of one operator: they have one key, and their
// rooms are in a store that is a process of its own, so that each of them can die.
//
// The chain is a process of its own, before them all, and another one deploys the
// contracts, which stand for nothing outside.
//
// A stage starts when every child of the one before says it is ready, which a
// child does by writing its ready file. A child that ends early or is not ready
// in time ends the start with its last log lines; one that dies later is
// reported, and the rest goes on. Children stop in the reverse order, within
// one grace period, so that the Orchestrator can say goodbye to clients and
// nodes can leave the Registry.
//
// It stands in for the operators of whitepaper 4; nothing here is for
// production. A Network is used by one goroutine.
package devnet
