// Package discovery is the client of the Registry network: it asks several
// Registries which Media Nodes there are and believes none (whitepaper section
// 4.2.3.2).
//
// Contract: every Node of a Snapshot was stated and signed by that node itself,
// is within its time, and is listed by at least half of the Registries whose
// word counts. So a minority of them can neither make up nor alter a node, nor
// hide one, nor keep showing one that died, nor bring back what another proves
// gone.
//
//	Registry A  ══ Watch ══════════▶ records, hidden ids --+
//	Registry B  --/listMediaNodes--> ids, versions --------+--> view: verify, merge --> Snapshot
//	            <--/records?ids=---- what is new           |    by (generation, seq)
//	CacheFile   -- at the start ---> records, answers -----+
//
// A Registry that offers no Watch stream, or whose stream has ended, is asked
// every few seconds. What one said last counts for Config.Remember after it fell
// silent, or for as long as the records live if all of them are silent.
//
// Further Registries are learned (learn.go): those whose own signed record more
// than half of the configured ones hold. Their word counts like the others'.
//
// Discovery follows the network; Find answers one question, Peers shows whom a
// Registry knows. Methods of Discovery are safe for concurrent use; Run is
// called once.
package discovery
