// Package moderate lets the hosts of a room moderate it over HTTP, with nothing
// but the tokens that let them into the room (docs/apps/roles.md, whitepaper
// 4.1.4).
//
// The contract: WHOSE TOKEN IS NOT A HOST'S CHANGES NOTHING. A request's token
// says which room and which identity; that identity must be in the room and be
// host at the moment of the change, which the room itself checks. A token that
// grants roomAdmin counts as a host's, in the room or not.
//
//	GET  /drtc/v1/rooms/{room}/lobby    who waits
//	POST /drtc/v1/rooms/{room}/accept   {"identity": …} or {"all": true}
//	POST /drtc/v1/rooms/{room}/deny     {"identity": …, "may_return": false}
//	POST /drtc/v1/rooms/{room}/mute     {"identity": …, "sources": ["microphone"]}
//	POST /drtc/v1/rooms/{room}/remove   {"identity": …, "may_return": false}
//	POST /drtc/v1/rooms/{room}/host     {"identity": …, "keep": false}
//	POST /drtc/v1/rooms/{room}/role     {"identity": …, "role": "speaker"}
//
// Every answer is JSON; an error names the field that is wrong and what to do.
// Bodies are bounded, and so is how often one participant may ask.
//
// It is a shell; a Server is safe for concurrent use and owns no goroutine.
package moderate
