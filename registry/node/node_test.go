package node_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/node"
)

func payload(t *testing.T) node.Payload {
	t.Helper()
	k, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return node.Payload{
		NodeID: k.ID(), PubKey: k.Public().Hex(), Region: drtc.Europe, Geolocation: "50.11,8.68",
		URL: "https://[2001:db8::1]:7901/base", DiscoveryURL: "http://node.example", MetricsURL: "http://node.example/metrics",
		IP: "2001:db8::1", Version: "0.1.0", CapacityMbps: 1000, LoadMbps: 10, Features: []string{"vp8"},
		TLSFingerprint: strings.Repeat("ab", 32), MediaAddresses: []string{"192.0.2.1:7902", "[2001:db8::1]:7902"},
		PlaceName: "Düsseldorf", Owner: "0x00000000000000000000000000000000000000aa",
	}
}

func TestCheck_accepts(t *testing.T) {
	for name, change := range map[string]func(*node.Payload){
		"everything": func(*node.Payload) {},
		"the least": func(p *node.Payload) {
			*p = node.Payload{NodeID: p.NodeID, PubKey: p.PubKey, URL: "http://127.0.0.1:7901"}
		},
	} {
		p := payload(t)
		change(&p)
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck_namesTheField(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := map[string][]func(*node.Payload){
		"node_id": {func(p *node.Payload) { p.NodeID = drtc.NodeID{} }},
		"pub_key": {func(p *node.Payload) { p.PubKey = "" }, func(p *node.Payload) { p.NodeID[0]++ }},
		"region":  {func(p *node.Payload) { p.Region = "MOON" }, func(p *node.Payload) { p.Region = "eu" }},
		"geolocation": {func(p *node.Payload) { p.Geolocation = "91,0" }, func(p *node.Payload) { p.Geolocation = "NaN,0" },
			func(p *node.Payload) { p.Geolocation = long }},
		"url": {func(p *node.Payload) { p.URL = "" }, func(p *node.Payload) { p.URL = "javascript:alert(1)" },
			func(p *node.Payload) { p.URL = "https://user:pass@x" }, func(p *node.Payload) { p.URL = "https://" },
			func(p *node.Payload) { p.URL = "https://:80" }, func(p *node.Payload) { p.URL = "https://x#y" },
			func(p *node.Payload) { p.URL = "https://" + long }, func(p *node.Payload) { p.URL = "https://x\n" }},
		"discovery_url":   {func(p *node.Payload) { p.DiscoveryURL = "file:///etc/passwd" }},
		"metrics_url":     {func(p *node.Payload) { p.MetricsURL = "metrics" }},
		"ip":              {func(p *node.Payload) { p.IP = "localhost" }},
		"media_addresses": {func(p *node.Payload) { p.MediaAddresses = []string{"192.0.2.1"} }, func(p *node.Payload) { p.MediaAddresses = []string{"192.0.2.1:0"} }, func(p *node.Payload) { p.MediaAddresses = make([]string, 17) }},
		"tls_fingerprint": {func(p *node.Payload) { p.TLSFingerprint = "" }, func(p *node.Payload) { p.TLSFingerprint = "abcd" }},
		"version":         {func(p *node.Payload) { p.Version = long }, func(p *node.Payload) { p.Version = "\x1b[2J" }},
		"place_name":      {func(p *node.Payload) { p.PlaceName = "\u0085" }, func(p *node.Payload) { p.PlaceName = "\xff" }},
		"features": {func(p *node.Payload) { p.Features = make([]string, 33) }, func(p *node.Payload) { p.Features = []string{""} },
			func(p *node.Payload) { p.Features = []string{long} }},
		"capacity_mbps": {func(p *node.Payload) { p.CapacityMbps = node.MaxMbps + 1 }},
		"load_mbps":     {func(p *node.Payload) { p.LoadMbps = node.MaxMbps + 1 }},
		"owner":         {func(p *node.Payload) { p.Owner = "me" }},
	}
	for field, changes := range tests {
		for i, change := range changes {
			p := payload(t)
			change(&p)
			if err := p.Check(); !errors.Is(err, node.ErrPayload) || !strings.Contains(err.Error(), " "+field+":") {
				t.Errorf("%s %d: got %v, want ErrPayload naming it", field, i, err)
			}
		}
	}
}

func TestFreeMbps(t *testing.T) {
	for _, tt := range []struct{ capacity, load, want uint32 }{{1000, 300, 700}, {1000, 1000, 0}, {1000, 2000, 0}, {0, 0, 0}} {
		p := node.Payload{CapacityMbps: tt.capacity, LoadMbps: tt.load}
		if got := p.FreeMbps(); got != tt.want {
			t.Errorf("%d of %d: got %d, want %d", tt.load, tt.capacity, got, tt.want)
		}
	}
}
