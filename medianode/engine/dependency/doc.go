// Package dependency reads dependency descriptors, the RTP header extension
// that says which frames a frame builds on and for which receivers it is meant
// (AV1 RTP specification 1.0, appendix A; whitepaper section 4.3), and writes
// them anew for a receiver that gets only some of the frames.
//
// Contract: Read takes any bytes, never reads past them, and changes a
// Structure only for a descriptor that it could read to the end.
//
//	| start end template id | frame number |          3 bytes, always
//	| structure? active? dtis? fdiffs? chains? |      5 bits, if it is longer
//	| structure: layers, dtis, fdiffs, chains, sizes |  on key frames
//	| active decode targets | dtis | fdiffs | chains |  in place of the template's
//
// A Structure is bounded: 64 templates of at most MaxReferences references. What
// goes beyond the bounds is refused like garbage.
//
// Nothing here allocates. Not safe for concurrent use.
package dependency
