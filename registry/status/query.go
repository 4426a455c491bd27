package status

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/drtc-network/drtc"
)

// problem is the body of a 4xx answer, in the form of the Registry's other answers.
type problem struct {
	status    int
	Code      string `json:"code"`
	Parameter string `json:"parameter"`
	Message   string `json:"message"`
}

// maxQuery is room for every parameter that there is, in bytes.
const maxQuery = 512

// query reads parameters and keeps the first thing that is wrong. done says it, or
// names a parameter that nobody asked for.
type query struct {
	values url.Values
	bad    *problem
}

func newQuery(raw string) *query {
	if len(raw) > maxQuery {
		return &query{bad: &problem{http.StatusRequestURITooLong, "too_long", "query", fmt.Sprintf("want at most %d bytes", maxQuery)}}
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return &query{bad: &problem{http.StatusBadRequest, "invalid", "query", "not a form-encoded query"}}
	}
	return &query{values: values}
}

func (q *query) refuse(name, format string, args ...any) {
	if q.bad == nil {
		q.bad = &problem{http.StatusBadRequest, "invalid", name, name + ": " + fmt.Sprintf(format, args...)}
	}
}

func (q *query) done() *problem {
	if q.bad == nil && len(q.values) > 0 {
		name := slices.Min(slices.Collect(maps.Keys(q.values)))
		q.bad = &problem{http.StatusBadRequest, "unknown_parameter", fmt.Sprintf("%.64s", name), fmt.Sprintf("%.64q is no parameter of this query", name)}
	}
	return q.bad
}

// text takes a parameter that may be given once.
func (q *query) text(name string) (text string, given bool) {
	v, given := q.values[name]
	delete(q.values, name)
	if len(v) > 1 {
		q.refuse(name, "is given %d times, want once", len(v))
	}
	if !given {
		return "", false
	}
	return v[0], true
}

// id takes a node's id; zero when it is not given and need not be.
func (q *query) id(name string, needed bool) drtc.NodeID {
	text, given := q.text(name)
	if !given && !needed {
		return drtc.NodeID{}
	}
	id, err := drtc.ParseNodeID(text)
	if err != nil || id.IsZero() {
		q.refuse(name, "want 0x and 40 hexadecimal digits, got %.50q", text)
	}
	return id
}

func (q *query) number(name string, fallback, low, high uint64) uint64 {
	text, given := q.text(name)
	if !given {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < low || n > high {
		q.refuse(name, "want a whole number from %d to %d, got %.25q", low, high, text)
	}
	return n
}
