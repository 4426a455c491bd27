// Package registry is the Registry (whitepaper section 4.2): the entry point at
// which Media Nodes announce themselves and Orchestrators find them.
//
//	            submit                commit             publish
//	api (RPC) ---------> record.Set ---------> store ---------> index.Snapshot --> api (REST)
//	    |                (one mutex)        (one writer)        (atomic pointer)
//	    +-- keepalive -> liveness.Table --------------------------^ down, up
//
// Contract: when a record is acknowledged it is on disk and in the answers, and
// a node that left, expired or stopped answering is in none.
//
// Compose it with New and Run. What decides is in the cores record, index and
// liveness; this package owns the clock, the goroutines and the lifetimes. All
// methods of Registry are safe for concurrent use.
package registry
