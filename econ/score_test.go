package econ

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestAvailability(t *testing.T) {
	for _, c := range []struct {
		up, life uint64
		want     Wad
	}{{0, 0, 0}, {0, 5, 0}, {5, 5, One}, {1, 3, One / 3}, {2, 3, 666666666666666666}, {math.MaxUint64 - 1, math.MaxUint64, One - 1}} {
		if got, err := Availability(c.up, c.life); err != nil || got != c.want {
			t.Errorf("Availability(%d, %d) = %d, %v, want %d", c.up, c.life, got, err, c.want)
		}
	}
	if _, err := Availability(2, 1); !errors.Is(err, ErrDomain) {
		t.Errorf("more uptime than lifetime: error %v, want ErrDomain", err)
	}
}

func TestLocation(t *testing.T) {
	for _, c := range []struct {
		cell, reference uint64
		want            Wad
	}{{0, 0, 0}, {3, 0, 0}, {1, 4, One / 4}, {4, 4, One}, {9, 4, One}} {
		if got := Location(c.cell, c.reference); got != c.want {
			t.Errorf("Location(%d, %d) = %d, want %d", c.cell, c.reference, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	values := make([]uint64, 20) // 20 to 1
	for i := range values {
		values[i] = uint64(20 - i)
	}
	for _, c := range []struct {
		values  []uint64
		percent int
		want    uint64
	}{{nil, 95, 0}, {[]uint64{7}, 95, 7}, {values, 95, 19}, {values, 96, 20}, {values, 100, 20}, {values, 1, 1}, {values, 5, 1}, {values, 6, 2}} {
		if got := Percentile(c.values, c.percent); got != c.want {
			t.Errorf("Percentile(%v, %d) = %d, want %d", c.values, c.percent, got, c.want)
		}
	}
	if values[0] != 20 {
		t.Error("Percentile reordered its argument")
	}
}

func TestCoverage(t *testing.T) {
	if got, err := Coverage(1, 4); err != nil || got != One/4 {
		t.Errorf("Coverage(1, 4) = %d, %v, want a quarter", got, err)
	}
	for _, c := range [][2]uint64{{0, 4}, {2, 1}, {0, 0}} {
		if _, err := Coverage(c[0], c[1]); !errors.Is(err, ErrDomain) {
			t.Errorf("Coverage(%d, %d): error %v, want ErrDomain", c[0], c[1], err)
		}
	}
}

func TestRanks_meanIsAHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		supplied := rapid.SliceOfN(rapid.Map(rapid.Uint64Range(0, 20), NewWei), 1, 50).Draw(t, "supplied")
		var sum uint64
		for _, r := range Ranks(supplied) {
			n, d := r.Fraction()
			if n == 0 || n >= d {
				t.Fatalf("rank %d/%d", n, d)
			}
			sum += n
		}
		if n := uint64(len(supplied)); sum != n*n {
			t.Fatalf("ranks of %d nodes sum to %d/%d, want a half each", n, sum, 2*n)
		}
	})
}

func TestQuality(t *testing.T) {
	full := Tally{13, 13}
	for _, c := range []struct {
		name                     string
		loss, bitrate, roundTrip Tally
		adequacy                 Wad
		want                     Wad
	}{
		{"the paper's sample, 21/26", full, Tally{8, 13}, full, One, 807692307692307692},
		{"all good", full, full, full, One, One},
		{"loss scales both", Tally{1, 2}, full, full, One, One / 2},
		{"half adequate", full, full, full, One / 2, One / 2},
		{"no samples", full, Tally{}, full, One, 0},
		{"great counts", Tally{math.MaxUint64, math.MaxUint64}, Tally{1, 3}, Tally{1, 3}, One, One / 3},
	} {
		if got, err := Quality(c.loss, c.bitrate, c.roundTrip, c.adequacy); err != nil || got != c.want {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
	if _, err := Quality(Tally{2, 1}, full, full, One); !errors.Is(err, ErrDomain) {
		t.Errorf("more good samples than samples: error %v, want ErrDomain", err)
	}
	if _, err := Quality(full, full, full, One+1); !errors.Is(err, ErrDomain) {
		t.Errorf("adequacy above 1: error %v, want ErrDomain", err)
	}
}

func TestSum_isExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wad := func(name string) Wad { return Wad(rapid.Uint64Range(0, uint64(One)).Draw(t, name)) }
		s := Scores{wad("A"), wad("H"), wad("L"), wad("C"), wad("V")}
		w := DefaultParameters().Weights
		want := new(big.Int)
		for _, x := range []struct {
			w Bps
			s Wad
		}{{w.Availability, s.Availability}, {w.History, s.History}, {w.Location, s.Location}, {w.Coverage, s.Coverage}} {
			want.Add(want, new(big.Int).Mul(big.NewInt(int64(x.w)), big.NewInt(int64(x.s))))
		}
		want.Quo(want, big.NewInt(int64(Whole)))
		if got := w.Sum(s); new(big.Int).SetUint64(uint64(got)).Cmp(want) != 0 {
			t.Fatalf("Sum(%+v) = %d, want %s", s, got, want)
		}
		if f := w.SumFloat(s.Availability.Float(), s.History.Float(), s.Location.Float(), s.Coverage.Float()); math.Abs(f-w.Sum(s).Float()) > 1e-12 {
			t.Fatalf("SumFloat is %v, Sum %v", f, w.Sum(s).Float())
		}
	})
	if got := (Weights{4000, 1500, 2000, 2500}).Sum(Scores{One, One, One, One, One}); got != One {
		t.Errorf("full scores sum to %d, want %d", got, One)
	}
}

func TestScores_Validate(t *testing.T) {
	for i := range 5 {
		var s Scores
		*[]*Wad{&s.Availability, &s.History, &s.Location, &s.Coverage, &s.Quality}[i] = One + 1
		if err := s.Validate(); !errors.Is(err, ErrDomain) {
			t.Errorf("score %d above 1: error %v, want ErrDomain", i, err)
		}
	}
}
