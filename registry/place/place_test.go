package place_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/place"
)

var (
	frankfurt = drtc.Place{Lat: 50.11, Lon: 8.68}
	paris     = drtc.Place{Lat: 48.86, Lon: 2.35}
	newYork   = drtc.Place{Lat: 40.71, Lon: -74.01}
	tokyo     = drtc.Place{Lat: 35.68, Lon: 139.69}
)

func from(id byte, p drtc.Place, rtt time.Duration) place.Measurement {
	return place.Measurement{Prober: drtc.NodeID{id}, Place: p, HasPlace: true, RTT: rtt}
}

func TestJudge_byWhatProbersMeasured(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		measured []place.Measurement
		want     place.Finding
		says     string
	}{
		"nobody": {nil, place.Declared, "no prober"},
		"local and unplaced only": {
			[]place.Measurement{from(1, frankfurt, 0), {Prober: drtc.NodeID{2}, RTT: ms}, from(3, drtc.Place{Lat: 99}, ms)},
			place.Declared, "no prober",
		},
		"all far enough": {
			[]place.Measurement{from(1, frankfurt, 250*ms), from(2, newYork, 180*ms)},
			place.Possible, "each of 2 probers",
		},
		"the only prober is near":    {[]place.Measurement{from(1, frankfurt, 5*ms)}, place.Doubted, "2 are needed"},
		"one of two is near":         {[]place.Measurement{from(1, frankfurt, 5*ms), from(2, newYork, 180*ms)}, place.Doubted, "1 of 2 probers"},
		"one of three is near":       {[]place.Measurement{from(1, frankfurt, 5*ms), from(2, newYork, 180*ms), from(3, tokyo, ms)}, place.Doubted, "1 of 3 probers"},
		"two of two are near":        {[]place.Measurement{from(1, frankfurt, 5*ms), from(2, paris, 9*ms)}, place.Refuted, "2 of 2 probers"},
		"two of three are near":      {[]place.Measurement{from(1, frankfurt, 5*ms), from(2, paris, 9*ms), from(3, tokyo, ms)}, place.Refuted, "2 of 3 probers"},
		"two of four are not most":   {[]place.Measurement{from(1, frankfurt, 5*ms), from(2, paris, 9*ms), from(3, tokyo, ms), from(4, newYork, 180*ms)}, place.Doubted, "3 are needed"},
		"one prober twice is one":    {[]place.Measurement{from(1, frankfurt, 5*ms), from(1, frankfurt, 6*ms)}, place.Doubted, "1 of 1 prober "},
		"its shorter time is judged": {[]place.Measurement{from(1, frankfurt, 250*ms), from(1, frankfurt, 6*ms)}, place.Doubted, "6.00 ms"},
	}
	for name, tt := range tests {
		v := place.Judge(tokyo, true, tt.measured)
		if v.Finding != tt.want || !strings.Contains(v.String(), tt.says) {
			t.Errorf("%s: got %s, want %s and %q", name, v, tt.want, tt.says)
		}
	}
}

func TestJudge_saysWhyInNumbers(t *testing.T) {
	v := place.Judge(tokyo, true, []place.Measurement{from(0xab, frankfurt, 5*time.Millisecond)})
	want := "0xab000000 at 50.11,8.68 measured 5.00 ms, so the node is within 550 km of it; but the declared place is 9333 km away"
	if len(v.Reasons) != 2 || v.Reasons[1] != want {
		t.Errorf("got %q, want %q", v.Reasons, want)
	}
	if v.Discs[0].Contains() || v.Discs[0].RadiusKm != 550 {
		t.Errorf("got disc %+v, want one of 550 km without the place", v.Discs[0])
	}
}

func TestJudge_nodeWithoutAPlace(t *testing.T) {
	measured := []place.Measurement{from(1, frankfurt, time.Millisecond), from(2, paris, time.Millisecond)}
	if v := place.Judge(drtc.Place{}, false, measured); v.Finding != place.None || len(v.Discs) != 0 {
		t.Errorf("got %s, want none", v)
	}
}

func drawPlace(t *rapid.T, label string) drtc.Place {
	return drtc.Place{Lat: rapid.Float64Range(-90, 90).Draw(t, label+" lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, label+" lon")}
}

// light is the least round trip between two places.
func light(a, b drtc.Place) time.Duration {
	return time.Duration(math.Ceil(a.DistanceKm(b) / place.KmPerMillisecond * float64(time.Millisecond)))
}

func TestJudge_honestNodeIsNeverDoubted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := drawPlace(t, "node")
		var measured []place.Measurement
		for i := range rapid.IntRange(1, 5).Draw(t, "probers") {
			p := drawPlace(t, "prober")
			queueing := time.Duration(rapid.IntRange(1, 200_000_000).Draw(t, "queueing"))
			measured = append(measured, from(byte(i+1), p, light(p, node)+queueing))
		}
		if v := place.Judge(node, true, measured); v.Finding != place.Possible {
			t.Fatalf("got %s, want confirmed-possible", v)
		}
	})
}

// A node that claims to be farther from its probers than light could have come
// back from is refuted by them, and by none but them.
func TestJudge_impossibleClaimIsRefuted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, claim := drawPlace(t, "node"), drawPlace(t, "claim")
		var measured []place.Measurement
		impossible := 0
		n := rapid.IntRange(2, 5).Draw(t, "probers")
		for i := range n {
			p := drawPlace(t, "prober")
			rtt := light(p, node) + time.Duration(rapid.IntRange(1, 20_000_000).Draw(t, "queueing"))
			measured = append(measured, from(byte(i+1), p, rtt))
			if p.DistanceKm(claim) > rtt.Seconds()*1000*place.KmPerMillisecond+place.SlackKm {
				impossible++
			}
		}
		want := place.Possible
		switch {
		case 2*impossible > n:
			want = place.Refuted
		case impossible > 0:
			want = place.Doubted
		}
		v := place.Judge(claim, true, measured)
		if v.Finding != want {
			t.Fatalf("%d of %d discs exclude the claim: got %s, want %s", impossible, n, v, want)
		}
		slices.Reverse(measured)
		if again := place.Judge(claim, true, measured); again.String() != v.String() {
			t.Fatalf("in another order: got %s, want %s", again, v)
		}
	})
}
