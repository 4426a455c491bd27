// Package web serves the call page: a small browser application that joins a
// room, shows the people in it and tells which Media Node carries the call. The
// watch page plays a room by WHEP. The status pages show a Registry's network:
// nodes, tests, epochs and payouts.
//
// Contract: Handler and StatusHandler answer every GET and HEAD from the bundle
// that was built into the binary, and nothing else; they read no file at run time.
//
// The sources are TypeScript under app/, the bundle is committed under dist/
// and reproducible: "npm run check:dist" builds it again and compares bytes.
// The pages speak to whoever mounts this handler through addresses of the same
// origin, which are not served here: POST /api/token, and the Orchestrator's
// signalling, session report and WHEP.
//
// Whitepaper: the Client of section 2, as a person meets it.
//
// A handler is immutable after Handler returned and safe for concurrent use.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed dist
var bundle embed.FS

// contentSecurityPolicy lets the page run its own script and style only. It
// may connect anywhere, since an Orchestrator's address comes with the token,
// and play media that the browser itself made.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"media-src 'self' blob: mediastream:; connect-src 'self' ws: wss: http: https:; worker-src 'self' blob:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is one file of the bundle, ready to be sent.
type file struct {
	contentType  string
	cacheControl string
	etag         string // of the plain bytes
	plain        []byte
	zipped       []byte // nil where gzip does not make it smaller
}

// Handler returns the pages. "/" is the call page's document and "/watch" that of
// the watch page; a path that the bundle does not hold answers 404, a method other than GET and HEAD 405. It panics if
// the embedded bundle cannot be read, which a build with a bundle excludes.
func Handler() http.Handler {
	files, err := load(bundle)
	if err != nil {
		panic(err)
	}
	delete(files, "status.html") // it asks a Registry
	return serve(contentSecurityPolicy, "camera=(self), microphone=(self), display-capture=(self)", func(path string) (file, bool) {
		name := strings.TrimPrefix(path, "/")
		switch name {
		case "":
			name = "index.html"
		case "watch":
			name = "watch.html"
		}
		f, ok := files[name]
		return f, ok
	})
}

// statusSecurityPolicy lets the status pages run their own script and style and
// ask the Registry that served them, and nothing else.
const statusSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// StatusHandler returns the status pages: one document for "/status" and all paths
// below, and what it loads. "/" leads there. It panics as Handler does.
func StatusHandler() http.Handler {
	files, err := load(bundle)
	if err != nil {
		panic(err)
	}
	document, ok := files["status.html"]
	if !ok {
		panic("web: the bundle holds no status.html")
	}
	needed := neededBy(files, document)
	pages := serve(statusSecurityPolicy, "camera=(), microphone=(), display-capture=()", func(path string) (file, bool) {
		if path == "/status" || strings.HasPrefix(path, "/status/") {
			return document, true
		}
		f, ok := needed[strings.TrimPrefix(path, "/")]
		return f, ok
	})
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("GET /{$}", http.RedirectHandler("/status", http.StatusFound))
	return mux
}

// neededBy lists what a document names, and what that names.
func neededBy(files map[string]file, document file) map[string]file {
	needed := map[string]file{}
	for open := []file{document}; len(open) > 0; open = open[1:] {
		for name, f := range files {
			if _, known := needed[name]; !known && path.Ext(name) != ".html" && bytes.Contains(open[0].plain, []byte(path.Base(name))) {
				needed[name] = f
				open = append(open, f)
			}
		}
	}
	return needed
}

// serve answers GET and HEAD from files.
func serve(policy, permissions string, find func(path string) (file, bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "pages are read only", http.StatusMethodNotAllowed)
			return
		}
		f, ok := find(r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Permissions-Policy", permissions)
		f.serve(w, r)
	})
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", f.cacheControl)
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")

	body, etag := f.plain, f.etag
	if f.zipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		// Another representation, another tag (RFC 9110 8.8.3.3).
		body, etag = f.zipped, f.etag+"-gz"
		h.Set("Content-Encoding", "gzip")
	}
	etag = `"` + etag + `"`
	h.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the reader is gone: nobody to tell
	}
}

// load reads and compresses the whole bundle, keyed by path below dist.
func load(source fs.FS) (map[string]file, error) {
	files := make(map[string]file)
	err := fs.WalkDir(source, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		plain, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		kind := contentType(name)
		if kind == "" {
			return fmt.Errorf("no content type for %s", name)
		}
		short := strings.TrimPrefix(name, "dist/")
		sum := sha256.Sum256(plain)
		files[short] = file{
			contentType:  kind,
			cacheControl: cacheControl(short),
			etag:         hex.EncodeToString(sum[:12]),
			plain:        plain,
			zipped:       compress(plain),
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("web: reading the bundle: %w", err)
	}
	return files, nil
}

// contentType is fixed here because mime.TypeByExtension depends on the
// machine. It is empty for a kind of file that the page does not use.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".md": // licenses.md, to be read in the browser
		return "text/plain; charset=utf-8"
	}
	return ""
}

// cacheControl keeps what carries its hash in the name and asks again for the rest.
func cacheControl(name string) string {
	if strings.HasPrefix(name, "assets/") {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

func compress(plain []byte) []byte {
	var buf bytes.Buffer
	// Level and target are valid and memory does not fail: no error is possible.
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	_, _ = z.Write(plain)
	_ = z.Close()
	if buf.Len() >= len(plain) {
		return nil
	}
	return buf.Bytes()
}

// acceptsGzip reports whether an Accept-Encoding value allows gzip.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}

// matches reports whether an If-None-Match value names etag (weak comparison).
func matches(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		tag := strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}
