package datapacket

import (
	"github.com/drtc-network/drtc"
	"google.golang.org/protobuf/encoding/protowire"
)

// Rewrite appends the packet b to dst as sent by the participant: whatever
// claims to name the sender is taken out and the truth is put in, in the packet
// and in the old fields of a UserPacket. An empty sid or identity, as of a
// hidden participant, is left out. All other bytes stay as they are. b must
// have passed Parse; b and dst must not overlap.
func Rewrite(dst, b []byte, sid drtc.ParticipantID, identity drtc.Identity) []byte {
	for len(b) > 0 {
		f, err := nextField(b)
		if err != nil {
			return dst
		}
		raw := b[:f.size]
		b = b[f.size:]
		switch {
		case f.kind != protowire.BytesType:
			dst = append(dst, raw...)
		case f.number == fieldIdentity, f.number == fieldSID:
		case f.number == protowire.Number(KindUser):
			dst = protowire.AppendTag(dst, f.number, f.kind)
			dst = protowire.AppendVarint(dst, uint64(userSize(f.bytes, sid, identity)))
			dst = appendUser(dst, f.bytes, sid, identity)
		default:
			dst = append(dst, raw...)
		}
	}
	dst = appendString(dst, fieldIdentity, string(identity))
	return appendString(dst, fieldSID, string(sid))
}

// appendUser appends a UserPacket as sent by the participant.
func appendUser(dst, user []byte, sid drtc.ParticipantID, identity drtc.Identity) []byte {
	for len(user) > 0 {
		f, err := nextField(user)
		if err != nil {
			break
		}
		if !f.namesSender() {
			dst = append(dst, user[:f.size]...)
		}
		user = user[f.size:]
	}
	dst = appendString(dst, userSID, string(sid))
	return appendString(dst, userIdentity, string(identity))
}

// userSize is the length of what appendUser appends.
func userSize(user []byte, sid drtc.ParticipantID, identity drtc.Identity) int {
	size := stringSize(userSID, string(sid)) + stringSize(userIdentity, string(identity))
	for len(user) > 0 {
		f, err := nextField(user)
		if err != nil {
			break
		}
		if !f.namesSender() {
			size += f.size
		}
		user = user[f.size:]
	}
	return size
}

// namesSender reports whether a field of a UserPacket tells who sent it.
func (f field) namesSender() bool {
	return f.kind == protowire.BytesType && (f.number == userSID || f.number == userIdentity)
}

func appendString(dst []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), s)
}

func stringSize(number protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return protowire.SizeTag(number) + protowire.SizeBytes(len(s))
}
