package identity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/drtc-network/drtc"
)

// ErrTyped is returned by Type.HashStruct for a value that does not fit its
// type, or a type that this encoder does not know.
var ErrTyped = errors.New("identity: typed value")

// TypedHash is a structured value ready to be signed by EIP-712.
type TypedHash struct {
	Separator [32]byte // Domain.Separator
	Struct    [32]byte // Type.HashStruct
}

// Digest is what SignTyped signs: Keccak-256 over 0x19, 0x01 and both hashes.
func (d TypedHash) Digest() [32]byte {
	return Keccak256([]byte{0x19, 0x01}, d.Separator[:], d.Struct[:])
}

// Domain says for whom a structured signature is meant, so that it means
// nothing elsewhere. A zero field is absent, as if the domain's type did not
// list it.
type Domain struct {
	Name, Version     string
	ChainID           uint64
	VerifyingContract [20]byte
	Salt              [32]byte
}

// Separator is the domain's hash (spec ID-7).
func (d Domain) Separator() [32]byte {
	t := Type{Name: "EIP712Domain"}
	var values []any
	add := func(present bool, name, kind string, v any) {
		if present {
			t.Fields, values = append(t.Fields, Field{Name: name, Type: kind}), append(values, v)
		}
	}
	add(d.Name != "", "name", "string", d.Name)
	add(d.Version != "", "version", "string", d.Version)
	add(d.ChainID != 0, "chainId", "uint256", d.ChainID)
	add(d.VerifyingContract != [20]byte{}, "verifyingContract", "address", d.VerifyingContract)
	add(d.Salt != [32]byte{}, "salt", "bytes32", d.Salt)
	h, err := t.HashStruct(values...)
	if err != nil {
		panic("identity: hashing a domain: " + err.Error()) // the types above fit their values
	}
	return h
}

// Field is one member of a Type. Type is the Solidity name: address, bool,
// bytes, string, bytes1 to bytes32, uint8 to uint256, int8 to int256. For a
// member that is a struct, Struct is its type and Type is not used. Arrays are
// not supported.
type Field struct {
	Name, Type string
	Struct     *Type
}

func (f Field) kind() string {
	if f.Struct != nil {
		return f.Struct.Name
	}
	return f.Type
}

// Type is a struct of EIP-712.
type Type struct {
	Name   string
	Fields []Field
}

// Encode is encodeType of EIP-712: the struct, then those it refers to by name.
func (t Type) Encode() string {
	refs := map[string]Type{}
	t.collect(refs)
	delete(refs, t.Name)
	names := make([]string, 0, len(refs))
	for name := range refs {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	t.write(&b)
	for _, name := range names {
		refs[name].write(&b)
	}
	return b.String()
}

func (t Type) collect(refs map[string]Type) {
	if _, seen := refs[t.Name]; seen {
		return
	}
	refs[t.Name] = t
	for _, f := range t.Fields {
		if f.Struct != nil {
			f.Struct.collect(refs)
		}
	}
}

func (t Type) write(b *strings.Builder) {
	b.WriteString(t.Name + "(")
	for i, f := range t.Fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(f.kind() + " " + f.Name)
	}
	b.WriteByte(')')
}

// Hash is typeHash of EIP-712.
func (t Type) Hash() [32]byte { return Keccak256([]byte(t.Encode())) }

// HashStruct is hashStruct of EIP-712 over one value per field, in order:
// drtc.NodeID or [20]byte for address, bool, string, []byte for bytes, [32]byte
// or a []byte of the right length for bytesN, uint64, int64 or *big.Int for
// integers, and []any for a struct. The error wraps ErrTyped and names the field.
func (t Type) HashStruct(values ...any) ([32]byte, error) {
	if len(values) != len(t.Fields) {
		return [32]byte{}, fmt.Errorf("%w: %s has %d fields, got %d values", ErrTyped, t.Name, len(t.Fields), len(values))
	}
	typeHash := t.Hash()
	parts := make([][]byte, 0, 1+len(values))
	parts = append(parts, typeHash[:])
	for i, f := range t.Fields {
		word, err := f.encode(values[i])
		if err != nil {
			return [32]byte{}, fmt.Errorf("%s.%s: %w", t.Name, f.Name, err)
		}
		parts = append(parts, word[:])
	}
	return Keccak256(parts...), nil
}

