// Package served holds tests of what is paid, with whole roles in one process: a
// Registry, Media Nodes and an Orchestrator, and stock WebRTC clients that count
// what they receive (design decision 12).
//
// Contract: what the receipts at the Registry say is what the clients counted.
package served
