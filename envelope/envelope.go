package envelope

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Bounds of an envelope. A kind may have narrower ones.
const (
	MaxBody = 64 << 10      // bytes of Body
	MaxName = 32            // bytes of Kind and of Network
	MaxSize = MaxBody + 256 // bytes of the canonical form

	// MaxTTL is what 32 bits of seconds hold.
	MaxTTL = math.MaxUint32 * time.Second

	// maxMillis keeps IssuedAt exact where numbers are IEEE doubles.
	maxMillis = 1<<53 - 1
)

// Errors of this package. Those about a value wrap ErrField and name the field.
var (
	ErrMalformed = errors.New("envelope: not the canonical bytes of a record")
	ErrField     = errors.New("envelope: field out of range")
	ErrSignature = errors.New("envelope: signature: not made by the issuer over these fields")
)

// Flags are bits of an envelope.
type Flags uint32

// Tombstone says that the subject has left: the record replaces all with a lower
// version and is never shown.
const Tombstone Flags = 1

const knownFlags = Tombstone

// Envelope is one signed record. Fill in everything but Issuer and Signature,
// then Sign.
type Envelope struct {
	Kind       string      // kind of Body, such as "node": 1 to MaxName of a-z, 0-9 and -
	Network    string      // network it belongs to, such as "devnet"; same letters
	Subject    drtc.NodeID // whom it is about
	Issuer     drtc.NodeID // who signed
	Generation uint64      // raised by an issuer that cannot continue its Seq
	Seq        uint64      // rises with every record of the same kind, subject and issuer
	IssuedAt   time.Time   // whole milliseconds, UTC, from 1970 on
	TTL        time.Duration
	Flags      Flags
	Body       []byte // at most MaxBody bytes, encoded as Kind says
	Signature  identity.Signature
}

// Version orders the records of one kind, subject and issuer.
type Version struct {
	Generation uint64 `json:"generation"`
	Seq        uint64 `json:"seq"`
}

// Less reports whether v comes before w.
func (v Version) Less(w Version) bool {
	if v.Generation != w.Generation {
		return v.Generation < w.Generation
	}
	return v.Seq < w.Seq
}

// Next is the version after v. It raises the generation when Seq is used up.
func (v Version) Next() Version {
	if v.Seq == math.MaxUint64 {
		return Version{Generation: v.Generation + 1}
	}
	return Version{Generation: v.Generation, Seq: v.Seq + 1}
}

// Version returns the envelope's place in its issuer's order.
func (e *Envelope) Version() Version { return Version{e.Generation, e.Seq} }

// IsTombstone reports whether the subject has left.
func (e *Envelope) IsTombstone() bool { return e.Flags&Tombstone != 0 }

// ExpiresAt is the end of the record's life as its issuer declared it.
func (e *Envelope) ExpiresAt() time.Time { return e.IssuedAt.Add(e.TTL) }

// Sign sets Issuer to the key's id and signs. IssuedAt is cut to milliseconds.
// The error wraps ErrField; the envelope is then unsigned.
func (e *Envelope) Sign(key *identity.Key) error {
	e.Issuer = key.ID()
	e.IssuedAt = e.IssuedAt.UTC().Truncate(time.Millisecond)
	if err := e.check(); err != nil {
		return err
	}
	e.Signature = key.SignTyped(e.typed())
	return nil
}

// Verify reports whether every field is in range (ErrField) and Issuer signed
// all of them (ErrSignature).
func (e *Envelope) Verify() error {
	_, err := e.Signer()
	return err
}

// Signer is Verify and returns the key of Issuer, which the signature reveals.
func (e *Envelope) Signer() (identity.PublicKey, error) {
	if err := e.check(); err != nil {
		return identity.PublicKey{}, err
	}
	// V of 0 or 1 would be a second spelling of the same signature.
	if v := e.Signature[64]; v != 27 && v != 28 {
		return identity.PublicKey{}, fmt.Errorf("%w: V must be 27 or 28, got %d", ErrSignature, v)
	}
	signer, err := identity.RecoverTyped(e.typed(), e.Signature)
	if err != nil {
		return identity.PublicKey{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if signer.ID() != e.Issuer {
		return identity.PublicKey{}, fmt.Errorf("%w: want %s, recovered %s", ErrSignature, e.Issuer, signer.ID())
	}
	return signer, nil
}

// Digest is the EIP-712 hash that Issuer signs. The error wraps ErrField.
func (e *Envelope) Digest() ([32]byte, error) {
	if err := e.check(); err != nil {
		return [32]byte{}, err
	}
	return e.typed().Digest(), nil
}

// Hash is the keccak256 of the canonical bytes, signature included: equal
// hashes mean equal bytes.
func (e *Envelope) Hash() [32]byte { return identity.Keccak256(e.Bytes()) }

// check holds every field but the signature to its range.
func (e *Envelope) check() error {
	if !validName(e.Kind) {
		return fmt.Errorf("%w: kind: want 1 to %d of a-z, 0-9 and -, got %.40q", ErrField, MaxName, e.Kind)
	}
	if !validName(e.Network) {
		return fmt.Errorf("%w: network: want 1 to %d of a-z, 0-9 and -, got %.40q", ErrField, MaxName, e.Network)
	}
	if e.Subject.IsZero() {
		return fmt.Errorf("%w: subject: is missing", ErrField)
	}
	if e.Issuer.IsZero() {
		return fmt.Errorf("%w: issuer: is missing", ErrField)
	}
	if ms := e.IssuedAt.UnixMilli(); ms < 0 || ms > maxMillis || !e.IssuedAt.Equal(time.UnixMilli(ms)) {
		return fmt.Errorf("%w: issued_at_ms: want whole milliseconds from 0 to 2^53-1, got %d", ErrField, ms)
	}
	if e.TTL < time.Second || e.TTL > MaxTTL || e.TTL%time.Second != 0 {
		return fmt.Errorf("%w: ttl_s: want whole seconds from 1 to %d, got %s", ErrField, uint32(math.MaxUint32), e.TTL)
	}
	if e.Flags&^knownFlags != 0 {
		return fmt.Errorf("%w: flags: only bit 0 (tombstone) is defined, got %#x", ErrField, uint32(e.Flags))
	}
	if len(e.Body) > MaxBody {
		return fmt.Errorf("%w: body: want at most %d bytes, got %d", ErrField, MaxBody, len(e.Body))
	}
	return nil
}

func validName(s string) bool {
	if len(s) < 1 || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