// encode gives the 32 bytes that stand for v.
func (f Field) encode(v any) ([32]byte, error) {
	if f.Struct != nil {
		if fields, ok := v.([]any); ok {
			return f.Struct.HashStruct(fields...)
		}
		return [32]byte{}, mismatch(f.kind(), v)
	}
	if signed, bits, ok := integerBits(f.Type); ok {
		return encodeInteger(f.Type, signed, bits, v)
	}
	if size, ok := fixedBytes(f.Type); ok {
		return encodeFixed(f.Type, size, v)
	}
	var word [32]byte
	switch value := v.(type) {
	case string:
		if f.Type == "string" {
			return Keccak256([]byte(value)), nil
		}
	case []byte:
		if f.Type == "bytes" {
			return Keccak256(value), nil
		}
	case bool:
		if f.Type == "bool" {
			if value {
				word[31] = 1
			}
			return word, nil
		}
	case drtc.NodeID:
		return f.encode([20]byte(value))
	case [20]byte:
		if f.Type == "address" {
			copy(word[12:], value[:])
			return word, nil
		}
	}
	return word, mismatch(f.Type, v)
}

func mismatch(kind string, v any) error {
	return fmt.Errorf("%w: a %T does not fit type %q", ErrTyped, v, kind)
}

// integerBits reads uint8 to uint256 and int8 to int256.
func integerBits(kind string) (signed bool, bits uint, ok bool) {
	digits, unsigned := strings.CutPrefix(kind, "uint")
	if !unsigned {
		if digits, signed = strings.CutPrefix(kind, "int"); !signed {
			return false, 0, false
		}
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	ok = err == nil && n >= 8 && n <= 256 && n%8 == 0 && strconv.FormatUint(n, 10) == digits
	return signed, uint(n), ok
}

func encodeInteger(kind string, signed bool, bits uint, v any) ([32]byte, error) {
	var n *big.Int
	switch value := v.(type) {
	case uint64:
		if !signed && bits >= 64 { // the usual case, without big arithmetic
			var word [32]byte
			binary.BigEndian.PutUint64(word[24:], value)
			return word, nil
		}
		n = new(big.Int).SetUint64(value)
	case int64:
		n = big.NewInt(value)
	case *big.Int:
		n = value
	}
	if n == nil {
		return [32]byte{}, mismatch(kind, v)
	}
	size := n
	if signed { // the range is -2^(bits-1) to 2^(bits-1)-1
		bits--
		if n.Sign() < 0 {
			size = new(big.Int).Not(n)
		}
	}
	if size.Sign() < 0 || uint(size.BitLen()) > bits {
		return [32]byte{}, fmt.Errorf("%w: %s is out of range for %s", ErrTyped, n, kind)
	}
	var word [32]byte
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), 256))
	}
	n.FillBytes(word[:])
	return word, nil
}

// fixedBytes reads bytes1 to bytes32.
func fixedBytes(kind string) (size int, ok bool) {
	digits, ok := strings.CutPrefix(kind, "bytes")
	if !ok || digits == "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 1 && n <= 32 && strconv.Itoa(n) == digits
}

func encodeFixed(kind string, size int, v any) ([32]byte, error) {
	var word [32]byte
	var b []byte
	switch value := v.(type) {
	case []byte:
		b = value
	case [32]byte:
		b = value[:]
	}
	if len(b) != size {
		return word, fmt.Errorf("%w: want %d bytes for %s, got a %T of %d", ErrTyped, size, kind, v, len(b))
	}
	copy(word[:], b)
	return word, nil
}
