package negotiate_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

func TestTransport_role(t *testing.T) {
	answerer, offerer := newTransport(t, config(negotiate.Answerer)), newTransport(t, config(negotiate.Offerer))
	_, err1 := answerer.Offer()
	_, err2 := answerer.Accept("")
	_, err3 := offerer.Answer("")
	for _, err := range []error{err1, err2, err3, answerer.RestartICE()} {
		if !errors.Is(err, negotiate.ErrRole) {
			t.Errorf("got %v, want ErrRole", err)
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	tests := map[string]func(*negotiate.Config){
		"Role":        func(c *negotiate.Config) { c.Role = 9 },
		"Candidates":  func(c *negotiate.Config) { c.Candidates[0] = netip.MustParseAddrPort("0.0.0.0:7000") },
		"Fingerprint": func(c *negotiate.Config) { c.Fingerprint.Sum = nil },
		"NewICE":      func(c *negotiate.Config) { c.NewICE = nil },
		"Codecs":      func(c *negotiate.Config) { c.Codecs = []string{"video/H266"} },
	}
	for field, spoil := range tests {
		cfg := config(negotiate.Answerer)
		spoil(&cfg)
		if _, err := negotiate.New(cfg); !errors.Is(err, negotiate.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want ErrConfig that names it", field, err)
		}
	}
}

func TestFingerprint_roundTrip(t *testing.T) {
	const text = "sha-256 01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"
	f, err := negotiate.ParseFingerprint(strings.ToLower(text))
	if err != nil || f.String() != text {
		t.Errorf("got %s, %v", f, err)
	}
	for _, s := range []string{"", "sha-1 01", "sha-256 01:23", strings.ReplaceAll(text, ":", "."), strings.ReplaceAll(text, "A", "G")} {
		if _, err := negotiate.ParseFingerprint(s); !errors.Is(err, negotiate.ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", s, err)
		}
	}
}
