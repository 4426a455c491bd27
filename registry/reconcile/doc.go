// Package reconcile makes two Registries' Sets equal by sending what differs: the
// anti-entropy beside gossip, which may lose messages (whitepaper section 4.2.2).
//
// Contract: after a session that was not cut short, each side has been given
// every record in which the other's Set went beyond its own when the session came
// by; a partner that lies costs what Limits allow and nothing more.
//
//	initiator                          responder
//	  ROOT ----------------------------->          equal: SAME, the end
//	       <----------------------------- GROUPS   64 hashes
//	  NEED ----------------------------->          which groups differ
//	       <----------------------------- LEAVES   64 hashes for each of them
//	  RECORDS of leaves empty over there,
//	  OFFER: items of some leaves ------>
//	       <----------------------------- RECORDS that go beyond the items, WANT
//	  RECORDS that were wanted, OFFER -->          and so on
//	  BYE ------------------------------>
//
// Both speak in turns. A turn is up to 4 frames of records and one frame that ends
// it; MORE ends one that has more to say and is answered by GO. The leaves go by in
// rising order a few at a time, so a session that breaks off leaves what it did.
// The frames are laid down in spec/registry.md (REG-23 to REG-29).
//
// Records are parsed and belong to what was asked for; they are not verified. The
// Sets may change while a session runs: it works on what they hold when it gets
// there, and the next one finds the rest.
//
// This package is a core: frames are passed in and out, a Session belongs to one
// goroutine, and Source is called only from within Begin and Handle.
package reconcile
