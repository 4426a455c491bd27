package admission

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
)

// Kind is the kind of the records that attest a list.
const Kind = "admission"

// Bounds of attestations: those of the network's records (spec REG-7, REG-9).
const (
	maxTTL = 900 * time.Second
	skew   = 30 * time.Second
	// MaxAttestations is how many are looked at.
	MaxAttestations = 1024
)

// Quorum is how many of n Registries must sign, 1 of 0.
func Quorum(n int) int { return 2*n/3 + 1 }

// Snapshot is a list that a quorum signed. The zero Snapshot admits nobody.
type Snapshot struct {
	Serial uint64
	// Registries may sign the next list, ascending.
	Registries []drtc.NodeID
	// Orchestrators may command nodes, ascending; all may with AnyOrchestrator.
	Orchestrators   []drtc.NodeID
	AnyOrchestrator bool
	// ExpiresAt is when fewer than a quorum of the signatures are alive.
	ExpiresAt time.Time
}

// Admits reports whether an Orchestrator is on the list. It knows no time: the
// caller looks at ExpiresAt.
func (s Snapshot) Admits(id drtc.NodeID) bool {
	if s.AnyOrchestrator {
		return true
	}
	_, found := slices.BinarySearchFunc(s.Orchestrators, id, compareIDs)
	return found
}

// Verify reads a list and counts who signed it: a quorum of trusted, each once,
// in records of kind "admission" of this network that are alive at now. The
// error wraps ErrMalformed, ErrField or ErrQuorum. An attestation that does not
// count is passed over, so that one liar cannot spoil the others'.
func Verify(now time.Time, network string, body []byte, attestations []envelope.Envelope, trusted []drtc.NodeID) (Snapshot, error) {
	s, _, err := verify(aliveAt(now), network, Proof{trusted, body, attestations})
	return s, err
}

func aliveAt(now time.Time) func(*envelope.Envelope) bool {
	return func(e *envelope.Envelope) bool {
		return !e.IssuedAt.After(now.Add(skew)) && now.Before(e.ExpiresAt().Add(skew))
	}
}

// Proof is why a list is believed: what a node keeps to believe it again when
// it starts.
type Proof struct {
	Trusted      []drtc.NodeID // whose signatures counted
	Body         []byte
	Attestations []envelope.Envelope // without their body
}

// verify also returns the attestations that counted; timely says whether one is
// alive.
func verify(timely func(*envelope.Envelope) bool, network string, p Proof) (Snapshot, []envelope.Envelope, error) {
	b, err := Parse(p.Body)
	if err != nil {
		return Snapshot{}, nil, err
	}
	counted := signed(timely, network, p)
	need := Quorum(len(ascending(p.Trusted)))
	if len(counted) < need {
		return Snapshot{}, nil, fmt.Errorf("%w: want %d of %d, got %d", ErrQuorum, need, len(p.Trusted), len(counted))
	}
	// When the longest-lived but need-1 have ended, too few are left.
	slices.SortFunc(counted, func(a, b envelope.Envelope) int { return b.ExpiresAt().Compare(a.ExpiresAt()) })
	return Snapshot{
		Serial: b.Serial, Registries: b.Registries, Orchestrators: b.Orchestrators,
		AnyOrchestrator: b.AnyOrchestrator, ExpiresAt: counted[need-1].ExpiresAt(),
	}, counted, nil
}

// signed returns one good attestation of each trusted Registry that has any.
func signed(timely func(*envelope.Envelope) bool, network string, p Proof) []envelope.Envelope {
	var good []envelope.Envelope
	wanted := make(map[drtc.NodeID]bool, len(p.Trusted))
	for _, id := range p.Trusted {
		wanted[id] = true
	}
	for _, e := range p.Attestations[:min(len(p.Attestations), MaxAttestations)] {
		switch {
		case !wanted[e.Issuer], e.Kind != Kind, e.Network != network, e.Subject != e.Issuer, e.IsTombstone():
			continue
		case e.TTL > maxTTL, !timely(&e), len(e.Body) > 0 && !bytes.Equal(e.Body, p.Body):
			continue
		}
		e.Body = p.Body
		if e.Verify() != nil {
			continue
		}
		wanted[e.Issuer] = false // once
		e.Body = nil
		good = append(good, e)
	}
	return good
}

// Roll is the list that a node goes by and the Registries that it trusts to
// change it. Make one with New.
type Roll struct {
	network  string
	trusted  []drtc.NodeID
	snapshot Snapshot
	proof    Proof // of snapshot; Body is nil before the first
}

// New trusts the given Registries at first. Without any no list is ever taken.
func New(network string, trusted []drtc.NodeID) *Roll {
	return &Roll{network: network, trusted: ascending(trusted)}
}

// Take judges a list that somebody handed over. It reports whether the Roll
// changed: a newer list, or newer signatures under the one held. The error wraps
// ErrMalformed, ErrField, ErrQuorum, ErrOld or ErrFork, and the Roll is then as
// it was.
func (r *Roll) Take(now time.Time, body []byte, attestations []envelope.Envelope) (bool, error) {
	b, err := Parse(body)
	if err != nil {
		return false, err
	}
	if b.Serial < r.snapshot.Serial { // cheaper than signatures
		return false, fmt.Errorf("%w: serial %d, held %d", ErrOld, b.Serial, r.snapshot.Serial)
	}
	s, counted, err := verify(aliveAt(now), r.network, Proof{r.trusted, body, attestations})
	if err != nil {
		return false, err
	}
	if s.Serial == r.snapshot.Serial {
		if !bytes.Equal(body, r.proof.Body) {
			return false, fmt.Errorf("%w: %d", ErrFork, s.Serial)
		}
		if !s.ExpiresAt.After(r.snapshot.ExpiresAt) {
			return false, nil
		}
	}
	r.hold(s, Proof{r.trusted, bytes.Clone(body), counted})
	return true, nil
}

// Restore takes a list that a Roll with the same first trust gave out as its
// Proof, whether or not its signatures are still alive. It is for a Roll that
// holds none; the caller answers for Trusted. The error is as that of Take.
func (r *Roll) Restore(p Proof) error {
	s, _, err := verify(func(*envelope.Envelope) bool { return true }, r.network, p)
	if err == nil {
		r.hold(s, p)
	}
	return err
}

func (r *Roll) hold(s Snapshot, p Proof) {
	r.snapshot, r.proof, r.trusted = s, p, s.Registries
}

// Snapshot returns the list held; Serial is 0 before the first.
func (r *Roll) Snapshot() Snapshot { return r.snapshot }

// Proof returns why the list is held; its Body is empty before the first.
func (r *Roll) Proof() Proof { return r.proof }

// Trusted returns who may sign the next list, ascending; read only.
func (r *Roll) Trusted() []drtc.NodeID { return r.trusted }
