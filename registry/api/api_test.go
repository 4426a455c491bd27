package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/record"
)

// backend is a Registry with fixed contents.
type backend struct {
	nodes        *index.Snapshot
	at           time.Time
	held         map[drtc.NodeID]envelope.Envelope
	about        map[string][]envelope.Envelope // by kind and subject
	body         []byte
	attestations []envelope.Envelope
	peers        []Peer
	problem      string
	bonding      *Bonding
	refusal      error // of Submit
}

var (
	self = drtc.NodeID{19: 0xff}
	root = [32]byte{0xab}
)

func (b *backend) Submit(context.Context, envelope.Envelope) (Receipt, error) {
	return Receipt{Accepted: b.refusal == nil}, b.refusal
}
func (b *backend) Held(id drtc.NodeID) (envelope.Envelope, bool) { e, ok := b.held[id]; return e, ok }
func (b *backend) About(kind string, subject drtc.NodeID) []envelope.Envelope {
	if e, ok := b.held[subject]; ok && kind == "node" {
		return []envelope.Envelope{e}
	}
	return b.about[kind+subject.String()]
}
func (b *backend) MinGeneration(drtc.NodeID) uint64         { return 7 }
func (b *backend) Admission() ([]byte, []envelope.Envelope) { return b.body, b.attestations }
func (b *backend) View() View                               { return View{Nodes: b.nodes, Root: root, At: b.at} }
func (b *backend) Probers(id drtc.NodeID) []Prober {
	return []Prober{{ID: self, URL: "http://" + id.Short()}}
}
func (b *backend) OpenKeepAlive(drtc.NodeID) (KeepAlive, error) { return nil, ErrUnknownNode }
func (b *backend) Peers() ([]string, []Peer)                    { return []string{"/ip4/192.0.2.1/tcp/7901"}, b.peers }
func (b *backend) Health() Health {
	return Health{Version: "0.1.0", Problem: b.problem, Bonding: b.bonding}
}
func (b *backend) Receipts(id drtc.NodeID, epoch uint64) []envelope.Envelope {
	return b.about[fmt.Sprint("receipt", epoch, id)]
}

// all is b in every part of a Backend.
func (b *backend) all() Backend {
	return Backend{Registry: self, Network: "devnet", Records: b, Nodes: b, Peering: b, Health: b.Health, Receipts: b.Receipts}
}

func nodeID(n int) drtc.NodeID { return drtc.NodeID{18: byte(n >> 8), 19: byte(n)} }

// newBackend holds nodes 1 to n, one degree of longitude apart from Greenwich.
func newBackend(n int) *backend {
	b := &backend{held: map[drtc.NodeID]envelope.Envelope{}, about: map[string][]envelope.Envelope{}, at: time.Now()}
	var changes []index.Change
	for i := 1; i <= n; i++ {
		p, e := signedNode(i)
		b.held[p.NodeID] = e
		changes = append(changes, index.Change{ID: p.NodeID, Entry: index.NewEntry(p, &e)})
	}
	b.nodes = new(index.Snapshot).With(changes)
	return b
}

// nodeRecord is a node's payload, and the record in which it says so.
func signedNode(i int) (node.Payload, envelope.Envelope) {
	p := node.Payload{
		NodeID: nodeID(i), Region: drtc.Europe, Geolocation: fmt.Sprintf("0,%d", i%180), URL: "https://10.0.0.1:7901",
		DiscoveryURL: "http://10.0.0.1:1", IP: "10.0.0.1", MetricsURL: "http://10.0.0.1:2", PubKey: "0x02", Version: "0.1.0",
		CapacityMbps: 1000, Features: []string{"vp8"},
	}
	return p, recordOf(p, 1<<60+uint64(i))
}

