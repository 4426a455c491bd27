// Package control is the RPC module of a Media Node (whitepaper 4.3.6): it
// serves the ControlService to Orchestrators and relays what they ask to the
// Media Engine.
//
// Contract: a session belongs to the Orchestrator that created it. To any other
// caller the session, its room and its tracks do not exist, whatever ids it
// guesses: ids and rooms are kept per owner.
//
//	Orchestrator ──RPC──▶ Service ─▶ session ─┬─▶ negotiate (SDP)
//	      ▲                                   └─▶ Media (engine, DTLS, SCTP)
//	      └──────── event stream ◀── feed ◀───────── engine events, data
//
// The stream carries two kinds of things. Events are numbered, kept for a stream
// that breaks, and sent at once. Figures of the sessions are worth no message of
// their own: the heartbeat carries the newest, so that a room in which nothing
// happens costs two messages a second, however many are in it.
//
// Several Orchestrators of one key are members of one owner: each has a feed of
// its own, and each room is written by the member with the highest term (term.go).
//
// Everything here is bounded: sessions per node, tracks and subscriptions per
// session, events kept per owner. The package is safe for concurrent use; the
// lock order is tenure.gate, session.mu, then Service.mu, then feed.mu, and no lock is held
// while a message is sent to a client or an Orchestrator.
package control
