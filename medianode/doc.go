// Package medianode is the Media Node (whitepaper 4.3): one machine with one
// open UDP port that carries the media of many rooms for Orchestrators that it
// does not know.
//
// Contract: New opens every port and checks every setting, Run serves until its
// context ends and returns when nothing of the node runs any more.
//
//	engine      CORE   forwarding, ICE-lite, RTCP
//	negotiate   CORE   SDP
//	datapacket  CORE   data packets of the client protocol
//	transport   SHELL  UDP, DTLS, SRTP, SCTP
//	control     SHELL  RPC served to Orchestrators (4.3.6)
//	enrol       SHELL  registration with Registries (4.3.7)
//
// This package only composes them. It is safe for concurrent use.
package medianode
