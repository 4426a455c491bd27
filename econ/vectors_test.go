package econ

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

var update = flag.Bool("update", false, "write spec/vectors/economics.json")

const vectorsFile = "../spec/vectors/economics.json"

// The file of vectors is what this package computes, so that the contracts' tests
// hold the contracts against it. Changed rules: go test ./econ -run Vectors -update.
func TestVectors(t *testing.T) {
	text, err := json.MarshalIndent(vectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(vectorsFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%s is not what this package computes: run go test ./econ -run Vectors -update and read the difference", vectorsFile)
	}
}

type texts map[string]string

type vectorFile struct {
	Rules    string  `json:"rules"`
	Rule     string  `json:"rule"`
	Source   string  `json:"source"`
	Notation string  `json:"notation"`
	Exp      []texts `json:"expWad"`
	Unit     []texts `json:"unitReward"`
	Refused  []texts `json:"unitRewardRefused"`
	Weights  []texts `json:"weights"`
}

func vectors(t *testing.T) vectorFile {
	t.Helper()
	r := rand.New(rand.NewPCG(2026, 8))
	f := vectorFile{
		Rules:    "spec/economics.md E10, E11, E25",
		Rule:     "Every value must be equal; what is refused must be refused.",
		Source:   "Computed by the Go package econ, for the contracts: what one computes the other must.",
		Notation: "Decimal strings. Wads and k are times 10^18, weights bps.",
	}
	for i := range 120 {
		x := new(big.Int).Sub(new(big.Int).SetUint64(r.Uint64N(84e17)), big.NewInt(42e17)) // -4.2 to 4.2
		if i%2 == 0 {
			x.Mul(x, big.NewInt(10))
		}
		e, err := ExpWad(x)
		if err != nil {
			t.Fatal(err)
		}
		f.Exp = append(f.Exp, texts{"x": x.String(), "e": e.String()})
	}
	unit := func(c Curve, s, v Wad) texts {
		return texts{
			"rMax": c.Max.String(), "k": c.K.String(), "vMid": strconv.FormatInt(c.Mid, 10), "vTau": strconv.FormatInt(c.Tau, 10),
			"vMin": strconv.FormatUint(uint64(c.MinQuality), 10), "s": strconv.FormatUint(uint64(s), 10), "v": strconv.FormatUint(uint64(v), 10),
		}
	}
	for i := range 240 {
		c, s, v := randomCurve(r)
		if i%3 == 0 {
			c.MinQuality = One / 5
		}
		got, err := c.Unit(s, v)
		if err != nil {
			t.Fatal(err)
		}
		row := unit(c, s, v)
		row["r"] = got.String()
		f.Unit = append(f.Unit, row)
	}
	corner := Curve{Max: power2(128), K: KFromInt(100), Mid: int64(One)}
	for _, change := range []func(*Curve, *Wad, *Wad){
		func(c *Curve, _, _ *Wad) { c.Max = c.Max.Add(NewWei(1)) },
		func(c *Curve, _, _ *Wad) { c.K = c.K.Add(NewWei(1)) },
		func(c *Curve, _, _ *Wad) { c.Tau = 1 },
		func(c *Curve, _, _ *Wad) { c.Mid, c.Tau = 0, -1 },
		func(_ *Curve, s, _ *Wad) { *s = One + 1 },
		func(_ *Curve, _, v *Wad) { *v = One + 1 },
	} {
		c, s, v := corner, One, One
		change(&c, &s, &v)
		if _, err := c.Unit(s, v); err == nil {
			t.Fatalf("%+v S %d V %d is not refused", c, s, v)
		}
		f.Refused = append(f.Refused, unit(c, s, v))
	}
	w := DefaultParameters().Weights
	for range 20 {
		score := func() Wad { return Wad(r.Uint64N(uint64(One) + 1)) }
		mean, target := Means{score(), score(), score(), score()}, Means{score(), score(), score(), score()}
		next, err := w.Next(mean, target)
		if err != nil {
			t.Fatal(err)
		}
		row := texts{}
		for j, name := range []string{"A", "H", "L", "C"} {
			row["mean"+name], row["target"+name] = strconv.FormatUint(uint64(mean.list()[j]), 10), strconv.FormatUint(uint64(target.list()[j]), 10)
			row["w"+name] = strconv.FormatUint(uint64(w.list()[j]), 10)
			row["next"+name] = strconv.FormatUint(uint64(next.list()[j]), 10)
		}
		f.Weights = append(f.Weights, row)
		w = next
	}
	return f
}
