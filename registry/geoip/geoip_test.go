package geoip_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/geoip"
)

var (
	berlin    = drtc.Place{Lat: 52.52, Lon: 13.405}
	hamburg   = drtc.Place{Lat: 53.55, Lon: 9.99}
	singapore = drtc.Place{Lat: 1.29, Lon: 103.85}
)

// The smallest writer of MaxMind DB files, after the published format, so that
// the tests need no foreign data.

func control(kind, size int) []byte {
	if kind < 8 {
		return []byte{byte(kind<<5 | size)}
	}
	return []byte{byte(size), byte(kind - 7)}
}

func text(s string) []byte { return append(control(2, len(s)), s...) }

func double(f float64) []byte {
	return binary.BigEndian.AppendUint64(control(3, 8), math.Float64bits(f))
}

func number(kind int, n byte) []byte { return append(control(kind, 1), n) }

func table(entries ...[]byte) []byte { // key, value, key, value
	b := control(7, len(entries)/2)
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

// file has one node: addresses whose first bit is 0 are at place, the others are
// not in it.
func file(entry []byte) []byte {
	const nodes = 1
	tree := []byte{0, 0, nodes + 16, 0, 0, nodes} // left: the entry at offset 0; right: nothing
	b := append(tree, make([]byte, 16)...)
	b = append(b, entry...)
	b = append(b, "\xab\xcd\xefMaxMind.com"...)
	return append(b, table(
		text("node_count"), number(6, nodes), text("record_size"), number(5, 24), text("ip_version"), number(5, 4),
		text("database_type"), text("Test-City"), text("languages"), control(11, 0),
		text("binary_format_major_version"), number(5, 2), text("binary_format_minor_version"), control(5, 0),
		text("build_epoch"), number(9, 1), text("description"), table(),
	)...)
}

func city(lat, lon float64) []byte {
	return table(text("location"), table(text("latitude"), double(lat), text("longitude"), double(lon)))
}

func open(t *testing.T, content []byte) (*geoip.DB, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "city.mmdb")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := geoip.Open(path)
	if err == nil {
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return db, path, err
}

func TestLookup_findsThePlaceOfAnAddress(t *testing.T) {
	db, _, err := open(t, file(city(berlin.Lat, berlin.Lon)))
	if err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]bool{
		"81.2.69.142": true, "::ffff:81.2.69.142": true, "200.1.1.1": false, "2001:db8::1": false,
	} {
		p, ok := db.Lookup(netip.MustParseAddr(ip))
		if ok != want || ok && p != berlin {
			t.Errorf("%s: got %s, %v, want %s, %v", ip, p, ok, berlin, want)
		}
	}
	if p, ok := db.Lookup(netip.Addr{}); ok {
		t.Errorf("no address: got %s, want none", p)
	}
}

func TestLookup_entryWithoutAUsablePlace(t *testing.T) {
	for name, entry := range map[string][]byte{
		"no location":  table(text("country"), text("DE")),
		"half a place": table(text("location"), table(text("latitude"), double(1))),
		"off the map":  city(99, 200),
		"not numbers":  table(text("location"), table(text("latitude"), text("north"), text("longitude"), text("east"))),
	} {
		db, _, err := open(t, file(entry))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p, ok := db.Lookup(netip.MustParseAddr("81.2.69.142")); ok {
			t.Errorf("%s: got %s, want none", name, p)
		}
	}
}

func TestAdvice_onlyWhenFarApart(t *testing.T) {
	db, _, err := open(t, file(city(berlin.Lat, berlin.Lon)))
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := netip.MustParseAddr("81.2.69.142"), netip.MustParseAddr("200.1.1.1")
	if got := db.Advice(hamburg, known); got != "" {
		t.Errorf("250 km away: got %q, want nothing", got)
	}
	if got := db.Advice(singapore, unknown); got != "" {
		t.Errorf("an address that the file lacks: got %q, want nothing", got)
	}
	got := db.Advice(singapore, known)
	for _, want := range []string{"81.2.69.142", berlin.String(), singapore.String(), "99"} { // 9,9xx km
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want it to say %s", got, want)
		}
	}
}

func TestOpen_brokenFileIsNamed(t *testing.T) {
	whole := file(city(berlin.Lat, berlin.Lon))
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("not a database"), "cut short": whole[:len(whole)-20],
	} {
		if _, path, err := open(t, content); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names %s", name, err, path)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing.mmdb")
	if _, err := geoip.Open(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing: got %v, want an error that names it", err)
	}
}
