package envelope

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// Field numbers of drtc.registry.v1.Record.
const (
	fieldKind = iota + 1
	fieldNetwork
	fieldSubject
	fieldIssuer
	fieldGeneration
	fieldSeq
	fieldIssuedAt
	fieldTTL
	fieldFlags
	fieldBody
	fieldSignature
)

// Wire types of protobuf.
const (
	wireVarint = 0
	wireBytes  = 2
)

// Bytes returns the canonical form. Parse reads it back if the fields are in
// range.
func (e *Envelope) Bytes() []byte {
	b := make([]byte, 0, len(e.Body)+len(e.Kind)+len(e.Network)+192)
	b = appendBytes(b, fieldKind, []byte(e.Kind))
	b = appendBytes(b, fieldNetwork, []byte(e.Network))
	b = appendBytes(b, fieldSubject, e.Subject[:])
	b = appendBytes(b, fieldIssuer, e.Issuer[:])
	b = appendVarint(b, fieldGeneration, e.Generation)
	b = appendVarint(b, fieldSeq, e.Seq)
	b = appendVarint(b, fieldIssuedAt, uint64(e.IssuedAt.UnixMilli()))
	b = appendVarint(b, fieldTTL, uint64(e.TTL/time.Second))
	b = appendVarint(b, fieldFlags, uint64(e.Flags))
	b = appendBytes(b, fieldBody, e.Body)
	return appendBytes(b, fieldSignature, e.Signature[:])
}

func appendBytes(b []byte, field uint64, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, field<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendVarint(b []byte, field, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, field<<3|wireVarint)
	return binary.AppendUvarint(b, v)
}

// Parse reads canonical bytes. The error wraps ErrMalformed, or ErrField for a
// value out of range. The signature is not checked: call Verify. The result
// does not share memory with b.
func Parse(b []byte) (Envelope, error) {
	if len(b) > MaxSize {
		return Envelope{}, fmt.Errorf("%w: want at most %d bytes, got %d", ErrMalformed, MaxSize, len(b))
	}
	var e Envelope
	var ttl, flags uint64
	var millis uint64
	for rest := b; len(rest) > 0; {
		f, err := nextField(rest)
		if err != nil {
			return Envelope{}, err
		}
		rest = rest[f.size:]
		ok := true
		switch f.tag {
		case fieldKind<<3 | wireBytes:
			e.Kind = string(f.bytes)
		case fieldNetwork<<3 | wireBytes:
			e.Network = string(f.bytes)
		case fieldSubject<<3 | wireBytes:
			ok = copyExactly(e.Subject[:], f.bytes)
		case fieldIssuer<<3 | wireBytes:
			ok = copyExactly(e.Issuer[:], f.bytes)
		case fieldGeneration<<3 | wireVarint:
			e.Generation = f.varint
		case fieldSeq<<3 | wireVarint:
			e.Seq = f.varint
		case fieldIssuedAt<<3 | wireVarint:
			millis, ok = f.varint, f.varint <= maxMillis
		case fieldTTL<<3 | wireVarint:
			ttl, ok = f.varint, f.varint == uint64(uint32(f.varint))
		case fieldFlags<<3 | wireVarint:
			flags, ok = f.varint, f.varint == uint64(uint32(f.varint))
		case fieldBody<<3 | wireBytes:
			e.Body = bytes.Clone(f.bytes)
		case fieldSignature<<3 | wireBytes:
			ok = copyExactly(e.Signature[:], f.bytes)
		default:
			ok = false
		}
		if !ok {
			return Envelope{}, fmt.Errorf("%w: field %d is unknown or has the wrong size", ErrMalformed, f.tag>>3)
		}
	}
	e.IssuedAt = time.UnixMilli(int64(millis)).UTC()
	e.TTL = time.Duration(ttl) * time.Second
	e.Flags = Flags(flags)
	if err := e.check(); err != nil {
		return Envelope{}, err
	}
	// One comparison rules out another order, repeated fields, spelled-out
	// zeros, long varints and a missing signature.
	if !bytes.Equal(e.Bytes(), b) {
		return Envelope{}, fmt.Errorf("%w: want each field once, in ascending order, in its shortest form", ErrMalformed)
	}
	return e, nil
}

type field struct {
	tag    uint64
	varint uint64
	bytes  []byte
	size   int // of the whole field
}

func nextField(b []byte) (field, error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return field{}, fmt.Errorf("%w: cut short in a tag", ErrMalformed)
	}
	v, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return field{}, fmt.Errorf("%w: cut short in field %d", ErrMalformed, tag>>3)
	}
	f := field{tag: tag, varint: v, size: n + m}
	if tag&7 != wireBytes {
		return f, nil
	}
	if v > uint64(len(b)-f.size) {
		return field{}, fmt.Errorf("%w: cut short in field %d", ErrMalformed, tag>>3)
	}
	f.bytes = b[f.size : f.size+int(v)]
	f.size += int(v)
	return f, nil
}

func copyExactly(dst, src []byte) bool {
	return copy(dst, src) == len(dst) && len(src) == len(dst)
}
