// Package client speaks to a chain for the rest of the product: it reads, sends
// transactions and follows events, over JSON-RPC of any EVM chain (whitepaper
// section 5).
//
// The contract in one sentence: an intent, known by its id, has effect at most
// once, whatever the endpoint says and however often this process is killed.
//
//	Send(intent) ─▶ estimate ─▶ nonce ─▶ sign ─▶ journal, synced ─▶ endpoint
//	                                              ▲                  │ silence: the same bytes again
//	                                              └── higher fee ◀───┘ still silence
//
// A nonce is given to an intent once and in the journal before anybody hears of
// the transaction. From then on every attempt has that nonce and that payload and
// differs in its fee alone, so the chain takes at most one. What an endpoint
// answers is never a reason to use the nonce for something else.
//
// Calls are packed and results unpacked by package chain/bindings. A refusal by a
// contract is a *Revert: the error's name, its arguments and what to do. An
// endpoint that is away, slow, or answers nonsense is ErrUnavailable. What counts
// as settled is a setting (Finality); Follow gives events of settled blocks alone.
//
// Every request has a deadline and every answer a size limit. A Client and a
// Sender are safe for concurrent use; of Senders there is one per account, held by
// a lock on its journal.
package client
