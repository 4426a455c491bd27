// Package transport is the network side of a Media Node (whitepaper 4.3.5):
// the UDP port that all peers share, DTLS (RFC 6347), the SRTP keys (RFC 5764)
// and the data channels (RFC 8831) around the sans-IO core of package engine.
//
// Contract: bytes from the port go to the core that has their peer, with the
// time at which they were read; what waited in a socket together is answered
// together; and what the cores or a peer report reaches the Handler, in the
// order in which it happened for each peer.
//
//	UDP socket ──▶ worker ──▶ engine.Core ──▶ Batch ──▶ Egress ──▶ UDP socket
//	               │  ▲  ▲ ╲
//	 DTLS datagram │  │   ╲ ╰▶ lanes ◀──▶ other workers
//	               ▼  │    ╲ keys (Protect)
//	        gate ──▶ pion/dtls, for the handshake
//	                 │ secrets
//	                 ▼
//	              record ──▶ pion/sctp ──▶ data channels ──▶ Handler
//
// There are as many workers as Config.Workers, each with a thread, a core, the
// peers in it, and sockets that share the port with the others'. A worker's
// thread waits for datagrams, for its core's timers and for what others hand
// over; its mutex is the core's single-threaded discipline, under which commands
// come in between. Workers share nothing but the directory, which says who has
// which peer: they pass each other, by bounded lanes (package handoff), the
// datagrams that the kernel gave to the wrong one and the parcels of their
// cores. A worker that does not keep up loses media, never state.
//
// The handshake and SCTP run in goroutines of their peer, never inside the
// worker. After the handshake the worker opens the few DTLS records that come,
// as it opens media: a peer without data channels is state alone, without
// goroutine, timer or buffer. One with them costs the three goroutines of SCTP
// and one that accepts its streams. Everything that a peer can make grow has a
// bound: datagrams waiting for DTLS, SCTP or another worker, handshake records,
// SSRCs, channels, label length, message size, message rate and bytes waiting
// for a slow reader.
//
// The sockets are those of package mmsg where the system has them, and those of
// package net elsewhere or by Config.Portable; both pass the same tests.
//
// Transport's methods may be called from any goroutine, from the Handler too,
// but not from inside a function given to Do.
package transport
