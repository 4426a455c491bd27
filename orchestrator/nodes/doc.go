// Package nodes holds an Orchestrator's connections to Media Nodes: it carries
// the commands of package room to them and their events back (whitepaper 4.1.1).
//
// The contract: Send NEVER BLOCKS AND ALWAYS ENDS. Every command is answered or
// given up within its deadline, so that a frozen node holds up nobody but its
// own sessions.
//
//	Send ─▶ lane of a session ─▶ one call at a time ─▶ node
//	        (other sessions go on beside it)
//	node ─▶ one event stream ─▶ Emit, in order
//
// A connection is HTTP/2 over TLS whose certificate is pinned by the SHA-256
// fingerprint in the node's signed record; every call is signed (package
// rpcauth/httpauth). A node is up from the first message of its event stream,
// and lost when its instance changes, when its machine refuses connections, or
// when nothing has been heard of it for 1.5 s (heartbeats come every 0.5 s) in
// which this process ran: who was stopped or starved blames no node (silence.go).
//
// This package is a shell; a Pool is safe for concurrent use.
package nodes
