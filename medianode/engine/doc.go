// Package engine is the Media Engine of a Media Node (whitepaper 4.3.5): the
// sans-IO core of a selective forwarding unit. One Core holds the peers of one
// worker: their ICE state, the tracks they publish, the subscriptions
// that forward those tracks, and the RTCP that keeps both sides honest.
//
// Contract: datagrams and commands go in with the time at which they happened;
// datagrams come out in the Batch that the caller lends, everything else comes
// out of Poll. After every call the caller sends the batch and drains Poll.
// A Core never reads a clock, opens a socket, starts a goroutine or logs.
//
//	datagram ──▶ classify (RFC 7983) ──▶ STUN  ──▶ ICE-lite ──▶ answer, address
//	                                 ├─▶ DTLS  ──▶ Poll (the shell's handshake)
//	                                 ├─▶ SRTP  ──▶ layer ──▶ ring ──▶ subscriptions ──▶ Batch
//	                                 └─▶ SRTCP ──▶ reports, feedback, NACK, PLI
//
// A subscriber for whom packets may not leave yet, or who comes in the middle of
// a picture, is a place in the ring (backlog); nothing is queued for it.
//
// A node has one Core per worker. A peer is in one of them; who is subscribed to
// a track that is published in another gets it from a mirror in its own core, and
// the cores tell each other by Parcels what they must know.
//
//	home                                     mirror
//	layer ──▶ link ── state, media ────────▶ layer ──▶ ring ──▶ subscriptions
//	          link ◀── want, interest, key frame asks, release
//
// A peer may be another node (relay.go): it is sent single layers of tracks of
// several rooms, and publishes tracks of clients that are not here. Who opens such
// a peer sends the connectivity checks (check.go); clients are never checked.
//
// Ciphers are lent by the shell as a Protection per peer; DTLS and SCTP live
// in the shell. A Core is used by one goroutine at a time.
package engine
