// Package discovery is the Orchestrator's view of the Media Nodes: it asks
// several Registries and believes none (whitepaper section 4.2.3.2).
//
// Contract: every Node of a Snapshot was stated and signed by that node itself,
// is within its time, and is listed by at least one Registry. A Registry can
// hide a node or keep showing one that has left until its record expires; it can
// neither make up nor alter one, nor bring back what another Registry proves
// gone.
//
//	Registry A  --/listMediaNodes--> ids, versions --+
//	            <--/records?ids=---- what is new     +--> view: verify, merge --> Snapshot
//	Registry B  --...--------------------------------+    by (generation, seq)
//
// What a Registry said last counts for Config.Remember after it fell silent, or
// for as long as the records live if all of them are silent.
//
// Methods of Discovery are safe for concurrent use; Run is called once.
package discovery
