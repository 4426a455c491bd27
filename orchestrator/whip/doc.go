// Package whip lets encoders and players without an SDK into rooms: WHIP (RFC
// 9725) publishes, WHEP (draft-ietf-wish-whep) plays (docs/protocol/whip.md).
//
//	POST   /whip/{room}/{identity}   offer ─▶ 201, answer, Location   publishes
//	POST   /whep/{room}/{identity}   offer ─▶ 201, answer, Location   plays one participant
//	POST   /whep/{room}              offer ─▶ 201, answer, Location   plays the active speaker
//	PATCH  Location                  candidates ─▶ 204, ICE restart ─▶ 200
//	DELETE Location                  ─▶ 200
//
// The contract: EVERY REFUSAL SAYS WHAT TO DO. Each is a status with one line
// that names the cause and the fix, and never the token; nothing of a request
// that is refused stays behind.
//
// A WHIP session is a participant of its room, whose tracks are the sections of
// its offer. A WHEP session is a spectator: nobody hears of it, and any number
// may use one token. Both go the way of every other client: commands to the
// room (package room), whose node answers the offer.
//
// The package reads of SDP what it must know itself, and changes nothing in it
// but the ICE credentials of a restart. This package is a shell; a Server is
// safe for concurrent use.
package whip
