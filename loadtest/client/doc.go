// Package client is the other side of a load test: PeerConnections of
// pion/webrtc that publish or play by WHIP and WHEP, or by the client protocol
// of LiveKit SDKs over a WebSocket.
//
// Contract: what Publish and Play return is a session whose negotiation has
// ended; media may still be on its way. Close ends it at the server, too.
//
// The client protocol's messages are encoded by hand, field by field: only the
// Orchestrator depends on the protocol's module. WHIP is RFC 9725, WHEP its
// draft for playing.
//
// A WHIP or Signal is safe for concurrent use; a Session is closed once.
package client
