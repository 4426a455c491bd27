// Package geoip tells an operator where a database of addresses believes a node
// to be (whitepaper section 4.2.3.1: Geolocation).
//
// Contract: what it says is advice to the operator whose file it is. It goes into
// the log, into no answer and no record, and decides nothing, because two
// operators have two databases and neither is right about every address.
//
// The file is in the MaxMind DB format, with the fields location.latitude and
// location.longitude of City databases; the operator supplies it. It is mapped
// into memory, so replace it by renaming another over it. A DB is safe for
// concurrent use until Close.
package geoip

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/drtc-network/drtc"
)

// DisagreementKm is the distance from which Advice speaks up. City databases are
// often wrong by a region, seldom by a country.
const DisagreementKm = 500

// DB is an open file.
type DB struct {
	path   string
	reader *maxminddb.Reader
}

// Open opens the file at path. The error names it and what is wrong.
func Open(path string) (*DB, error) {
	r, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("geoip: %s: not a readable MaxMind DB file: %w", path, err)
	}
	return &DB{path, r}, nil
}

// Close closes the file.
func (d *DB) Close() error {
	if err := d.reader.Close(); err != nil {
		return fmt.Errorf("geoip: closing %s: %w", d.path, err)
	}
	return nil
}

// Lookup returns the place of an address; ok is false when the file has none.
func (d *DB) Lookup(ip netip.Addr) (p drtc.Place, ok bool) {
	var entry struct {
		Location struct {
			Latitude  *float64 `maxminddb:"latitude"`
			Longitude *float64 `maxminddb:"longitude"`
		} `maxminddb:"location"`
	}
	if err := d.reader.Lookup(ip.Unmap()).Decode(&entry); err != nil {
		return p, false // a damaged entry or an IPv6 address in a file of IPv4: no advice
	}
	l := entry.Location
	if l.Latitude == nil || l.Longitude == nil {
		return p, false
	}
	p = drtc.Place{Lat: *l.Latitude, Lon: *l.Longitude}
	return p, p.Valid()
}

// Advice says that the file places an address more than DisagreementKm from the
// declared place; it is empty when they agree or the file does not know.
func (d *DB) Advice(declared drtc.Place, ip netip.Addr) string {
	p, ok := d.Lookup(ip)
	if !ok {
		return ""
	}
	km := p.DistanceKm(declared)
	if km <= DisagreementKm {
		return ""
	}
	return fmt.Sprintf("the address database places %s at %s, %.0f km from the declared place %s", ip, p, km, declared)
}
