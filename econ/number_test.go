package econ

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParseWei(t *testing.T) {
	largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)).String()
	for _, s := range []string{"0", "1", "10", largest} {
		if got, err := ParseWei(s); err != nil || got.String() != s {
			t.Errorf("ParseWei(%q) = %s, %v", s, got, err)
		}
	}
	past := new(big.Int).Lsh(big.NewInt(1), 256).String()
	for _, s := range []string{"", "-1", "+1", "01", "1e3", "0x10", " 1", "1 ", "1_0", past, past + "0"} {
		if got, err := ParseWei(s); err == nil {
			t.Errorf("ParseWei(%q) = %s, want an error", s, got)
		}
	}
}

func FuzzParseWei(f *testing.F) {
	for _, s := range []string{"0", "115792089237316195423570985008687907853269984665640564039457584007913129639935", "-1", "0x1", "1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if w, err := ParseWei(s); err == nil && w.String() != s {
			t.Errorf("ParseWei(%q) reads %s", s, w)
		}
	})
}

func TestWei_text(t *testing.T) {
	b, err := json.Marshal(map[string]Wei{"a": NewWei(12)})
	if err != nil || string(b) != `{"a":"12"}` {
		t.Errorf("as JSON %s, %v", b, err)
	}
	var back map[string]Wei
	if err := json.Unmarshal(b, &back); err != nil || back["a"] != NewWei(12) {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"a":"x"}`), &back); err == nil {
		t.Error("x is read as an amount")
	}
}

func TestWeiFromBig(t *testing.T) {
	if w, err := WeiFromBig(big.NewInt(7)); err != nil || w != NewWei(7) || w.Big().Int64() != 7 {
		t.Errorf("WeiFromBig(7) = %s, %v", w, err)
	}
	for _, b := range []*big.Int{nil, big.NewInt(-1), new(big.Int).Lsh(big.NewInt(1), 256)} {
		if _, err := WeiFromBig(b); err == nil {
			t.Errorf("WeiFromBig(%v) has no error", b)
		}
	}
}

func TestWeiFromFloat(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", -1: "0", 0.99: "0", 1: "1", 1.5: "1", 1e18: "1000000000000000000",
		math.Inf(-1): "0", 1 << 60: "1152921504606846976", 1e22: "10000000000000000000000",
	} {
		if got := WeiFromFloat(f); got.String() != want {
			t.Errorf("WeiFromFloat(%v) = %s, want %s", f, got, want)
		}
	}
	if got := WeiFromFloat(math.NaN()); !got.IsZero() {
		t.Errorf("WeiFromFloat(NaN) = %s, want 0", got)
	}
	if got := WeiFromFloat(math.Inf(1)); got != MaxAmount() {
		t.Errorf("WeiFromFloat(+Inf) = %s, want MaxAmount", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(1, 1e60).Draw(t, "f")
		want, _ := new(big.Float).SetFloat64(f).Int(nil)
		if got := WeiFromFloat(f); got.Big().Cmp(want) != 0 {
			t.Fatalf("WeiFromFloat(%v) = %s, want %s", f, got, want)
		}
	})
}

func TestMulDiv_isExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Wei {
			return NewWei(rapid.Uint64().Draw(t, name)).MulDiv(power2(rapid.UintRange(0, 100).Draw(t, "shift")), NewWei(1))
		}
		a, b, c := draw("a"), draw("b"), draw("c").Add(power2(90))
		q, rest := new(big.Int).QuoRem(new(big.Int).Mul(a.Big(), b.Big()), c.Big(), new(big.Int))
		if got := a.MulDiv(b, c); got.Big().Cmp(q) != 0 {
			t.Fatalf("MulDiv(%s, %s, %s) = %s, want %s", a, b, c, got, q)
		}
		if rest.Sign() > 0 {
			q.Add(q, big.NewInt(1))
		}
		if got := a.MulDivUp(b, c); got.Big().Cmp(q) != 0 {
			t.Fatalf("MulDivUp(%s, %s, %s) = %s, want %s", a, b, c, got, q)
		}
	})
}

func TestWei_panicsWhereABookWouldBeWrong(t *testing.T) {
	for name, f := range map[string]func(){
		"sum":      func() { power2(255).Add(power2(255)) },
		"less":     func() { NewWei(1).Sub(NewWei(2)) },
		"product":  func() { power2(255).MulDiv(power2(2), NewWei(1)) },
		"division": func() { NewWei(1).MulDiv(NewWei(1), Wei{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestWei_Valid(t *testing.T) {
	if err := MaxAmount().Valid("x"); err != nil {
		t.Errorf("MaxAmount: %v", err)
	}
	if err := MaxAmount().Add(NewWei(1)).Valid("x"); err == nil {
		t.Error("one more than MaxAmount is valid")
	}
}
