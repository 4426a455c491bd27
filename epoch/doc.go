// Package epoch is what the Registries agree on, sign and commit for each epoch
// (whitepaper 5.7 and 5.8): a leaf for each Media Node, a charge for each payer,
// the totals of mint and burn, their hashes and the signatures of a quorum. The
// rules are spec/epoch.md, P1 to P15.
//
//	receipts ─▶ leaves ─▶ Merkle root ─┐
//	         └▶ charges ─▶ hash chain ─┼▶ Commit ─▶ EIP-712 digest ─▶ quorum
//	prices, parameters, supply ─▶ M0, M┘
//
// Contract: EQUAL INPUTS GIVE EQUAL BYTES, here and in the contracts. Close
// refuses what the contracts would refuse, and names the field.
//
// The package is a core. A Tree is safe for concurrent reads; everything else is
// a value.
package epoch
