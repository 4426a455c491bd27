package identity_test

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

type typedVectors struct {
	Domains []struct {
		Name, Version           string
		ChainID                 uint64
		VerifyingContract, Salt string
		Separator               string
	}
	Structs []struct {
		Name                             string
		Type                             identity.Type
		Values                           []any
		EncodeType, TypeHash, StructHash string
		Domain                           int
		Digest, Secret, Signature        string
	}
}

func readTyped(t testing.TB) (v typedVectors, domains []identity.Domain) {
	readVectors(t, "eip712.json", &v)
	for _, d := range v.Domains {
		domain := identity.Domain{Name: d.Name, Version: d.Version, ChainID: d.ChainID}
		copy(domain.VerifyingContract[:], unhex(t, d.VerifyingContract))
		copy(domain.Salt[:], unhex(t, d.Salt))
		domains = append(domains, domain)
	}
	return v, domains
}

func TestDomain_vectors(t *testing.T) {
	v, domains := readTyped(t)
	for i, d := range domains {
		if got := d.Separator(); !bytes.Equal(got[:], unhex(t, v.Domains[i].Separator)) {
			t.Errorf("%+v: got %x, want %s", d, got, v.Domains[i].Separator)
		}
	}
}

// goValue turns the text of a vector into what HashStruct takes.
func goValue(t *testing.T, f identity.Field, v any) any {
	if f.Struct != nil {
		var out []any
		for i, member := range v.([]any) {
			out = append(out, goValue(t, f.Struct.Fields[i], member))
		}
		return out
	}
	s := v.(string)
	switch {
	case f.Type == "string":
		return s
	case f.Type == "bool":
		return s == "true"
	case f.Type == "address":
		id, err := drtc.ParseNodeID(s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	case strings.HasPrefix(f.Type, "bytes"):
		return unhex(t, s)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		t.Fatalf("%s: not a number: %s", f.Name, s)
	}
	return n
}

func TestHashStruct_vectors(t *testing.T) {
	v, domains := readTyped(t)
	for _, c := range v.Structs {
		if got := c.Type.Encode(); got != c.EncodeType {
			t.Errorf("%s: encodeType: got %s, want %s", c.Name, got, c.EncodeType)
		}
		if got := c.Type.Hash(); !bytes.Equal(got[:], unhex(t, c.TypeHash)) {
			t.Errorf("%s: typeHash: got %x, want %s", c.Name, got, c.TypeHash)
		}
		var values []any
		for i, value := range c.Values {
			values = append(values, goValue(t, c.Type.Fields[i], value))
		}
		h, err := c.Type.HashStruct(values...)
		if err != nil || !bytes.Equal(h[:], unhex(t, c.StructHash)) {
			t.Fatalf("%s: hashStruct: got %x, %v, want %s", c.Name, h, err, c.StructHash)
		}
		typed := identity.TypedHash{Separator: domains[c.Domain].Separator(), Struct: h}
		if got := typed.Digest(); !bytes.Equal(got[:], unhex(t, c.Digest)) {
			t.Errorf("%s: digest: got %x, want %s", c.Name, got, c.Digest)
		}
		k := mustKey(t, c.Secret)
		s := k.SignTyped(typed)
		if s.Hex() != c.Signature {
			t.Errorf("%s: signature: got %s, want %s", c.Name, s, c.Signature)
		}
		if p, err := identity.RecoverTyped(typed, s); err != nil || p != k.Public() {
			t.Errorf("%s: recovered %v, %v, want %v", c.Name, p, err, k.Public())
		}
		elsewhere := identity.TypedHash{Separator: identity.Domain{Name: "elsewhere"}.Separator(), Struct: h}
		if !identity.VerifyTyped(k.Public(), typed, s) || identity.VerifyTyped(k.Public(), elsewhere, s) {
			t.Errorf("%s: verifies wrongly", c.Name)
		}
	}
}

func TestHashStruct_integersOfEveryKindAgree(t *testing.T) {
	one := func(kind string, v any) [32]byte {
		h, err := identity.Type{Name: "T", Fields: []identity.Field{{Name: "n", Type: kind}}}.HashStruct(v)
		if err != nil {
			t.Fatalf("%s of %v: %v", kind, v, err)
		}
		return h
	}
	for _, kind := range []string{"uint64", "uint256", "uint32", "int64", "int8"} {
		if a, b, c := one(kind, uint64(7)), one(kind, int64(7)), one(kind, big.NewInt(7)); a != b || b != c {
			t.Errorf("%s: 7 hashes to %x, %x and %x", kind, a, b, c)
		}
	}
	if a, b := one("address", drtc.NodeID{1}), one("address", [20]byte{1}); a != b {
		t.Errorf("address: a NodeID hashes to %x, its bytes to %x", a, b)
	}
	if a, b := one("bytes32", [32]byte{1}), one("bytes32", append([]byte{1}, make([]byte, 31)...)); a != b {
		t.Errorf("bytes32: an array hashes to %x, its bytes to %x", a, b)
	}
}

func TestHashStruct_refusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		kind  string
		value any
	}{
		{"uint8", uint64(256)}, {"uint8", int64(-1)}, {"uint256", new(big.Int).Lsh(big.NewInt(1), 256)},
		{"int8", int64(128)}, {"int8", int64(-129)}, {"int256", new(big.Int).Lsh(big.NewInt(1), 255)},
		{"uint256", (*big.Int)(nil)}, {"uint256", "7"}, {"uint256", 7},
		{"uint7", uint64(1)}, {"uint264", uint64(1)}, {"uint", uint64(1)}, {"uint08", uint64(1)}, {"int0", int64(0)},
		{"bytes32", make([]byte, 31)}, {"bytes4", [32]byte{}}, {"bytes33", make([]byte, 33)}, {"bytes0", []byte{}}, {"bytes4", "abcd"},
		{"address", "0x00"}, {"address", [32]byte{}}, {"bool", uint64(1)}, {"string", []byte("s")}, {"bytes", "s"},
		{"uint64[]", []any{uint64(1)}}, {"Person", []any{}}, {"", nil},
	} {
		typ := identity.Type{Name: "T", Fields: []identity.Field{{Name: "amount", Type: c.kind}}}
		_, err := typ.HashStruct(c.value)
		if !errors.Is(err, identity.ErrTyped) || !strings.Contains(err.Error(), "T.amount") {
			t.Errorf("%T %v as %q: got %v, want ErrTyped that names T.amount", c.value, c.value, c.kind, err)
		}
	}
	inner := &identity.Type{Name: "In", Fields: []identity.Field{{Name: "n", Type: "uint64"}}}
	outer := identity.Type{Name: "Out", Fields: []identity.Field{{Name: "in", Struct: inner}}}
	for _, v := range []any{uint64(1), []any{}, []any{"x"}} {
		if _, err := outer.HashStruct(v); !errors.Is(err, identity.ErrTyped) || !strings.Contains(err.Error(), "Out.in") {
			t.Errorf("%v as a struct: got %v, want ErrTyped that names Out.in", v, err)
		}
	}
	if _, err := outer.HashStruct(); !errors.Is(err, identity.ErrTyped) {
		t.Errorf("no values: got %v, want ErrTyped", err)
	}
}
