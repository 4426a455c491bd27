package api

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
)

// params reads the parameters of a query and keeps the first problem. done says
// it, or names a parameter that nobody asked for: a misspelt criterion must not
// pass for none.
type params struct {
	values url.Values
	asked  []string // names, as they were read
	bad    *problem
}

// maxQuery is room for maxIDs ids and everything else, in bytes.
const maxQuery = 8 << 10

func newParams(rawQuery string) (*params, *problem) {
	if len(rawQuery) > maxQuery {
		return nil, &problem{status: http.StatusRequestURITooLong, Code: "too_long", Parameter: "query", Message: fmt.Sprintf("want at most %d bytes", maxQuery)}
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, Code: "invalid", Parameter: "query", Message: "not a form-encoded query"}
	}
	return &params{values: values}, nil
}

func (p *params) refuse(name, format string, args ...any) {
	if p.bad == nil {
		p.bad = &problem{status: http.StatusBadRequest, Code: "invalid", Parameter: name, Message: name + ": " + fmt.Sprintf(format, args...)}
	}
}

func (p *params) done() *problem {
	if p.bad == nil && len(p.values) > 0 {
		name := slices.Min(slices.Collect(maps.Keys(p.values)))
		p.bad = &problem{status: http.StatusBadRequest, Code: "unknown_parameter", Parameter: fmt.Sprintf("%.64s", name), Message: fmt.Sprintf("%.64q is no parameter of this query", name)}
		if name == "" {
			p.bad.Parameter = "query"
		}
	}
	return p.bad
}

// take returns all values of a parameter once.
func (p *params) take(name string) []string {
	v := p.values[name]
	delete(p.values, name)
	p.asked = append(p.asked, name)
	return v
}

// text returns the only value, or "".
func (p *params) text(name string, limit int) string {
	v := p.take(name)
	if len(v) == 0 {
		return ""
	}
	if len(v) > 1 {
		p.refuse(name, "is given %d times, want once", len(v))
	}
	if len(v[0]) > limit {
		p.refuse(name, "want at most %d bytes, got %d", limit, len(v[0]))
	}
	return v[0]
}

// list returns the values, separated by commas or given several times.
func (p *params) list(name string, limit int) []string {
	var all []string
	for _, v := range p.take(name) {
		for item := range strings.SplitSeq(v, ",") {
			if item == "" {
				p.refuse(name, "has an empty item")
			}
			all = append(all, item)
		}
	}
	if len(all) > limit {
		p.refuse(name, "want at most %d, got %d", limit, len(all))
		return nil
	}
	return all
}

func (p *params) integer(name string, fallback, low, high int) int {
	s := p.text(name, 20)
	if s == "" {
		return fallback
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < low || v > high {
		p.refuse(name, "want a whole number from %d to %d, got %.20q", low, high, s)
		return fallback
	}
	return v
}

func (p *params) float(name string, low, high float64) float64 {
	s := p.text(name, 40)
	if s == "" {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || v < low || v > high {
		p.refuse(name, "want a number from %g to %g, got %.40q", low, high, s)
		return 0
	}
	return v
}

// place returns nil if neither coordinate is given.
func (p *params) place(lat, lon string) *drtc.Place {
	_, hasLat := p.values[lat]
	_, hasLon := p.values[lon]
	place := drtc.Place{Lat: p.float(lat, -90, 90), Lon: p.float(lon, -180, 180)}
	switch {
	case hasLat && !hasLon:
		p.refuse(lon, "is missing: lat and lon go together")
	case hasLon && !hasLat:
		p.refuse(lat, "is missing: lat and lon go together")
	}
	if !hasLat {
		return nil
	}
	return &place
}

// choice returns one of the words, the first if none is given.
func (p *params) choice(name string, words ...string) string {
	s := p.text(name, node.MaxName)
	if s == "" {
		return words[0]
	}
	if !slices.Contains(words, s) {
		p.refuse(name, "want one of %v, got %.20q", words, s)
	}
	return s
}

func (p *params) region(name string) drtc.Region {
	s := p.text(name, node.MaxName)
	if s == "" {
		return ""
	}
	r, err := drtc.ParseRegion(s)
	if err != nil {
		p.refuse(name, "want one of %v, got %.20q", drtc.Regions(), s)
	}
	return r
}

func (p *params) id(name string) drtc.NodeID {
	s := p.text(name, 80)
	id, err := drtc.ParseNodeID(s)
	if err != nil {
		p.refuse(name, "want 0x and 40 hexadecimal digits, got %.50q", s)
	}
	return id
}

func (p *params) ids(name string) []drtc.NodeID {
	var ids []drtc.NodeID
	for _, s := range p.list(name, maxIDs) {
		id, err := drtc.ParseNodeID(s)
		if err != nil {
			p.refuse(name, "want 0x and 40 hexadecimal digits, got %.50q", s)
		}
		ids = append(ids, id)
	}
	return ids
}

func (p *params) cursor(name string) index.Cursor {
	c, err := index.ParseCursor(p.text(name, 100))
	if err != nil {
		p.refuse(name, "is not one that a Registry gave out; ask again without it")
	}
	return c
}
