package envelope

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// recordType is the type in the package comment, for the general form of EIP-712.
func recordType() identity.Type {
	return identity.Type{Name: "Record", Fields: []identity.Field{
		{Name: "kind", Type: "string"},
		{Name: "network", Type: "string"},
		{Name: "subject", Type: "address"},
		{Name: "issuer", Type: "address"},
		{Name: "generation", Type: "uint64"},
		{Name: "seq", Type: "uint64"},
		{Name: "issuedAt", Type: "uint64"},
		{Name: "ttl", Type: "uint32"},
		{Name: "flags", Type: "uint32"},
		{Name: "body", Type: "bytes"},
	}}
}

func TestTyped_isTheGeneralFormOfEIP712(t *testing.T) {
	domain := identity.Domain{Name: "drtc record", Version: "1"}
	rapid.Check(t, func(t *rapid.T) {
		id := func(name string) drtc.NodeID {
			return drtc.NodeID(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, name))
		}
		e := Envelope{
			Kind: rapid.StringMatching("[a-z0-9-]{1,32}").Draw(t, "kind"), Network: rapid.StringMatching("[a-z0-9-]{1,32}").Draw(t, "network"),
			Subject: id("subject"), Issuer: id("issuer"), Generation: rapid.Uint64().Draw(t, "generation"), Seq: rapid.Uint64().Draw(t, "seq"),
			IssuedAt: time.UnixMilli(rapid.Int64Range(0, maxMillis).Draw(t, "issued")),
			TTL:      time.Duration(rapid.Uint32().Draw(t, "ttl")) * time.Second,
			Flags:    Flags(rapid.Uint32().Draw(t, "flags")), Body: rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "body"),
		}
		want, err := recordType().HashStruct(e.Kind, e.Network, e.Subject, e.Issuer, e.Generation, e.Seq,
			uint64(e.IssuedAt.UnixMilli()), uint64(e.TTL/time.Second), uint64(e.Flags), e.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.typed(); got.Struct != want || got.Separator != domain.Separator() {
			t.Fatalf("got %x in %x, want %x in %x", got.Struct, got.Separator, want, domain.Separator())
		}
	})
}