func recordOf(p node.Payload, seq uint64) envelope.Envelope {
	fingerprint, _ := hex.DecodeString(p.TLSFingerprint)
	body, err := proto.Marshal(&registryv1.NodeBody{
		NodeId: p.NodeID.String(), Region: string(p.Region), Geolocation: p.Geolocation, Url: p.URL, DiscoveryUrl: p.DiscoveryURL,
		Ip: p.IP, MetricsUrl: p.MetricsURL, PubKey: p.PubKey, Version: p.Version, CapacityMbps: p.CapacityMbps, Cores: p.Cores,
		Features: p.Features, TlsFingerprint: fingerprint, MediaAddresses: p.MediaAddresses, MaxSessions: p.MaxSessions,
		Sessions: p.Sessions, LoadMbps: p.LoadMbps, PlaceName: p.PlaceName, Owner: p.Owner, Draining: p.Draining,
	})
	if err != nil {
		panic(err)
	}
	return envelope.Envelope{
		Kind: "node", Network: "devnet", Subject: p.NodeID, Issuer: p.NodeID, Seq: seq,
		IssuedAt: time.UnixMilli(1790000000000).UTC(), TTL: 300 * time.Second, Body: body,
	}
}

func serve(t testing.TB, b *backend, change func(*Config)) *httptest.Server {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	h, err := New(c, b.all(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func request(t *testing.T, method, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, body
}

func TestRest_paperFieldsUnderThePapersNames(t *testing.T) {
	s := serve(t, newBackend(1), nil)
	_, body := request(t, http.MethodGet, s.URL+"/nodeById?nodeId="+nodeID(1).String())
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"nodeId": nodeID(1).String(), "region": "EU", "geolocation": "0,1", "url": "https://10.0.0.1:7901",
		"discoveryUrl": "http://10.0.0.1:1", "ip": "10.0.0.1", "metricsUrl": "http://10.0.0.1:2", "pubKey": "0x02", "version": "0.1.0",
		"capacityMbps": 1000.0, "loadMbps": 0.0, "quality": 1.0, "generation": "0", "seq": "1152921504606846977",
		"issuedAt": "2026-09-21T14:13:20Z", "expiresAt": "2026-09-21T14:18:20Z",
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}

func TestRest_pagesAreCompleteAndInOrder(t *testing.T) {
	s := serve(t, newBackend(7), nil)
	for query, first := range map[string]int{
		"/listMediaNodes?limit=3":                    1,
		"/getMediaNodes?limit=3&lat=0&lon=20":        7, // the nearest
		"/getMediaNodes?limit=3&region=eu&minQos=.5": 1,
	} {
		var ids []drtc.NodeID
		for cursor := ""; ; {
			a, body := request(t, http.MethodGet, s.URL+query+"&cursor="+cursor)
			var page struct {
				Registry drtc.NodeID
				Nodes    []struct {
					NodeID     drtc.NodeID
					DistanceKm *float64
				}
				Cursor string
			}
			if err := json.Unmarshal(body, &page); err != nil || a.StatusCode != http.StatusOK || page.Registry != self {
				t.Fatalf("%s: %d %s %v", query, a.StatusCode, body, err)
			}
			for _, n := range page.Nodes {
				ids = append(ids, n.NodeID)
				if strings.Contains(query, "lat=") == (n.DistanceKm == nil) {
					t.Errorf("%s: distance %v", query, n.DistanceKm)
				}
			}
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		if len(ids) != 7 || ids[0] != nodeID(first) {
			t.Errorf("%s: got %v, want 7 from %d on", query, ids, first)
		}
	}
}

func TestRest_problemsNameTheParameter(t *testing.T) {
	s := serve(t, newBackend(2), nil)
	many := strings.Repeat("0x0000000000000000000000000000000000000001,", 101)
	for query, want := range map[string]struct {
		status          int
		code, parameter string
	}{
		"/getMediaNodes?region=MOON":                         {400, "invalid", "region"},
		"/getMediaNodes?lat=91&lon=0":                        {400, "invalid", "lat"},
		"/getMediaNodes?lat=0&lon=x":                         {400, "invalid", "lon"},
		"/getMediaNodes?lat=NaN&lon=0":                       {400, "invalid", "lat"},
		"/getMediaNodes?lat=1":                               {400, "invalid", "lon"},
		"/getMediaNodes?lon=1":                               {400, "invalid", "lat"},
		"/getMediaNodes?radiusKm=5":                          {400, "invalid", "radiusKm"},
		"/getMediaNodes?lat=0&lon=0&radiusKm=-1":             {400, "invalid", "radiusKm"},
		"/getMediaNodes?minBandwidthMbps=1.5":                {400, "invalid", "minBandwidthMbps"},
		"/getMediaNodes?minBandwidthMbps=9999999999":         {400, "invalid", "minBandwidthMbps"},
		"/getMediaNodes?minQos=2":                            {400, "invalid", "minQos"},
		"/getMediaNodes?minAvailability=1.1":                 {400, "invalid", "minAvailability"},
		"/getMediaNodes?minAvailability=Inf":                 {400, "invalid", "minAvailability"},
		"/getMediaNodes?version=" + strings.Repeat("1", 65):  {400, "invalid", "version"},
		"/getMediaNodes?feature=a,,b":                        {400, "invalid", "feature"},
		"/getMediaNodes?feature=" + strings.Repeat("a,", 40): {400, "invalid", "feature"},
		"/getMediaNodes?exclude=0x12":                        {400, "invalid", "exclude"},
		"/getMediaNodes?limit=0":                             {400, "invalid", "limit"},
		"/getMediaNodes?limit=501":                           {400, "invalid", "limit"},
		"/getMediaNodes?limit=1&limit=2":                     {400, "invalid", "limit"},
		"/getMediaNodes?cursor=abc":                          {400, "invalid", "cursor"},
		"/getMediaNodes?minBandwith=5":                       {400, "unknown_parameter", "minBandwith"},
		"/getMediaNodes?%zz":                                 {400, "invalid", "query"},
		"/getMediaNodes?a;b":                                 {400, "invalid", "query"},
		"/getMediaNodes?x=" + strings.Repeat("x", 8<<10):     {414, "too_long", "query"},
		"/listMediaNodes?region=EU":                          {400, "unknown_parameter", "region"},
		"/nodeById":                                          {400, "invalid", "nodeId"},
		"/nodeById?nodeId=1":                                 {400, "invalid", "nodeId"},
		"/nodeById?nodeId=" + nodeID(9).String():             {404, "not_found", "nodeId"},
		"/records":                                           {400, "invalid", "ids"},
		"/records?ids=" + strings.TrimSuffix(many, ","):      {400, "invalid", "ids"},
		"/records?kind=qos&ids=" + nodeID(1).String():        {400, "invalid", "kind"},
		"/records?kind=node":                                 {400, "invalid", "ids"},
		"/receipts?epoch=1":                                  {400, "invalid", "ids"},
		"/receipts?epoch=-1&ids=" + nodeID(1).String():       {400, "invalid", "epoch"},
		"/receipts?ids=" + nodeID(1).String():                {400, "invalid", "epoch"},
		"/peers?limit=1":                                     {400, "unknown_parameter", "limit"},
		"/openapi.json?x=":                                   {400, "unknown_parameter", "x"},
		"/healthz?x=1":                                       {400, "unknown_parameter", "x"},
		"/":                                                  {404, "not_found", "path"},
		"/admin":                                             {404, "not_found", "path"},
	} {
		a, body := request(t, http.MethodGet, s.URL+query)
		var got struct {
			Error struct{ Code, Parameter, Message string }
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Errorf("%.60s: %v: %s", query, err, body)
			continue
		}
		if a.StatusCode != want.status || got.Error.Code != want.code || got.Error.Parameter != want.parameter || got.Error.Message == "" {
			t.Errorf("%.60s: got %d %+v, want %+v", query, a.StatusCode, got.Error, want)
		}
		if a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.60s: content type %q", query, a.Header.Get("Content-Type"))
		}
	}
}

func TestRest_recordsAreAsSigned(t *testing.T) {
	b := newBackend(2)
	s := serve(t, b, nil)
	_, body := request(t, http.MethodGet, s.URL+"/records?ids="+nodeID(2).String()+","+nodeID(9).String())
	var got recordsJSON
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	e := b.held[nodeID(2)]
	if len(got.Records) != 1 || got.Records[0].NodeID == nil || *got.Records[0].NodeID != nodeID(2) || string(got.Records[0].Record) != string(e.Bytes()) ||
		len(got.Missing) != 1 || got.Missing[0] != nodeID(9) {
		t.Errorf("got %+v", got)
	}
}

// Of other kinds everybody's records about a subject are given, as many as fit.
func TestRest_recordsOfAllIssuers(t *testing.T) {
	b := newBackend(1)
	said := func(subject, issuers, size int) {
		key := "equivocation" + nodeID(subject).String()
		for i := range issuers {
			b.about[key] = append(b.about[key], envelope.Envelope{
				Kind: "equivocation", Network: "devnet", Subject: nodeID(subject), Issuer: nodeID(100 + i),
				IssuedAt: time.UnixMilli(0), TTL: time.Hour, Body: make([]byte, size),
			})
		}
	}
	said(2, 3, 10)
	said(3, 70, 64<<10)
	said(4, 1, 10)
	s := serve(t, b, nil)
	ids := func(n ...int) string {
		var list []string
		for _, i := range n {
			list = append(list, nodeID(i).String())
		}
		return strings.Join(list, ",")
	}
	_, body := request(t, http.MethodGet, s.URL+"/records?kind=equivocation&ids="+ids(1, 2, 3, 4))
	var got recordsJSON
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Records) < 50 || len(got.Records) > 3+66 || got.Records[2].Issuer != nodeID(102) || got.Records[2].Subject != nodeID(2) || got.Records[2].NodeID != nil {
		t.Errorf("got %d records, want those of three issuers and what else fits", len(got.Records))
	}
	if !slices.Equal(got.Missing, []drtc.NodeID{nodeID(1)}) || !slices.Equal(got.Omitted, []drtc.NodeID{nodeID(3), nodeID(4)}) {
		t.Errorf("missing %v, omitted %v", got.Missing, got.Omitted)
	}
}

func TestRest_peers(t *testing.T) {
	b := newBackend(0)
	s := serve(t, b, nil)
	want := `{"registry":"` + self.String() + `","network":"devnet","addresses":["/ip4/192.0.2.1/tcp/7901"],"peers":[]}`
	if _, body := request(t, http.MethodGet, s.URL+"/peers"); string(body) != want {
		t.Errorf("alone: got %s, want %s", body, want)
	}
	b.peers = []Peer{{Registry: nodeID(1), Direction: "inbound", Since: time.UnixMilli(0).UTC(), Score: -1.5}}
	if _, body := request(t, http.MethodGet, s.URL+"/peers"); !strings.Contains(string(body),
		`"peers":[{"registry":"`+nodeID(1).String()+`","addresses":[],"direction":"inbound","since":"1970-01-01T00:00:00Z","score":-1.5}]`) {
		t.Errorf("got %s", body)
	}
}

// Answers say whose they are, of what, and how old.
func TestRest_answersCarryTheirSource(t *testing.T) {
	b := newBackend(1)
	b.at = time.Now().Add(-time.Minute)
	s := serve(t, b, nil)
	for _, path := range []string{"/getMediaNodes", "/listMediaNodes", "/nodeById?nodeId=" + nodeID(1).String(), "/records?ids=" + nodeID(1).String(), "/healthz"} {
		_, body := request(t, http.MethodGet, s.URL+path)
		var got struct {
			Registry drtc.NodeID
			Root     string
			AgeMs    int64
		}
		if err := json.Unmarshal(body, &got); err != nil || got.Registry != self || got.Root != hex.EncodeToString(root[:]) || got.AgeMs < 60_000 || got.AgeMs > 120_000 {
			t.Errorf("%s: got %+v, %v", path, got, err)
		}
	}
}

func TestRest_etagFollowsTheSnapshot(t *testing.T) {
	b := newBackend(3)
	s := serve(t, b, nil)
	at := s.URL + "/listMediaNodes?limit=2"
	a, _ := request(t, http.MethodGet, at)
	tag := a.Header.Get("ETag")
	for _, same := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag} {
		if a, body := request(t, http.MethodGet, at, "If-None-Match", same); tag == "" || a.StatusCode != http.StatusNotModified || len(body) != 0 {
			t.Errorf("unchanged: got %d with %d bytes for %q, want 304", a.StatusCode, len(body), same)
		}
	}
	for _, other := range []string{`"x"`, "", `W/""`, ","} {
		if a, _ := request(t, http.MethodGet, at, "If-None-Match", other); a.StatusCode != http.StatusOK {
			t.Errorf("%q: got %d, want 200", other, a.StatusCode)
		}
	}
	if a, _ := request(t, http.MethodGet, s.URL+"/listMediaNodes?limit=1", "If-None-Match", tag); a.StatusCode != http.StatusOK {
		t.Errorf("another query with the tag: got %d, want 200", a.StatusCode)
	}
}

// A node that falls silent or proves to be elsewhere changes answers as much as
// a new record does.
func TestRest_etagFollowsLivenessAndPlace(t *testing.T) {
	for name, change := range map[string]func(*index.Entry){
		"state":        func(e *index.Entry) { e.State = index.Suspect },
		"down":         func(e *index.Entry) { e.State = index.Down },
		"availability": func(e *index.Entry) { e.Availability = 0.5 },
		"place":        func(e *index.Entry) { e.PlaceVerdict, e.PlaceReasons = index.PlaceRefuted, []string{"too far"} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(1)
			s := serve(t, b, nil)
			for _, path := range []string{"/listMediaNodes", "/getMediaNodes?lat=0&lon=0", "/nodeById?nodeId=" + nodeID(1).String()} {
				a, before := request(t, http.MethodGet, s.URL+path)
				old := b.nodes
				e, _ := old.Lookup(nodeID(1))
				changed := *e
				change(&changed)
				b.nodes = old.With([]index.Change{{ID: e.ID, Entry: &changed}})
				again, after := request(t, http.MethodGet, s.URL+path, "If-None-Match", a.Header.Get("ETag"))
				if again.StatusCode == http.StatusNotModified || string(before) == string(after) || again.Header.Get("ETag") == a.Header.Get("ETag") {
					t.Errorf("%s: got %d %s after %s", path, again.StatusCode, after, before)
				}
				b.nodes = old
			}
		})
	}
}

