// Package wire puts what a room shows of itself into the messages of the client
// protocol, and reads permissions, subscriptions and settings out of them
// (docs/protocol/client.md, whitepaper 4.1).
//
// The contract: ONE FACE FOR ALL. A participant, a track or a room looks the same
// in signalling, in answers of the server API and in webhooks, because all three
// take it from here. Nothing here decides anything.
//
// This package, signal, roomservice and webhook alone import that protocol's
// module. All functions are pure and safe for concurrent use; what they return is
// new and the caller's.
package wire
