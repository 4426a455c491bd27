// Package identity holds the secp256k1 keys by which nodes, Registries and
// Orchestrators are known, and the two kinds of signature they make.
//
// Contract: whoever holds a valid Signature over a message can name its signer
// (an EVM address, drtc.NodeID), and a contract on the chain can do the same
// with ecrecover. Free bytes are signed by EIP-191 (SignMessage), structured
// values by EIP-712 (SignTyped). The rules are numbered in spec/identity.md and
// held by spec/vectors/identity.json and eip712.json (whitepaper sections 4.1.2
// and 5.4).
//
// A signature is 65 bytes:
//
//	 0               32              64  65
//	+---------------+---------------+---+
//	| R, big endian | S, at most n/2| V |   V = 27 + parity of R's y
//	+---------------+---------------+---+
//
// Signing is deterministic (RFC 6979), so the same key and message always give
// the same 65 bytes. Two backends compute the curve: libsecp256k1 where cgo is
// on, pure Go elsewhere; the same vectors hold both.
//
// Keys read from and written to disk are in package identity/keyfile. This
// package is a core: it has no I/O (Generate takes its randomness). All types
// are values and safe for concurrent use.
package identity
