// Package transport is the network side of a Media Node (whitepaper 4.3.5):
// the UDP port that all peers share, DTLS (RFC 6347), the SRTP keys (RFC 5764)
// and the data channels (RFC 8831) around the sans-IO core of package engine.
//
// Contract: bytes from the port go to the core with the time at which they were
// read, what waited in the socket together is answered together and before
// anything else is taken in, and what the core or a peer reports reaches the
// Handler in the order in which it happened.
//
//	UDP socket ──▶ worker ──▶ engine.Core ──▶ Batch ──▶ Egress ──▶ UDP socket
//	                 │  ▲
//	   DTLS datagram │  │ keys (Protect)
//	                 ▼  │
//	        gate ──▶ pion/dtls, for the handshake
//	                 │ secrets
//	                 ▼
//	              record ──▶ pion/sctp ──▶ data channels ──▶ Handler
//
// A worker owns one core and the peers in it; its mutex is the core's
// single-threaded discipline, so readers, timers and commands enter the core
// one at a time. The handshake and SCTP run in goroutines of their peer, never
// inside the worker. After the handshake the worker opens the few DTLS records
// that come, as it opens media: a peer without data channels is state alone,
// without goroutine, timer or buffer. One with them costs the three goroutines
// of SCTP and one that accepts its streams. Everything that a peer can make grow
// has a bound: datagrams waiting for DTLS or SCTP, handshake records, SSRCs,
// channels, label length, message size, message rate and bytes waiting for a
// slow reader.
//
// The sockets are those of package mmsg where the system has them, and those of
// package net elsewhere or by Config.Portable; both pass the same tests.
//
// Transport's methods may be called from any goroutine, from the Handler too,
// but not from inside a function given to Do.
package transport