func TestRest_browsersOfAllOriginsMayRead(t *testing.T) {
	s := serve(t, newBackend(1), nil)
	a, _ := request(t, http.MethodOptions, s.URL+"/getMediaNodes", "Origin", "https://app.example", "Access-Control-Request-Method", "GET")
	if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("preflight: got %d %v", a.StatusCode, a.Header)
	}
	a, _ = request(t, http.MethodGet, s.URL+"/getMediaNodes", "Origin", "https://app.example")
	if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("get: %v", a.Header)
	}
	a, body := request(t, http.MethodHead, s.URL+"/getMediaNodes")
	if a.StatusCode != http.StatusOK || len(body) != 0 {
		t.Errorf("head: got %d with %d bytes", a.StatusCode, len(body))
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		if a, body := request(t, method, s.URL+"/getMediaNodes"); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" || !strings.Contains(string(body), "method_not_allowed") {
			t.Errorf("%s: got %d %s", method, a.StatusCode, body)
		}
	}
}

func TestRest_healthzSaysWhatIsWrong(t *testing.T) {
	b := newBackend(0)
	s := serve(t, b, nil)
	if a, body := request(t, http.MethodGet, s.URL+"/healthz"); a.StatusCode != http.StatusOK || !strings.Contains(string(body), `"status":"ok"`) {
		t.Errorf("well: got %d %s", a.StatusCode, body)
	}
	b.problem = "the disk is full"
	if a, body := request(t, http.MethodGet, s.URL+"/healthz"); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "the disk is full") {
		t.Errorf("unwell: got %d %s", a.StatusCode, body)
	}
}

