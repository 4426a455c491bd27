// Package floor is the cheapest forwarder of real-time media on a machine: what
// is left of a media server when it does only what none can leave out. It
// stands in a comparison as the figure that nobody gets below.
//
// Contract: who plays an identity gets every packet that it publishes, protected
// as WebRTC asks, and no work is done per packet beyond opening, a header,
// sealing and sending.
//
//	POST /whip/{room}/{identity}  publishes (RFC 9725, without PATCH)
//	POST /whep/{room}/{identity}  plays what that identity publishes
//	DELETE /session/{id}          ends either
//
// Its clients are the same as everywhere in the load test: pion does ICE and
// DTLS with them, and rests from then on. One goroutine receives (recvmmsg),
// opens, writes 12 or 20 bytes of header for each destination, seals with
// AES-128-GCM (RFC 7714) and sends (sendmmsg, UDP_SEGMENT): the packets of a
// video frame as one message for each destination once the last is there, audio
// at once.
//
// What subscribers report is thrown away unread: nothing is sent again, nobody
// is asked for a key frame, and a lost packet is not noticed. It is for
// measurements on loopback alone. Linux only; a Server is used once.
package floor
