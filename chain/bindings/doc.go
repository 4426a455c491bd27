// Package bindings encodes calls of the contracts of the dRTC Chain, and
// decodes what they return, emit and refuse with.
//
// The contract in one sentence: a type here per contract of chain/contracts,
// named as it is, made from its ABI by abigen and never edited.
//
// Each type packs calls into bytes and unpacks results, events and errors; it
// sends nothing. UnpackError tells the custom error of a refused transaction
// with its arguments. The bytecode lies apart, in chain/deploy/artefacts.
// Whitepaper section 5.4.1 lists the contracts. Values have no state and may be
// used from any goroutine.
package bindings
