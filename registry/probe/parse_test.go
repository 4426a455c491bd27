package probe

import "testing"

// A node's URL is any text: what comes out of parse names a host and a port.
func FuzzParse(f *testing.F) {
	for _, u := range []string{"https://127.0.0.1:1", "http://[::1]", "https://a:b@localhost", "http://%31", "//x", "https://0x7f.1:443", "https://x:65536"} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, port, err := parse(text)
		if err != nil {
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			t.Errorf("%q: got scheme %q, host %q, port %d", text, u.Scheme, u.Hostname(), port)
		}
	})
}
