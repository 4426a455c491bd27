// Package httpauth carries the signatures of package rpcauth over HTTP
// (whitepaper 4.1.2): Transport signs what a client sends, Middleware verifies
// what a server receives and puts the caller into the context.
//
// The contract: a handler behind Middleware sees a request only if rpcauth let it
// pass, and then sees exactly the bytes that were signed.
//
// What is signed is the procedure path and the body without framing (spec
// AUTH-4). The content type says which framing there is:
//
//	application/proto, application/json          the whole body
//	application/grpc*, application/connect+*     0 | length, 4 bytes | message | …
//	                                                                 └ signed ┘
//
// Messages after the first one of a stream are not signed. Bodies are bounded
// (1 MiB) and may not be compressed: a signature covers bytes, not what they may
// unpack to.
//
// This package is a shell. All its types are safe for concurrent use.
package httpauth
