// Package limit bounds how many unauthenticated STUN messages a node looks at,
// for each source and in all, so that nobody can make it spend its time on
// integrity checks or use it as an amplifier (RFC 8489 section 16; whitepaper
// section 4.3).
//
// Contract: a source that stays below its own rate is refused only when all
// sources together exceed the global one; memory does not depend on the number
// of sources.
//
// A source is an IPv4 address or an IPv6 /64. Sources hash into a fixed table
// with a secret seed; a flood of forged sources shares buckets and is held by
// the global bucket. Allow does not allocate. Not safe for concurrent use.
package limit
