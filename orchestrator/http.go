package orchestrator

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// handler serves everything but what web is for.
func (o *Orchestrator) handler(web http.Handler) http.Handler {
	mux := http.NewServeMux()
	o.signal.Register(mux)
	o.whip.Register(mux)
	o.api.Register(mux)
	o.moderate.Register(mux)
	o.doors.register(mux)
	mux.HandleFunc("GET /healthz", o.health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.meter.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/drtc/v1/session", o.session)
	mux.HandleFunc("GET /drtc/v1/usage", o.usage)
	mux.HandleFunc("POST /drtc/v1/received", o.received)
	mux.HandleFunc("POST "+orderPath, o.takeOrder)
	if web == nil {
		web = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			signal.CORS(w)
			if r.URL.Path != "/" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte("drtc orchestrator " + drtc.Version + "\n"))
		})
	}
	mux.Handle("/", web)
	return mux
}

// health says that we serve, and with how much.
func (o *Orchestrator) health(w http.ResponseWriter, _ *http.Request) {
	rooms, up := o.counts()
	writeJSON(w, struct {
		Status  string `json:"status"`
		ID      string `json:"id"`
		Version string `json:"version"`
		Rooms   int    `json:"rooms"`
		NodesUp int    `json:"nodes_up"`
	}{"ok", o.ID().String(), drtc.Version, rooms, up})
}

// counts returns how many rooms there are and how many nodes are up.
func (o *Orchestrator) counts() (rooms, up int) {
	for _, n := range o.discovery.Snapshot() {
		if o.pool.Status(n.ID).Up {
			up++
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.actors), up
}

// sessionAnswer is what a participant may know of its own session.
type sessionAnswer struct {
	Node struct {
		ID        drtc.NodeID `json:"id"`
		Region    drtc.Region `json:"region"`
		Place     *drtc.Place `json:"place"` // null when the node does not say
		PlaceName string      `json:"place_name"`
		Version   string      `json:"version"`
	} `json:"node"`
	RoundTripMs *float64 `json:"rtt_ms"` // null while unknown
	Loss        float64  `json:"loss"`   // of the worse direction, 0 to 1
	UpBytes     uint64   `json:"up_bytes"`
	DownBytes   uint64   `json:"down_bytes"`
	Reasons     []string `json:"reasons"` // for the choice of the node
}

// session tells a client which node carries it and how well.
func (o *Orchestrator) session(w http.ResponseWriter, r *http.Request) {
	signal.CORS(w)
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet:
	default:
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	caller, err := o.signal.Authenticate(r)
	if err != nil {
		signal.Refuse(w, err)
		return
	}
	o.mu.Lock()
	a := o.actors[signal.RoomName{Application: caller.Application, Name: caller.Room}]
	o.mu.Unlock()
	var s room.Session
	var found bool
	answer := sessionAnswer{Reasons: []string{}}
	if a != nil {
		err := a.deliver(r.Context(), letter{ask: func(a *actor) {
			s, found = a.room.Find(drtc.Identity(caller.Identity))
			answer.Reasons = append(answer.Reasons, reasonsOf(a.plans, s.Node)...)
		}})
		if err != nil {
			found = false
		}
	}
	if !found {
		http.Error(w, "the token's participant is not in its room", http.StatusNotFound)
		return
	}
	n := o.node(s.Node)
	answer.Node.ID, answer.Node.Region, answer.Node.Place = n.ID, n.Region, n.Place
	answer.Node.PlaceName, answer.Node.Version = n.PlaceName, n.Version
	if s.Figures.RoundTrip > 0 {
		ms := float64(s.Figures.RoundTrip.Microseconds()) / 1000
		answer.RoundTripMs = &ms
	}
	answer.Loss = max(s.Figures.UplinkLoss, s.Figures.DownlinkLoss)
	answer.UpBytes, answer.DownBytes = s.Figures.ReceivedBytes, s.Figures.SentBytes
	writeJSON(w, answer)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// The client has gone when this fails.
	_ = json.NewEncoder(w).Encode(v)
}
