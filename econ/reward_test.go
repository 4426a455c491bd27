package econ

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const precision = 320

// exact is e^x by the exponential series, to about 300 bits.
func exact(x *big.Float) *big.Float {
	reduced := new(big.Float).SetPrec(precision).Set(x)
	halvings := 0
	for limit := big.NewFloat(0.01); new(big.Float).Abs(reduced).Cmp(limit) > 0; halvings++ {
		reduced.Quo(reduced, big.NewFloat(2))
	}
	sum, term := big.NewFloat(1).SetPrec(precision), big.NewFloat(1).SetPrec(precision)
	for i := 1; i < 45; i++ {
		term.Mul(term, reduced)
		term.Quo(term, big.NewFloat(float64(i)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

func wide(w Wei) *big.Float { return new(big.Float).SetPrec(precision).SetInt(w.Big()) }

// trueUnit is the reward function of E11 without rounding.
func trueUnit(c Curve, s, v Wad) *big.Float {
	one := wide(NewWei(uint64(One)))
	y := wide(c.K)
	y.Mul(y, new(big.Float).SetPrec(precision).SetInt64(c.Mid+c.Tau-int64(v)))
	y.Quo(y.Quo(y, one), one)
	sum := wide(NewWei(uint64(s)))
	sum.Quo(sum, one)
	bottom := exact(y)
	bottom.Add(bottom.Mul(bottom, sum), big.NewFloat(1))
	top := wide(c.Max)
	return top.Quo(top.Mul(top, sum), bottom)
}

func TestExpWad_publishedValues(t *testing.T) {
	// The values that the tests of Solmate and Solady state for this function.
	for _, c := range []struct{ x, want string }{
		{"-41446531673892822313", "0"}, {"-41446531673892822312", "1"},
		{"-3000000000000000000", "49787068367863942"}, {"-2000000000000000000", "135335283236612691"},
		{"-1000000000000000000", "367879441171442321"}, {"-500000000000000000", "606530659712633423"},
		{"-300000000000000000", "740818220681717866"}, {"0", "1000000000000000000"},
		{"300000000000000000", "1349858807576003103"}, {"500000000000000000", "1648721270700128146"},
		{"1000000000000000000", "2718281828459045235"}, {"2000000000000000000", "7389056098930650227"},
		{"3000000000000000000", "20085536923187667741"}, {"10000000000000000000", "22026465794806716516980"},
		{"50000000000000000000", "5184705528587072464148529318587763226117"},
		{"100000000000000000000", "26881171418161354484134666106240937146178367581647816351662017"},
		{"135305999368893231588", "57896044618658097650144101621524338577433870140581303254786265309376407432913"},
	} {
		x, _ := new(big.Int).SetString(c.x, 10)
		got, err := ExpWad(x)
		if err != nil || got.String() != c.want {
			t.Errorf("ExpWad(%s) = %s, %v, want %s", c.x, got, err, c.want)
		}
	}
}

func TestExpWad_outsideTheDomain(t *testing.T) {
	if _, err := ExpWad(expMost.ToBig()); !errors.Is(err, ErrDomain) {
		t.Errorf("ExpWad just past its domain: error %v, want ErrDomain", err)
	}
	far := new(big.Int).Lsh(big.NewInt(-1), 300)
	if got, err := ExpWad(far); err != nil || !got.IsZero() {
		t.Errorf("ExpWad(-2^300) = %s, %v, want 0", got, err)
	}
}

// seeded gives a generator whose seed a failure shows.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func randomCurve(r *rand.Rand) (Curve, Wad, Wad) {
	c := Curve{Max: WeiFromFloat(math.Exp2(r.Float64() * 128)).Min(power2(128)), K: NewWei(r.Uint64N(uint64(One))).MulDiv(NewWei(100), NewWei(1))}
	if r.IntN(2) == 0 { // as governance has it
		c.K = KFromInt(5 + r.Uint64N(16))
	}
	m := int64(r.Uint64N(uint64(One) + 1))
	c.Tau = int64(r.Uint64N(uint64(One)/5+1)) - int64(One/10)
	c.Mid = m - c.Tau
	if c.Mid < -int64(One) {
		c.Mid, c.Tau = m, 0
	}
	s, v := Wad(r.Uint64N(uint64(One)+1)), Wad(r.Uint64N(uint64(One)+1))
	switch r.IntN(8) {
	case 0:
		s = One
	case 1:
		v = One
	case 2:
		v = 0
	case 3:
		s = Wad(1 + r.Uint64N(1000))
	}
	return c, s, v
}

func TestUnit_errorBound(t *testing.T) {
	r := seeded(t)
	one := big.NewFloat(1)
	var worst float64
	for i := range 100_000 {
		c, s, v := randomCurve(r)
		got, err := c.Unit(s, v)
		if err != nil {
			t.Fatalf("point %d: %v", i, err)
		}
		want := trueUnit(c, s, v)
		short := new(big.Float).SetPrec(precision).Sub(want, wide(got))
		if short.Sign() < 0 {
			t.Fatalf("point %d: %+v S %d V %d: Unit %s is above the true value %s", i, c, s, v, got, want.Text('f', 6))
		}
		bound := wide(c.Max)
		factor := 1.53e-18
		if c.K.Float()*float64(c.Mid+c.Tau-int64(v)) > 40.99e36 {
			factor = 1.6e-18
		}
		bound.Mul(bound, big.NewFloat(factor))
		bound.Add(bound, one)
		if short.Cmp(bound) > 0 {
			t.Fatalf("point %d: %+v S %d V %d: Unit %s is %s below the true value, want at most %s", i, c, s, v, got, short.Text('g', 6), bound.Text('g', 6))
		}
		relative, _ := new(big.Float).Quo(new(big.Float).Sub(short, one), wide(c.Max.Max(NewWei(1)))).Float64()
		if c.Max.Cmp(power2(80)) > 0 && factor == 1.53e-18 {
			worst = max(worst, relative)
		}
		if cap := c.Max.Times(s); got.Cmp(cap) > 0 {
			t.Fatalf("point %d: Unit %s is above r_max S = %s", i, got, cap)
		}
	}
	t.Logf("100000 points: at most %.3g r_max + 1 wei below to exponent 41, never above", worst)
}

func TestUnit_monotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		c, s, v := randomCurve(r)
		base := c.unit(s, v)
		step := func(w Wad) Wad {
			gap := uint64(One - w)
			if gap == 0 {
				return 0
			}
			return Wad(1 + r.Uint64N(min(gap, 1<<r.UintN(60))))
		}
		if d := step(s); d > 0 {
			if up := c.unit(s+d, v); up.Cmp(base) < 0 {
				t.Fatalf("%+v V %d: S %d + %d lowers the reward from %s to %s", c, v, s, d, base, up)
			}
		}
		if d := step(v); d > 0 {
			if up := c.unit(s, v+d); up.Cmp(base) < 0 {
				t.Fatalf("%+v S %d: V %d + %d lowers the reward from %s to %s", c, s, v, d, base, up)
			}
		}
		if c.Max.Cmp(power2(128)) < 0 {
			more := c
			more.Max = c.Max.Add(NewWei(1 + r.Uint64N(1000))).Min(power2(128))
			if up := more.unit(s, v); up.Cmp(base) < 0 {
				t.Fatalf("%+v S %d V %d: a greater r_max lowers the reward from %s to %s", c, s, v, base, up)
			}
		}
		if c.Mid > -int64(One)+1 && c.Mid+c.Tau > 0 {
			easier := c
			easier.Mid--
			if up := easier.unit(s, v); up.Cmp(base) < 0 {
				t.Fatalf("%+v S %d V %d: a lower midpoint lowers the reward from %s to %s", c, s, v, base, up)
			}
		}
	})
}

