// Package record is the Registry's replicated map of signed, versioned, expiring
// records: the CRDT of whitepaper section 4.2.2.
//
// Contract: two Sets that were shown the same envelopes, in any order, with any
// repetition, hold the same, and nobody but an issuer can make a Set hold
// anything under that issuer's name.
//
// A Key is (kind, subject, issuer); each issuer writes only its own keys, so
// every entry is a register with one writer and the join of two envelopes is:
// the greater (generation, seq) wins, then the greater hash. That is commutative,
// associative and idempotent, needs no clock and no trust in whoever delivers.
//
// An envelope passes through three states, counted from its IssuedAt:
//
//	-Skew            0                TTL+Grace          MaxTTL+Grace+2*Skew
//	  |--------------- live ------------|------ mark -----------|  gone
//	                                    a tombstone is a mark from the start
//
// A live record is shown. A mark is not, but still stands in the way of anything
// older. By the time it goes, everything older that its issuer signed before it
// has itself expired (unless the issuer's clock ran more than Skew ahead and
// back), so nothing comes back and nothing grows.
//
// Time is used only to refuse and to expire, never to order.
//
// What one issuer can cost is bounded: by Bonding (who may write at all), by a rate
// for each key and by a quota in kinds of which an issuer has many records, kept so
// that Sets agree on what is over it. An issuer that signs two things under one
// version is found out (Equivocations).
//
// The Set is stored as the leaves of a Merkle summary, so that two of them can be
// compared by Root, Group, Leaf and Items (registry/reconcile). The rules are
// numbered in spec/registry.md (REG-6 to REG-12, REG-17 to REG-22) and held by
// spec/vectors/record.json.
//
// This package is a core: now is a parameter, a Set belongs to one goroutine, but
// for Genuine.
package record
