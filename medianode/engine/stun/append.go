package stun

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// RequestOptions are the attributes of a connectivity check (RFC 8445 section
// 7.1). The zero value sends none of them.
type RequestOptions struct {
	Priority     uint32
	UseCandidate bool
	// Controlling or Controlled is sent with TieBreaker.
	Controlling, Controlled bool
	TieBreaker              uint64
}

// AppendBindingSuccess appends the answer that tells a client the address it
// was seen at, with integrity by password and a fingerprint.
func AppendBindingSuccess(dst []byte, id [12]byte, mapped netip.AddrPort, password string) []byte {
	start := len(dst)
	dst = appendHeader(dst, BindingSuccess, id)
	dst = appendMapped(dst, start, mapped)
	dst = appendIntegrity(dst, start, password)
	return appendFingerprint(dst, start)
}

// AppendBindingError appends an error answer. Without a password it carries no
// integrity, as answers to an unauthenticated request must not. unknown lists
// the attributes of a 420 answer. reason is cut at 127 bytes.
func AppendBindingError(dst []byte, id [12]byte, code int, reason, password string, unknown ...uint16) []byte {
	start := len(dst)
	dst = appendHeader(dst, BindingError, id)
	if len(reason) > 127 {
		reason = reason[:127]
	}
	dst = appendAttribute(dst, attrErrorCode, 4+len(reason))
	dst = append(dst, 0, 0, byte(code/100), byte(code%100))
	dst = appendPadding(append(dst, reason...), start)
	if len(unknown) > 0 {
		dst = appendAttribute(dst, attrUnknown, 2*len(unknown))
		for _, kind := range unknown {
			dst = binary.BigEndian.AppendUint16(dst, kind)
		}
		dst = appendPadding(dst, start)
	}
	if password != "" {
		dst = appendIntegrity(dst, start, password)
	}
	return appendFingerprint(dst, start)
}

// AppendBindingRequest appends a connectivity check, as relay links, load
// bots and tests send it. username is "receiver's ufrag:sender's ufrag", at most
// 512 bytes.
func AppendBindingRequest(dst []byte, id [12]byte, username, password string, o RequestOptions) []byte {
	start := len(dst)
	dst = appendHeader(dst, BindingRequest, id)
	dst = appendAttribute(dst, attrUsername, len(username))
	dst = appendPadding(append(dst, username...), start)
	if o.Priority != 0 {
		dst = appendAttribute(dst, attrPriority, 4)
		dst = binary.BigEndian.AppendUint32(dst, o.Priority)
	}
	if o.UseCandidate {
		dst = appendAttribute(dst, attrUseCandidate, 0)
	}
	switch {
	case o.Controlling:
		dst = appendAttribute(dst, attrControlling, 8)
		dst = binary.BigEndian.AppendUint64(dst, o.TieBreaker)
	case o.Controlled:
		dst = appendAttribute(dst, attrControlled, 8)
		dst = binary.BigEndian.AppendUint64(dst, o.TieBreaker)
	}
	dst = appendIntegrity(dst, start, password)
	return appendFingerprint(dst, start)
}

func appendHeader(dst []byte, kind uint16, id [12]byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, magicCookie)
	return append(dst, id[:]...)
}

func appendAttribute(dst []byte, kind uint16, size int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	return binary.BigEndian.AppendUint16(dst, uint16(size))
}

func appendPadding(dst []byte, start int) []byte {
	for (len(dst)-start)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

func appendMapped(dst []byte, start int, mapped netip.AddrPort) []byte {
	key := start + 4
	port := mapped.Port() ^ magicCookie>>16
	addr := mapped.Addr().Unmap()
	if addr.Is4() {
		ip := addr.As4()
		xorBytes(ip[:], dst[key:])
		dst = append(appendAttribute(dst, attrXORMappedAddress, 8), 0, 1, byte(port>>8), byte(port))
		return append(dst, ip[:]...)
	}
	ip := addr.As16()
	xorBytes(ip[:], dst[key:])
	dst = append(appendAttribute(dst, attrXORMappedAddress, 20), 0, 2, byte(port>>8), byte(port))
	return append(dst, ip[:]...)
}

func appendIntegrity(dst []byte, start int, password string) []byte {
	sum := integrity(dst[start:], password)
	dst = appendAttribute(dst, attrMessageIntegrity, integritySize)
	return append(dst, sum[:]...)
}

// appendFingerprint ends the message: it sets the length field, then appends
// the CRC over everything before.
func appendFingerprint(dst []byte, start int) []byte {
	const size = 8
	binary.BigEndian.PutUint16(dst[start+2:], uint16(len(dst)-start-headerSize+size))
	sum := crc32.ChecksumIEEE(dst[start:]) ^ fingerprintXOR
	dst = appendAttribute(dst, attrFingerprint, 4)
	return binary.BigEndian.AppendUint32(dst, sum)
}
