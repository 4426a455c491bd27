package api

import (
	"crypto/rand"
	_ "embed" // openapi.json
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/record"
)

// Bounds of the REST interface.
const (
	defaultLimit = 100
	maxLimit     = 500
	maxIDs       = 100     // of /records and of exclude
	maxRecords   = 4 << 20 // bytes of records in one answer, and one record more
)

// rest serves the paper's three queries and what goes with them.
type rest struct {
	backend Backend
	boot    string // tells the ETags of this process from those of others
	nodes   nodeWriter
}

func newRest(b Backend) *rest {
	var boot [4]byte
	rand.Read(boot[:])
	return &rest{backend: b, boot: hex.EncodeToString(boot[:]), nodes: newNodeWriter()}
}

// query answers one GET. view is what is shown; the answer tells of no other.
type query func(p *params, view *View) (answer, *problem)

type route struct {
	path  string
	query query
}

// routes is all that is served but /metrics. openapi.json describes it.
func (s *rest) routes() []route {
	return []route{
		{"/getMediaNodes", s.getMediaNodes},
		{"/listMediaNodes", s.listMediaNodes},
		{"/nodeById", s.nodeByID},
		{"/records", s.records},
		{"/receipts", s.receipts},
		{"/peers", s.peers},
		{"/healthz", s.healthz},
		{"/openapi.json", s.openAPI},
	}
}

func (s *rest) register(mux *http.ServeMux) {
	var paths []string
	for _, r := range s.routes() {
		mux.Handle(r.path, s.get(r.query))
		paths = append(paths, r.path)
	}
	message := "no such path; there are " + strings.Join(paths, ", ") + ", /metrics"
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, &problem{status: http.StatusNotFound, Code: "not_found", Parameter: "path", Message: message})
	})
}

// answer is what a query found.
type answer struct {
	status int  // 0 is 200
	tagged bool // the nodes in it are those of the View's Snapshot and no others
	body   any  // json.RawMessage is written as it is
}

// get serves one query: CORS, methods, parameters, ETag, JSON.
func (s *rest) get(q query) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After")
		h.Set("X-Content-Type-Options", "nosniff")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "If-None-Match")
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			writeProblem(w, &problem{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Parameter: "method", Message: "want GET"})
			return
		}
		p, bad := newParams(r.URL.RawQuery)
		if bad != nil {
			writeProblem(w, bad)
			return
		}
		view := s.backend.Nodes.View()
		tag := s.etag(&view, r)
		if matches(r.Header.Values("If-None-Match"), tag) {
			h.Set("ETag", tag)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		a, bad := q(p, &view)
		if bad != nil {
			writeProblem(w, bad)
			return
		}
		if a.tagged {
			h.Set("ETag", tag)
			h.Set("Cache-Control", "no-cache")
		}
		writeJSON(w, a.status, a.body)
	})
}

// etag is weak: the age in an answer is another each time.
func (s *rest) etag(v *View, r *http.Request) string {
	h := fnv.New64a()
	h.Write([]byte(r.URL.Path + "?" + r.URL.RawQuery))
	return fmt.Sprintf(`W/"%s-%d-%x"`, s.boot, v.Nodes.Version(), h.Sum64())
}

// matches compares weakly, as If-None-Match asks for.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for have := range strings.SplitSeq(h, ",") {
			if strings.TrimPrefix(strings.TrimSpace(have), "W/") == tag[len("W/"):] {
				return true
			}
		}
	}
	return false
}

func (s *rest) getMediaNodes(p *params, view *View) (answer, *problem) {
	q := index.Query{
		Region:           p.region("region"),
		Near:             p.place("lat", "lon"),
		RadiusKm:         p.float("radiusKm", 0, 21_000),
		MinBandwidthMbps: uint32(p.integer("minBandwidthMbps", 0, 0, node.MaxMbps)),
		MinQuality:       p.float("minQos", 0, 1),
		MinAvailability:  p.float("minAvailability", 0, 1),
		Version:          p.text("version", node.MaxName),
		Features:         p.list("feature", node.MaxFeatures),
		Exclude:          p.ids("exclude"),
	}
	if q.RadiusKm > 0 && q.Near == nil {
		p.refuse("radiusKm", "needs lat and lon")
	}
	return s.list(p, view, q)
}

