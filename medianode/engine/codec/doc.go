// Package codec looks into RTP payloads as far as forwarding needs: where a key
// frame starts, which layer a packet is of, and the picture ids that a switch of
// layers has to continue (VP8 RFC 7741, H.264 RFC 6184, VP9 RFC 9628, AV1 RTP specification 1.0;
// whitepaper section 4.3).
//
// Contract: every function takes any bytes and never reads past them; what
// cannot be read is no key frame. End-to-end encrypted payloads keep their
// descriptors in clear and are treated alike.
//
// Nothing here allocates. All functions are pure and safe for concurrent use.
package codec
