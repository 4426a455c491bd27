package status_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/place"
	"github.com/drtc-network/drtc/registry/status"
)

var (
	self = drtc.NodeID{19: 0xff}
	then = time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
)

func nodeID(n int) drtc.NodeID { return drtc.NodeID{18: byte(n >> 8), 19: byte(n)} }

// world is a Registry with fixed contents.
type world struct {
	nodes    *index.Snapshot
	standing status.Standing
	economy  *economy // nil: no chain
	pages    http.Handler
}

func (w *world) Snapshot() *index.Snapshot            { return w.nodes }
func (w *world) Standing(drtc.NodeID) status.Standing { return w.standing }

// economy is a chain that was read once, or not yet.
type economy struct {
	read    bool
	problem string
	asked   []string
}

func (e *economy) Read() (status.EconomyView, time.Time, string) {
	if !e.read {
		return nil, time.Time{}, e.problem
	}
	return e, then, e.problem
}

func (e *economy) note(format string, args ...any) any {
	e.asked = append(e.asked, fmt.Sprintf(format, args...))
	return []string{fmt.Sprintf(format, args...)}
}

func (e *economy) Chain() any                          { return map[string]int{"block": 7} }
func (e *economy) Epochs(before uint64, limit int) any { return e.note("epochs %d %d", before, limit) }
func (e *economy) Epoch(n uint64) (any, bool)          { return e.note("epoch %d", n), n < 10 }
func (e *economy) Pools(id drtc.NodeID) any            { return e.note("pools %s", id.Short()) }
func (e *economy) Payouts(id drtc.NodeID) any          { return e.note("payouts %s", id.Short()) }

// newWorld has nodes 1 to n, of which node 2 is down.
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	w := &world{nodes: new(index.Snapshot)}
	var changes []index.Change
	for i := 1; i <= n; i++ {
		p := node.Payload{
			NodeID: nodeID(i), Region: drtc.Regions()[i%2], Geolocation: "50,8", PlaceName: fmt.Sprint("Place ", i), Version: "0.1.0",
			CapacityMbps: 1000, LoadMbps: 10, Sessions: 1, Owner: nodeID(i % 3).String(),
		}
		body, err := proto.Marshal(&registryv1.NodeBody{
			NodeId: p.NodeID.String(), Region: string(p.Region), Geolocation: p.Geolocation, PlaceName: p.PlaceName, Version: p.Version,
			CapacityMbps: p.CapacityMbps, LoadMbps: p.LoadMbps, Sessions: p.Sessions, Owner: p.Owner,
		})
		if err != nil {
			t.Fatal(err)
		}
		e := envelope.Envelope{Subject: p.NodeID, Issuer: p.NodeID, Generation: 1, Seq: 2, IssuedAt: then, TTL: 300 * time.Second, Body: body}
		entry := index.NewEntry(p, &e)
		entry.State, entry.PlaceVerdict = index.Up, "declared"
		if i == 2 {
			entry.State = index.Down
		}
		changes = append(changes, index.Change{ID: p.NodeID, Entry: entry})
	}
	w.nodes = w.nodes.With(changes)
	return w
}

func (w *world) serve(t testing.TB) http.Handler {
	t.Helper()
	s := status.Source{
		Registry: self, Network: "devnet", Version: "0.1.0", Development: true, Nodes: w, Pages: w.pages,
		Registries: func() []status.Registry {
			return []status.Registry{{ID: self, URL: "http://x", Place: &drtc.Place{Lat: 1, Lon: 2}}}
		},
	}
	if w.economy != nil {
		s.Economy = w.economy
	}
	h, err := status.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

// read gets an answer that is expected to be there.
func read[T any](t *testing.T, h http.Handler, target string) T {
	t.Helper()
	r, body := get(t, h, target)
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %d %s, %v", target, r.StatusCode, body, err)
	}
	return v
}

type listed struct {
	NodeID string `json:"nodeId"`
	State  string `json:"state"`
}

func TestNodes_listsThoseThatAreDownToo(t *testing.T) {
	h := newWorld(t, 5).serve(t)
	all := read[struct{ Nodes []listed }](t, h, "/network/nodes").Nodes
	if len(all) != 5 || all[1].State != "down" || all[0].State != "up" || all[1].NodeID != nodeID(2).String() {
		t.Errorf("nodes are %+v, want five of which the second is down", all)
	}
}

func TestNodes_pagesHaveEachNodeOnce(t *testing.T) {
	h := newWorld(t, 600).serve(t)
	for _, limit := range []int{1, 7, 500} {
		var ids []string
		for after := ""; ; {
			page := read[struct {
				Nodes []listed
				After string
			}](t, h, fmt.Sprintf("/network/nodes?limit=%d%s", limit, after))
			for _, n := range page.Nodes {
				ids = append(ids, n.NodeID)
			}
			if page.After == "" {
				break
			}
			after = "&after=" + page.After
			if len(page.Nodes) != limit {
				t.Fatalf("limit %d: a page has %d nodes and says that there are more", limit, len(page.Nodes))
			}
		}
		if len(ids) != 600 || !slices.IsSorted(ids) || len(slices.Compact(ids)) != 600 {
			t.Errorf("limit %d: %d nodes, in order %v", limit, len(ids), slices.IsSorted(ids))
		}
	}
}

