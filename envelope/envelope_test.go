package envelope_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

type vector struct {
	Name, Key, Kind, Network string
	Subject, Issuer          drtc.NodeID
	Generation, Seq          string // 64 bits: text, because JSON numbers are doubles
	IssuedAtMs               int64
	TTLS                     int64 `json:"ttlS"`
	Flags                    envelope.Flags
	Body, Digest, Signature  string
	Bytes, Hash              string
}

func loadVectors(t testing.TB) (cases []vector, refused []struct{ Name, Bytes string }) {
	t.Helper()
	b, err := os.ReadFile("../spec/vectors/envelope.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases   []vector
		Refused []struct{ Name, Bytes string }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 || len(file.Refused) == 0 {
		t.Fatal("the vector file is empty")
	}
	return file.Cases, file.Refused
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v vector) envelope(t testing.TB) envelope.Envelope {
	t.Helper()
	generation, err1 := strconv.ParseUint(v.Generation, 10, 64)
	seq, err2 := strconv.ParseUint(v.Seq, 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return envelope.Envelope{
		Kind: v.Kind, Network: v.Network, Subject: v.Subject, Generation: generation, Seq: seq,
		IssuedAt: time.UnixMilli(v.IssuedAtMs), TTL: time.Duration(v.TTLS) * time.Second,
		Flags: v.Flags, Body: unhex(t, v.Body),
	}
}

func testKey(t testing.TB, b byte) *identity.Key {
	t.Helper()
	k, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t testing.TB) envelope.Envelope {
	t.Helper()
	k := testKey(t, 1)
	e := envelope.Envelope{
		Kind: "node", Network: "devnet", Subject: k.ID(), Generation: 3, Seq: 9,
		IssuedAt: time.UnixMilli(1790000000123), TTL: 300 * time.Second, Body: []byte("body"),
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSign_vectors(t *testing.T) {
	cases, _ := loadVectors(t)
	for _, v := range cases {
		t.Run(v.Name, func(t *testing.T) {
			key, err := identity.ParseKey(v.Key)
			if err != nil {
				t.Fatal(err)
			}
			e := v.envelope(t)
			if err := e.Sign(key); err != nil {
				t.Fatal(err)
			}
			if e.Issuer != v.Issuer {
				t.Errorf("issuer: got %s, want %s", e.Issuer, v.Issuer)
			}
			if digest, err := e.Digest(); err != nil || !bytes.Equal(digest[:], unhex(t, v.Digest)) {
				t.Errorf("digest: got %x, %v, want %s", digest, err, v.Digest)
			}
			if got := e.Signature.Hex(); got != v.Signature {
				t.Errorf("signature: got %s, want %s", got, v.Signature)
			}
			if got := e.Bytes(); !bytes.Equal(got, unhex(t, v.Bytes)) {
				t.Errorf("bytes: got %x, want %s", got, v.Bytes)
			}
			if h := e.Hash(); !bytes.Equal(h[:], unhex(t, v.Hash)) {
				t.Errorf("hash: got %x, want %s", h, v.Hash)
			}
			parsed, err := envelope.Parse(unhex(t, v.Bytes))
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Verify(); err != nil {
				t.Errorf("verify what was parsed: %v", err)
			}
		})
	}
}

func TestParse_refusedVectors(t *testing.T) {
	_, refused := loadVectors(t)
	for _, v := range refused {
		t.Run(v.Name, func(t *testing.T) {
			e, err := envelope.Parse(unhex(t, v.Bytes))
			if !errors.Is(err, envelope.ErrMalformed) && !errors.Is(err, envelope.ErrField) {
				t.Errorf("got %+v, %v, want ErrMalformed or ErrField", e, err)
			}
		})
	}
}

// Any protobuf library must write our canonical bytes; Go's is the witness.
func TestBytes_areTheProtobufOfRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEnvelope(t)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&registryv1.Record{
			Kind: e.Kind, Network: e.Network, Subject: e.Subject[:], Issuer: e.Issuer[:],
			Generation: e.Generation, Seq: e.Seq, IssuedAtMs: e.IssuedAt.UnixMilli(),
			TtlS: uint32(e.TTL / time.Second), Flags: uint32(e.Flags), Body: e.Body, Signature: e.Signature[:],
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Bytes(); !bytes.Equal(got, want) {
			t.Fatalf("got %x, protobuf writes %x", got, want)
		}
		back, err := envelope.Parse(want)
		if err != nil {
			t.Fatalf("parsing: %v", err)
		}
		if !bytes.Equal(back.Bytes(), want) || back.Version() != e.Version() || !back.ExpiresAt().Equal(e.ExpiresAt()) {
			t.Fatalf("read back %+v, want %+v", back, e)
		}
	})
}

func drawEnvelope(t *rapid.T) envelope.Envelope {
	e := envelope.Envelope{
		Kind:       rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "kind"),
		Network:    rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "network"),
		Generation: rapid.Uint64().Draw(t, "generation"),
		Seq:        rapid.Uint64().Draw(t, "seq"),
		IssuedAt:   time.UnixMilli(rapid.Int64Range(0, 1<<53-1).Draw(t, "issuedAt")),
		TTL:        time.Duration(rapid.Uint32Min(1).Draw(t, "ttl")) * time.Second,
		Flags:      envelope.Flags(rapid.IntRange(0, 1).Draw(t, "flags")),
		Body:       rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
	}
	copy(e.Subject[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "subject"))
	copy(e.Issuer[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "issuer"))
	e.Subject[0] |= 1
	e.Issuer[0] |= 1
	copy(e.Signature[:], rapid.SliceOfN(rapid.Byte(), 65, 65).Draw(t, "signature"))
	return e
}

