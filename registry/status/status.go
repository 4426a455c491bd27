package status

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
)

// Bounds of answers.
const (
	maxNodes      = 500 // on one page
	defaultEpochs = 50
	maxEpochs     = 100
)

// Paths are all that is answered with JSON, for who counts requests by path.
func Paths() []string {
	return []string{"/network", "/network/nodes", "/network/node", "/network/epochs", "/network/epoch", "/network/pools", "/network/payouts"}
}

// server answers.
type server struct {
	source  Source
	summary summary
}

// New returns the handler of Paths and, with Pages, of the pages.
func New(s Source) (http.Handler, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	h := &server{source: s}
	mux := http.NewServeMux()
	for path, answer := range map[string]func(*query) (any, *problem){
		"/network": h.network, "/network/nodes": h.nodes, "/network/node": h.node, "/network/epochs": h.epochs,
		"/network/epoch": h.epoch, "/network/pools": h.pools, "/network/payouts": h.payouts,
	} {
		mux.Handle(path, get(answer))
	}
	mux.HandleFunc("/network/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, &problem{http.StatusNotFound, "not_found", "path", "no such path; there are " + strings.Join(Paths(), ", ")})
	})
	if s.Pages != nil {
		mux.Handle("/", s.Pages)
	}
	return mux, nil
}

// get serves one query: CORS, methods, parameters, ETag, JSON.
func get(answer func(*query) (any, *problem)) http.Handler {
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
			refuse(w, &problem{http.StatusMethodNotAllowed, "method_not_allowed", "method", "want GET"})
			return
		}
		body, bad := answer(newQuery(r.URL.RawQuery))
		if bad != nil {
			refuse(w, bad)
			return
		}
		text, err := json.Marshal(body)
		if err != nil { // only for values that JSON has no form for; ours all have
			refuse(w, &problem{http.StatusInternalServerError, "internal", "", "no JSON form"})
			return
		}
		sum := sha256.Sum256(text)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		if matches(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		write(w, http.StatusOK, text)
	})
}

// matches compares weakly, as If-None-Match asks for.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for have := range strings.SplitSeq(h, ",") {
			if strings.TrimPrefix(strings.TrimSpace(have), "W/") == tag {
				return true
			}
		}
	}
	return false
}

func refuse(w http.ResponseWriter, p *problem) {
	text, err := json.Marshal(struct {
		Error *problem `json:"error"`
	}{p})
	if err != nil {
		panic(err) // three strings
	}
	write(w, p.status, text)
}

func write(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the reader has gone
}

// economyAnswer is an answer out of the chain, with how current it is.
type economyAnswer struct {
	// Problem says why the rest may be old, and ReadAt how old; both empty while the
	// chain answers.
	Problem string    `json:"problem,omitempty"`
	ReadAt  time.Time `json:"readAt,omitzero"`
	Epochs  any       `json:"epochs,omitempty"`
	Epoch   any       `json:"epoch,omitempty"`
	Pools   any       `json:"pools,omitempty"`
	Payouts any       `json:"payouts,omitempty"`
}

// economy is what was last read of the chain.
func (h *server) economy() (EconomyView, economyAnswer, *problem) {
	if h.source.Economy == nil {
		return nil, economyAnswer{}, &problem{http.StatusNotFound, "no_chain", "", "this network runs without a chain"}
	}
	v, readAt, trouble := h.source.Economy.Read()
	if v == nil {
		return nil, economyAnswer{}, &problem{http.StatusServiceUnavailable, "chain_away", "", trouble}
	}
	a := economyAnswer{Problem: trouble}
	if trouble != "" {
		a.ReadAt = readAt.UTC()
	}
	return v, a, nil
}

func (h *server) epochs(q *query) (any, *problem) {
	before := q.number("before", 0, 1, math.MaxUint64)
	limit := q.number("limit", defaultEpochs, 1, maxEpochs)
	if bad := q.done(); bad != nil {
		return nil, bad
	}
	v, a, bad := h.economy()
	if bad != nil {
		return nil, bad
	}
	a.Epochs = v.Epochs(before, int(limit))
	return a, nil
}

func (h *server) epoch(q *query) (any, *problem) {
	n := q.number("epoch", math.MaxUint64, 0, math.MaxUint64-1)
	if n == math.MaxUint64 {
		q.refuse("epoch", "is missing: give a number")
	}
	if bad := q.done(); bad != nil {
		return nil, bad
	}
	v, a, bad := h.economy()
	if bad != nil {
		return nil, bad
	}
	e, ok := v.Epoch(n)
	if !ok {
		return nil, &problem{http.StatusNotFound, "not_found", "epoch", "the chain says nothing of epoch " + strconv.FormatUint(n, 10) + ", or it is too long ago to be held here"}
	}
	a.Epoch = e
	return a, nil
}

func (h *server) pools(q *query) (any, *problem) {
	return h.perNode(q, func(v EconomyView, a *economyAnswer, node drtc.NodeID) { a.Pools = v.Pools(node) })
}

func (h *server) payouts(q *query) (any, *problem) {
	return h.perNode(q, func(v EconomyView, a *economyAnswer, node drtc.NodeID) { a.Payouts = v.Payouts(node) })
}

func (h *server) perNode(q *query, fill func(EconomyView, *economyAnswer, drtc.NodeID)) (any, *problem) {
	node := q.id("node", false)
	if bad := q.done(); bad != nil {
		return nil, bad
	}
	v, a, bad := h.economy()
	if bad != nil {
		return nil, bad
	}
	fill(v, &a, node)
	return a, nil
}
