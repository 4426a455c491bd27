// Package node is what the Registry knows of a Media Node: the NodePayload of
// whitepaper section 4.2.3.1, with the paper's nine fields under the paper's
// JSON names, and what an Orchestrator needs besides.
//
// Contract: a Payload that Check accepts has every text in its syntax and every
// list within its bound, so that readers need no checks of their own. Whether
// the statements are true is not known here: a place is refuted by round trips,
// a capacity by tests.
//
// This package is a core; its types are values. The lists of a Payload are
// shared by copies and not written after Check.
package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Bounds of a Payload.
const (
	MaxText      = 256 // bytes of a URL
	MaxName      = 64  // bytes of version, place name and one feature
	MaxFeatures  = 32
	MaxAddresses = 16
	MaxMbps      = 1_000_000 // 1 Tbit/s
)

// ErrPayload is returned by Check; the text names the field and what to write.
var ErrPayload = errors.New("node")

// Payload describes one Media Node.
type Payload struct {
	NodeID       drtc.NodeID `json:"nodeId"`
	Region       drtc.Region `json:"region,omitempty"`
	Geolocation  string      `json:"geolocation,omitempty"` // "lat,lon"
	URL          string      `json:"url,omitempty"`         // control service
	DiscoveryURL string      `json:"discoveryUrl,omitempty"`
	IP           string      `json:"ip,omitempty"`
	MetricsURL   string      `json:"metricsUrl,omitempty"`
	PubKey       string      `json:"pubKey,omitempty"` // compressed, hex
	Version      string      `json:"version,omitempty"`

	CapacityMbps   uint32   `json:"capacityMbps"` // offered in each direction
	LoadMbps       uint32   `json:"loadMbps"`     // sent at the moment
	Cores          uint32   `json:"cores,omitempty"`
	Features       []string `json:"features,omitempty"`
	TLSFingerprint string   `json:"tlsFingerprint,omitempty"` // SHA-256 of the certificate of URL, hex
	MediaAddresses []string `json:"mediaAddresses,omitempty"` // UDP, "ip:port"
	MaxSessions    uint32   `json:"maxSessions,omitempty"`
	Sessions       uint32   `json:"sessions"`
	PlaceName      string   `json:"placeName,omitempty"`
	Owner          string   `json:"owner,omitempty"` // EVM address, hex
	Draining       bool     `json:"draining,omitempty"`
}

// Place returns the declared place; ok is false for a node that declares none.
func (p *Payload) Place() (place drtc.Place, ok bool) {
	place, err := drtc.ParsePlace(p.Geolocation)
	return place, err == nil
}

// FreeMbps is the capacity that is not in use.
func (p *Payload) FreeMbps() uint32 {
	if p.LoadMbps >= p.CapacityMbps {
		return 0
	}
	return p.CapacityMbps - p.LoadMbps
}

// Check holds every field to its syntax. The error wraps ErrPayload and names
// the field as the schema does.
func (p *Payload) Check() error {
	if err := p.CheckFields(); err != nil {
		return err
	}
	if key, err := identity.ParsePublicKey(p.PubKey); err != nil || key.ID() != p.NodeID {
		return bad("pub_key", "want the compressed key whose address is node_id %s", p.NodeID)
	}
	return nil
}

// CheckKey holds pub_key to the node's key as its signature revealed it, which
// costs nothing beside opening the compressed form.
func (p *Payload) CheckKey(key identity.PublicKey) error {
	if digits := strings.ToLower(strings.TrimPrefix(p.PubKey, "0x")); digits != key.Hex()[2:] || key.ID() != p.NodeID {
		return bad("pub_key", "want the compressed key whose address is node_id %s", p.NodeID)
	}
	return nil
}

// CheckFields is Check without pub_key.
func (p *Payload) CheckFields() error {
	if p.NodeID.IsZero() {
		return bad("node_id", "is missing: give the EVM address of the node's key")
	}
	if p.Region != "" {
		if r, err := drtc.ParseRegion(string(p.Region)); err != nil || r != p.Region {
			return bad("region", "want one of %v or nothing, got %.20q", drtc.Regions(), p.Region)
		}
	}
	if _, ok := p.Place(); !ok && p.Geolocation != "" {
		return bad("geolocation", "want lat,lon in decimal degrees or nothing, got %.40q", p.Geolocation)
	}
	if err := p.checkAddresses(); err != nil {
		return err
	}
	return p.checkRest()
}

func (p *Payload) checkAddresses() error {
	for _, u := range []struct {
		field, text string
		required    bool
	}{
		{"url", p.URL, true}, {"discovery_url", p.DiscoveryURL, false}, {"metrics_url", p.MetricsURL, false},
	} {
		if u.text == "" && !u.required {
			continue
		}
		if !ValidURL(u.text) {
			return bad(u.field, "want an http or https URL of at most %d bytes with a host and without user or fragment, got %.60q", MaxText, u.text)
		}
	}
	if p.IP != "" {
		if _, err := netip.ParseAddr(p.IP); err != nil {
			return bad("ip", "want an IPv4 or IPv6 address or nothing, got %.40q", p.IP)
		}
	}
	if len(p.MediaAddresses) > MaxAddresses {
		return bad("media_addresses", "want at most %d, got %d", MaxAddresses, len(p.MediaAddresses))
	}
	for _, a := range p.MediaAddresses {
		if ap, err := netip.ParseAddrPort(a); err != nil || ap.Port() == 0 {
			return bad("media_addresses", "want ip:port, got %.60q", a)
		}
	}
	if p.TLSFingerprint != "" && !validHex(p.TLSFingerprint, 32) {
		return bad("tls_fingerprint", "want 32 bytes or nothing")
	}
	if strings.HasPrefix(p.URL, "https:") && p.TLSFingerprint == "" {
		return bad("tls_fingerprint", "is missing: an https url is trusted by the SHA-256 of its certificate")
	}
	return nil
}

func (p *Payload) checkRest() error {
	if !Printable(p.Version, MaxName) {
		return bad("version", "want at most %d printable bytes", MaxName)
	}
	if !Printable(p.PlaceName, MaxName) {
		return bad("place_name", "want at most %d printable bytes", MaxName)
	}
	if len(p.Features) > MaxFeatures {
		return bad("features", "want at most %d, got %d", MaxFeatures, len(p.Features))
	}
	for _, f := range p.Features {
		if f == "" || !Printable(f, MaxName) {
			return bad("features", "want 1 to %d printable bytes each", MaxName)
		}
	}
	if p.CapacityMbps > MaxMbps {
		return bad("capacity_mbps", "want at most %d, got %d", MaxMbps, p.CapacityMbps)
	}
	if p.LoadMbps > MaxMbps {
		return bad("load_mbps", "want at most %d, got %d", MaxMbps, p.LoadMbps)
	}
	if p.Owner != "" {
		if _, err := drtc.ParseNodeID(p.Owner); err != nil {
			return bad("owner", "want an EVM address or nothing, got %.50q", p.Owner)
		}
	}
	return nil
}

func bad(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrPayload, field, fmt.Sprintf(format, args...))
}

// ValidURL reports whether s is an http or https URL of at most MaxText printable
// bytes with a host and without user or fragment.
func ValidURL(s string) bool {
	if !Printable(s, MaxText) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") &&
		u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

func validHex(s string, size int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size
}

// Printable reports whether s is text of at most limit bytes without control
// characters, which have no business in logs and pages.
func Printable(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || (r >= 0x80 && r < 0xa0) {
			return false
		}
	}
	return true
}