func (s *rest) listMediaNodes(p *params, view *View) (answer, *problem) {
	return s.list(p, view, index.Query{Draining: true})
}

func (s *rest) list(p *params, view *View, q index.Query) (answer, *problem) {
	q.Limit = p.integer("limit", defaultLimit, 1, maxLimit)
	q.Cursor = p.cursor("cursor")
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	found, next := view.Nodes.Find(q)
	b := make([]byte, 0, 256+len(found)*1024)
	b = append(s.appendSource(append(b, '{'), view), `,"nodes":[`...)
	for i, f := range found {
		if i > 0 {
			b = append(b, ',')
		}
		distance := -1.0
		if q.Near != nil {
			distance = f.DistanceKm
		}
		b = append(s.nodes.append(append(b, '{'), f.Entry, distance), '}')
	}
	b = append(b, ']')
	if !next.IsZero() {
		b = appendText(append(b, `,"cursor":`...), []byte(next.String()))
	}
	return answer{tagged: true, body: json.RawMessage(append(b, '}'))}, nil
}

// appendSource says whose answer it is, of what, and how old.
func (s *rest) appendSource(b []byte, v *View) []byte {
	b = append(appendHex(append(b, `"registry":"0x`...), s.backend.Registry[:]), `","root":"`...)
	b = append(appendHex(b, v.Root[:]), `","ageMs":`...)
	return strconv.AppendInt(b, ageMs(v), 10)
}

func ageMs(v *View) int64 { return max(0, time.Since(v.At).Milliseconds()) }

func (s *rest) nodeByID(p *params, view *View) (answer, *problem) {
	id := p.id("nodeId")
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	e, ok := view.Nodes.Get(id)
	if !ok {
		return answer{}, &problem{status: http.StatusNotFound, Code: "not_found", Parameter: "nodeId",
			Message: "no node " + id.String() + " is registered and answering"}
	}
	b := append(s.appendSource([]byte{'{'}, view), ',')
	return answer{tagged: true, body: json.RawMessage(append(s.nodes.append(b, e, -1), '}'))}, nil
}

type recordsJSON struct {
	Registry drtc.NodeID   `json:"registry"`
	Root     string        `json:"root"`
	AgeMs    int64         `json:"ageMs"`
	Records  []recordJSON  `json:"records"`
	Missing  []drtc.NodeID `json:"missing"`           // nothing is held about them
	Omitted  []drtc.NodeID `json:"omitted,omitempty"` // not all fits; ask for them again
}

type recordJSON struct {
	NodeID  *drtc.NodeID `json:"nodeId,omitempty"` // Subject, if that is a node
	Subject drtc.NodeID  `json:"subject"`
	Issuer  drtc.NodeID  `json:"issuer"`
	Record  []byte       `json:"record"` // canonical envelope bytes, base64
}

// records gives what is held, tombstones too, as its issuers signed it.
func (s *rest) records(p *params, view *View) (answer, *problem) {
	kind := p.choice("kind", record.KindNode, record.KindRegistry, record.KindAdmission, record.KindEquivocation, record.KindLiveness)
	ids := p.ids("ids")
	if len(ids) == 0 {
		p.refuse("ids", "is missing: give 1 to %d ids with commas between them", maxIDs)
	}
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	body := recordsJSON{
		Registry: s.backend.Registry, Root: hex.EncodeToString(view.Root[:]), AgeMs: ageMs(view),
		Records: []recordJSON{}, Missing: []drtc.NodeID{},
	}
	size := 0
	for _, id := range ids {
		if size > maxRecords {
			body.Omitted = append(body.Omitted, id)
			continue
		}
		held := s.backend.Records.About(kind, id)
		if len(held) == 0 {
			body.Missing = append(body.Missing, id)
		}
		for i := range held {
			if size > maxRecords {
				body.Omitted = append(body.Omitted, id)
				break
			}
			r := recordJSON{Subject: held[i].Subject, Issuer: held[i].Issuer, Record: held[i].Bytes()}
			if kind == record.KindNode {
				r.NodeID = &r.Subject
			}
			size += len(r.Record)
			body.Records = append(body.Records, r)
		}
	}
	return answer{body: body}, nil
}

