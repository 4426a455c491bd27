// Package policy is where an application says who takes part in its rooms and how
// they run: who is host, who waits, what a role may do, how a room spreads over
// Media Nodes (whitepaper 4.1.4, docs/apps/policies.md).
//
// The contract: A POLICY NEVER BLOCKS A ROOM. Admit is asked before a Join reaches
// the room's goroutine, has a deadline, and its answer travels in the Join; what
// happens in rooms is told from a queue, and what a policy wants then is an order
// like any other's.
//
//	token ─▶ Policies.Admit ─▶ Policy.Admit ─▶ Join{Role, Lobby, Rules} ─▶ room
//	room  ─▶ Policies.Notify ─▶ Watcher.Changed ─▶ orders ─▶ room
//
// A policy cuts what a token allows and never adds to it. One that fails or is
// late refuses, unless its configuration says that it admits then.
//
// Host, AudioOnly, LiveStream and Adaptive are shipped and configured by
// Application; Webhook asks a server of the application's own. Programs that embed
// an Orchestrator pass implementations of Policy in Config.Custom.
//
// It is a shell; Policies is safe for concurrent use, and so must every Policy be.
package policy
