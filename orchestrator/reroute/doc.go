// Package reroute sends a request about a room to the Orchestrator that writes
// it, WebSockets included, so that several members of an operator can stand behind
// one address (whitepaper section 4.1).
//
// Contract: a request reaches the handler of its room's owner or is refused; it
// takes at most one step between members, and the owner sees the client's address
// as the first member saw it.
//
//	client ──▶ member A ──X-Drtc-Reroute──▶ member B, the owner ──▶ Next
//	                                         not the owner: 503, Retry-After
//
// The header says who sends, for whom, when and for which client, with an HMAC
// over that, the method and the URL; its secret comes of the key that the members
// share. Whoever sends a wrong one is refused. A header is good for half a minute;
// the way between members is the operator's own network, or TLS.
//
// Members also send each other messages of their own accord (Send, Receive), with a
// header and a code of another kind, which covers the body.
//
// A connection through this member is cut when the room has another owner, or
// none: the client comes again and is sent the right way. Safe for concurrent use.
package reroute
