package transport

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestConfig_validateNamesTheField(t *testing.T) {
	valid := func() Config {
		return Config{Listen: []netip.AddrPort{loopback4}, Handler: &node{}}
	}
	if err := valid().Validate(); err != nil {
		t.Fatalf("defaults: %v", err)
	}
	addr := netip.MustParseAddrPort
	for field, changes := range map[string][]func(*Config){
		"Handler": {func(c *Config) { c.Handler = nil }},
		"Listen": {
			func(c *Config) { c.Listen = nil },
			func(c *Config) { c.Listen = []netip.AddrPort{{}} },
			func(c *Config) { c.Listen = []netip.AddrPort{addr("1.2.3.4:1"), addr("1.2.3.5:1")} },
			func(c *Config) { c.Listen = []netip.AddrPort{addr("[::1]:1"), addr("[::2]:1")} },
			func(c *Config) { c.Listen = []netip.AddrPort{addr("[::ffff:1.2.3.4]:1")} },
			func(c *Config) {
				c.Listen = []netip.AddrPort{addr("[::1]:1"), addr("1.2.3.4:1"), addr("[::2]:1")}
			},
		},
		"Workers": {
			func(c *Config) { c.Workers = -1 },
			func(c *Config) { c.Workers = maxWorkers + 1 },
			func(c *Config) { c.Portable, c.Workers = true, 2 },
		},
		"Together":          {func(c *Config) { c.Together = -1 }},
		"SocketBuffer":      {func(c *Config) { c.SocketBuffer = 1 }},
		"HandshakeTimeout":  {func(c *Config) { c.HandshakeTimeout = time.Hour }, func(c *Config) { c.HandshakeTimeout = -1 }},
		"MaxHandshakes":     {func(c *Config) { c.MaxHandshakes = -1 }},
		"SendQueueBytes":    {func(c *Config) { c.SendQueueBytes = MaxMessage - 1 }},
		"SendQueueMessages": {func(c *Config) { c.SendQueueMessages = -1 }},
		"DataRate":          {func(c *Config) { c.DataRate = 1 }},
		"DataMessages":      {func(c *Config) { c.DataMessages = -1 }},
	} {
		for i, change := range changes {
			c := valid()
			change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s, case %d: %v, want an error that names the field", field, i, err)
			}
			if _, err := New(c); err == nil {
				t.Errorf("%s, case %d: New accepted it", field, i)
			}
		}
	}
}

func TestFingerprint_parse(t *testing.T) {
	f := fingerprintOf([]byte("certificate"))
	text := f.String()
	if !strings.HasPrefix(text, "sha-256 ") || len(text) != len("sha-256 ")+3*32-1 {
		t.Fatalf("String: %q, want sha-256 and 32 pairs", text)
	}
	for _, good := range []string{text, strings.ToLower(text), strings.ToUpper(text), " " + text + " "} {
		if got, err := ParseFingerprint(good); err != nil || got != f {
			t.Errorf("ParseFingerprint(%q): %v, %v; want %v", good, got, err, f)
		}
	}
	for _, bad := range []string{
		"", "sha-256", "sha-256 ", text[:len(text)-3], text + ":00", strings.Replace(text, ":", "", 1),
		strings.ReplaceAll(text, ":", "-"), "sha-1 " + strings.Repeat("00:", 19) + "00", "md5 00", strings.Replace(text, "sha-256", "sha-512", 1),
		text[:8] + "ZZ" + text[10:],
	} {
		if got, err := ParseFingerprint(bad); err == nil {
			t.Errorf("ParseFingerprint(%q): %v, want an error", bad, got)
		}
	}
	if (Fingerprint{}).matches(nil) {
		t.Error("the zero fingerprint matched")
	}
}

func FuzzParseFingerprint(f *testing.F) {
	f.Add(fingerprintOf(nil).String())
	f.Add("sha-1 00:11")
	f.Add("sha-512 " + strings.Repeat("aB:", 63) + "cd")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFingerprint(text)
		if err != nil {
			return
		}
		if again, err := ParseFingerprint(got.String()); err != nil || again != got {
			t.Errorf("%q became %q, which parses to %v, %v", text, got.String(), again, err)
		}
	})
}
