package status

import (
	"errors"
	"net/http"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/place"
)

// Source is where everything comes from. Registry, Network, Nodes and Registries are
// set; all functions are safe for concurrent use and do not wait for the network.
type Source struct {
	Registry drtc.NodeID
	Network  string
	Version  string
	// Development says that this is a network for trying things out: its places are
	// declared for show and its scores mean little.
	Development bool
	Nodes       Nodes
	// Registries lists those with a live record, in order of ids.
	Registries func() []Registry
	// Economy is what a chain says; nil without one.
	Economy Economy
	// Pages serves "/status" and what the pages load; nil for none.
	Pages http.Handler
}

func (s Source) validate() error {
	if s.Registry.IsZero() || s.Network == "" || s.Nodes == nil || s.Registries == nil {
		return errors.New("status: Registry, Network, Nodes and Registries must be set")
	}
	return nil
}

// Nodes is what this Registry knows of Media Nodes.
type Nodes interface {
	// Snapshot has all nodes with a live record.
	Snapshot() *index.Snapshot
	// Standing is what is known of one of them.
	Standing(id drtc.NodeID) Standing
}

// Standing is what probers say of a node, and what follows from it.
type Standing struct {
	// Since is when the state became what it is, as far as this Registry saw; zero
	// for not known.
	Since time.Time
	Votes []Vote
	// Place is the verdict on the declared place, with its reasons.
	Place place.Verdict
}

// Vote is what one prober says.
type Vote struct {
	Registry drtc.NodeID `json:"registry"`
	Place    *drtc.Place `json:"place,omitempty"` // of the prober, as it declares it
	// Absent: nothing fresh is known of this prober's view; the rest is empty.
	Absent bool `json:"absent,omitempty"`
	Down   bool `json:"down,omitempty"`
	// AnsweredAt is when the node last answered it.
	AnsweredAt time.Time `json:"answeredAt,omitzero"`
	// Round trips of the last dials, in milliseconds; 0 for none.
	RTTMinMs    float64 `json:"rttMinMs,omitempty"`
	RTTMedianMs float64 `json:"rttMedianMs,omitempty"`
}

// Registry is one that takes part.
type Registry struct {
	ID    drtc.NodeID `json:"registry"`
	URL   string      `json:"url,omitempty"`
	Place *drtc.Place `json:"place,omitempty"`
}

// Economy is what a chain says of the network.
type Economy interface {
	// Read returns what was last read, nil for nothing yet, when it was last found to
	// be so, and what is wrong, empty for nothing.
	Read() (v EconomyView, readAt time.Time, problem string)
}

// EconomyView is what a chain says as of one block. What its methods return becomes
// JSON; lists are bounded.
type EconomyView interface {
	Chain() any
	// Epochs lists those below before, the newest first; 0 is no bound.
	Epochs(before uint64, limit int) any
	Epoch(n uint64) (epoch any, ok bool)
	// Pools and Payouts are of all nodes where node is zero.
	Pools(node drtc.NodeID) any
	Payouts(node drtc.NodeID) any
}
