// Package gossip is the network between Registries (whitepaper 4.2.1): it tells
// the others of new records, hears of theirs, and repairs what was missed.
//
// Contract: records go to the Ledger, which alone decides whether they are held;
// what reached any honest Registry reaches all that are connected to it, by
// gossip within a moment or by anti-entropy within minutes, and nobody makes
// this Registry do unbounded work.
//
// It is a libp2p host with the Registry's own secp256k1 key, so that a peer id
// names an EVM address and record.Bonding can be asked about whoever connects:
//
//	/drtc/<network>/v1/<topic>   gossipsub: node, liveness, registry, admission, evidence
//	/drtc/<network>/sync/1       one conversation of registry/reconcile
//	/drtc/<network>/probe/1      "does this node answer you?"
//
// A gossip message is a batch: for each record its length as an unsigned varint
// and its canonical bytes. A message counts as invalid when any record in it is
// forged or malformed; as ignored when none is new. It is passed on as it is when
// each record in it was verified here, now or before; else what is new in it goes
// into a message of this Registry's own.
//
// What each peer sends is held to budgets (Budget). Who exceeds one is cut off
// and refused for a while. Records that an honest Registry may well pass on
// without their being of use here cost it nothing but volume: another
// Registry was faster, clocks and lists of bonds differ a little, an issuer
// changes its record too often. And what a Registry passes on stays within half of
// what others grant it. So neither an issuer nor a hostile Registry can set honest
// ones against each other by what it signs or sends.
//
// Only this package imports libp2p. A Network is safe for concurrent use.
package gossip