// What it holds it goes on to serve, so a proxy in front must not take it out.
func TestRest_healthzOfAReadOnlyRegistryIsWell(t *testing.T) {
	b := newBackend(0)
	b.bonding = &Bonding{Source: "chain", Serial: 7, Block: 9, ReadOnly: true, Problem: "the chain cannot be read"}
	a, body := request(t, http.MethodGet, serve(t, b, nil).URL+"/healthz")
	for _, want := range []string{`"status":"ok"`, `"readOnly":true`, "the chain cannot be read"} {
		if a.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("got %d %s, want 200 with %s", a.StatusCode, body, want)
		}
	}
}

func TestRegister_refusedWhileReadOnlyIsToBeTriedAgain(t *testing.T) {
	err := fmt.Errorf("%w: %w", ErrReadOnly, record.ErrBond)
	if got := codeOf(err); got != connect.CodeUnavailable {
		t.Errorf("got %s, want %s: the list may be what is wrong", got, connect.CodeUnavailable)
	}
	if got := codeOf(record.ErrBond); got != connect.CodePermissionDenied {
		t.Errorf("while the list is current: got %s", got)
	}
}

func TestValidate_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"RequestsPerSecond":     func(c *Config) { c.RequestsPerSecond = 0 },
		"Burst":                 func(c *Config) { c.Burst = 0 },
		"Timeout":               func(c *Config) { c.Timeout = 0 },
		"Silence":               func(c *Config) { c.Silence = 0 },
		"MaxWatchers":           func(c *Config) { c.MaxWatchers = 0 },
		"MaxWatchersPerAddress": func(c *Config) { c.MaxWatchersPerAddress = 0 },
		"WatchLag":              func(c *Config) { c.WatchLag = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if _, err := New(c, newBackend(0).all(), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func TestMeter_knowsEveryPathThatIsServed(t *testing.T) {
	for _, r := range newRest(newBackend(0).all()).routes() {
		if got := knownPath(r.path); got != r.path {
			t.Errorf("%s is counted as %q", r.path, got)
		}
	}
	methods := registryv1.File_drtc_registry_v1_registry_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		path := servicePath + string(methods.Get(i).Name())
		if got := knownPath(path); got != path {
			t.Errorf("%s is counted as %q", path, got)
		}
	}
}

// Whatever the parameters are, a refusal is a 4xx that names one of them.
func FuzzParameters(f *testing.F) {
	for _, q := range []string{"", "lat=1&lon=2&radiusKm=3", "region=EU&feature=vp8&exclude=0x12&limit=5&cursor=AAAA", "minQos=1e400", "%ff=%00", "lat=-0&lon=+1", "=0",
		"minAvailability=0x1p-2", "kind=liveness&ids=0x0000000000000000000000000000000000000001", "ids=,&kind=", "nodeId=0X00", "feature=%0a", "limit=%2b5&cursor=&limit="} {
		for route := range byte(7) {
			f.Add(route, q)
		}
	}
	s := newRest(newBackend(3).all())
	view := s.backend.Nodes.View()
	f.Fuzz(func(t *testing.T, route byte, rawQuery string) {
		routes := s.routes()
		var a answer
		p, bad := newParams(rawQuery)
		if bad == nil {
			a, bad = routes[int(route)%len(routes)].query(p, &view)
		}
		if bad != nil {
			if bad.Parameter == "" || bad.status < 400 || bad.status > 499 {
				t.Fatalf("%q: %+v", rawQuery, bad)
			}
			return
		}
		if b, ok := a.body.(json.RawMessage); ok && !json.Valid(b) {
			t.Fatalf("%q: not JSON: %s", rawQuery, b)
		}
	})
}

// What Backend.Status serves goes through the same gate and is counted by path.
func TestNew_mountsTheStatusPages(t *testing.T) {
	b := newBackend(1).all()
	b.Status = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "status "+r.URL.Path) })
	c := DefaultConfig()
	c.Burst, c.RequestsPerSecond = 6, 0.001
	metrics := prometheus.NewRegistry()
	h, err := New(c, b, metrics)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	for _, path := range []string{"/", "/network/node", "/status", "/status/nodes/0x1", "/assets/a.js"} {
		if got := get(path); got.Code != http.StatusOK || got.Body.String() != "status "+path {
			t.Errorf("GET %s = %d %q", path, got.Code, got.Body)
		}
	}
	if got := get("/other"); got.Code != http.StatusNotFound || !strings.Contains(got.Body.String(), "no such path") {
		t.Errorf("GET /other = %d %q, want the list of paths", got.Code, got.Body)
	}
	if got := get("/status"); got.Code != http.StatusTooManyRequests {
		t.Errorf("GET /status after the share is used up = %d, want 429", got.Code)
	}
	found, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, family := range found {
		if family.GetName() == "drtc_registry_requests_total" {
			for _, m := range family.GetMetric() {
				paths[m.GetLabel()[0].GetValue()] = true
			}
		}
	}
	for _, want := range []string{"/status", "/network/node", "other"} {
		if !paths[want] {
			t.Errorf("requests are counted by %v, want %s among them", paths, want)
		}
	}
	if paths["/status/nodes/0x1"] || paths["/assets/a.js"] {
		t.Errorf("requests are counted by %v: strangers make up values", paths)
	}
}
