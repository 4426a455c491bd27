// Package status serves the status pages of a Registry and what they show: nodes,
// those that are down included, and what a chain says of epochs, pools and payouts
// (whitepaper sections 4.2.3 and 5.7, as everybody may see them).
//
// Contract: an answer is made of what is in memory and is bounded; who asks never
// makes anybody else be asked.
//
//	GET /status...            the pages; / leads there
//	GET /network              the network in one object
//	GET /network/nodes        all nodes, those that are down too, in order of id
//	GET /network/node         one node, and what each prober says of it
//	GET /network/epochs       epochs as the chain has them, newest first
//	GET /network/epoch        one epoch with its charges
//	GET /network/pools        pools of Media Nodes
//	GET /network/payouts      what pools were paid, by epochs
//
// The role knows no chain: an Economy is given to it. docs/protocol/status.md has all
// parameters and fields. A handler is safe for concurrent use.
package status
