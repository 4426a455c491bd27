// Package relay is the protocol by which two Media Nodes carry the tracks of a
// room between them (whitepaper 4.3.1, spec/relay.md).
//
// Contract: every track of an origin that a node's routes name becomes available
// on it once, from one link, and on no node twice; each layer that somebody
// behind a link wants crosses it once; and no set of routes, however wrong, can
// make a track go in a circle, because an announcement carries the nodes that it
// has passed and a node takes none that has passed itself.
//
//	Trunk     one association between two nodes: who the other end is, which
//	          links are open on it, and how much of it is tolerated
//	Exchange  one room on one node: what it has, where it gets the rest, and
//	          what it passes on
//
//	bytes ──▶ Trunk ──▶ Message ──▶ Exchange ──▶ Send, Publish, Forward ...
//
// What comes from another node is as little trusted as what comes from a client:
// messages are bounded, what may happen while orders are under way is passed
// over, what can't be is an error that ends the trunk.
//
// The package is a CORE: no clock, socket or lock. A value belongs to one
// goroutine at a time.
package relay
