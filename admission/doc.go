// Package admission is how a Media Node knows who may command it without a
// client of the chain (whitepaper section 4.1.2): a list that a quorum of the
// Registries has signed.
//
// Contract: a Roll changes only when at least Quorum of the Registries that it
// trusts have each signed the very bytes of the new list, for this network, and
// the list's serial is not lower than the one held. A minority, an old list, a
// list of another network, or one signature counted twice changes nothing.
//
//	body          AdmissionBody, one spelling (Parse)
//	attestations  one record of kind "admission" for each Registry, without the
//	              body: it is put back before the signature is checked
//
// Trust moves with the list: it names the Registries that may sign the next one,
// so that a quorum of the old ones brings in the new ones, step by step. Two
// quorums of n share more than n/3, so two lists of one serial need that many
// Registries that sign both.
//
// A list is good until fewer than a quorum of its signatures are alive. What
// happens to it then is the reader's to decide.
//
// The canonical bytes of a body are the protobuf wire form of
// drtc.registry.v1.AdmissionBody with fields in ascending order, zero values
// left out, varints of least length and ids ascending:
//
//	08 serial   12 14 orchestrator(20) ...   1A 14 registry(20) ...   20 01
//
// The rules are numbered in spec/admission.md. This package is a core: no I/O, no
// clock. A Roll belongs to one goroutine; a Snapshot is read only and may be
// shared.
package admission
