// Package plan says how a room spans Media Nodes: which node each member has as
// its home, which nodes are linked, and from which neighbour a node gets the
// tracks of each other one (whitepaper sections 4.1.3 and 4.3.1 to 4.3.3).
//
// Contract: Make is a function of its Input alone and the order of what is
// listed there does not matter. Every member is in Homes or in Refused with a
// reason. No node has more than Policy.Degree links, and the routes of one
// origin form a tree over Links that is rooted in the origin and reaches every
// node with members and every standby over at most MaxPath nodes. What is in
// Current stays where it is unless it cannot: a join moves nobody, a loss moves
// those who were there.
//
//	members ─▶ groups by place ─▶ homes ─▶ standbys ─▶ links ─▶ routes
//	              rules, scores and room on nodes: allocate
//
// The three strategies of the paper are one mechanism with three settings:
//
//	            homes                             links
//	Proximity   as few nodes as bring everybody   every two nodes of which one
//	            within Policy.Gain of the best    has publishers, as a mesh
//	Regional    the same, several in a region     a mesh in the region, a gateway
//	            share its members                 of each region to the others
//	FanOut      the same, new leaves by load      one tree from the streamer's node
//	                                              by the regions' nodes to the leaves
//
// Adaptive chooses among them and says why (adapt.go has the thresholds).
//
// This package is a core: now is passed in, nothing is remembered between
// calls, and everything is safe for concurrent use.
package plan
