package rpcauth_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth"
)

const procedure = "/drtc.medianode.v1.ControlService/CreateSession"

var (
	self  = drtc.NodeID{1}
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// key makes the nth key of a fixed row.
func key(t testing.TB, n int) *identity.Key {
	t.Helper()
	k, err := identity.ParseKey(fmt.Sprintf("%064x", n+1))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newVerifier(t testing.TB, p rpcauth.Policy) *rpcauth.Verifier {
	t.Helper()
	p.Self = self
	v, err := rpcauth.NewVerifier(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// call signs a call with the nonce at now and puts it to v at once.
func call(t testing.TB, v *rpcauth.Verifier, now time.Time, k *identity.Key, nonce string) error {
	t.Helper()
	digest := rpcauth.Digest(procedure, nil)
	payload, signature, err := rpcauth.Sign(k, now, self, nonce, digest)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(now, payload, signature, digest)
	return err
}

func TestVerify_anyChangedByteIsRefused(t *testing.T) {
	k := key(t, 0)
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "body")
		nonce := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "nonce")
		path := procedure
		payload, signature, err := rpcauth.Sign(k, start, self, nonce, rpcauth.Digest(path, body))
		if err != nil {
			t.Fatal(err)
		}
		v, err := rpcauth.NewVerifier(rpcauth.Policy{Self: self, AllowBare: rapid.Bool().Draw(t, "allow bare")})
		if err != nil {
			t.Fatal(err)
		}
		flip := func(name string, b []byte) []byte {
			i := rapid.IntRange(0, len(b)-1).Draw(t, name)
			b = bytes.Clone(b)
			b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
			return b
		}
		p, s, d := payload, signature, body
		switch rapid.SampledFrom([]string{"payload", "signature", "body", "procedure"}).Draw(t, "where") {
		case "payload":
			p = string(flip("payload", []byte(p)))
		case "signature":
			s = string(flip("signature", []byte(s)))
		case "body":
			d = flip("body", d)
		case "procedure":
			path = string(flip("procedure", []byte(path)))
		}
		if caller, err := v.Verify(start, p, s, rpcauth.Digest(path, d)); err == nil {
			t.Fatalf("passes as %+v", caller)
		}
		// The refused call took nothing from the true one.
		if _, err := v.Verify(start, payload, signature, rpcauth.Digest(procedure, body)); err != nil {
			t.Fatalf("the unchanged call is refused: %v", err)
		}
	})
}

func TestVerify_nothingPassesTwiceWhateverTheClockDoes(t *testing.T) {
	k := key(t, 0)
	digest := rpcauth.Digest(procedure, nil)
	rapid.Check(t, func(t *rapid.T) {
		v, err := rpcauth.NewVerifier(rpcauth.Policy{Self: self, NoncesPerCaller: 4, NoncesTotal: 4})
		if err != nil {
			t.Fatal(err)
		}
		type signed struct{ payload, signature string }
		var calls []signed
		passed := map[signed]bool{}
		now := start
		t.Repeat(map[string]func(*rapid.T){
			"sign": func(t *rapid.T) {
				p, s, err := rpcauth.Sign(k, now, self, fmt.Sprint("n", len(calls)), digest)
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, signed{p, s})
			},
			"clock": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(-200_000, 250_000).Draw(t, "ms")) * time.Millisecond)
			},
			"send": func(t *rapid.T) {
				if len(calls) == 0 {
					return
				}
				c := rapid.SampledFrom(calls).Draw(t, "call")
				if _, err := v.Verify(now, c.payload, c.signature, digest); err == nil {
					if passed[c] {
						t.Fatal("a call passed twice")
					}
					passed[c] = true
				}
			},
		})
	})
}

