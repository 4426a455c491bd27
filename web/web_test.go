package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// page is built once: compressing the bundle is the slow part.
var page = Handler()

func get(t *testing.T, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return b
}

// assets returns the addresses that the documents refer to.
func assets(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, document := range []string{"/", "/watch"} {
		for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllSubmatch(body(t, get(t, document)), -1) {
			found = append(found, string(m[1]))
		}
	}
	if len(found) < 6 {
		t.Fatalf("documents refer to %v, want at least script, style and icon of both", found)
	}
	return found
}

func TestHandler_servesDocumentAndEverythingItRefersTo(t *testing.T) {
	doc := get(t, "/")
	if got, want := doc.Header.Get("Content-Type"), "text/html; charset=utf-8"; got != want {
		t.Errorf("document Content-Type = %q, want %q", got, want)
	}
	if got, want := doc.Header.Get("Cache-Control"), "no-cache"; got != want {
		t.Errorf("document Cache-Control = %q, want %q", got, want)
	}
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	for _, address := range assets(t) {
		r := get(t, address)
		if r.StatusCode != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", address, r.StatusCode)
		}
		ext := address[strings.LastIndex(address, "."):]
		if got := r.Header.Get("Content-Type"); got != types[ext] {
			t.Errorf("GET %s Content-Type = %q, want %q", address, got, types[ext])
		}
		immutable := strings.Contains(r.Header.Get("Cache-Control"), "immutable")
		if want := strings.HasPrefix(address, "/assets/"); immutable != want {
			t.Errorf("GET %s immutable = %v, want %v", address, immutable, want)
		}
	}
}

func TestHandler_servesTheLicencesOfWhatTheBundleHolds(t *testing.T) {
	r := get(t, "/licenses.md")
	if r.StatusCode != http.StatusOK || !bytes.Contains(body(t, r), []byte("Apache License")) {
		t.Errorf("GET /licenses.md = %d, want 200 and the Apache License", r.StatusCode)
	}
}

func TestHandler_policyAllowsNoForeignScript(t *testing.T) {
	policy := get(t, "/").Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self' ws: wss:", "mediastream:", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q holds an unsafe source", policy)
	}
}

func TestHandler_documentHoldsNothingThePolicyForbids(t *testing.T) {
	doc := append(body(t, get(t, "/")), body(t, get(t, "/watch"))...)
	for _, forbidden := range []string{`<style`, ` style="`, ` onclick=`, `src="http`, `href="http`} {
		if bytes.Contains(doc, []byte(forbidden)) {
			t.Errorf("document holds %q", forbidden)
		}
	}
}

func TestHandler_gzipHoldsTheSameBytes(t *testing.T) {
	for _, address := range append(assets(t), "/") {
		plain := get(t, address)
		zipped := get(t, address, "Accept-Encoding", "br, gzip;q=0.8")
		if zipped.Header.Get("Content-Encoding") != "gzip" {
			continue // too small to gain
		}
		if plain.Header.Get("ETag") == zipped.Header.Get("ETag") {
			t.Errorf("GET %s: both representations have the tag %s", address, plain.Header.Get("ETag"))
		}
		z, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatalf("GET %s: %v", address, err)
		}
		got, err := io.ReadAll(z)
		if err != nil {
			t.Fatalf("GET %s: %v", address, err)
		}
		if !bytes.Equal(got, body(t, plain)) {
			t.Errorf("GET %s: gzip and plain bytes differ", address)
		}
	}
}

func TestHandler_conditionalRequest(t *testing.T) {
	tag := get(t, "/").Header.Get("ETag")
	for _, c := range []struct {
		header string
		want   int
	}{
		{tag, http.StatusNotModified},
		{`"other", W/` + tag, http.StatusNotModified},
		{"*", http.StatusNotModified},
		{`"other"`, http.StatusOK},
		{"", http.StatusOK},
	} {
		r := get(t, "/", "If-None-Match", c.header)
		if r.StatusCode != c.want {
			t.Errorf("If-None-Match %q = %d, want %d", c.header, r.StatusCode, c.want)
		}
		if r.StatusCode == http.StatusNotModified && len(body(t, r)) > 0 {
			t.Errorf("If-None-Match %q: 304 has a body", c.header)
		}
	}
}

