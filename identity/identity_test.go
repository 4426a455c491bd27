package identity_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/identity"
)

type vectors struct {
	Keys []struct{ Name, Secret, Public, ID string }

	Messages []struct{ Name, Secret, MessageHex, Hash, Signature string }

	Normalised    []struct{ Signature, Normal string }
	BadSignatures []struct{ Name, Signature string }
	BadSecrets    []struct{ Name, Secret string }
	BadPublic     []struct{ Name, Public string }
}

func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../spec/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func mustKey(t testing.TB, secret string) *identity.Key {
	t.Helper()
	k, err := identity.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKey_vectors(t *testing.T) {
	var v vectors
	readVectors(t, "identity.json", &v)
	for _, c := range v.Keys {
		k := mustKey(t, c.Secret)
		if got := k.ID().String(); got != c.ID {
			t.Errorf("%s: id: got %s, want %s", c.Name, got, c.ID)
		}
		if got := k.Public().Hex(); got != c.Public {
			t.Errorf("%s: public: got %s, want %s", c.Name, got, c.Public)
		}
		if got := k.Hex(); got != c.Secret {
			t.Errorf("%s: Hex did not return what ParseKey read", c.Name)
		}
		p, err := identity.ParsePublicKey(c.Public)
		if err != nil || p != k.Public() {
			t.Errorf("%s: ParsePublicKey: got %v, %v", c.Name, p, err)
		}
		if got := p.ID().String(); got != c.ID {
			t.Errorf("%s: id of the parsed public key: got %s, want %s", c.Name, got, c.ID)
		}
	}
}

func TestSignMessage_vectors(t *testing.T) {
	var v vectors
	readVectors(t, "identity.json", &v)
	for _, c := range v.Messages {
		k, msg := mustKey(t, c.Secret), unhex(t, c.MessageHex)
		if h := identity.MessageHash(msg); !bytes.Equal(h[:], unhex(t, c.Hash)) {
			t.Errorf("%s: hash: got %x, want %s", c.Name, h, c.Hash)
		}
		s := k.SignMessage(msg)
		if s.Hex() != c.Signature {
			t.Errorf("%s: signature: got %s, want %s", c.Name, s, c.Signature)
		}
		parsed, err := identity.ParseSignature(c.Signature)
		if err != nil || parsed != s {
			t.Errorf("%s: ParseSignature: got %v, %v", c.Name, parsed, err)
		}
		p, err := identity.RecoverMessage(msg, s)
		if err != nil || p != k.Public() {
			t.Errorf("%s: recovered %v, %v, want %v", c.Name, p, err, k.Public())
		}
		if !identity.VerifyMessage(k.Public(), msg, s) {
			t.Errorf("%s: does not verify", c.Name)
		}
		if identity.VerifyMessage(k.Public(), append(msg, 0), s) {
			t.Errorf("%s: verifies another message", c.Name)
		}
	}
}

func TestSignature_vIsNormalised(t *testing.T) {
	var v vectors
	readVectors(t, "identity.json", &v)
	for _, c := range v.Normalised {
		if s, err := identity.ParseSignature(c.Signature); err != nil || s.Hex() != c.Normal {
			t.Errorf("got %v, %v, want %s", s, err, c.Normal)
		}
		// The same when the array was filled by hand.
		raw := identity.Signature(unhex(t, c.Signature))
		want := identity.Signature(unhex(t, c.Normal))
		got, err := identity.RecoverMessage(nil, raw)
		if p, wantErr := identity.RecoverMessage(nil, want); got != p || (err == nil) != (wantErr == nil) {
			t.Errorf("recovered %v, %v from V %d and %v, %v from V %d", got, err, raw[64], p, wantErr, want[64])
		}
	}
}

func TestParse_refusesBadValues(t *testing.T) {
	var v vectors
	readVectors(t, "identity.json", &v)
	for _, c := range v.BadSignatures {
		if _, err := identity.ParseSignature(c.Signature); !errors.Is(err, identity.ErrSignature) {
			t.Errorf("signature, %s: got %v, want ErrSignature", c.Name, err)
		}
		if b, err := hex.DecodeString(strings.TrimPrefix(c.Signature, "0x")); err == nil && len(b) == 65 {
			if _, err := identity.RecoverMessage(nil, identity.Signature(b)); !errors.Is(err, identity.ErrSignature) {
				t.Errorf("recover, %s: got %v, want ErrSignature", c.Name, err)
			}
		}
	}
	for _, c := range v.BadSecrets {
		_, err := identity.ParseKey(c.Secret)
		if !errors.Is(err, identity.ErrKey) {
			t.Errorf("secret, %s: got %v, want ErrKey", c.Name, err)
		} else if c.Secret != "" && strings.Contains(err.Error(), strings.TrimPrefix(c.Secret, "0x")) {
			t.Errorf("secret, %s: the error repeats the secret: %v", c.Name, err)
		}
	}
	for _, c := range v.BadPublic {
		if _, err := identity.ParsePublicKey(c.Public); !errors.Is(err, identity.ErrPublicKey) {
			t.Errorf("public key, %s: got %v, want ErrPublicKey", c.Name, err)
		}
	}
}

func TestParse_prefixAndLetterCaseAreFree(t *testing.T) {
	k := mustKey(t, "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
	upper := func(s string) string { return strings.ToUpper(strings.TrimPrefix(s, "0x")) }
	if got := mustKey(t, upper(k.Hex())); got.ID() != k.ID() {
		t.Errorf("key: got %v, want %v", got, k)
	}
	if p, err := identity.ParsePublicKey(upper(k.Public().Hex())); err != nil || p != k.Public() {
		t.Errorf("public key: got %v, %v", p, err)
	}
	s := k.SignMessage([]byte("x"))
	if got, err := identity.ParseSignature(upper(s.Hex())); err != nil || got != s {
		t.Errorf("signature: got %v, %v", got, err)
	}
}

func TestKey_neverPrintsItself(t *testing.T) {
	k := mustKey(t, "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
	var out bytes.Buffer
	for _, v := range []any{k, *k, struct{ Key *identity.Key }{k}, []identity.Key{*k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "key", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "key", v)
	}
	lower := strings.ToLower(out.String())
	secret := k.Hex()[2:]
	for _, form := range []string{
		secret[:16],                            // hexadecimal
		fmt.Sprint(unhex(t, secret[:16]))[1:8], // a list of decimal bytes
		"10011000000100010000011",              // the start in binary
	} {
		if strings.Contains(lower, form) {
			t.Errorf("the output holds the secret as %q", form)
		}
	}
	if got := strings.Count(lower, k.ID().String()); got < 4*9 {
		t.Errorf("the output holds the id %d times, want every line to: %s", got, lower)
	}
}

func TestGenerate_takesItsRandomnessFromTheReader(t *testing.T) {
	// Out of range draws are thrown away: zero first, then the order, then one.
	order := unhex(t, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	one := append(make([]byte, 31), 1)
	k, err := identity.Generate(bytes.NewReader(bytes.Join([][]byte{make([]byte, 32), order, one}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := k.ID().String(), "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := identity.Generate(strings.NewReader("short")); err == nil {
		t.Error("a reader that ends gave a key")
	}
}

func TestVerify_anyFlippedBitFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, err := identity.Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		msg := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "msg")
		s := k.SignMessage(msg)
		if !identity.VerifyMessage(k.Public(), msg, s) {
			t.Fatal("does not verify")
		}
		bit := rapid.IntRange(0, 8*(len(msg)+len(s))-1).Draw(t, "bit")
		if bit < 8*len(msg) {
			msg[bit/8] ^= 1 << (bit % 8)
		} else {
			bit -= 8 * len(msg)
			s[bit/8] ^= 1 << (bit % 8)
		}
		if identity.VerifyMessage(k.Public(), msg, s) {
			t.Error("verifies with one bit flipped")
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	var v vectors
	readVectors(f, "identity.json", &v)
	for _, c := range v.BadSignatures {
		f.Add(c.Signature)
	}
	for _, c := range v.Messages {
		f.Add(c.Signature)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := identity.ParseSignature(text)
		if err != nil {
			return
		}
		if again, err := identity.ParseSignature(s.Hex()); err != nil || again != s {
			t.Errorf("%q: its own text reads as %v, %v", text, again, err)
		}
		p, err := identity.RecoverMessage([]byte("m"), s)
		if err == nil && !identity.VerifyMessage(p, []byte("m"), s) {
			t.Errorf("%q: does not verify for the key it recovers to", text)
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	var v vectors
	readVectors(f, "identity.json", &v)
	for _, c := range v.BadPublic {
		f.Add(c.Public)
	}
	for _, c := range v.Keys {
		f.Add(c.Public)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := identity.ParsePublicKey(text)
		if err != nil {
			return
		}
		again, err := identity.PublicKeyFromBytes(p.Bytes())
		if err != nil || again != p || p.ID().IsZero() || p.IsZero() {
			t.Errorf("%q: reads as %v, its bytes as %v, %v", text, p, again, err)
		}
		if !strings.EqualFold(strings.TrimPrefix(p.Hex(), "0x"), strings.TrimPrefix(text, "0x")) {
			t.Errorf("%q: prints as %s", text, p)
		}
	})
}

func BenchmarkSignMessage(b *testing.B) {
	k := mustKey(b, "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
	b.ReportAllocs()
	for b.Loop() {
		k.SignMessage([]byte("Some data"))
	}
}

func BenchmarkVerifyMessage(b *testing.B) {
	k := mustKey(b, "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
	s := k.SignMessage([]byte("Some data"))
	b.ReportAllocs()
	for b.Loop() {
		if !identity.VerifyMessage(k.Public(), []byte("Some data"), s) {
			b.Fatal("does not verify")
		}
	}
}
