package engine

// Protection seals and opens the media of one peer (RFC 3711, RFC 7714). The
// shell makes one from the keys of a finished DTLS handshake. It is called
// with the core's single-threaded discipline.
//
// Open calls fail for packets that are forged, replayed or malformed; a failed
// call changes nothing.
type Protection interface {
	// OpenRTP returns the plain packet of b, stored in dst's memory.
	OpenRTP(dst, b []byte) ([]byte, error)
	// OpenRTCP returns the plain compound packet of b, stored in dst's memory,
	// and its SRTCP index (RFC 3711 section 3.4, 31 bits, without the E bit).
	OpenRTCP(dst, b []byte) (plain []byte, index uint32, err error)
	// SealRTP protects a plain packet in place, whose first header bytes are the
	// RTP header and its extensions; it needs up to 16 bytes of capacity behind
	// the packet. index is the packet's (RFC 3711 section 3.3.1, 48 bits): its
	// low 16 bits are the sequence number, and no two packets of an SSRC may
	// have the same, because it is the cipher's nonce.
	SealRTP(packet []byte, header int, index uint64) ([]byte, error)
	// SealRTCP does the same for a plain compound packet.
	SealRTCP(dst, plain []byte) ([]byte, error)
	// Warm reads what the next SealRTP will need into the processor's caches. The
	// result says nothing.
	Warm() uint64
}
