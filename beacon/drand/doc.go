// Package drand fetches rounds of a drand chain over HTTP from several sources
// and believes none of them (whitepaper 4.2.4; spec/schedule.md T4).
//
// Contract: ROUND RETURNS A VERIFIED ROUND OF THE NUMBER ASKED FOR, OR AN ERROR
// BEFORE ITS CONTEXT ENDS. A source that lies, hangs, redirects, or sends too
// much costs the time until the next one is asked and no more; one that does not
// have the round yet is asked again.
//
// The path is drand's own, GET BASE/CHAIN-HASH/public/ROUND, which its public
// relays serve (https://api.drand.sh, https://drand.cloudflare.com) and which a
// Registry may serve to others, since a round proves itself.
//
// A Client is safe for concurrent use. Its goroutines end before Round returns.
package drand
