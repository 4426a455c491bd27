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
// Everything here is bounded: sessions per node, tracks and subscriptions per
// session, events kept per owner. The package is safe for concurrent use; the
// lock order is Service.mu, then session.mu, then feed.mu, and no lock is held
// while a message is sent to a client or an Orchestrator.
package control
