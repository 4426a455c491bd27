package rpcauth_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth"
)

type vectors struct {
	Secret, ID, Nonce, Digest string

	Defaults struct {
		Self               drtc.NodeID
		Now                time.Time
		Procedure, BodyHex string
	}
	Cases []vectorCase
}

type vectorCase struct {
	Name, Want, Payload, Signature string
	AllowBare                      bool
	Now, Since                     time.Time
	Procedure                      string
	BodyHex                        *string
	After                          []string
	Admit                          []drtc.NodeID
	NoncesPerCaller, NoncesTotal   int
}

var refusals = map[string]error{
	"": nil, "missing": rpcauth.ErrMissing, "malformed": rpcauth.ErrMalformed, "bareForm": rpcauth.ErrBareForm,
	"lifetime": rpcauth.ErrLifetime, "notYetValid": rpcauth.ErrNotYetValid, "expired": rpcauth.ErrExpired,
	"audience": rpcauth.ErrAudience, "digest": rpcauth.ErrDigest, "notAdmitted": rpcauth.ErrNotAdmitted,
	"replayed": rpcauth.ErrReplayed, "busy": rpcauth.ErrBusy, "signature": rpcauth.ErrSignature,
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("../spec/vectors/rpcauth.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v vectors) find(t testing.TB, name string) vectorCase {
	t.Helper()
	i := slices.IndexFunc(v.Cases, func(c vectorCase) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no case %q", name)
	}
	return v.Cases[i]
}

func (v vectors) verifier(t testing.TB, c vectorCase) *rpcauth.Verifier {
	t.Helper()
	p := rpcauth.Policy{
		Self: v.Defaults.Self, AllowBare: c.AllowBare, Since: c.Since,
		NoncesPerCaller: c.NoncesPerCaller, NoncesTotal: c.NoncesTotal,
	}
	if c.Admit != nil {
		p.Admit = func(id drtc.NodeID) error {
			if !slices.Contains(c.Admit, id) {
				return errors.New("not in the vector's list")
			}
			return nil
		}
	}
	verifier, err := rpcauth.NewVerifier(p)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// verify puts the case to the verifier and holds the answer against want.
func (v vectors) verify(t testing.TB, verifier *rpcauth.Verifier, c vectorCase) rpcauth.Caller {
	t.Helper()
	now, procedure, body := v.Defaults.Now, v.Defaults.Procedure, v.Defaults.BodyHex
	if !c.Now.IsZero() {
		now = c.Now
	}
	if c.Procedure != "" {
		procedure = c.Procedure
	}
	if c.BodyHex != nil {
		body = *c.BodyHex
	}
	caller, err := verifier.Verify(now, c.Payload, c.Signature, rpcauth.Digest(procedure, unhex(t, body)))
	want, known := refusals[c.Want]
	if !known {
		t.Fatalf("%s: unknown refusal %q", c.Name, c.Want)
	}
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", c.Name, err, want)
	}
	for name, other := range refusals {
		if other != nil && !errors.Is(want, other) && errors.Is(err, other) {
			t.Errorf("%s: is also the refusal %s: %v", c.Name, name, err)
		}
	}
	return caller
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVerify_vectors(t *testing.T) {
	v := readVectors(t)
	used := map[string]bool{}
	for _, c := range v.Cases {
		used[c.Want] = true
		verifier := v.verifier(t, c)
		for _, name := range c.After {
			v.verify(t, verifier, v.find(t, name))
		}
		caller := v.verify(t, verifier, c)
		if (c.Want == "") == caller.ID.IsZero() {
			t.Errorf("%s: caller is %+v", c.Name, caller)
		}
	}
	for name := range refusals {
		if !used[name] {
			t.Errorf("no case is refused as %q", name)
		}
	}
}

func TestSign_vectors(t *testing.T) {
	v := readVectors(t)
	k, err := identity.ParseKey(v.Secret)
	if err != nil {
		t.Fatal(err)
	}
	digest := rpcauth.Digest(v.Defaults.Procedure, unhex(t, v.Defaults.BodyHex))
	if got := "0x" + hex.EncodeToString(digest[:]); got != v.Digest {
		t.Errorf("digest: got %s, want %s", got, v.Digest)
	}
	full, bare := v.find(t, "full form"), v.find(t, "bare form where it is allowed")
	// The rest of the second is cut off.
	now := v.Defaults.Now.Add(999 * time.Millisecond).In(time.FixedZone("east", 3600))
	payload, signature, err := rpcauth.Sign(k, now, v.Defaults.Self, v.Nonce, digest)
	if err != nil || payload != full.Payload || signature != full.Signature {
		t.Errorf("Sign: got %s, %s, %v, want %s, %s", payload, signature, err, full.Payload, full.Signature)
	}
	payload, signature = rpcauth.SignBare(k, now)
	if payload != bare.Payload || signature != bare.Signature {
		t.Errorf("SignBare: got %s, %s, want %s, %s", payload, signature, bare.Payload, bare.Signature)
	}
	caller := v.verify(t, v.verifier(t, full), full)
	want := rpcauth.Caller{ID: k.ID(), PublicKey: k.Public(), Expires: v.Defaults.Now.Add(2 * time.Minute), Nonce: v.Nonce}
	if caller != want || caller.ID.String() != v.ID {
		t.Errorf("caller: got %+v, want %+v", caller, want)
	}
	caller = v.verify(t, v.verifier(t, bare), bare)
	want.Nonce, want.Bare = "", true
	if caller != want {
		t.Errorf("caller of the bare form: got %+v, want %+v", caller, want)
	}
}
