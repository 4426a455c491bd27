package drtc_test

import (
	"errors"
	"math"
	"testing"

	"github.com/drtc-network/drtc"
)

func TestNodeID_roundTrip(t *testing.T) {
	const text = "0x00112233445566778899aabbccddeeff00112233"
	id, err := drtc.ParseNodeID(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := id.String(); got != text {
		t.Errorf("got %s, want %s", got, text)
	}
	if got, want := id.Short(), "0x00112233"; got != want {
		t.Errorf("short: got %s, want %s", got, want)
	}
}

func TestParseNodeID_refusesEverythingElse(t *testing.T) {
	for _, s := range []string{"", "0x", "00112233445566778899aabbccddeeff0011223344", "0x00112233445566778899aabbccddeeff0011223g", "0x00112233445566778899aabbccddeeff001122334455"} {
		if _, err := drtc.ParseNodeID(s); !errors.Is(err, drtc.ErrNodeID) {
			t.Errorf("%q: got %v, want ErrNodeID", s, err)
		}
	}
}

func TestPlace_distance(t *testing.T) {
	berlin, sydney := drtc.Place{Lat: 52.52, Lon: 13.405}, drtc.Place{Lat: -33.8688, Lon: 151.2093}
	if got := berlin.DistanceKm(sydney); math.Abs(got-16094) > 30 {
		t.Errorf("Berlin to Sydney: got %.0f km, want about 16094", got)
	}
	if got := berlin.DistanceKm(berlin); got != 0 {
		t.Errorf("to itself: got %f", got)
	}
	// The antimeridian is not a wall.
	if got := (drtc.Place{Lon: 179.9}).DistanceKm(drtc.Place{Lon: -179.9}); got > 25 {
		t.Errorf("across the antimeridian: got %.0f km, want about 22", got)
	}
}

func TestParsePlace(t *testing.T) {
	p, err := drtc.ParsePlace("52.52, 13.405")
	if err != nil || p.String() != "52.52,13.405" {
		t.Errorf("got %v, %v", p, err)
	}
	for _, s := range []string{"", "1", "91,0", "0,181", "NaN,0", "a,b"} {
		if _, err := drtc.ParsePlace(s); !errors.Is(err, drtc.ErrPlace) {
			t.Errorf("%q: got %v, want ErrPlace", s, err)
		}
	}
}

func TestParseRegion(t *testing.T) {
	if r, err := drtc.ParseRegion("eu"); err != nil || r != drtc.Europe {
		t.Errorf("got %v, %v", r, err)
	}
	if _, err := drtc.ParseRegion("MOON"); !errors.Is(err, drtc.ErrRegion) {
		t.Errorf("got %v, want ErrRegion", err)
	}
}
