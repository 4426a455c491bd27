package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/liveness"
)

// Backend is the Registry behind the API. All of it is set; all methods are
// safe for concurrent use and do not wait for the network.
type Backend struct {
	Registry drtc.NodeID // whose answers these are
	Network  string      // such as "devnet"
	Records  Records
	Nodes    Nodes
	Peering  Peering
	Health   func() Health
	// Status serves the status pages and what they show; nil for none.
	Status http.Handler
	// Receipts returns the pages of a node's receipts of an epoch that are held.
	Receipts func(node drtc.NodeID, epoch uint64) []envelope.Envelope
}

// Records is what the Registry holds.
type Records interface {
	// Submit judges a record and returns once it is on disk and in the answers.
	// Its errors are those of registry/record and envelope and of the kind's
	// rule about bodies.
	Submit(ctx context.Context, e envelope.Envelope) (Receipt, error)
	// Held returns the node record that is held, shown or not.
	Held(id drtc.NodeID) (envelope.Envelope, bool)
	// About returns what all issuers say about a subject, shown or not, in
	// order of their ids. A kind that there is not has nothing.
	About(kind string, subject drtc.NodeID) []envelope.Envelope
	// MinGeneration is the lowest generation that is accepted of an issuer.
	MinGeneration(id drtc.NodeID) uint64
	// Admission returns who takes part as a quorum of Registries attests it:
	// AdmissionBody bytes and the records that carry them. body is empty while
	// too few agree.
	Admission() (body []byte, attestations []envelope.Envelope)
}

// Nodes is what the Registry shows, and who watches over it.
type Nodes interface {
	// View returns what is shown now. A Board implements it.
	View() View
	// Probers lists the Registries that watch over a node.
	Probers(id drtc.NodeID) []Prober
	// OpenKeepAlive starts a keepalive stream of somebody who claims to be node.
	OpenKeepAlive(node drtc.NodeID) (KeepAlive, error)
}

// Peering is the network of Registries as this one sees it.
type Peering interface {
	// Peers returns this Registry's own multiaddresses and those it is
	// connected to.
	Peers() (addresses []string, peers []Peer)
}

// ErrReadOnly is wrapped by the error of Submit for a record of somebody whom this
// Registry does not know to be bonded, while it cannot find out.
var ErrReadOnly = errors.New("registry: read-only: who may take part is not current here")

// ErrUnknownNode is returned by OpenKeepAlive for a node without a record.
var ErrUnknownNode = errors.New("registry: node: is not registered here")

// Receipt is the answer to a record that was not refused.
type Receipt struct {
	// Accepted: it is now the newest held, or was so already.
	Accepted bool
	// Held is the newer record, if not accepted.
	Held envelope.Envelope
}

// View is what is shown at one moment.
type View struct {
	Nodes *index.Snapshot
	// Root sums up all records held, the same in Registries that hold the same.
	// It may be some seconds older than Nodes.
	Root [32]byte
	// At is when Nodes was last known to show all that is held.
	At time.Time
	// Newer is closed when there is another View.
	Newer <-chan struct{}
}

// Prober is a Registry that watches over a node.
type Prober struct {
	ID  drtc.NodeID
	URL string // base URL of its API
}

// KeepAlive is one open stream.
type KeepAlive interface {
	// Nonces are to be sent; it is closed when the stream is to end.
	Nonces() <-chan liveness.Nonce
	// Pong takes an answer.
	Pong(nonce []byte, sig identity.Signature) error
	// Close ends the stream. It is called once.
	Close()
}

// Peer is another Registry that this one is connected to.
type Peer struct {
	Registry  drtc.NodeID `json:"registry"`
	Addresses []string    `json:"addresses"` // multiaddresses that end in /p2p/ID
	Direction string      `json:"direction"` // "inbound" or "outbound"
	Since     time.Time   `json:"since"`
	Score     float64     `json:"score"` // in gossip; a low one is heard no more
	// LastSync is when the two last compared what they hold, zero for never, and
	// LastSyncOutcome how that went, such as "equal".
	LastSync        time.Time `json:"lastSync,omitzero"`
	LastSyncOutcome string    `json:"lastSyncOutcome,omitempty"`
	URL             string    `json:"url,omitempty"` // base URL of its API, if known
}

// Health is the body of /healthz.
type Health struct {
	Version string `json:"version"`
	Records int    `json:"records"` // held, marks included
	// Problem is empty while all is well.
	Problem string `json:"problem,omitempty"`
	// Bonding is how the list of who may take part is; nil for not said.
	Bonding *Bonding `json:"bonding,omitempty"`
}

// Bonding is where a Registry has it from who may take part.
type Bonding struct {
	Source string `json:"source"` // "everybody", "file" or "chain"
	// Serial is the list's; Block the settled block at which it was last known to
	// hold, 0 without a chain.
	Serial uint64 `json:"serial"`
	Block  uint64 `json:"block,omitempty"`
	// CheckedAt is when it was last known to be current, zero for not since the start.
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	// ReadOnly: the list may be old, and nobody is let in who is not in it.
	ReadOnly bool   `json:"readOnly"`
	Problem  string `json:"problem,omitempty"` // why
}
