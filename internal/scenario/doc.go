// Package scenario runs whole networks on one machine, a process for each node,
// and measures what rooms that span them are good for: a fan-out tree to many
// viewers, and the four cities of whitepaper 4.3.2 with the delays that lie
// between them.
//
// Contract: what Run of a scenario returns are figures, and which of its
// promises they break is in Problems; it fails only where nothing can be
// measured, and leaves no process behind.
//
//	FanOut   one publisher in three layers, a tree of nodes, viewers on each
//	Cities   clients and nodes in four cities, on links of internal/netlink;
//	         with a node in each city, and with the one in New York alone
//
// Publisher and viewers are in this process, of package loadtest/client: both
// ends of a flight read one clock. Program run prints tables; tests of this
// package run small sizes.
//
// A Bed is used by one goroutine.
package scenario
