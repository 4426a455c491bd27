// Package level finds who speaks from the audio levels that clients send with
// each packet (RFC 6464; whitepaper section 4.3, the client protocol's speaker
// updates).
//
// Contract: a speaker is named after some 100 ms of voice and kept for half a
// second of silence, so that the list does not flicker; the caller is told
// only of changes, at most once an interval.
//
// One Speakers serves one room on one node. Observe does not allocate. Not safe
// for concurrent use.
package level
