// Package traffic is the media of a synthetic publisher: VP8 and Opus packets
// of the right number, size and spacing, with noise for content. The VP8
// payload descriptor (RFC 7741) and frame header are real, so a server that
// looks for key frames finds them.
//
// Contract: the same publisher yields the same packets at the same times in
// every run, and what arrives of them can be told apart by its Trailer.
//
// Every payload ends with a trailer, so that whatever a server does to the
// header, the extensions or the payload descriptor, the receiver knows which
// packet it has, when it left, and whether it was sent while figures were
// taken:
//
//	 0      4     5       6          8         16        24
//	+------+-----+-------+----------+---------+---------+
//	| DRTC | kind| window| publisher| sequence| sent    |
//	+------+-----+-------+----------+---------+---------+
//
// Sequence counts the packets of one track from 0; sent is in nanoseconds since
// 1970. Both ends must share a clock. Nothing here waits, and nothing is safe
// for concurrent use: a goroutine owns its camera or microphone.
package traffic
