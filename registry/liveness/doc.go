// Package liveness decides whether a Media Node still answers (whitepaper
// section 4.2.3: the Registry's list is accurate and current) and how long it
// did (section 2.3.1: availability A = u/l).
//
// Contract: every Registry that holds the same pages and the same list of
// Registries comes to the same verdict about a node, a majority of the node's
// probers is needed for Down, and nobody's word alone takes a node out of a
// network with more than one Registry.
//
//	keepalive streams ─> Table ── proven, lost ─┐
//	                                            ├─> Prober ── pages ─> every Registry
//	dials from outside ── answered, missed ─────┘     │                     │
//	                                        "look now" to the               v
//	                                         other probers              Verdicts
//
// A node's probers are the Registries that rank first for it by a hash
// (Probers). Each of them has two kinds of evidence: the node answers nonces on
// a stream that it opened (Table), and it can be reached at its URL from outside
// (a dial, made by the shell). Prober weighs them and writes what it saw into
// pages, records of kind "liveness"; a prober that misses many nodes at once
// distrusts itself. Verdicts counts the pages of all. The rules are in
// spec/liveness.md.
//
// This package is a core: now, nonces and the source of jitter are parameters.
// A Table, a Prober and a Verdicts each belong to one goroutine at a time.
package liveness
