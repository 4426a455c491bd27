// Package envelope is the signed record in which nodes, Registries and
// Orchestrators speak to the network (whitepaper section 4.2.2): a body of some
// kind about a subject, versioned by its issuer, good for a limited time.
//
// Contract: bytes that Parse accepts have exactly one form, and an envelope that
// Verify accepts was signed by its Issuer in every field. Nothing here says
// whether a record is wanted, timely or newer than another: that is the reader's
// part (registry/record for the Registry).
//
// The signature is EIP-712 in the domain {name "drtc record", version "1"} over
//
//	Record(string kind,string network,address subject,address issuer,
//	       uint64 generation,uint64 seq,uint64 issuedAt,uint32 ttl,
//	       uint32 flags,bytes body)
//
// so that a contract can check it with ecrecover; of the body EIP-712 takes the
// keccak256. issuedAt is Unix time in milliseconds, ttl is in seconds.
//
// The canonical bytes are the protobuf wire form of drtc.registry.v1.Record with
// fields in ascending order, zero values left out and varints of least length:
//
//	0A len kind      12 len network   1A 14 subject(20)  22 14 issuer(20)
//	28 generation    30 seq           38 issuedAt ms     40 ttl s
//	48 flags         52 len body      5A 41 signature(65)
//
// Any protobuf library writes them; Parse refuses every other spelling, so equal
// records have equal bytes and equal hashes. The rules are numbered in
// spec/registry.md and held by spec/vectors/envelope.json.
//
// This package is a core: no I/O, no clock. An Envelope is a value whose Body is
// shared by copies; it is safe for concurrent use as long as nobody writes to it.
package envelope