func TestNode_saysWhatEachProberSays(t *testing.T) {
	w := newWorld(t, 2)
	w.standing = status.Standing{
		Since: then,
		Votes: []status.Vote{{Registry: self, Down: true, AnsweredAt: then, RTTMinMs: 1.5}, {Registry: nodeID(9), Absent: true}},
		Place: place.Judge(drtc.Place{Lat: 50, Lon: 8}, true, []place.Measurement{{Prober: self, Place: drtc.Place{Lat: 0, Lon: 0}, HasPlace: true, RTT: time.Millisecond}}),
	}
	type answer struct {
		Node  listed
		Since time.Time
		Votes []status.Vote
		Place struct {
			Finding string
			Reasons []string
			Discs   []struct{ RTTMs, RadiusKm, DistanceKm float64 }
		}
	}
	a := read[answer](t, w.serve(t), "/network/node?node="+nodeID(2).String())
	if a.Node.State != "down" || !a.Since.Equal(then) || len(a.Votes) != 2 || !a.Votes[0].Down || !a.Votes[1].Absent {
		t.Errorf("the node is %+v since %s, votes %+v", a.Node, a.Since, a.Votes)
	}
	if a.Place.Finding != "doubted" || len(a.Place.Reasons) == 0 || len(a.Place.Discs) != 1 || a.Place.Discs[0].RTTMs != 1 || a.Place.Discs[0].RadiusKm != 150 {
		t.Errorf("its place is %+v, want doubted by one disc of 150 km", a.Place)
	}
}

func TestNetwork_sumsUp(t *testing.T) {
	w := newWorld(t, 5)
	w.economy = &economy{read: true}
	type answer struct {
		Registry    drtc.NodeID
		Network     string
		Development bool
		Registries  []status.Registry
		Nodes       struct {
			States                           map[string]int
			Regions                          map[string]int
			CapacityMbps, LoadMbps, Sessions int
			Owners                           int
		}
		Chain                     map[string]int
		ChainProblem, ChainReadAt string
	}
	a := read[answer](t, w.serve(t), "/network")
	if a.Registry != self || a.Network != "devnet" || !a.Development || len(a.Registries) != 1 || a.Registries[0].Place == nil {
		t.Errorf("the network is %+v", a)
	}
	if n := a.Nodes; n.States["up"] != 4 || n.States["down"] != 1 || n.CapacityMbps != 4000 || n.LoadMbps != 40 || n.Sessions != 4 || n.Owners != 3 {
		t.Errorf("nodes together are %+v, want those that are down in states alone", n)
	}
	if a.Chain["block"] != 7 || a.ChainProblem != "" || a.ChainReadAt != "" {
		t.Errorf("the chain is %v, problem %q, read at %q", a.Chain, a.ChainProblem, a.ChainReadAt)
	}
	w.economy.problem = "the chain does not answer"
	if a := read[answer](t, w.serve(t), "/network"); a.ChainProblem == "" || a.ChainReadAt == "" || a.Chain["block"] != 7 {
		t.Errorf("of a chain that is away is said %+v", a)
	}
}

func TestEconomy_passesOnWhatIsAsked(t *testing.T) {
	w := newWorld(t, 1)
	w.economy = &economy{read: true}
	h := w.serve(t)
	id := nodeID(1)
	for _, target := range []string{
		"/network/epochs", "/network/epochs?before=9&limit=3", "/network/epoch?epoch=0", "/network/pools", "/network/pools?node=" + id.String(),
		"/network/payouts?node=" + id.String(),
	} {
		if r, body := get(t, h, target); r.StatusCode != http.StatusOK || strings.Contains(body, "readAt") {
			t.Errorf("GET %s = %d %s", target, r.StatusCode, body)
		}
	}
	want := []string{"epochs 0 50", "epochs 9 3", "epoch 0", "pools 0x00000000", "pools " + id.Short(), "payouts " + id.Short()}
	if !slices.Equal(w.economy.asked, want) {
		t.Errorf("asked was %q, want %q", w.economy.asked, want)
	}
	if r, _ := get(t, h, "/network/epoch?epoch=11"); r.StatusCode != http.StatusNotFound {
		t.Errorf("an epoch of which nothing is known = %d, want 404", r.StatusCode)
	}
}

