// Package jetstream is a state.Store in a stream of NATS JetStream, on the disk
// of this process or in a cluster that several Orchestrators share (whitepaper
// section 4.1).
//
// Contract: that of package state. With Embedded a write that returned survives
// the end of the process at any moment, and of the machine unless Unsynced is
// set. With Connect it survives what the cluster survives.
//
//	Embedded  one process has the directory: a server inside, no network
//	Join      a second process of the same machine, through a socket file
//	Connect   any number of processes, through a NATS cluster
//
// The stream is laid out as a key-value bucket of history one, so that the usual
// tools can look into it:
//
//	$KV.<bucket>.<key>   value                       a live key
//	$KV.<bucket>.<key>   KV-Operation: DEL, TTL 1 h  a deleted key
//
// The revision of an entry is its sequence number in the stream. The bucket's
// metadata name the schema; what another program wrote, or a newer version, is
// refused. A Watch over a cluster may trail a Get by the delay of replication.
//
// Everything is safe for concurrent use, but a Stream has one reader.
package jetstream
