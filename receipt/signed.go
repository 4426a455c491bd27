package receipt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// Why a receipt is refused. Compare with errors.Is.
var (
	// ErrMalformed: not the bytes of what was to be read.
	ErrMalformed = errors.New("receipt: malformed")
	// ErrSignature: not signed by the Orchestrator that it names.
	ErrSignature = errors.New("receipt: signature")
	// ErrParty: of another node, or from another Orchestrator.
	ErrParty = errors.New("receipt: wrong party")
	// ErrEpoch: its epoch is over, or has not begun.
	ErrEpoch = errors.New("receipt: wrong epoch")
	// ErrOld: its sequence is not above that of the last one.
	ErrOld = errors.New("receipt: replayed")
	// ErrLower: it takes back what was signed before.
	ErrLower = errors.New("receipt: lower than the last one")
	// ErrContradiction: another one of this sequence says something else. Both are
	// kept as evidence.
	ErrContradiction = errors.New("receipt: contradicts another of its sequence")
	// ErrFull: there is no room for the account of another application.
	ErrFull = errors.New("receipt: too many accounts")
)

// MaxBytes bounds each counter of a receipt, which P15 lets be larger.
const MaxBytes = 1 << 62

// Application is the account on the chain that pays.
type Application = [20]byte

// Counters are cumulative bytes that receivers acknowledged.
type Counters struct {
	Client uint64 // sent to clients
	Relay  uint64 // sent to other Media Nodes
}

// Sum is both together.
func (c Counters) Sum() uint64 { return c.Client + c.Relay }

func (c Counters) plus(d Counters) Counters { return Counters{c.Client + d.Client, c.Relay + d.Relay} }

// less is what c has more than d of each.
func (c Counters) less(d Counters) Counters {
	return Counters{saturating(c.Client, d.Client), saturating(c.Relay, d.Relay)}
}

func (c Counters) least(d Counters) Counters {
	return Counters{min(c.Client, d.Client), min(c.Relay, d.Relay)}
}

func (c Counters) most(d Counters) Counters {
	return Counters{max(c.Client, d.Client), max(c.Relay, d.Relay)}
}

// covers reports whether c is not below d in either.
func (c Counters) covers(d Counters) bool { return c.Client >= d.Client && c.Relay >= d.Relay }

func (c Counters) valid() bool { return c.Client < MaxBytes && c.Relay < MaxBytes }

func saturating(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// Account is what receipts count for.
type Account struct {
	Application  Application
	Orchestrator drtc.NodeID
	Node         drtc.NodeID
	Epoch        uint64
}

// compare orders accounts by epoch, node, application and Orchestrator, as P5 and
// P6 do.
func (a Account) compare(b Account) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), bytes.Compare(a.Node[:], b.Node[:]),
		bytes.Compare(a.Application[:], b.Application[:]), bytes.Compare(a.Orchestrator[:], b.Orchestrator[:]))
}

// Signed is a receipt with the signature of its Orchestrator.
type Signed struct {
	Account
	Sequence uint64
	Counters
	Signature identity.Signature
}

// Statement is what is signed (P15).
func (s Signed) Statement() epoch.Receipt {
	return epoch.Receipt{
		Application: s.Application, Orchestrator: s.Orchestrator, Node: s.Node, Epoch: s.Epoch, Sequence: s.Sequence,
		ClientBytes: econ.NewWei(s.Client), RelayBytes: econ.NewWei(s.Relay),
	}
}

// Sign fills in the signature of key, whose id must be the Orchestrator.
func (s Signed) Sign(key *identity.Key, domain identity.Domain) (Signed, error) {
	if key.ID() != s.Orchestrator {
		return Signed{}, fmt.Errorf("%w: %s can't sign for %s", ErrParty, key.ID(), s.Orchestrator)
	}
	typed, err := s.typed(domain)
	if err != nil {
		return Signed{}, err
	}
	s.Signature = key.SignTyped(typed)
	return s, nil
}

// Verify holds every field to P15 (ErrMalformed) and the signature to the
// Orchestrator (ErrSignature).
func (s Signed) Verify(domain identity.Domain) error {
	typed, err := s.typed(domain)
	if err != nil {
		return err
	}
	// V of 0 or 1 would be a second spelling of the same signature.
	if v := s.Signature[64]; v != 27 && v != 28 {
		return fmt.Errorf("%w: V must be 27 or 28, is %d", ErrSignature, v)
	}
	signer, err := identity.RecoverTyped(typed, s.Signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if signer.ID() != s.Orchestrator {
		return fmt.Errorf("%w: want that of %s, recovered %s", ErrSignature, s.Orchestrator, signer.ID())
	}
	return nil
}

func (s Signed) typed(domain identity.Domain) (identity.TypedHash, error) {
	if !s.valid() {
		return identity.TypedHash{}, fmt.Errorf("%w: bytes of the receipt: want below 2^62 each, got %d and %d", ErrMalformed, s.Client, s.Relay)
	}
	typed, err := s.Statement().Typed(domain)
	if err != nil {
		return identity.TypedHash{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return typed, nil
}

// contradicts reports whether both together forfeit a bond (P15).
func (s Signed) contradicts(o Signed) bool {
	return s.Account == o.Account && s.Sequence == o.Sequence && s.Counters != o.Counters
}

// rank orders the receipts of an account, the one that counts last (RC10).
func (s Signed) rank(o Signed) int {
	return cmp.Or(cmp.Compare(s.Sum(), o.Sum()), cmp.Compare(s.Sequence, o.Sequence), cmp.Compare(s.Client, o.Client),
		bytes.Compare(s.Signature[:], o.Signature[:]))
}

// Size is the bytes of a Signed in Append.
const Size = 3*20 + 4*8 + 65

// Append writes s behind b: addresses of application, Orchestrator and node,
// epoch, sequence, client and relay bytes as 64 bits each, signature.
func (s Signed) Append(b []byte) []byte {
	b = append(b, s.Application[:]...)
	b = append(b, s.Orchestrator[:]...)
	b = append(b, s.Node[:]...)
	for _, n := range []uint64{s.Epoch, s.Sequence, s.Client, s.Relay} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, s.Signature[:]...)
}

// Parse reads what Append wrote. The signature is not verified.
func Parse(b []byte) (Signed, error) {
	if len(b) != Size {
		return Signed{}, fmt.Errorf("%w: a receipt has %d bytes, got %d", ErrMalformed, Size, len(b))
	}
	r := reader{left: b}
	s := r.signed()
	return s, r.err
}
