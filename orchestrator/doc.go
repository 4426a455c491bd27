// Package orchestrator is the Orchestrator (whitepaper section 4.1): it lets
// clients into rooms, chooses the Media Node that carries them, and commands it.
//
//	client ══ signal ══▶ actor of the room ══ nodes ══▶ Media Node
//	                     │  room (core)  ▲
//	                     ├─ allocate (core) over discovery
//	                     └─ state store
//
// The contract: A ROOM NEVER WAITS. Each room is one goroutine that owns its
// core and handles one command at a time; node calls, sockets and the store have
// queues of their own and report back as commands. So a frozen node or a client
// that does not read holds up nothing but itself.
//
// Compose it with New and Run. Decisions are in the cores room and allocate;
// this package owns the clock, the goroutines and the lifetimes. All methods of
// Orchestrator are safe for concurrent use.
package orchestrator