func TestVerify_memoryIsBoundedAndComesBack(t *testing.T) {
	v := newVerifier(t, rpcauth.Policy{NoncesPerCaller: 3, NoncesTotal: 5})
	for i := range 3 {
		if err := call(t, v, start, key(t, 0), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := call(t, v, start, key(t, 0), "3"); !errors.Is(err, rpcauth.ErrBusy) {
		t.Errorf("fourth call of a caller who may have three: got %v, want ErrBusy", err)
	}
	if err := call(t, v, start, key(t, 0), "2"); !errors.Is(err, rpcauth.ErrReplayed) {
		t.Errorf("a replay when the memory is full: got %v, want ErrReplayed", err)
	}
	for i := range 2 {
		if err := call(t, v, start, key(t, 1), fmt.Sprint(i)); err != nil {
			t.Errorf("another caller: %v", err)
		}
	}
	if err := call(t, v, start, key(t, 2), "0"); !errors.Is(err, rpcauth.ErrBusy) {
		t.Errorf("sixth call of five: got %v, want ErrBusy", err)
	}
	// 120 s of life, 2 s of skew, and the rest of the second.
	if err := call(t, v, start.Add(122*time.Second), key(t, 2), "0"); !errors.Is(err, rpcauth.ErrBusy) {
		t.Errorf("at the last moment at which the first could be replayed: got %v, want ErrBusy", err)
	}
	if err := call(t, v, start.Add(123*time.Second), key(t, 2), "0"); err != nil {
		t.Errorf("after the first expired: %v", err)
	}
	if err := call(t, v, start.Add(123*time.Second), key(t, 0), "3"); err != nil {
		t.Errorf("the caller who had used up its share: %v", err)
	}
}

func TestVerify_sinceCountsWholeSeconds(t *testing.T) {
	v := newVerifier(t, rpcauth.Policy{Since: start.Add(900 * time.Millisecond)})
	if err := call(t, v, start.Add(950*time.Millisecond), key(t, 0), "n"); err != nil {
		t.Errorf("a call signed just after the node started: %v", err)
	}
}

// Whoever is not admitted, and whoever signs in another's name, must not use up
// the memory.
func TestVerify_strangersFillNothing(t *testing.T) {
	friend, reason := key(t, 0), errors.New("a stranger")
	v := newVerifier(t, rpcauth.Policy{
		NoncesPerCaller: 1, NoncesTotal: 1,
		Admit: func(id drtc.NodeID) error {
			if id != friend.ID() {
				return reason
			}
			return nil
		},
	})
	if err := call(t, v, start, key(t, 1), "a"); !errors.Is(err, rpcauth.ErrNotAdmitted) || !errors.Is(err, reason) {
		t.Errorf("stranger: got %v, want ErrNotAdmitted and the reason", err)
	}
	digest := rpcauth.Digest(procedure, nil)
	payload, _, err := rpcauth.Sign(friend, start, self, "b", digest)
	if err != nil {
		t.Fatal(err)
	}
	forged := key(t, 1).SignMessage([]byte(payload)).Hex()
	if _, err := v.Verify(start, payload, forged, digest); !errors.Is(err, rpcauth.ErrSignature) {
		t.Errorf("forged: got %v, want ErrSignature", err)
	}
	if err := call(t, v, start, friend, "b"); err != nil {
		t.Errorf("friend: %v", err)
	}
}

func TestSign_refusesWhatNoNodeWouldTake(t *testing.T) {
	digest := rpcauth.Digest(procedure, nil)
	for _, nonce := range []string{"", "a b", "ä", `"`, strings.Repeat("a", 65)} {
		if _, _, err := rpcauth.Sign(key(t, 0), start, self, nonce, digest); !errors.Is(err, rpcauth.ErrMalformed) {
			t.Errorf("nonce %q: got %v, want ErrMalformed", nonce, err)
		}
	}
	if _, _, err := rpcauth.Sign(key(t, 0), start, drtc.NodeID{}, "n", digest); err == nil {
		t.Error("signed for nobody")
	}
}

func TestNewNonce(t *testing.T) {
	a, err := rpcauth.NewNonce(bytes.NewReader(bytes.Repeat([]byte{0xff}, 16)))
	if err != nil || a != "_____________________w" {
		t.Errorf("got %q, %v", a, err)
	}
	if err := call(t, newVerifier(t, rpcauth.Policy{}), start, key(t, 0), a); err != nil {
		t.Errorf("the nonce does not pass: %v", err)
	}
	if _, err := rpcauth.NewNonce(strings.NewReader("short")); err == nil {
		t.Error("a reader that ends gave a nonce")
	}
}

func TestPolicy_namesTheField(t *testing.T) {
	for field, p := range map[string]rpcauth.Policy{
		"Self":            {},
		"Skew":            {Self: self, Skew: -1},
		"MaxLife":         {Self: self, MaxLife: 2 * time.Hour},
		"NoncesPerCaller": {Self: self, NoncesPerCaller: -1},
		"NoncesTotal":     {Self: self, NoncesPerCaller: 2, NoncesTotal: 1},
	} {
		if _, err := rpcauth.NewVerifier(p); err == nil || !strings.Contains(err.Error(), "policy: "+field+":") {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

// Whatever passes was signed by the key it names over the very bytes that came.
func FuzzVerify(f *testing.F) {
	v := readVectors(f)
	for _, c := range v.Cases {
		f.Add(c.Payload, c.Signature)
	}
	digest := rpcauth.Digest(v.Defaults.Procedure, unhex(f, v.Defaults.BodyHex))
	f.Fuzz(func(t *testing.T, payload, signature string) {
		verifier, err := rpcauth.NewVerifier(rpcauth.Policy{Self: v.Defaults.Self, AllowBare: true})
		if err != nil {
			t.Fatal(err)
		}
		caller, err := verifier.Verify(v.Defaults.Now, payload, signature, digest)
		if err != nil {
			return
		}
		s, err := identity.ParseSignature(signature)
		if err != nil || !identity.VerifyMessage(caller.PublicKey, []byte(payload), s) {
			t.Errorf("passes without a signature: %q, %q", payload, signature)
		}
	})
}

// What ParsePayload reads is whole, and what it refuses has one error.
func FuzzParsePayload(f *testing.F) {
	for _, c := range readVectors(f).Cases {
		f.Add(c.Payload)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p, err := rpcauth.ParsePayload(header)
		if err != nil {
			if !errors.Is(err, rpcauth.ErrMalformed) {
				t.Errorf("%q: got %v, want ErrMalformed", header, err)
			}
			return
		}
		if p.PublicKey.IsZero() || p.Bare != (p.Nonce == "") || p.Issued.Location() != time.UTC {
			t.Errorf("%q reads as %+v", header, p)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, rpcauth.Policy{AllowBare: true})
	digest := rpcauth.Digest(procedure, nil)
	payload, signature, err := rpcauth.Sign(key(b, 0), start, self, "Zm9vYmFyYmF6cXV4MTIzNA", digest)
	if err != nil {
		b.Fatal(err)
	}
	bare, bareSignature := rpcauth.SignBare(key(b, 0), start)
	if _, err := v.Verify(start, payload, signature, digest); err != nil {
		b.Fatal(err)
	}
	b.Run("passes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(start, bare, bareSignature, digest); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("replayed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(start, payload, signature, digest); !errors.Is(err, rpcauth.ErrReplayed) {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	k, digest := key(b, 0), rpcauth.Digest(procedure, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := rpcauth.Sign(k, start, self, "Zm9vYmFyYmF6cXV4MTIzNA", digest); err != nil {
			b.Fatal(err)
		}
	}
}
