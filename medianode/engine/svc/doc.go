// Package svc selects, for one subscriber, the frames of a scalable stream: of
// a camera that sends all its sizes and frame rates in one RTP stream (VP9 and
// AV1; AV1 RTP specification appendix A, RFC 9628; whitepaper section 4.3).
//
// A Reader, one per RTP stream, tells of each packet which frame it belongs to,
// to which decode targets that frame belongs, and which frames it builds on: by
// dependency descriptor, or by VP9 payload descriptor where there is none. A
// Selector, one per subscriber, follows one decode target.
//
//	S1     1---3---5---7       wanted: S1 at full rate, then S0 at half
//	       |   |   |   |
//	S0     0---2---4---6       sent:   0 1 2 3 | 4 8 ..
//
// Contract: a frame that is selected builds on selected frames only, as far as
// the network let them come; all packets of a frame have one fate; targets
// change between pictures: up where an indication or a key frame allows it, down
// at once where the lower target is part of the higher. What cannot be
// understood is selected.
//
// A Reader may be copied, for packets that go to one subscriber later than to
// the others. Nothing else here allocates. Not safe for concurrent use.
package svc
