// Package record is the record layer of a DTLS 1.2 association once its
// handshake is done (RFC 6347 section 4.1, RFC 5288; whitepaper 4.3.5): it opens
// what the peer sends and seals what we send, and needs neither goroutine nor
// timer nor buffer while nothing comes.
//
// Contract: Open says Data, Repeat, Renegotiation or Closed only for a record
// that the peer's key has sealed and that was not opened before; all else is
// Nothing and changes nothing.
//
// The handshake is somebody else's. Sent watches what it sends, since the
// sequence numbers go on from there (a nonce must not come twice), and since a
// server repeats its last flight when the peer repeats its own (RFC 6347 section
// 4.2.4): the peer's Finished, authenticated, is what asks for it. There is no
// renegotiation, no connection id and no cipher but AES-GCM, which every WebRTC
// peer must have (RFC 8827 section 6.5).
//
// One goroutine at a time may call Open, and one at a time the methods that
// seal; the two may be different ones.
package record
