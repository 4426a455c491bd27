// Package simulation is the network of Registries in virtual time: the Registry's
// cores (record, reconcile) joined by internal/netsim as the shells join them by
// libp2p, the disk and RPC, with issuers that register, refresh, leave and
// equivocate, and with hostile Registries.
//
// Contract: a World that is built twice from the same Plan goes through the same
// events, and Check says whether the honest Registries hold exactly what was
// acknowledged to honest issuers and has not expired.
//
//	issuer --submit--> Registry ==gossip, a lossy flood==> Registry
//	       <--receipt-    | ^                                | ^
//	        after commit  v |  disk: survives a crash        v |
//	                      '-+---- reconcile, a stream -------'-'
//
// What is real: every rule of record and reconcile, every signature, every byte
// of a session. What stands in for a shell: gossip is a flood over a mesh in
// datagrams, worse than gossipsub, which has streams and asks for what it missed;
// the disk commits 20 ms after a write; RPC is a frame of a stream. A signature's
// verdict is a function of the bytes, so the Registries of one World share it
// (Verdicts counts the verifications that the network as a whole would make).
//
// The tests hold rules REG-6 to REG-12 of spec/registry.md under whitepaper 4.2.2
// for a whole network rather than for one Set. A World belongs to one goroutine.
package simulation
