// Package drtc is the vocabulary that every part of the network shares: ids,
// places, regions and units (whitepaper sections 1.1 and 4).
//
// It holds names and their text forms, nothing that decides. It imports the
// standard library only, so that every role, every core and every tool may
// import it. All types are values and safe for concurrent use.
package drtc
