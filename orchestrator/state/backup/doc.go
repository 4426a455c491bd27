// Package backup puts what a state.Store holds into one file, and a file into an
// empty Store (whitepaper section 4.1).
//
// Contract: Write and Read may run while others use the Store. Each entry in the
// file is one that the Store had while Write ran; entries of different keys need
// not be of the same moment. Read puts back all of a file or, if the file is
// damaged or the Store has one of its keys, nothing.
//
//	{"format":"drtc orchestrator backup","schema":1,"at":"…"}     first line
//	{"key":"rooms.=YQ.=Yg","value":"…base64…"}                     one for each
//	{"entries":2,"sha256":"…"}                                     last line
//
// The digest is over all bytes before the last line. Revisions are not kept: a
// Store gives its own.
package backup
