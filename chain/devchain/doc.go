// Package devchain runs the dRTC Chain of a development network: go-ethereum as
// a library, one producer of blocks, no peers (whitepaper section 5).
//
// The contract in one sentence: what an answer has said of a block stays true,
// also after kill -9 of the process and after a loss of power.
//
//	eth_sendRawTransaction ─▶ pool ─▶ seal ─▶ write-ahead log ─▶ fsync ─▶ answers
//	                                  └──────── gate closed ────────┘
//
// Two settings make that so. Every state is written when its block is (the hash
// scheme, as an archive), so no state is in memory alone; with go-ethereum's path
// scheme a young chain restarts at block 0. And no answer leaves while a block is
// visible but not yet synced to disk: the gate. go-ethereum itself writes without
// waiting for the log.
//
// Blocks come once per block time, on the boundaries of the clock, so that time
// on the chain is time in the world. With block time 0 there is one as soon as
// there is a transaction, and time on the chain runs ahead: for tests.
//
// It serves JSON-RPC over HTTP (namespaces eth, net and web3), /healthz and
// /metrics at one address. It has no accounts of its own and no signatures but
// those of transactions, and speaks with nobody but its callers. It is no rollup
// and proves nothing to others: a devnet. New opens, Run serves until its context
// ends; other methods are safe for concurrent use.
package devchain
