// Package sim runs an economy of agents over econ, epoch by epoch, to choose the
// parameters of the network before its contracts freeze (whitepaper 2.1.1).
//
// Agents are Media Nodes that enter and leave by profit, holders of keys that
// delegate, applications that buy credits, a price that moves by chance and by
// jumps, an oracle that errs, a Reserve that spends, and one owner of the best
// node who serves himself whenever that pays.
//
//	price ─▶ oracle ─▶ scale ─▶ rewards ─▶ M ┐
//	  └▶ credits bought ─▶ Q ────────────────┴▶ B, cut, Y ─▶ ledger ─▶ invariants
//
// Contract: THE RESULT DEPENDS ON SCENARIO, POLICY, SEED AND VERSION ALONE. Every
// agent draws from a stream of its own, counted, so that one agent more does not
// change what another draws. Decisions are float64; the ledger is in wei, by the
// functions that the chain shares, and is proved conserved in each epoch. A run
// whose invariant breaks ends with an error that names seed and epoch.
//
// The package is a core: a Run owns its state, and runs share nothing, so a
// shell may run many at once.
package sim

// Version changes whenever equal scenarios and seeds would give other results.
const Version = 1
