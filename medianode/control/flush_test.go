package control

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// flushes counts.
type flushes struct {
	*httptest.ResponseRecorder
	n int
}

func (f *flushes) Flush() { f.n++ }

func TestHold_flushesOnceAtTheEnd(t *testing.T) {
	w := &flushes{ResponseRecorder: httptest.NewRecorder()}
	say := func(w http.ResponseWriter) {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush()
	}
	gather(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		release := hold(r.Context())
		for range 3 {
			say(out)
		}
		if w.n != 0 {
			t.Errorf("%d flushes while they were held, want none", w.n)
		}
		release()
		if w.n != 1 {
			t.Errorf("%d flushes after the release, want 1", w.n)
		}
		say(out)
	})).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", http.NoBody))
	if w.n != 2 || w.Body.String() != "xxxx" {
		t.Errorf("%d flushes of %q in the end, want 2 of xxxx", w.n, w.Body)
	}
}
