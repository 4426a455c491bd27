package whip

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/drtc-network/drtc/orchestrator/signal"
)

// refusal is an HTTP status and its cause in one line.
type refusal struct {
	status int
	cause  string
	retry  time.Duration // with 503 and 429
	allow  string        // with 405
}

func (r *refusal) Error() string { return r.cause }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, cause: fmt.Sprintf(format, args...)}
}

// unavailable is a refusal that another attempt may escape.
func unavailable(after time.Duration, format string, args ...any) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, cause: fmt.Sprintf(format, args...), retry: after}
}

// answer writes the refusal.
func (r *refusal) answer(w http.ResponseWriter) {
	h := w.Header()
	if r.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(r.retry, time.Second)/time.Second)))
	}
	switch r.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", r.allow)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not read
	}
	h.Set("X-Content-Type-Options", "nosniff")
	http.Error(w, r.cause, r.status)
}

// cors lets pages of any origin use a path: access is by token, not by cookie.
func cors(w http.ResponseWriter, methods string) {
	signal.CORS(w)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Max-Age", "7200")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After")
}
