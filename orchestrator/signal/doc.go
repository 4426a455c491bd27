// Package signal speaks the client protocol: it lets clients in by their tokens,
// turns their messages into commands of package room, and the room's messages
// into theirs (docs/protocol/client.md, whitepaper 4.1).
//
// The contract: EVERYTHING IS CHECKED BEFORE THE UPGRADE. A connection becomes a
// WebSocket only when its token, its request and the room have said yes and the
// first answer is ready; until then a refusal is an HTTP status with one line
// that names the cause and never the token.
//
//	GET /rtc/v1?access_token&join_request  ─▶ check ─▶ Rooms.Enter ─▶ first message ─▶ 101
//	GET /rtc?…&join_request                   the same
//	GET /rtc/validate, /rtc/v1/validate       the checks alone
//
// It works with LiveKit client SDKs in single-connection mode; the project is not
// affiliated with LiveKit, Inc. This package, wire, roomservice and webhook
// alone import that protocol's module.
//
// A connection has a reader and a writer with a bounded queue between the room
// and the socket: a client that does not read is cut off and never holds up its
// room. This package is a shell; a Server is safe for concurrent use.
package signal
