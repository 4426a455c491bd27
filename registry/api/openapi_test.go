package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/index"
)

// document is as much of openapi.json as the tests use. Reading it refuses what
// is not named here, so nothing in the file goes unchecked.
type document struct {
	OpenAPI    string               `json:"openapi"`
	Info       map[string]any       `json:"info"`
	Paths      map[string]operation `json:"paths"`
	Components struct {
		Responses map[string]response `json:"responses"`
		Schemas   map[string]*schema  `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Get struct {
		OperationID string              `json:"operationId"`
		Summary     string              `json:"summary"`
		Parameters  []parameter         `json:"parameters"`
		Responses   map[string]response `json:"responses"`
	} `json:"get"`
}

type parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Description string  `json:"description"`
	Required    bool    `json:"required"`
	Explode     *bool   `json:"explode"`
	Schema      *schema `json:"schema"`
}

type response struct {
	Ref         string         `json:"$ref"`
	Description string         `json:"description"`
	Headers     map[string]any `json:"headers"`
	Content     map[string]struct {
		Schema *schema `json:"schema"`
	} `json:"content"`
}

type schema struct {
	Ref                  string             `json:"$ref"`
	Description          string             `json:"description"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Pattern              string             `json:"pattern"`
	Enum                 []any              `json:"enum"`
	Default              any                `json:"default"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	MaxLength            *int               `json:"maxLength"`
	MinItems             int                `json:"minItems"`
	MaxItems             *int               `json:"maxItems"`
	Items                *schema            `json:"items"`
	AdditionalProperties *bool              `json:"additionalProperties"`
	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
}

func readDocument(t *testing.T) *document {
	t.Helper()
	var d document
	decoder := json.NewDecoder(strings.NewReader(string(openAPI)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	return &d
}

func (d *document) resolve(s *schema) *schema {
	for s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		if s == nil {
			return &schema{Type: "nothing"}
		}
	}
	return s
}

// check holds v, as encoding/json reads it, to s. seen gets the place of every
// property that was there.
func (d *document) check(at string, v any, s *schema, seen map[string]bool) error {
	if s.Ref != "" {
		at = strings.TrimPrefix(s.Ref, "#/components/schemas/")
	}
	s = d.resolve(s)
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, s.Enum)
	}
	switch v := v.(type) {
	case map[string]any:
		return d.checkObject(at, v, s, seen)
	case []any:
		if s.Type != "array" || s.Items == nil {
			return fmt.Errorf("%s: an array, want %s", at, s.Type)
		}
		for _, item := range v {
			if err := d.check(at+"[]", item, s.Items, seen); err != nil {
				return err
			}
		}
	case string:
		if s.Type != "string" || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Errorf("%s: %q, want %s %s", at, v, s.Type, s.Pattern)
		}
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
	case float64:
		if s.Type != "number" && !(s.Type == "integer" && v == float64(int64(v))) ||
			s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			return fmt.Errorf("%s: %v, want %s in range", at, v, s.Type)
		}
	case bool:
		if s.Type != "boolean" {
			return fmt.Errorf("%s: %v, want %s", at, v, s.Type)
		}
	default:
		return fmt.Errorf("%s: %v", at, v)
	}
	return nil
}

func (d *document) checkObject(at string, v map[string]any, s *schema, seen map[string]bool) error {
	if s.Type != "object" {
		return fmt.Errorf("%s: an object, want %s", at, s.Type)
	}
	for _, name := range s.Required {
		if _, there := v[name]; !there {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for name, value := range v {
		property := s.Properties[name]
		if property == nil {
			if s.AdditionalProperties == nil {
				continue
			}
			return fmt.Errorf("%s: %s is not in the document", at, name)
		}
		seen[at+"."+name] = true
		if err := d.check(at+"."+name, value, property, seen); err != nil {
			return err
		}
	}
	return nil
}

// properties lists what check can see below s.
func (d *document) properties(at string, s *schema, all map[string]bool) {
	if s.Ref != "" {
		at = strings.TrimPrefix(s.Ref, "#/components/schemas/")
	}
	s = d.resolve(s)
	if s.Items != nil {
		d.properties(at+"[]", s.Items, all)
	}
	for name, p := range s.Properties {
		if !all[at+"."+name] {
			all[at+"."+name] = true
			d.properties(at+"."+name, p, all)
		}
	}
}

// What is served is in the document and the other way round: paths, and of each
// the parameters.
func TestOpenAPI_pathsAndParametersAreThoseServed(t *testing.T) {
	d := readDocument(t)
	s := newRest(newBackend(1).all())
	view := s.backend.Nodes.View()
	served := map[string][]string{"/metrics": {}}
	for _, r := range s.routes() {
		p, _ := newParams("")
		_, _ = r.query(p, &view)
		slices.Sort(p.asked)
		served[r.path] = slices.Compact(p.asked)
	}
	described := map[string][]string{}
	for path, o := range d.Paths {
		described[path] = []string{}
		for _, p := range o.Get.Parameters {
			if p.In != "query" || p.Description == "" {
				t.Errorf("%s: %s: in %q, description %q", path, p.Name, p.In, p.Description)
			}
			described[path] = append(described[path], p.Name)
		}
		slices.Sort(described[path])
	}
	for path := range maps.Keys(served) {
		if !slices.Equal(served[path], described[path]) {
			t.Errorf("%s: served with %q, described with %q", path, served[path], described[path])
		}
	}
	if len(served) != len(described) {
		t.Errorf("served: %v, described: %v", slices.Sorted(maps.Keys(served)), slices.Sorted(maps.Keys(described)))
	}
}

// The bounds of every parameter are those that the document says: what is inside
// is taken, what is outside is refused by name.
func TestOpenAPI_boundsAreThoseServed(t *testing.T) {
	d := readDocument(t)
	s := serve(t, newBackend(1), func(c *Config) { c.Burst = 10_000 })
	id := nodeID(1).String()
	for path, o := range d.Paths {
		needed := map[string]string{}
		for _, p := range o.Get.Parameters {
			if p.Required {
				if needed[p.Name] = id; d.resolve(p.Schema).Type == "integer" {
					needed[p.Name] = "1"
				}
			}
		}
		try := func(name, value string, want bool) {
			t.Helper()
			q := url.Values{}
			for n, v := range needed {
				q.Set(n, v)
			}
			switch name {
			case "lat", "lon", "radiusKm":
				q.Set("lat", "0")
				q.Set("lon", "0")
			}
			q.Set(name, value)
			a, body := request(t, http.MethodGet, s.URL+path+"?"+q.Encode())
			if (a.StatusCode == http.StatusOK) != want || !want && !strings.Contains(string(body), `"parameter":"`+name+`"`) {
				t.Errorf("%s?%s=%.50s: got %d %s, want it taken: %v", path, name, value, a.StatusCode, body, want)
			}
		}
		for _, p := range o.Get.Parameters {
			v := d.resolve(p.Schema)
			if p.Required {
				q := url.Values{}
				for n, v := range needed {
					if n != p.Name {
						q.Set(n, v)
					}
				}
				a, body := request(t, http.MethodGet, s.URL+path+"?"+q.Encode())
				if a.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), p.Name) {
					t.Errorf("%s without %s: got %d %s", path, p.Name, a.StatusCode, body)
				}
			}
			step := map[string]float64{"integer": 1, "number": 0.5}[v.Type]
			if step != 0 && (v.Minimum == nil || v.Maximum == nil) {
				t.Errorf("%s: %s has no bounds", path, p.Name)
				continue
			}
			switch v.Type {
			case "integer", "number":
				number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
				try(p.Name, number(*v.Minimum), true)
				try(p.Name, number(*v.Maximum), true)
				try(p.Name, number(*v.Minimum-step), false)
				try(p.Name, number(*v.Maximum+step), false)
				try(p.Name, "x", false)
			case "array":
				item := "vp8"
				if v.Items.Pattern != "" {
					item = id
				}
				if p.Explode == nil || *p.Explode || v.MaxItems == nil {
					t.Errorf("%s: %s: want explode false and maxItems", path, p.Name)
					continue
				}
				items := strings.Split(strings.Repeat(item+" ", *v.MaxItems+1), " ")
				try(p.Name, strings.Join(items[:*v.MaxItems], ","), true)
				try(p.Name, strings.Join(items[:*v.MaxItems+1], ","), false)
				if v.Items.Pattern != "" {
					try(p.Name, "x", false)
				}
			case "string":
				for _, word := range v.Enum {
					try(p.Name, word.(string), true)
				}
				if v.MaxLength != nil {
					try(p.Name, strings.Repeat("x", *v.MaxLength+1), false)
				}
				if len(v.Enum) > 0 || v.Pattern != "" {
					try(p.Name, "x", false)
				}
				if v.Default != nil && v.Default != v.Enum[0] {
					t.Errorf("%s: %s: default %v is not the first of %v", path, p.Name, v.Default, v.Enum)
				}
			default:
				t.Errorf("%s: %s has type %q", path, p.Name, v.Type)
			}
		}
	}
}

// Real answers, with everything in them that can be, fit their schemas, and
// every property of the schemas is in one of them.
func TestOpenAPI_answersFitTheirSchemas(t *testing.T) {
	d := readDocument(t)
	b := newBackend(3)
	full := fullNode()
	full.Draining = false
	for i, draining := range []bool{false, true} {
		p := full
		p.NodeID, p.Draining = nodeID(10+i), draining
		e := recordOf(p, 5)
		entry := index.NewEntry(p, &e)
		entry.PlaceVerdict, entry.PlaceReasons, entry.State = "confirmed-possible", []string{"near"}, index.Up
		b.nodes = b.nodes.With([]index.Change{{ID: p.NodeID, Entry: entry}})
	}
	b.about["equivocation"+nodeID(1).String()] = slices.Repeat([]envelope.Envelope{b.held[nodeID(1)]}, 60_000)
	b.peers = []Peer{
		{Registry: nodeID(5), Direction: "inbound", Since: time.Now()},
		{Registry: nodeID(6), Addresses: []string{"/ip4/192.0.2.1/tcp/1"}, Direction: "outbound", Since: time.Now(), Score: 0.5, LastSync: time.Now(), LastSyncOutcome: "equal", URL: "http://x"},
	}
	s := serve(t, b, nil)
	seen := map[string]bool{}
	for _, step := range []struct {
		path   string
		status int
		before func()
	}{
		{"/getMediaNodes?lat=0&lon=0&limit=2", 200, nil},
		{"/getMediaNodes?version=9", 200, nil},
		{"/listMediaNodes", 200, nil},
		{"/nodeById?nodeId=" + nodeID(1).String(), 200, nil},
		{"/nodeById?nodeId=" + nodeID(11).String(), 200, nil},
		{"/nodeById?nodeId=" + nodeID(99).String(), 404, nil},
		{"/records?ids=" + nodeID(1).String() + "," + nodeID(99).String(), 200, nil},
		{"/records?kind=equivocation&ids=" + nodeID(1).String(), 200, nil},
		{"/receipts?epoch=3&ids=" + nodeID(1).String() + "," + nodeID(2).String(), 200, nil},
		{"/peers", 200, nil},
		{"/openapi.json", 200, nil},
		{"/getMediaNodes?limit=x", 400, nil},
		{"/healthz?y=x", 400, nil},
		{"/peers?" + strings.Repeat("x", 9000), 414, nil},
		{"/healthz", 200, nil},
		{"/healthz", 200, func() {
			b.bonding = &Bonding{Source: "chain", Serial: 7, Block: 9, CheckedAt: time.Unix(1, 0).UTC(), ReadOnly: true, Problem: "the chain cannot be read"}
		}},
		{"/healthz", 503, func() { b.problem = "the disk is full" }},
	} {
		if step.before != nil {
			step.before()
		}
		a, body := request(t, http.MethodGet, s.URL+step.path)
		path, _, _ := strings.Cut(step.path, "?")
		r, there := d.Paths[path].Get.Responses[fmt.Sprint(step.status)]
		if r.Ref != "" {
			r = d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
		}
		if a.StatusCode != step.status || !there || r.Content["application/json"].Schema == nil {
			t.Errorf("%.60s: got %d, described: %v", step.path, a.StatusCode, there)
			continue
		}
		if tagged := a.Header.Get("ETag") != ""; tagged != (r.Headers["ETag"] != nil) {
			t.Errorf("%.60s: ETag %v, described otherwise", step.path, tagged)
		}
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatal(err)
		}
		if err := d.check(step.path, v, r.Content["application/json"].Schema, seen); err != nil {
			t.Errorf("%.60s: %v in %.300s", step.path, err, body)
		}
	}
	all := map[string]bool{}
	for name := range d.Components.Schemas {
		d.properties(name, &schema{Ref: "#/components/schemas/" + name}, all)
	}
	for property := range all {
		if !seen[property] {
			t.Errorf("%s is in the document and in no answer", property)
		}
	}
}

// The validator is worth no more than what it refuses.
func TestOpenAPI_validatorRefuses(t *testing.T) {
	d := readDocument(t)
	good := `{"registry":"` + self.String() + `","root":"` + strings.Repeat("0", 64) + `","ageMs":1,"nodes":[]}`
	list := &schema{Ref: "#/components/schemas/List"}
	for name, text := range map[string]string{
		"":            good,
		"missing":     strings.Replace(good, `,"ageMs":1`, ``, 1),
		"more":        strings.Replace(good, `"ageMs"`, `"age":0,"ageMs"`, 1),
		"type":        strings.Replace(good, `:1`, `:"1"`, 1),
		"fraction":    strings.Replace(good, `:1`, `:1.5`, 1),
		"range":       strings.Replace(good, `:1`, `:-1`, 1),
		"pattern":     strings.Replace(good, `"0x`, `"0y`, 1),
		"null":        strings.Replace(good, `[]`, `null`, 1),
		"inner":       strings.Replace(good, `[]`, `[{}]`, 1),
		"not a list":  strings.Replace(good, `[]`, `{}`, 1),
		"not an enum": `{"error":{"code":"other","parameter":"","message":""}}`,
	} {
		s := list
		if strings.HasPrefix(text, `{"error"`) {
			s = &schema{Ref: "#/components/schemas/Error"}
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := d.check(name, v, s, map[string]bool{}); (err == nil) != (name == "") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOpenAPI_enumsAreThoseOfTheCode(t *testing.T) {
	d := readDocument(t)
	var regions []any
	for _, r := range drtc.Regions() {
		regions = append(regions, string(r))
	}
	if got := d.Components.Schemas["Region"].Enum; !reflect.DeepEqual(got, regions) {
		t.Errorf("regions: got %v, want %v", got, regions)
	}
	states := []any{index.Unknown.String(), index.Up.String(), index.Suspect.String()}
	if got := d.Components.Schemas["Node"].Properties["state"].Enum; !reflect.DeepEqual(got, states) {
		t.Errorf("states: got %v, want %v", got, states)
	}
}

// The file that people read is the one that is served.
func TestOpenAPI_isAmongTheProtocols(t *testing.T) {
	b, err := os.ReadFile(filepath.FromSlash("../../docs/protocol/registry.openapi.json"))
	if err != nil || string(b) != string(openAPI) {
		t.Errorf("docs/protocol/registry.openapi.json: %v, or other contents than registry/api/openapi.json", err)
	}
}
