package beacon_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/beacon"
)

type recorded struct {
	chain     beacon.Chain
	ChainHash string `json:"chain_hash"`
	Rounds    []struct {
		Round      uint64
		Randomness string
		Signature  string
		Previous   string `json:"previous_signature"`
	}
}

func (r recorded) rounds(t testing.TB) (rounds []beacon.Round) {
	t.Helper()
	for _, one := range r.Rounds {
		rounds = append(rounds, beacon.Round{
			Number: one.Round, Randomness: [32]byte(unhex(t, one.Randomness)),
			Signature: unhex(t, one.Signature), Previous: unhex(t, one.Previous),
		})
	}
	return rounds
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

func read(t testing.TB) map[string]recorded {
	t.Helper()
	all := map[string]recorded{}
	for name, chain := range map[string]beacon.Chain{"quicknet": beacon.Quicknet(), "league": beacon.League()} {
		text, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		r := recorded{chain: chain}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		all[name] = r
	}
	return all
}

// The name under which drand publishes a chain covers its public key, its clock
// and its group: our constants are those of the network.
func TestChain_hasThePublishedHash(t *testing.T) {
	for name, r := range read(t) {
		hash := r.chain.Hash()
		if got := hex.EncodeToString(hash[:]); got != r.ChainHash {
			t.Errorf("%s: hash %s, want %s", name, got, r.ChainHash)
		}
	}
}

func TestVerify_publishedRounds(t *testing.T) {
	for name, r := range read(t) {
		v, err := beacon.NewVerifier(r.chain)
		if err != nil {
			t.Fatal(err)
		}
		for _, round := range r.rounds(t) {
			if err := v.Verify(round); err != nil {
				t.Errorf("%s round %d: %v", name, round.Number, err)
			}
		}
	}
}

func TestVerify_refusesEachDeviation(t *testing.T) {
	for name, r := range read(t) {
		v, err := beacon.NewVerifier(r.chain)
		if err != nil {
			t.Fatal(err)
		}
		rounds := r.rounds(t)
		good, other := rounds[2], rounds[1]
		with := func(change func(*beacon.Round)) beacon.Round {
			b := good
			b.Signature = append([]byte(nil), good.Signature...)
			change(&b)
			return b
		}
		signed := func(sig []byte) beacon.Round {
			return with(func(b *beacon.Round) { b.Signature, b.Randomness = sig, sha256.Sum256(sig) })
		}
		infinity := make([]byte, len(good.Signature))
		infinity[0] = 0xc0
		flipped := append([]byte(nil), good.Signature...)
		flipped[0] ^= 0x20 // the point's negative
		off := append([]byte(nil), good.Signature...)
		off[len(off)-1] ^= 1
		for what, round := range map[string]beacon.Round{
			"another number":              with(func(b *beacon.Round) { b.Number++ }),
			"number 0":                    with(func(b *beacon.Round) { b.Number = 0 }),
			"another randomness":          with(func(b *beacon.Round) { b.Randomness[0] ^= 1 }),
			"the signature of another":    signed(other.Signature),
			"the point at infinity":       signed(infinity),
			"the negated signature":       signed(flipped),
			"a damaged signature":         signed(off),
			"a short signature":           signed(good.Signature[:40]),
			"a long signature":            signed(append(append([]byte(nil), good.Signature...), 0)),
			"no signature":                signed(nil),
			"a previous one that is not":  with(func(b *beacon.Round) { b.Previous = other.Signature[:40] }),
			"another previous one":        with(func(b *beacon.Round) { b.Previous = append([]byte(nil), off...) }),
			"void":                        with(func(b *beacon.Round) { b.Void = true }),
			"void without the randomness": with(func(b *beacon.Round) { b.Void, b.Randomness = true, [32]byte{} }),
		} {
			if err := v.Verify(round); !errors.Is(err, beacon.ErrInvalid) {
				t.Errorf("%s: %s: got %v, want ErrInvalid", name, what, err)
			}
		}
	}
}

func TestNewVerifier_refusesByField(t *testing.T) {
	for want, change := range map[string]func(*beacon.Chain){
		"Scheme":                        func(c *beacon.Chain) { c.Scheme = "bls-unchained-on-g1" },
		"Period":                        func(c *beacon.Chain) { c.Period = time.Millisecond },
		"Genesis":                       func(c *beacon.Chain) { c.Genesis = c.Genesis.Add(1) },
		"PublicKey has 95":              func(c *beacon.Chain) { c.PublicKey = c.PublicKey[1:] },
		"PublicKey is no public key on": func(c *beacon.Chain) { c.PublicKey[95] ^= 1 },
		"PublicKey is no public key":    func(c *beacon.Chain) { clear(c.PublicKey); c.PublicKey[0] = 0xc0 },
	} {
		c := beacon.Quicknet()
		change(&c)
		_, err := beacon.NewVerifier(c)
		if !errors.Is(err, beacon.ErrParameters) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrParameters with %q", err, want)
		}
	}
}

// Round numbers against drand's own: round 1 is at genesis, and a slot takes the
// first that nobody can know when it begins.
func TestClock_datesRounds(t *testing.T) {
	c := beacon.Quicknet()
	at := func(seconds float64) time.Time {
		return c.Genesis.Add(time.Duration(seconds * float64(time.Second)))
	}
	for _, row := range []struct {
		seconds   float64
		at, first uint64
	}{{-1, 0, 1}, {0, 1, 1}, {0.5, 1, 2}, {2.999, 1, 2}, {3, 2, 2}, {3.001, 2, 3}, {2997, 1000, 1000}} {
		if got := c.RoundAt(at(row.seconds)); got != row.at {
			t.Errorf("%v s: RoundAt %d, want %d", row.seconds, got, row.at)
		}
		if got := c.First(at(row.seconds)); got != row.first {
			t.Errorf("%v s: First %d, want %d", row.seconds, got, row.first)
		}
		if got := c.Time(c.First(at(row.seconds))); got.Before(at(row.seconds)) || got.Sub(at(row.seconds)) > 3*time.Second && row.seconds >= 0 {
			t.Errorf("%v s: the first round is at %s", row.seconds, got)
		}
	}
}

func TestSeeded_isItsSeedAndNumber(t *testing.T) {
	s := beacon.Seeded{Seed: "a"}
	if err := s.Verify(s.Round(7)); err != nil {
		t.Fatal(err)
	}
	other := beacon.Seeded{Seed: "b"}.Round(7)
	renumbered := s.Round(7)
	renumbered.Number = 8
	for _, r := range []beacon.Round{other, renumbered, {}, s.Round(0)} {
		if err := s.Verify(r); !errors.Is(err, beacon.ErrInvalid) {
			t.Errorf("%v: got %v, want ErrInvalid", r, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	r := read(f)["quicknet"]
	v, err := beacon.NewVerifier(r.chain)
	if err != nil {
		f.Fatal(err)
	}
	rounds := r.rounds(f)
	for _, round := range rounds {
		f.Add(round.Number, round.Signature)
	}
	f.Fuzz(func(t *testing.T, n uint64, sig []byte) {
		err := v.Verify(beacon.Round{Number: n, Signature: sig, Randomness: sha256.Sum256(sig)})
		if err != nil {
			return
		}
		for _, known := range rounds {
			if known.Number == n && string(known.Signature) != string(sig) {
				t.Fatalf("two signatures verify for round %d: %x and %x", n, sig, known.Signature)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for name, r := range read(b) {
		v, err := beacon.NewVerifier(r.chain)
		if err != nil {
			b.Fatal(err)
		}
		round := r.rounds(b)[1]
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := v.Verify(round); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
