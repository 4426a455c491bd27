// Package billing signs receipts for what Media Nodes served, and counts for
// whom (whitepaper 3.3; design decision 12).
//
// Contract: NOTHING LEAVES THAT IS NOT STORED. A receipt is in the store before a
// node gets it, so that no crash makes the Orchestrator sign one sequence twice;
// what was seen and what was signed are one value in the store, so that a crash
// loses an interval and pays nothing twice. Members of one operator share it.
//
//	node events ─Observe─▶ pending ─┐ every Interval, for each node
//	                                ▼
//	GetClaims ─────────────▶ receipt.Purse ─▶ store ─▶ DeliverReceipts
//	                                └─▶ receipt.Usage ─▶ store ─▶ budgets, CSV, REST
//
// A room that is over its budget, or whose application has no credits left, is
// refused with the reason (Refuses); package orchestrator asks.
//
// A Billing is safe for concurrent use. Run returns when its goroutines have
// ended.
package billing