func TestEconomy_saysWhenThereIsNoneOrItIsAway(t *testing.T) {
	w := newWorld(t, 1)
	for _, c := range []struct {
		economy *economy
		status  int
		want    string
	}{
		{nil, http.StatusNotFound, `"no_chain"`},
		{&economy{problem: "the chain was not read yet"}, http.StatusServiceUnavailable, "the chain was not read yet"},
		{&economy{read: true, problem: "the chain does not answer"}, http.StatusOK, `"problem":"the chain does not answer","readAt":"2026-11-23T01:02:03Z"`},
	} {
		w.economy = c.economy
		if r, body := get(t, w.serve(t), "/network/epochs"); r.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%+v: GET /network/epochs = %d %s, want %d with %s", c.economy, r.StatusCode, body, c.status, c.want)
		}
	}
}

func TestGet_tagsWhatDoesNotChange(t *testing.T) {
	w := newWorld(t, 3)
	h := w.serve(t)
	for _, target := range []string{"/network", "/network/nodes", "/network/node?node=" + nodeID(1).String()} {
		r, _ := get(t, h, target)
		tag := r.Header.Get("ETag")
		if again, body := get(t, h, target, "If-None-Match", `"other", W/`+tag); again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("GET %s with its tag = %d %q", target, again.StatusCode, body)
		}
	}
	before, _ := get(t, h, "/network/nodes")
	w.nodes = w.nodes.With([]index.Change{{ID: nodeID(2)}})
	if after, _ := get(t, h, "/network/nodes"); after.Header.Get("ETag") == before.Header.Get("ETag") {
		t.Error("the tag is the same after a node went")
	}
}

// Every refusal names the parameter.
func TestGet_refusals(t *testing.T) {
	w := newWorld(t, 1)
	w.economy = &economy{read: true}
	h := w.serve(t)
	for target, want := range map[string]string{
		"/network?x=1":                                 `"parameter":"x"`,
		"/network/nodes?limit=0":                       `"parameter":"limit"`,
		"/network/nodes?limit=501":                     `"parameter":"limit"`,
		"/network/nodes?after=0x12":                    `"parameter":"after"`,
		"/network/node":                                `"parameter":"node"`,
		"/network/node?node=" + nodeID(7).String():     "no live record",
		"/network/node?node=" + nodeID(0).String():     `"parameter":"node"`,
		"/network/epochs?before=-1":                    `"parameter":"before"`,
		"/network/epochs?before=0":                     `"parameter":"before"`,
		"/network/epochs?limit=101":                    `"parameter":"limit"`,
		"/network/epochs?limit=1&limit=2":              "given 2 times",
		"/network/epoch":                               `"parameter":"epoch"`,
		"/network/epoch?epoch=1.5":                     `"parameter":"epoch"`,
		"/network/epoch?epoch=18446744073709551615":    `"parameter":"epoch"`,
		"/network/pools?node=x":                        `"parameter":"node"`,
		"/network/pools?" + strings.Repeat("x", 600):   `"too_long"`,
		"/network/pools?%zz":                           `"parameter":"query"`,
		"/network/other":                               "/network/payouts",
		"/network/payouts?<script>alert(1)</script>=1": `\u003cscript\u003e`,
	} {
		r, body := get(t, h, target)
		if r.StatusCode < 400 || r.StatusCode > 499 || !strings.Contains(body, want) || !strings.HasPrefix(body, `{"error":{`) {
			t.Errorf("GET %s = %d %s, want a refusal with %s", target, r.StatusCode, body, want)
		}
	}
	for method, want := range map[string]int{http.MethodPost: http.StatusMethodNotAllowed, http.MethodOptions: http.StatusNoContent, http.MethodHead: http.StatusOK} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(method, "/network", nil))
		if rec.Code != want || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s /network = %d, want %d, and every origin allowed", method, rec.Code, want)
		}
	}
}

func TestNew_servesPagesBeside(t *testing.T) {
	w := newWorld(t, 1)
	w.pages = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	if _, body := get(t, w.serve(t), "/status/nodes"); body != "page" {
		t.Errorf("GET /status/nodes = %q", body)
	}
	w.pages = nil
	if r, _ := get(t, w.serve(t), "/status"); r.StatusCode != http.StatusNotFound {
		t.Errorf("GET /status without pages = %d, want 404", r.StatusCode)
	}
	if _, err := status.New(status.Source{}); err == nil {
		t.Error("New took a Source without anything")
	}
}

// Whatever is asked, the answer is JSON and a refusal names something.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "node=0x01", "limit=5&after=x", "epoch=1", "before=%ff", "a=b;c=d"} {
		f.Add(seed)
	}
	w := newWorld(f, 3)
	w.economy = &economy{read: true}
	h := w.serve(f)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range status.Paths() {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code >= 500 || !json.Valid(rec.Body.Bytes()) {
				t.Errorf("GET %s?%s = %d %s", path, query, rec.Code, rec.Body)
			}
		}
	})
}
