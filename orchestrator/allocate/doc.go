// Package allocate chooses the Media Node that carries a client (whitepaper
// section 4.1.3).
//
// Contract: Decide is a function of its arguments alone. It returns one node
// with the parts of its score and, for every other candidate, the reason it
// fell out; or a *Refusal that says why none remained. The order of the
// candidates does not matter, and a candidate's score does not depend on the
// others, so that a node which is not chosen can come and go without moving
// anybody.
//
// First the hard rules drop candidates (Cause lists them in the order in which
// they are asked). What remains is scored from 0 to 1 in parts:
//
//	distance   from the client, or whether the region fits when no place is known
//	load       the fuller of bandwidth, sessions and reported load, with this client
//	quality    V of the QoS tests      history   the node's past     price
//	affinity   whether the node carries the room already
//
// Quality, history and price are neutral until the Registry fills them. Scores
// within Policy.Step of each other count as equal; among equals the highest
// rendezvous hash of room and node wins, so that rooms spread over equal nodes
// even while the loads in the snapshot are old.
//
// An application's Terms come on top: some of them drop nodes, and the nodes of
// its own owner go before all others, whatever they score.
//
// Who has many clients of one room to place asks a Field, which applies the same
// rules and scores to a snapshot once. orchestrator/plan does.
//
// This package is a core: now is passed in, nothing is remembered between
// calls, and everything is safe for concurrent use.
package allocate
