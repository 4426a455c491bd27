package score

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/drtc-network/drtc"
)

// The oracle is golang/geo. A place whose projection is within a billionth of a
// border may fall on either side of it there; none of these does.
func TestCellOf_isThatOfS2(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200_000 {
		z := 2*r.Float64() - 1
		p := Place{int32(math.Round(math.Asin(z) * 180e6 / math.Pi)), int32(r.IntN(2*halfTurn+1) - halfTurn)}
		want := s2.CellIDFromLatLng(s2.LatLngFromDegrees(float64(p.Lat)/1e6, float64(p.Lon)/1e6)).Parent(Level)
		if got := CellOf(p); got != Cell(want) || !got.Valid() || got.String() != want.ToToken() {
			t.Fatalf("seed %d: %v is in cell %s, want %s", seed, p, got, want.ToToken())
		}
	}
}

func TestCellOf_atPolesAndDateLine(t *testing.T) {
	for _, p := range []Place{{90e6, 0}, {-90e6, 17e6}, {0, -180e6}, {10e6, -180e6}, {0, 0}, {35_264_390, 44_999_999}} {
		want := s2.CellIDFromLatLng(s2.LatLngFromDegrees(float64(p.Lat)/1e6, float64(p.Lon)/1e6)).Parent(Level)
		if got := CellOf(p); got != Cell(want) {
			t.Errorf("%v is in cell %s, want %s", p, got, want.ToToken())
		}
	}
	if a, b := CellOf(Place{10e6, 180e6}), CellOf(Place{10e6, -180e6}); a != b {
		t.Errorf("one meridian in two cells: %s and %s", a, b)
	}
}

func TestCell_middleIsThatOfS2(t *testing.T) {
	cells := 0
	for id := s2.CellIDFromFace(0).ChildBeginAtLevel(Level); id != s2.CellIDFromFace(5).ChildEndAtLevel(Level); id = id.Next() {
		cells++
		got, want := Cell(id).middle(), id.Point()
		for _, c := range []struct {
			got  int64
			want float64
		}{{got.x, want.X}, {got.y, want.Y}, {got.z, want.Z}} {
			if math.Abs(float64(c.got)/float64(fixedOne)-c.want) > 2e-9 {
				t.Fatalf("cell %s: middle %v, want %v", Cell(id), got, want)
			}
		}
	}
	if cells != 24576 {
		t.Errorf("%d cells, want 24576", cells)
	}
}

func TestCell_validIsOfItsLevelAlone(t *testing.T) {
	c := s2.CellIDFromLatLng(s2.LatLngFromDegrees(50, 8))
	for level := range 31 {
		if got, want := Cell(c.Parent(level)).Valid(), level == Level; got != want {
			t.Errorf("a cell of level %d: valid is %t, want %t", level, got, want)
		}
	}
	for _, c := range []Cell{0, 7<<61 | lowest, ^Cell(0)} {
		if c.Valid() {
			t.Errorf("%x is valid, want not", uint64(c))
		}
	}
}

// The tolerance is the error of the argument in floats.
func TestSinCos_againstFloats(t *testing.T) {
	const seed = 2
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 100_000 {
		angle := int64(i-50_000) * 15_000
		if i%2 == 0 {
			angle = int64(r.IntN(4*halfTurn) - 2*halfTurn)
		}
		s, c := sinCos(angle)
		x := float64(angle) / 1e6 * math.Pi / 180
		if math.Abs(float64(s)/float64(fixedOne)-math.Sin(x)) > 4e-15 || math.Abs(float64(c)/float64(fixedOne)-math.Cos(x)) > 4e-15 {
			t.Fatalf("seed %d: angle %d: %d, %d, want %v, %v", seed, angle, s, c, math.Sin(x), math.Cos(x))
		}
	}
}

// A disc's edge is where great-circle distances of drtc.Place have it, to a few
// metres.
func TestWithin_agreesWithGreatCircles(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	place := func() drtc.Place {
		return drtc.Place{Lat: math.Asin(2*r.Float64()-1) * 180 / math.Pi, Lon: 360*r.Float64() - 180}
	}
	for range 20_000 {
		p, q := place(), place()
		if r.IntN(2) == 0 {
			q = drtc.Place{Lat: max(-90, min(90, p.Lat+r.Float64()-0.5)), Lon: max(-180, min(180, p.Lon+r.Float64()-0.5))}
		}
		a, _ := PlaceAt(p)
		b, _ := PlaceAt(q)
		metres := p.DistanceKm(q) * 1000
		if !within(a.direction(), b.direction(), uint64(metres+5)) || metres > 6 && within(a.direction(), b.direction(), uint64(metres-5)) {
			t.Fatalf("seed %d: %v and %v are %.1f m apart", seed, p, q, metres)
		}
	}
}
