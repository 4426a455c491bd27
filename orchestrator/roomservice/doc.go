// Package roomservice serves the server API of the client protocol: with it an
// application's own server looks after its rooms by the server SDKs that exist
// (docs/apps/room-service.md, whitepaper 4.1).
//
// The contract: A TOKEN OPENS WHAT IT NAMES, AND NOTHING ELSE. Every call is
// checked before anything is looked up: the token's API key says whose rooms it
// may touch, its grants which of them and how. A refusal is a Twirp error whose
// text names the grant or the field, and what to do.
//
//	POST /twirp/livekit.RoomService/<method>   protobuf or JSON
//	     ─▶ token ─▶ body ─▶ Elsewhere? ─▶ Rooms.Do(room.Order) ─▶ answer
//
// A call concerns one room, and is carried out where that room is: before a
// method runs, Config.Elsewhere may hand the whole request to the Orchestrator
// process that has the room. ListRooms reads what all of them have stored.
//
// This package, signal, wire and webhook alone import that protocol's module. It
// is a shell; a Server is safe for concurrent use and owns no goroutine.
package roomservice
