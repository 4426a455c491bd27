// Package sequence handles RTP sequence numbers: Unwrapper makes 64-bit numbers
// of 16-bit ones, Map remembers for one subscriber what was sent under which
// number, so that a NACK can be answered from the ring that all subscribers of
// a layer share (RFC 3550 appendix A.1, RFC 4585; whitepaper section 4.3).
//
// Contract: an extended number never goes below the first by more than 2^15,
// and Map answers only for numbers of its window that were really pushed.
//
// Push and Lookup do not allocate. Not safe for concurrent use.
package sequence
