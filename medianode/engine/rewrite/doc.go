// Package rewrite makes one continuous RTP stream for a subscriber out of
// sources that come and go: simulcast layers that are switched, tracks that are
// muted, senders that pause (whitepaper section 4.3, RFC 3550 section 5.1, RFC
// 7741).
//
// Contract: what Next returns has each sequence number once, in the order of
// the source; a packet the source lost leaves a hole of its own size, a packet
// left out on purpose leaves none; timestamps never step back at a switch.
//
//	source  10 11 .. 13 14 | switch | 90 91 92      (.. lost)
//	sent    70 71    73 74            75 76 77
//
// Next and Drop do not allocate. Not safe for concurrent use.
package rewrite
