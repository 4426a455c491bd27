package codec

// NAL unit types of RFC 6184 section 5.2 and H.264 table 7-1.
const (
	nalIDR   = 5
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

// startsH264 says yes to an IDR slice or a sequence parameter set: alone, in an
// aggregation packet, or as the first fragment.
func startsH264(payload []byte) bool {
	return beginsNAL(payload, func(kind byte) bool { return kind == nalIDR || kind == nalSPS })
}

// HasParameterSet reports whether an H.264 payload has a sequence parameter set.
// A key frame without one begins with its first slice, which looks like the
// others.
func HasParameterSet(payload []byte) bool {
	return beginsNAL(payload, func(kind byte) bool { return kind == nalSPS })
}

// beginsNAL reports whether a NAL unit of a wanted type begins in a payload.
func beginsNAL(payload []byte, wanted func(kind byte) bool) bool {
	if len(payload) < 2 {
		return false
	}
	switch kind := payload[0] & 0x1f; kind {
	case nalSTAPA:
		for rest := payload[1:]; len(rest) > 2; {
			size := int(rest[0])<<8 | int(rest[1])
			if size == 0 || size > len(rest)-2 {
				return false
			}
			if wanted(rest[2] & 0x1f) {
				return true
			}
			rest = rest[2+size:]
		}
		return false
	case nalFUA:
		return payload[1]&0x80 != 0 && wanted(payload[1]&0x1f)
	default:
		return wanted(kind)
	}
}

// startsVP9 says yes to the first packet of a picture that no other picture is
// needed for, in its lowest spatial layer (RFC 9628 section 4.2).
func startsVP9(payload []byte) bool {
	const (
		hasPictureID = 0x80 // I
		predicted    = 0x40 // P
		hasLayer     = 0x20 // L
		begins       = 0x08 // B
	)
	if len(payload) < 2 {
		return false
	}
	first := payload[0]
	if first&begins == 0 || first&predicted != 0 {
		return false
	}
	if first&hasLayer == 0 {
		return true
	}
	at := 1
	if first&hasPictureID != 0 {
		if payload[1]&0x80 != 0 {
			at++
		}
		at++
	}
	return at < len(payload) && payload[at]>>1&7 == 0
}

// startsAV1 says yes to the first packet of a coded video sequence that carries
// its sequence header (AV1 RTP specification section 4.4).
func startsAV1(payload []byte) bool {
	const (
		continues      = 0x80 // Z: the first element is the rest of one
		newSequence    = 0x08 // N
		sequenceHeader = 1
	)
	if len(payload) < 2 || payload[0]&continues != 0 || payload[0]&newSequence == 0 {
		return false
	}
	count := int(payload[0] >> 4 & 3) // W: 0 means that each element has its length
	rest := payload[1:]
	for i := 1; len(rest) > 0; i++ {
		element := rest
		if count == 0 || i < count {
			size, n := leb128(rest)
			if n == 0 || size > len(rest)-n {
				return false
			}
			element, rest = rest[n:n+size], rest[n+size:]
		} else {
			rest = nil
		}
		if len(element) > 0 && element[0]>>3&0x0f == sequenceHeader {
			return true
		}
	}
	return false
}

// leb128 reads a length of at most three bytes, more than any datagram holds;
// n is 0 if it is longer or cut off.
func leb128(b []byte) (v, n int) {
	for n < len(b) && n < 3 {
		v |= int(b[n]&0x7f) << (7 * n)
		n++
		if b[n-1]&0x80 == 0 {
			return v, n
		}
	}
	return 0, 0
}
