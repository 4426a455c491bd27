// Package rpcauth signs and verifies the RPC calls by which Orchestrators
// command Media Nodes (whitepaper section 4.1.2, algorithm 1).
//
// Contract: Verify lets a call pass only if the holder of the key that the
// payload names signed exactly this payload, for this node, this procedure and
// this body, at most two minutes ago, and no such call has passed before. The
// rules are numbered in spec/rpcauth.md and held by spec/vectors/rpcauth.json.
//
//	x-drtc-payload: {"iss":"2026-01-02T03:04:05Z","exp":"2026-01-02T03:06:05Z",
//	                 "publicKey":"0x02…","aud":"0x…","nonce":"…","digest":"0x…"}
//	x-drtc-signature: 0x… (65 bytes, EIP-191 over the payload's bytes as sent)
//
// The paper's own form has the first three members only. Whoever sees such a
// call can replay it to any node for two minutes, so it is refused unless
// Policy.AllowBare is set.
//
// A stream may outlive the payload that opened it, for a lease that signed calls
// extend (spec AUTH-16, AUTH-17); the stream's owner keeps it.
//
// Caller side: Digest, NewNonce, Sign. Node side: one Verifier per process. This
// package is a core: now is passed in, a Verifier is for one goroutine at a
// time, everything else is safe for concurrent use.
package rpcauth
