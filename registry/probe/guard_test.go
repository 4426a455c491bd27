package probe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/registry/probe"
)

func TestCheck_publicAddressesOnly(t *testing.T) {
	var public, private probe.Guard
	private.AllowPrivate = true
	tests := map[string]struct{ public, private bool }{
		"9.9.9.9:443":              {true, true},
		"[2620:fe::fe]:7901":       {true, true},
		"[64:ff9b::909:909]:443":   {true, true},
		"[::ffff:9.9.9.9]:443":     {true, true},
		"9.9.9.9:0":                {false, false},
		"9.9.9.9:22":               {false, true},
		"9.9.9.9:25":               {false, true},
		"127.0.0.1:443":            {false, true},
		"127.255.255.255:443":      {false, true},
		"10.1.2.3:443":             {false, true},
		"172.16.0.1:443":           {false, true},
		"172.31.255.255:443":       {false, true},
		"172.32.0.1:443":           {true, true},
		"192.168.1.1:443":          {false, true},
		"100.64.0.1:443":           {false, true},
		"100.128.0.1:443":          {true, true},
		"169.254.169.254:443":      {false, true},
		"192.0.2.1:443":            {false, true},
		"198.51.100.1:443":         {false, true},
		"203.0.113.1:443":          {false, true},
		"198.18.0.1:443":           {false, true},
		"0.0.0.0:443":              {false, false},
		"0.1.2.3:443":              {false, true},
		"224.0.0.1:443":            {false, false},
		"239.1.1.1:443":            {false, false},
		"240.0.0.1:443":            {false, true},
		"255.255.255.255:443":      {false, false},
		"[::]:443":                 {false, false},
		"[::1]:443":                {false, true},
		"[fe80::1]:443":            {false, true},
		"[fe80::1%lo]:443":         {false, true},
		"[2620:fe::fe%lo]:443":     {false, true},
		"[fc00::1]:443":            {false, true},
		"[fd12::1]:443":            {false, true},
		"[fec0::1]:443":            {false, true},
		"[ff02::1]:443":            {false, false},
		"[2001:db8::1]:443":        {false, true},
		"[3fff::1]:443":            {false, true},
		"[2001::1]:443":            {false, true},
		"[2002:7f00:1::1]:443":     {false, true},
		"[::ffff:127.0.0.1]:443":   {false, true},
		"[::ffff:10.0.0.1]:443":    {false, true},
		"[::ffff:0.0.0.0]:443":     {false, false},
		"[::127.0.0.1]:443":        {false, true},
		"[64:ff9b::7f00:1]:443":    {false, true},
		"[64:ff9b::a9fe:a9fe]:443": {false, true},
		"[64:ff9b:1::a00:1]:443":   {false, true},
		"[100::1]:443":             {false, true},
	}
	for text, want := range tests {
		to := netip.MustParseAddrPort(text)
		if err := public.Check(to); (err == nil) != want.public || err != nil && !errors.Is(err, probe.ErrRefused) {
			t.Errorf("%s in a public network: got %v, want allowed %v", text, err, want.public)
		}
		if err := private.Check(to); (err == nil) != want.private {
			t.Errorf("%s in a private network: got %v, want allowed %v", text, err, want.private)
		}
	}
	if err := private.Check(netip.AddrPort{}); err == nil {
		t.Error("no address at all is allowed")
	}
}

// However an address of this machine or of a private network is written, it is
// refused; the standard library knows these ranges by itself.
func TestCheck_neverAllowsWhatTheStandardLibraryCallsPrivate(t *testing.T) {
	var g probe.Guard
	rapid.Check(t, func(t *rapid.T) {
		v4 := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")))
		if rapid.Bool().Draw(t, "in a private block") {
			first := rapid.SampledFrom([]byte{10, 127, 169, 172, 192, 224}).Draw(t, "first")
			b := v4.As4()
			b[0] = first
			v4 = netip.AddrFrom4(b)
		}
		v6 := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6")))
		b := netip.MustParseAddr("64:ff9b::").As16()
		in := v4.As4()
		copy(b[12:], in[:])
		private := func(a netip.Addr) bool {
			return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || !a.IsGlobalUnicast()
		}
		for _, a := range []netip.Addr{v4, netip.AddrFrom16(v4.As16()), netip.AddrFrom16(b)} {
			if err := g.Check(netip.AddrPortFrom(a, 443)); private(v4) && err == nil {
				t.Fatalf("%s is allowed", a)
			}
		}
		if err := g.Check(netip.AddrPortFrom(v6, 443)); private(v6) && err == nil {
			t.Fatalf("%s is allowed", v6)
		}
	})
}

func TestClient_followsNoRedirectAndCallsNothingPrivate(t *testing.T) {
	var called atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // is not used: nothing listens there
	g := probe.Guard{AllowPrivate: true}
	response, err := g.Client(time.Second).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusFound || called.Load() != 1 {
		t.Errorf("got status %d after %d calls, want the redirect itself after one", response.StatusCode, called.Load())
	}
	g.AllowPrivate = false
	if response, err := g.Client(time.Second).Get(server.URL); !errors.Is(err, probe.ErrRefused) || called.Load() != 1 {
		if err == nil {
			response.Body.Close()
		}
		t.Errorf("in a public network: got %v after %d calls, want ErrRefused", err, called.Load())
	}
}
