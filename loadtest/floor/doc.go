// Package floor is the cheapest sender of real-time media on a machine: what
// forwarding would cost if a media server did nothing but write headers, seal
// and send. It stands in a comparison as the figure that nobody gets below.
//
// Contract: each subscriber gets every packet of the publisher it plays,
// protected as WebRTC asks, and no work is done per packet beyond that.
//
// Subscribers are the same as everywhere in the load test: they join by WHEP,
// and pion does ICE and DTLS. From then on pion rests, and one goroutine makes
// the media (package traffic), writes 12 to 20 bytes of header, seals with
// AES-128-GCM (RFC 7714) and sends with sendmmsg and UDP_SEGMENT: the packets of
// a video frame as one message for each subscriber, audio alone.
//
//	POST /whep/{room}/{identity}    plays a publisher
//	POST /floor/publish/{identity}  starts one
//	POST /floor/window/{id}         stamps packets with a window from now on
//	POST /floor/sent                answers how many were stamped
//
// What subscribers report is thrown away unread: nothing is sent again, and key
// frames come by the clock. Linux only.
package floor