func TestHandler_refusals(t *testing.T) {
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{http.MethodGet, "/nothing.js", http.StatusNotFound},
		{http.MethodGet, "/assets/", http.StatusNotFound},
		{http.MethodGet, "/../web.go", http.StatusNotFound},
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
		{http.MethodHead, "/", http.StatusOK},
	} {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(c.method, c.target, nil))
		if w.Code != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.target, w.Code, c.want)
		}
		if c.method == http.MethodHead && w.Body.Len() > 0 {
			t.Errorf("HEAD %s has a body of %d bytes", c.target, w.Body.Len())
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"":                false,
		"gzip":            true,
		"br, GZIP ; q=.5": true,
		"gzip;q=0":        false,
		"gzip; q=0.0, br": false,
		"x-gzip":          false,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", header, got, want)
		}
	}
}

// status is built once, as page is.
var status = StatusHandler()

func getStatus(t *testing.T, target string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	status.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Result()
}

func TestStatusHandler_servesOneDocumentForAllPages(t *testing.T) {
	doc := body(t, getStatus(t, "/status"))
	for _, target := range []string{"/status/nodes", "/status/epochs/7", "/status/anything/else"} {
		r := getStatus(t, target)
		if r.StatusCode != http.StatusOK || !bytes.Equal(body(t, r), doc) {
			t.Errorf("GET %s = %d, want the document", target, r.StatusCode)
		}
	}
	for _, forbidden := range []string{`<style`, ` style="`, ` onclick=`, `src="http`, `href="http`} {
		if bytes.Contains(doc, []byte(forbidden)) {
			t.Errorf("document holds %q", forbidden)
		}
	}
	if r := getStatus(t, "/"); r.StatusCode != http.StatusFound || r.Header.Get("Location") != "/status" {
		t.Errorf("GET / = %d to %q, want to be led to /status", r.StatusCode, r.Header.Get("Location"))
	}
}

// What the pages load is there, small, and nothing of the call page.
func TestStatusHandler_servesWhatItsDocumentNeeds(t *testing.T) {
	doc := body(t, getStatus(t, "/status"))
	sum := 0
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllSubmatch(doc, -1) {
		r := getStatus(t, string(m[1]))
		if r.StatusCode != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", m[1], r.StatusCode)
		}
		sum += len(body(t, r))
	}
	const limit = 96 << 10
	if sum == 0 || sum > limit {
		t.Errorf("the pages load %d bytes, want at most %d", sum, limit)
	}
	for _, address := range assets(t) {
		if strings.Contains(address, "/index-") && getStatus(t, address).StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: the call page's script is served with the status pages", address)
		}
	}
	for _, target := range []string{"/index.html", "/watch.html", "/status.html", "/nothing"} {
		if r := getStatus(t, target); r.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", target, r.StatusCode)
		}
	}
	if r := get(t, "/status.html"); r.StatusCode != http.StatusNotFound {
		t.Errorf("the call page's server gives the status pages: %d", r.StatusCode)
	}
}

func TestStatusHandler_policyAllowsItsRegistryAlone(t *testing.T) {
	r := getStatus(t, "/status")
	policy := r.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self';", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	for _, forbidden := range []string{"unsafe", "http", "ws:", "data:"} {
		if strings.Contains(policy, forbidden) {
			t.Errorf("policy %q holds %q", policy, forbidden)
		}
	}
	if got := r.Header.Get("Permissions-Policy"); !strings.Contains(got, "camera=()") {
		t.Errorf("permissions %q, want no camera", got)
	}
}

func TestLoad_refusesUnknownKindOfFile(t *testing.T) {
	_, err := load(fstest.MapFS{"dist/a.wasm": {Data: []byte("x")}})
	if err == nil || !strings.Contains(err.Error(), "a.wasm") {
		t.Errorf("load = %v, want an error that names a.wasm", err)
	}
}
