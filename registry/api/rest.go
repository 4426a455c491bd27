package api

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
)

// Bounds of the REST interface.
const (
	defaultLimit = 100
	maxLimit     = 500
	maxIDs       = 100 // of /records and of exclude
)

// rest serves the paper's three queries and what goes with them.
type rest struct {
	backend Backend
	boot    string // tells the ETags of this process from those of others
}

func newRest(b Backend) *rest {
	var boot [4]byte
	rand.Read(boot[:])
	return &rest{backend: b, boot: hex.EncodeToString(boot[:])}
}

func (s *rest) register(mux *http.ServeMux) {
	mux.Handle("/getMediaNodes", s.get(s.getMediaNodes))
	mux.Handle("/listMediaNodes", s.get(s.listMediaNodes))
	mux.Handle("/nodeById", s.get(s.nodeByID))
	mux.Handle("/records", s.get(s.records))
	mux.Handle("/healthz", s.get(s.healthz))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &problem{status: http.StatusNotFound, Code: "not_found", Parameter: "path",
			Message: "no such path; there are /getMediaNodes, /nodeById, /listMediaNodes, /records, /healthz, /metrics"})
	})
}

// answer is what a query found. version is that of the Snapshot it was made
// from, for the ETag; 0 is none.
type answer struct {
	status  int // 0 is 200
	version uint64
	body    any
}

// get serves one query: CORS, methods, parameters, ETag, JSON.
func (s *rest) get(query func(*params) (answer, *problem)) http.Handler {
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
		if bad == nil {
			// Snapshots only get newer, so a tag taken first is never too new.
			tag := s.etag(s.backend.Nodes.View().Nodes.Version(), r)
			if r.Header.Get("If-None-Match") == tag {
				h.Set("ETag", tag)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			var a answer
			if a, bad = query(p); bad == nil {
				if a.version != 0 {
					h.Set("ETag", s.etag(a.version, r))
					h.Set("Cache-Control", "no-cache")
				}
				writeJSON(w, a.status, a.body)
				return
			}
		}
		writeProblem(w, bad)
	})
}

func (s *rest) etag(version uint64, r *http.Request) string {
	h := fnv.New64a()
	h.Write([]byte(r.URL.Path + "?" + r.URL.RawQuery))
	return fmt.Sprintf(`"%s-%d-%x"`, s.boot, version, h.Sum64())
}

// nodeJSON is one node in an answer: the paper's fields and those of the
// Registry.
type nodeJSON struct {
	node.Payload
	Generation uint64    `json:"generation,string"` // 64 bits: text, because JSON numbers are doubles
	Seq        uint64    `json:"seq,string"`
	IssuedAt   time.Time `json:"issuedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Quality    float64   `json:"quality"`
	DistanceKm *float64  `json:"distanceKm,omitempty"` // from lat, lon of the query
}

func toJSON(e *index.Entry) nodeJSON {
	return nodeJSON{
		Payload: e.Node, Generation: e.Version.Generation, Seq: e.Version.Seq,
		IssuedAt: e.IssuedAt, ExpiresAt: e.ExpiresAt, Quality: e.Quality,
	}
}

type listJSON struct {
	Registry drtc.NodeID `json:"registry"`
	Nodes    []nodeJSON  `json:"nodes"`
	Cursor   string      `json:"cursor,omitempty"` // of the next page
}

func (s *rest) getMediaNodes(p *params) (answer, *problem) {
	q := index.Query{
		Region:           p.region("region"),
		Near:             p.place("lat", "lon"),
		RadiusKm:         p.float("radiusKm", 0, 21_000),
		MinBandwidthMbps: uint32(p.integer("minBandwidthMbps", 0, 0, node.MaxMbps)),
		MinQuality:       p.float("minQos", 0, 1),
		Version:          p.text("version", node.MaxName),
		Features:         p.list("feature", node.MaxFeatures),
		Exclude:          p.ids("exclude"),
	}
	if q.RadiusKm > 0 && q.Near == nil {
		p.refuse("radiusKm", "needs lat and lon")
	}
	return s.list(p, q)
}

func (s *rest) listMediaNodes(p *params) (answer, *problem) {
	return s.list(p, index.Query{Draining: true})
}

func (s *rest) list(p *params, q index.Query) (answer, *problem) {
	q.Limit = p.integer("limit", defaultLimit, 1, maxLimit)
	q.Cursor = p.cursor("cursor")
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	snapshot := s.backend.Nodes.View().Nodes
	found, next := snapshot.Find(q)
	body := listJSON{Registry: s.backend.Registry, Nodes: make([]nodeJSON, len(found)), Cursor: next.String()}
	for i, f := range found {
		body.Nodes[i] = toJSON(f.Entry)
		if q.Near != nil {
			body.Nodes[i].DistanceKm = &f.DistanceKm
		}
	}
	return answer{version: snapshot.Version(), body: body}, nil
}

func (s *rest) nodeByID(p *params) (answer, *problem) {
	id := p.id("nodeId")
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	snapshot := s.backend.Nodes.View().Nodes
	e, ok := snapshot.Get(id)
	if !ok {
		return answer{}, &problem{status: http.StatusNotFound, Code: "not_found", Parameter: "nodeId",
			Message: "no node " + id.String() + " is registered and answering"}
	}
	return answer{version: snapshot.Version(), body: toJSON(e)}, nil
}

type recordsJSON struct {
	Registry drtc.NodeID   `json:"registry"`
	Records  []recordJSON  `json:"records"`
	Missing  []drtc.NodeID `json:"missing"`
}

type recordJSON struct {
	NodeID drtc.NodeID `json:"nodeId"`
	Record []byte      `json:"record"` // canonical envelope bytes, base64
}

// records gives what is held, tombstones too, as its issuers signed it.
func (s *rest) records(p *params) (answer, *problem) {
	ids := p.ids("ids")
	if len(ids) == 0 {
		p.refuse("ids", "is missing: give 1 to %d node ids with commas between them", maxIDs)
	}
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	body := recordsJSON{Registry: s.backend.Registry, Records: []recordJSON{}, Missing: []drtc.NodeID{}}
	for _, id := range ids {
		if e, ok := s.backend.Records.Held(id); ok {
			body.Records = append(body.Records, recordJSON{NodeID: id, Record: e.Bytes()})
		} else {
			body.Missing = append(body.Missing, id)
		}
	}
	return answer{body: body}, nil
}

func (s *rest) healthz(p *params) (answer, *problem) {
	if bad := p.done(); bad != nil {
		return answer{}, bad
	}
	view := s.backend.Nodes.View()
	body := healthJSON{
		Status: "ok", Registry: s.backend.Registry, Network: s.backend.Network, Nodes: view.Nodes.Len(),
		Root: hex.EncodeToString(view.Root[:]), Health: s.backend.Health(),
	}
	a := answer{body: &body}
	if body.Problem != "" {
		body.Status, a.status = "failing", http.StatusServiceUnavailable
	}
	return a, nil
}

type healthJSON struct {
	Status   string      `json:"status"`
	Registry drtc.NodeID `json:"registry"`
	Network  string      `json:"network"`
	Nodes    int         `json:"nodes"` // with a live record
	Root     string      `json:"root"`
	Health
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // only for values that JSON has no form for; ours all have
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","parameter":"","message":"no JSON form"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone
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
