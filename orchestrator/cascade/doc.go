// Package cascade keeps the relay links of one room as its plan wants them
// (whitepaper 4.3.1): which pairs of Media Nodes have a link, and over which
// link each node gets the tracks of every other node's clients.
//
// The contract: WHAT IS WANTED GOES IN, WHAT IS KNOWN GOES IN, ORDERS COME OUT.
// Want names links and routes; results and events of nodes tell what is; each
// call may add orders, which the owner takes with Orders and carries out. Orders
// of one link at one node stay in order, and so do SetRoutes of one node.
//
//	Want ─────────────────────────────▶ ┌─────────┐ ─▶ Prepare, Open, Close
//	Prepared, Opened, RoutesSet ──────▶ │ Cascade │ ─▶ SetRoutes
//	Changed, Lost, Back, Claimed ─────▶ └─────────┘
//
// A link is described by both ends, then opened at both ends, then connects. An
// attempt that fails anywhere is closed at both ends, and the next one has a
// fresh id after a backoff. A link that is not wanted any more lives on for a
// calm time, so that a route can move to another link before the old one goes.
//
// The package is a core: no clock, socket, goroutine or logger, and not safe for
// concurrent use.
package cascade
