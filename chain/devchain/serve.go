package devchain

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc"
)

// Bounds of one request.
const (
	maxBody   = 2 << 20 // bytes
	maxAnswer = 16 << 20
	maxBatch  = 1000 // calls
)

// web3 is the namespace by which tools ask with whom they speak.
type web3 struct{}

// ClientVersion names the program.
func (web3) ClientVersion() string { return "drtc/" + drtc.Version }

// Sha3 is Keccak-256.
func (web3) Sha3(input hexutil.Bytes) hexutil.Bytes { return crypto.Keccak256(input) }

func (c *Chain) serve(calls http.Handler) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", c.meter.counted(c.durable(calls)))
	mux.HandleFunc("GET /healthz", c.healthz)
	mux.Handle("GET /metrics", c.meter.page())
	return &http.Server{
		Handler:           c.named(mux),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// durable holds every answer back until the newest block it may speak of is on
// disk.
func (c *Chain) durable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &heldAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(held, r)
		c.awaitDisk()
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // the caller has gone
	})
}

// awaitDisk returns when no block is being made or synced.
func (c *Chain) awaitDisk() {
	c.gate.RLock()
	defer c.gate.RUnlock()
}

// heldAnswer keeps an answer in memory.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header         { return h.header }
func (h *heldAnswer) WriteHeader(status int)      { h.status = status }
func (h *heldAnswer) Write(b []byte) (int, error) { return h.body.Write(b) }

// named refuses requests that came by a name this chain was not given.
func (c *Chain) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		name = strings.ToLower(strings.Trim(name, "[]"))
		if _, err := netip.ParseAddr(name); err != nil && name != "localhost" && !slices.Contains(c.config.Hosts, name) {
			http.Error(w, "this name is not in the chain's hosts", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// healthz says whether blocks are made.
func (c *Chain) healthz(w http.ResponseWriter, _ *http.Request) {
	head := c.head()
	health := struct {
		Status  string `json:"status"`
		ChainID uint64 `json:"chain_id"`
		Block   uint64 `json:"block"`
		Time    uint64 `json:"time"`
		Genesis string `json:"genesis"`
	}{"ok", c.ChainID(), head.Number.Uint64(), head.Time, c.Genesis().Hex()}
	w.Header().Set("Content-Type", "application/json")
	if c.config.BlockTime > 0 && c.waits(time.Now()) > patience*c.config.BlockTime {
		health.Status = "no blocks are made"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(health) // the caller has gone
}
