// Package receipt decides how served bytes become signed receipts (whitepaper
// 3.3 and 5.7; design decision 12). A receipt is an Orchestrator's word for what
// one Media Node has served one application since an epoch began; its statement
// is epoch.Receipt. The rules are spec/receipt.md, RC1 to RC12.
//
//	Media Node                                        Orchestrator
//	Till   counts what receivers acknowledged          Purse  what it saw acknowledged
//	   ├─ Claims ─────────────────────────────────────────▶ Answer: the least of both
//	   ◀───────────────────────────────────── Signed ───────┘
//	   ├─ Judge: serve, warn, take nobody new, stop     Usage   by room and API key
//	   └─ Page ─▶ Registries ─▶ Set ─▶ settlement       Budget  who is refused, and why
//
// Contract: WHAT IS SIGNED ONCE STAYS PAID AND IS PAID ONCE, whatever comes late,
// twice, in another order or not at all, and whoever restarts. Two Sets that were
// shown the same receipts hold the same bytes.
//
// A Till does without what is on its way: an Orchestrator may owe it a credit of
// bytes and of seconds. A Purse signs no more than it saw acknowledged, so that a
// node that claims more is not paid for it.
//
// The package is a core: the time is a parameter and nothing is safe for
// concurrent use. Bytes are those of decision 12, counted by medianode/engine/meter.
package receipt
