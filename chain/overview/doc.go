// Package overview reads from the chain what everybody may look at: epochs with
// their roots, prices, charges and signers, the pools of Media Nodes, and what each
// was paid (whitepaper sections 5.6 to 5.8).
//
// The contract in one sentence: who asks never makes the chain be asked, because Run
// reads once for each settled block and all answers are of what it read last.
//
//	chain ─▶ Run: events of settled blocks ─▶ ledger ─┐
//	              calls at that block ────────────────┴─▶ View ─▶ who asks
//
// A View is of one block. It covers the last Epochs epochs of at most History, so
// that memory and the first reading are bounded whatever the chain's age. While the
// chain is away the last View stands, and Standing says so.
//
// Who signed an epoch is read from the transaction that committed it: its input holds
// the commit and the signatures, which are recovered here. Of a transaction that
// calls the contract through another one nothing is said.
//
// An Overview is safe for concurrent use; a View is read only.
package overview