func TestVerify_anyChangedFieldIsRefused(t *testing.T) {
	other := testKey(t, 2)
	tests := map[string]func(*envelope.Envelope){
		"kind":          func(e *envelope.Envelope) { e.Kind = "nod" },
		"network":       func(e *envelope.Envelope) { e.Network = "main" },
		"subject":       func(e *envelope.Envelope) { e.Subject = other.ID() },
		"issuer":        func(e *envelope.Envelope) { e.Issuer = other.ID() },
		"generation":    func(e *envelope.Envelope) { e.Generation++ },
		"seq":           func(e *envelope.Envelope) { e.Seq++ },
		"issued at":     func(e *envelope.Envelope) { e.IssuedAt = e.IssuedAt.Add(time.Millisecond) },
		"ttl":           func(e *envelope.Envelope) { e.TTL += time.Second },
		"flags":         func(e *envelope.Envelope) { e.Flags ^= envelope.Tombstone },
		"body":          func(e *envelope.Envelope) { e.Body = []byte("bodY") },
		"no signature":  func(e *envelope.Envelope) { e.Signature = identity.Signature{} },
		"signature R":   func(e *envelope.Envelope) { e.Signature[3] ^= 1 },
		"signature V":   func(e *envelope.Envelope) { e.Signature[64] ^= 7 },
		"V as 0 or 1":   func(e *envelope.Envelope) { e.Signature[64] -= 27 },
		"moved a byte":  func(e *envelope.Envelope) { e.Kind, e.Network = "noded", "evnet" },
		"other's bytes": func(e *envelope.Envelope) { e.Signature = other.SignMessage(e.Body) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			e := signed(t)
			if err := e.Verify(); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			change(&e)
			if err := e.Verify(); !errors.Is(err, envelope.ErrSignature) {
				t.Errorf("got %v, want ErrSignature", err)
			}
		})
	}
}

func TestSign_refusesAFieldOutOfRangeByName(t *testing.T) {
	tests := map[string]struct {
		names  string
		change func(*envelope.Envelope)
	}{
		"no kind":          {"kind", func(e *envelope.Envelope) { e.Kind = "" }},
		"long kind":        {"kind", func(e *envelope.Envelope) { e.Kind = strings.Repeat("k", 33) }},
		"network in caps":  {"network", func(e *envelope.Envelope) { e.Network = "Devnet" }},
		"no subject":       {"subject", func(e *envelope.Envelope) { e.Subject = drtc.NodeID{} }},
		"before 1970":      {"issued_at_ms", func(e *envelope.Envelope) { e.IssuedAt = time.Unix(-1, 0) }},
		"far future":       {"issued_at_ms", func(e *envelope.Envelope) { e.IssuedAt = time.UnixMilli(1 << 53) }},
		"no ttl":           {"ttl_s", func(e *envelope.Envelope) { e.TTL = 0 }},
		"half a second":    {"ttl_s", func(e *envelope.Envelope) { e.TTL = 1500 * time.Millisecond }},
		"ttl over 32 bits": {"ttl_s", func(e *envelope.Envelope) { e.TTL = envelope.MaxTTL + time.Second }},
		"undefined flag":   {"flags", func(e *envelope.Envelope) { e.Flags = 2 }},
		"large body":       {"body", func(e *envelope.Envelope) { e.Body = make([]byte, envelope.MaxBody+1) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := signed(t)
			tt.change(&e)
			for call, err := range map[string]error{"Sign": e.Sign(testKey(t, 1)), "Verify": e.Verify()} {
				if !errors.Is(err, envelope.ErrField) || !strings.Contains(err.Error(), tt.names+":") {
					t.Errorf("%s: got %v, want ErrField naming %s", call, err, tt.names)
				}
			}
		})
	}
}

func TestVersion_order(t *testing.T) {
	ordered := []envelope.Version{{0, 0}, {0, 1}, {0, math.MaxUint64}, {1, 0}, {1, 5}, {math.MaxUint64, 1}}
	for i, v := range ordered {
		for j, w := range ordered {
			if got, want := v.Less(w), i < j; got != want {
				t.Errorf("%v.Less(%v): got %v, want %v", v, w, got, want)
			}
		}
	}
	for v, want := range map[envelope.Version]envelope.Version{
		{0, 7}: {0, 8}, {4, math.MaxUint64}: {5, 0},
	} {
		if got := v.Next(); got != want {
			t.Errorf("%v.Next(): got %v, want %v", v, got, want)
		}
	}
}

func TestParse_sharesNoMemory(t *testing.T) {
	want := signed(t)
	b := want.Bytes()
	got, err := envelope.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("clearing the input changed the envelope")
	}
}

func FuzzParse(f *testing.F) {
	cases, refused := loadVectors(f)
	for _, v := range cases {
		f.Add(unhex(f, v.Bytes))
	}
	for _, v := range refused {
		f.Add(unhex(f, v.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := envelope.Parse(b)
		if err != nil {
			if !errors.Is(err, envelope.ErrMalformed) && !errors.Is(err, envelope.ErrField) {
				t.Fatalf("foreign error %v", err)
			}
			return
		}
		if !bytes.Equal(e.Bytes(), b) {
			t.Fatalf("a second spelling: %x is written %x", b, e.Bytes())
		}
		var r registryv1.Record
		if err := proto.Unmarshal(b, &r); err != nil {
			t.Fatalf("protobuf refuses it: %v", err)
		}
		_ = e.Verify() // must not panic
	})
}

func BenchmarkVerify(b *testing.B) {
	e := signed(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}
