// Package datapacket reads and rewrites the data packets of the client protocol
// as far as a Media Node must (whitepaper 4.3.5): who shall get a packet, and
// who sent it. The wire form is the message DataPacket of the protocol that
// LiveKit client SDKs speak.
//
// Contract: a node overwrites the sender's identity and id, honours the
// destinations, and forwards every other byte unchanged, also of fields that it
// doesn't know. So chat, streams, calls between participants and end-to-end
// encrypted data need nothing else. The package works on the wire form and
// holds no generated type.
//
// Packets come from clients: Parse bounds what it accepts and a packet must
// pass it before Rewrite. The package is a CORE: no state, safe for use by any
// number of goroutines.
package datapacket
