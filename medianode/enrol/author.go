package enrol

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

// Payload is what the node says of itself; its id and public key are added. The
// comments of NodeBody in proto/drtc/registry/v1 are the reference.
type Payload struct {
	Region         drtc.Region
	Place          *drtc.Place // nil: not declared
	PlaceName      string
	URL            string // control service
	DiscoveryURL   string
	MetricsURL     string
	IP             string
	Version        string
	CapacityMbps   uint32
	LoadMbps       uint32
	Cores          uint32
	MaxSessions    uint32
	Sessions       uint32
	Features       []string
	TLSFingerprint [sha256.Size]byte // of the certificate of URL; zero: none
	MediaAddresses []string          // UDP, "ip:port"
	Owner          drtc.NodeID       // zero: not declared
	Draining       bool
}

func (p *Payload) body(key *identity.Key) ([]byte, error) {
	b := &registryv1.NodeBody{
		NodeId: key.ID().String(), PubKey: key.Public().Hex(),
		Region: string(p.Region), PlaceName: p.PlaceName,
		Url: p.URL, DiscoveryUrl: p.DiscoveryURL, MetricsUrl: p.MetricsURL, Ip: p.IP,
		Version: p.Version, CapacityMbps: p.CapacityMbps, LoadMbps: p.LoadMbps, Cores: p.Cores,
		MaxSessions: p.MaxSessions, Sessions: p.Sessions, Features: p.Features,
		MediaAddresses: p.MediaAddresses, Draining: p.Draining,
	}
	if p.Place != nil {
		b.Geolocation = p.Place.String()
	}
	if p.TLSFingerprint != [sha256.Size]byte{} {
		b.TlsFingerprint = p.TLSFingerprint[:]
	}
	if !p.Owner.IsZero() {
		b.Owner = p.Owner.String()
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(b)
}

// differs reports whether others should hear of the change from p to q before
// the next refresh. Load and sessions move all the time: a tenth of what the
// node can take matters, and so does the first session and the last.
func (p *Payload) differs(q *Payload) bool {
	moved := func(a, b, whole uint32) bool {
		return (a == 0) != (b == 0) || max(a, b)-min(a, b) > max(1, whole/10)
	}
	if moved(p.LoadMbps, q.LoadMbps, p.CapacityMbps) || moved(p.Sessions, q.Sessions, p.MaxSessions) {
		return true
	}
	a, b := *p, *q
	a.LoadMbps, b.LoadMbps, a.Sessions, b.Sessions = 0, 0, 0, 0
	a.Features, b.Features, a.MediaAddresses, b.MediaAddresses, a.Place, b.Place = nil, nil, nil, nil, nil, nil
	samePlace := p.Place == q.Place || p.Place != nil && q.Place != nil && *p.Place == *q.Place
	return !samePlace || !slices.Equal(p.Features, q.Features) ||
		!slices.Equal(p.MediaAddresses, q.MediaAddresses) || !sameScalars(a, b)
}

func sameScalars(a, b Payload) bool {
	return a.Region == b.Region && a.PlaceName == b.PlaceName && a.URL == b.URL &&
		a.DiscoveryURL == b.DiscoveryURL && a.MetricsURL == b.MetricsURL && a.IP == b.IP &&
		a.Version == b.Version && a.CapacityMbps == b.CapacityMbps && a.Cores == b.Cores &&
		a.MaxSessions == b.MaxSessions && a.TLSFingerprint == b.TLSFingerprint &&
		a.Owner == b.Owner && a.Draining == b.Draining
}

// errForeign: what a Registry showed is not this node's own newer record.
var errForeign = errors.New("enrol: the record that stands in the way is not this node's own and newer")

// maxRaise is how far one step goes: revocations come one by one, and whoever
// lies must not use up the generations.
const maxRaise = 1 << 20

// errGeneration: the node does not go on in the generation that is asked for.
var errGeneration = errors.New("enrol: a later generation is asked for")

// author signs the node's records, each with the next version. Seq starts at the
// clock, so that a node which lost its state rarely falls behind; if it does, the
// Registry shows the record that stands in the way.
type author struct {
	key     *identity.Key
	network string
	ttl     time.Duration

	mu      sync.Mutex // guards all below
	version envelope.Version
	payload Payload
	record  envelope.Envelope
	renewed chan struct{} // closed when record is replaced
	left    bool
}

func newAuthor(now time.Time, key *identity.Key, c Config, p Payload) (*author, error) {
	a := &author{
		key: key, network: c.Network, ttl: c.TTL,
		version: envelope.Version{Seq: uint64(now.UnixMilli())},
		renewed: make(chan struct{}),
	}
	return a, a.renew(now, p)
}

// current returns the newest record and what is closed when it is not that any
// more.
func (a *author) current() (envelope.Envelope, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.record, a.renewed
}

func (a *author) differs(p Payload) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.payload.differs(&p)
}

// renew signs p.
func (a *author) renew(now time.Time, p Payload) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.payload = p
	return a.sign(now)
}

// sign needs mu.
func (a *author) sign(now time.Time) error {
	body, err := a.payload.body(a.key)
	if err != nil {
		return fmt.Errorf("enrol: writing the record: %w", err)
	}
	e, err := a.next(now, body, 0)
	if err != nil {
		return err
	}
	a.record = e
	close(a.renewed)
	a.renewed = make(chan struct{})
	return nil
}

// next needs mu.
func (a *author) next(now time.Time, body []byte, flags envelope.Flags) (envelope.Envelope, error) {
	a.version = a.version.Next()
	e := envelope.Envelope{
		Kind: "node", Network: a.network, Subject: a.key.ID(),
		Generation: a.version.Generation, Seq: a.version.Seq,
		IssuedAt: now, TTL: a.ttl, Flags: flags, Body: body,
	}
	if err := e.Sign(a.key); err != nil {
		return envelope.Envelope{}, fmt.Errorf("enrol: signing the record: %w", err)
	}
	return e, nil
}

// continueFrom goes on after a record of this node's own that a Registry holds.
// Anything else is refused: a made-up one could use up the versions.
func (a *author) continueFrom(now time.Time, held envelope.Envelope) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if held.Issuer != a.key.ID() || held.Subject != a.key.ID() || held.Kind != "node" || held.Network != a.network {
		return errForeign
	}
	if err := held.Verify(); err != nil {
		return fmt.Errorf("%w: %w", errForeign, err)
	}
	if a.left || held.Version().Less(a.version) {
		return nil // this node has gone on in the meantime
	}
	a.version = held.Version()
	return a.sign(now)
}

// raise goes on in a later generation, since the network takes no record of an
// earlier one. It reports whether that was needed.
func (a *author) raise(now time.Time, generation uint64) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left || generation <= a.version.Generation {
		return false, nil
	}
	if generation-a.version.Generation > maxRaise {
		return false, fmt.Errorf("%w: %d, too far from %d to be believed", errGeneration, generation, a.version.Generation)
	}
	a.version = envelope.Version{Generation: generation, Seq: uint64(now.UnixMilli())}
	return true, a.sign(now)
}

// leave signs the tombstone.
func (a *author) leave(now time.Time) (envelope.Envelope, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
	return a.next(now, nil, envelope.Tombstone)
}