func TestUnit_monotoneInEveryScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wad := func(name string) Wad { return Wad(rapid.Uint64Range(0, uint64(One)).Draw(t, name)) }
		p := DefaultParameters()
		low := Scores{wad("A"), wad("H"), wad("L"), wad("C"), wad("V")}
		high := low
		scores := []*Wad{&high.Availability, &high.History, &high.Location, &high.Coverage, &high.Quality}
		which := scores[rapid.IntRange(0, 4).Draw(t, "which")]
		*which = Wad(rapid.Uint64Range(uint64(*which), uint64(One)).Draw(t, "to"))
		curve := p.Curve(NewWei(uint64(One)))
		a, b := curve.unit(p.Weights.Sum(low), low.Quality), curve.unit(p.Weights.Sum(high), high.Quality)
		if b.Cmp(a) < 0 {
			t.Fatalf("scores %+v earn %s, the better %+v only %s", low, a, high, b)
		}
	})
}

func TestUnit_edges(t *testing.T) {
	c := DefaultParameters().Curve(NewWei(uint64(One)))
	steep := Curve{Max: power2(128), K: KFromInt(100), Mid: int64(One)}
	for _, x := range []struct {
		name string
		c    Curve
		s, v Wad
		want string
	}{
		{"no reputation earns nothing", c, 0, One, "0"},
		{"below the gate nothing is paid", c, One, One/5 - 1, "0"},
		{"at the gate it is", c, One, One / 5, "17986209962091557"},
		{"exponent 41 is paid", Curve{Max: power2(128), K: KFromInt(41), Mid: int64(One)}, One, 0, "531821250605488264849"},
		{"above 41 is not", Curve{Max: power2(128), K: KFromInt(41).Add(NewWei(1)), Mid: int64(One)}, One, 0, "0"},
		{"a negligible exponential still keeps it below r_max S", Curve{Max: power2(128), K: KFromInt(100)}, One, One, "340282366920938463123092240510829748332"},
		{"the far end", steep, One, 0, "0"},
	} {
		if got, err := x.c.Unit(x.s, x.v); err != nil || got.String() != x.want {
			t.Errorf("%s: Unit(%d, %d) = %s, %v, want %s", x.name, x.s, x.v, got, err, x.want)
		}
	}
}

