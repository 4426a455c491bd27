// Package negotiate is the SDP core of a Media Node's session transport
// (whitepaper 4.3): it answers a client's offers, or makes offers and accepts
// the answers, and keeps what one transport agreed on over its life.
//
// Contract: every successful call to Answer or Accept returns the complete
// agreement of the transport, and a call that fails changes nothing.
//
// The order of media sections, their mids and their kinds never change once
// agreed (JSEP, RFC 8829); a track sits on at most one section, a section
// carries at most one track, and a section on which the client publishes never
// carries one of ours. A section goes from one track to another only through a
// negotiation in which it is inactive, because browsers announce a new remote
// track only then:
//
//	          Bind                 Answer/Accept
//	free ───────────▶ reserved ────────────────▶ sending
//	 ▲                                              │ Unbind
//	 └───────────── Answer/Accept ── draining ◀─────┘
//
// A session that comes from another node brings what its client has: Place and
// Restore, before the first answer, tell of tracks on their sections and of the
// client's own streams, so that the answer is the one that the other node would
// have given. A placed track is a promise until Bind takes it up.
//
// What it speaks is small on purpose: BUNDLE (RFC 9143) with rtcp-mux only,
// ICE-lite (RFC 8445) with all candidates in the description, DTLS-SRTP (RFC
// 8842), Opus, RED, VP8, H.264, VP9 and AV1 with RTX (RFC 4588), simulcast by
// rid (RFC 8853), one SCTP association (RFC 8841). Everything else in an offer
// is ignored or refused section by section.
//
// Text from a peer is bounded before it is parsed (MaxSize, MaxSections) and
// none of it is copied into a description for somebody else.
//
// A Transport is not safe for concurrent use: its owner serialises the calls.
package negotiate