// receipts gives the records with the receipts of nodes in an epoch, as the nodes
// signed them.
func (s *rest) receipts(p *params, view *View) (answer, *problem) {
	ids, epoch := p.ids("ids"), p.integer("epoch", -1, 0, 1<<53-1)
	if len(ids) == 0 {
		p.refuse("ids", "is missing: give 1 to %d ids with commas between them", maxIDs)
	}
	if epoch < 0 {
		p.refuse("epoch", "is missing")
	}
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	body := recordsJSON{
		Registry: s.backend.Registry, Root: hex.EncodeToString(view.Root[:]), AgeMs: ageMs(view),
		Records: []recordJSON{}, Missing: []drtc.NodeID{},
	}
	size := 0
	for i := range ids {
		held := s.backend.Receipts(ids[i], uint64(epoch))
		switch {
		case size > maxRecords: // a node's pages come together
			body.Omitted = append(body.Omitted, ids[i])
			continue
		case len(held) == 0:
			body.Missing = append(body.Missing, ids[i])
		}
		for _, e := range held {
			r := recordJSON{NodeID: &ids[i], Subject: e.Subject, Issuer: e.Issuer, Record: e.Bytes()}
			size += len(r.Record)
			body.Records = append(body.Records, r)
		}
	}
	return answer{body: body}, nil
}

type peersJSON struct {
	Registry  drtc.NodeID `json:"registry"`
	Network   string      `json:"network"`
	Addresses []string    `json:"addresses"`
	Peers     []Peer      `json:"peers"`
}

func (s *rest) peers(p *params, _ *View) (answer, *problem) {
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	body := peersJSON{Registry: s.backend.Registry, Network: s.backend.Network, Addresses: []string{}, Peers: []Peer{}}
	addresses, peers := s.backend.Peering.Peers()
	body.Addresses = append(body.Addresses, addresses...)
	for _, peer := range peers {
		peer.Addresses = append([]string{}, peer.Addresses...)
		body.Peers = append(body.Peers, peer)
	}
	return answer{body: body}, nil
}

type healthJSON struct {
	Status   string      `json:"status"`
	Registry drtc.NodeID `json:"registry"`
	Network  string      `json:"network"`
	Nodes    int         `json:"nodes"` // with a live record
	Root     string      `json:"root"`
	AgeMs    int64       `json:"ageMs"`
	Health
}

func (s *rest) healthz(p *params, view *View) (answer, *problem) {
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	body := healthJSON{
		Status: "ok", Registry: s.backend.Registry, Network: s.backend.Network, Nodes: view.Nodes.Len(),
		Root: hex.EncodeToString(view.Root[:]), AgeMs: ageMs(view), Health: s.backend.Health(),
	}
	a := answer{body: &body}
	if body.Problem != "" {
		body.Status, a.status = "failing", http.StatusServiceUnavailable
	}
	return a, nil
}

//go:embed openapi.json
var openAPI []byte

func (s *rest) openAPI(p *params, _ *View) (answer, *problem) {
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	return answer{body: json.RawMessage(openAPI)}, nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, ready := body.(json.RawMessage)
	if !ready {
		var err error
		if b, err = json.Marshal(body); err != nil { // only for values that JSON has no form for; ours all have
			status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","parameter":"","message":"no JSON form"}}`)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client has gone
}

// problem is the body of a 4xx answer.
type problem struct {
	status    int
	Code      string `json:"code"`
	Parameter string `json:"parameter"`
	Message   string `json:"message"`
}

func writeProblem(w http.ResponseWriter, p *problem) {
	writeJSON(w, p.status, struct {
		Error *problem `json:"error"`
	}{p})
}