func TestUnit_refusesWhatIsOutsideItsDomain(t *testing.T) {
	good := Curve{Max: power2(128), K: KFromInt(100), Mid: int64(One)}
	for _, x := range []struct {
		name   string
		change func(*Curve)
		s, v   Wad
	}{
		{"r_max", func(c *Curve) { c.Max = c.Max.Add(NewWei(1)) }, 0, 0},
		{"k", func(c *Curve) { c.K = c.K.Add(NewWei(1)) }, 0, 0},
		{"v_mid + v_tau above 1", func(c *Curve) { c.Tau = 1 }, 0, 0},
		{"v_mid + v_tau below 0", func(c *Curve) { c.Mid, c.Tau = 0, -1 }, 0, 0},
		{"v_mid far below 0", func(c *Curve) { c.Mid, c.Tau = math.MinInt64, math.MinInt64 }, 0, 0},
		{"a sum past int64", func(c *Curve) { c.Mid, c.Tau = math.MaxInt64, math.MaxInt64 }, 0, 0},
		{"v_min", func(c *Curve) { c.MinQuality = One + 1 }, 0, 0},
		{"S", func(*Curve) {}, One + 1, 0},
		{"V", func(*Curve) {}, 0, One + 1},
	} {
		c := good
		x.change(&c)
		if _, err := c.Unit(x.s, x.v); !errors.Is(err, ErrDomain) {
			t.Errorf("%s: error %v, want ErrDomain", x.name, err)
		}
	}
	if _, err := good.Unit(One, One); err != nil {
		t.Errorf("the corner of the domain is refused: %v", err)
	}
}

func TestRewardable(t *testing.T) {
	got, err := Rewardable(NewWei(100), NewWei(33), 5000)
	if err != nil || got != NewWei(116) {
		t.Errorf("100 bytes to clients and 33 at half weight are %s, %v, want 116", got, err)
	}
	for _, bad := range []struct {
		client, relay Wei
		weight        Bps
	}{{power2(96), Wei{}, Whole}, {Wei{}, power2(96), Whole}, {Wei{}, Wei{}, MaxRelayBps + 1}} {
		if _, err := Rewardable(bad.client, bad.relay, bad.weight); !errors.Is(err, ErrDomain) {
			t.Errorf("Rewardable(%s, %s, %d): error %v, want ErrDomain", bad.client, bad.relay, bad.weight, err)
		}
	}
}

func TestUnitFloat_followsTheInteger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := DefaultParameters().Curve(NewWei(uint64(One)))
		c.K = KFromInt(rapid.Uint64Range(5, 20).Draw(t, "k"))
		s := Wad(rapid.Uint64Range(uint64(One)/100, uint64(One)).Draw(t, "S"))
		v := Wad(rapid.Uint64Range(uint64(One)/5+1, uint64(One)).Draw(t, "V"))
		want := c.unit(s, v).Float()
		if got := c.Float().Unit(s.Float(), v.Float()); math.Abs(got-want) > 1e-12*want+2 {
			t.Fatalf("S %d V %d: %v in float64, %v wei in integers", s, v, got, want)
		}
	})
}

func BenchmarkUnit(b *testing.B) {
	c := DefaultParameters().Curve(NewWei(uint64(One)))
	b.ReportAllocs()
	v := Wad(0)
	for b.Loop() {
		if _, err := c.Unit(One/4*3, One/2+v); err != nil {
			b.Fatal(err)
		}
		v = (v + 1_000_003) % (One / 2)
	}
}

func BenchmarkUnitFloat(b *testing.B) {
	c := DefaultParameters().Curve(NewWei(uint64(One))).Float()
	b.ReportAllocs()
	v, sum := 0.0, 0.0
	for b.Loop() {
		sum += c.Unit(0.75, 0.5+v)
		if v += 1e-7; v > 0.5 {
			v = 0
		}
	}
	if sum == 0 {
		b.Fatal("no reward")
	}
}
