package record

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
)

// Why an envelope is refused. Each is wrapped with the field and the fix;
// envelope.ErrField and envelope.ErrSignature and the errors of Kind.Check come
// through as they are.
var (
	ErrKind      = errors.New("record: kind is not of this network")
	ErrNetwork   = errors.New("record: network: is another one")
	ErrIssuer    = errors.New("record: issuer: may not write about this subject")
	ErrSize      = errors.New("record: body: too large for its kind")
	ErrTTL       = errors.New("record: ttl_s: too long for its kind")
	ErrTombstone = errors.New("record: flags: this kind has no tombstones")
	ErrFuture    = errors.New("record: issued_at_ms: is in the future")
	ErrExpired   = errors.New("record: issued_at_ms: has expired")
	ErrRate      = errors.New("record: too many updates of one record")
	ErrFull      = errors.New("record: this Registry is full")
)

// Key is where a record is held.
type Key struct {
	Kind            string
	Subject, Issuer drtc.NodeID
}

// KeyOf is where e belongs.
func KeyOf(e *envelope.Envelope) Key { return Key{e.Kind, e.Subject, e.Issuer} }

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind),
		bytes.Compare(k.Subject[:], o.Subject[:]), bytes.Compare(k.Issuer[:], o.Issuer[:]))
}

// Outcome is what Apply did with an envelope.
type Outcome int

const (
	// Refused: the error says why.
	Refused Outcome = iota
	// Stored: the envelope is now held.
	Stored
	// Known: exactly this envelope was held already.
	Known
	// Stale: a newer one is held.
	Stale
)

// String returns the outcome in lower case, for metrics.
func (o Outcome) String() string {
	return [...]string{"refused", "stored", "known", "stale"}[o]
}

type entry struct {
	env  envelope.Envelope
	hash [32]byte
	held time.Time // end of the mark
	rate bucket
}

// Set is the map. Make one with New.
type Set struct {
	rules   Rules
	kinds   map[string]Kind
	entries map[Key]*entry
}

// New returns an empty Set, or says which rule is out of range.
func New(rules Rules) (*Set, error) {
	if err := rules.Validate(); err != nil {
		return nil, err
	}
	s := &Set{rules: rules, kinds: map[string]Kind{}, entries: map[Key]*entry{}}
	for _, k := range rules.Kinds {
		s.kinds[k.Name] = k
	}
	return s, nil
}

// Apply joins e, which the caller no longer changes. What is cheap to check is
// checked first, the signature last, and not at all for what is known or stale.
//
// An expired envelope that is still worth a mark is refused with ErrExpired and
// outcome Stored when it was remembered as a mark: it is never shown, but two
// Sets that saw it at different times still agree.
func (s *Set) Apply(now time.Time, e envelope.Envelope) (Outcome, error) {
	kind, err := s.admissible(now, &e)
	if err != nil {
		return Refused, err
	}
	key, hash := KeyOf(&e), e.Hash()
	old := s.entries[key]
	if old != nil {
		if old.hash == hash {
			return Known, s.expired(now, &e)
		}
		if !newer(&e, hash, old) {
			return Stale, nil
		}
	} else if len(s.entries) >= s.rules.MaxRecords {
		return Refused, fmt.Errorf("%w: it holds %d records; try another one", ErrFull, len(s.entries))
	}
	// Leaving is never too soon: a tombstone after a live record passes, and the
	// way back is under the limit.
	leaving := e.IsTombstone() && old != nil && !old.env.IsTombstone()
	if !leaving && old != nil && !old.rate.ready(now, s.rules) {
		return Refused, fmt.Errorf("%w: at most one every %s and %d at once; try again in %s",
			ErrRate, s.rules.RateEvery, s.rules.RateBurst, old.rate.wait(now, s.rules).Round(time.Millisecond))
	}
	if err := s.genuine(kind, &e); err != nil {
		return Refused, err
	}
	fresh := &entry{env: e, hash: hash, held: s.rules.heldUntil(kind, &e)}
	if old != nil {
		fresh.rate = old.rate
	}
	fresh.rate.take(now, s.rules)
	s.entries[key] = fresh
	return Stored, s.expired(now, &e)
}

// Restore joins an envelope that this Registry verified before it stored it,
// without the signature and the rate limit. What the rules no longer admit is
// refused.
func (s *Set) Restore(now time.Time, e envelope.Envelope) (Outcome, error) {
	kind, err := s.admissible(now, &e)
	if err != nil {
		return Refused, err
	}
	key, hash := KeyOf(&e), e.Hash()
	if old := s.entries[key]; old != nil && !newer(&e, hash, old) {
		return Stale, nil
	}
	s.entries[key] = &entry{env: e, hash: hash, held: s.rules.heldUntil(kind, &e)}
	return Stored, nil
}

// admissible makes the checks that cost nothing.
func (s *Set) admissible(now time.Time, e *envelope.Envelope) (Kind, error) {
	kind, ok := s.kinds[e.Kind]
	switch {
	case !ok:
		return kind, fmt.Errorf("%w: got %.40q", ErrKind, e.Kind)
	case e.Network != s.rules.Network:
		return kind, fmt.Errorf("%w: want %q, got %.40q", ErrNetwork, s.rules.Network, e.Network)
	case kind.SelfIssued && e.Issuer != e.Subject:
		return kind, fmt.Errorf("%w: a %s record is signed by its subject %s, got %s", ErrIssuer, e.Kind, e.Subject, e.Issuer)
	case len(e.Body) > kind.MaxBody:
		return kind, fmt.Errorf("%w: want at most %d bytes, got %d", ErrSize, kind.MaxBody, len(e.Body))
	case e.TTL > kind.MaxTTL:
		return kind, fmt.Errorf("%w: want at most %s, got %s", ErrTTL, kind.MaxTTL, e.TTL)
	case e.IsTombstone() && !kind.Tombstones:
		return kind, fmt.Errorf("%w: kind %q", ErrTombstone, e.Kind)
	case e.IssuedAt.After(now.Add(s.rules.Skew)):
		return kind, fmt.Errorf("%w: it is %s ahead of this Registry, at most %s is allowed; set the clock", ErrFuture, e.IssuedAt.Sub(now).Round(time.Millisecond), s.rules.Skew)
	case !now.Before(s.rules.heldUntil(kind, e)):
		return kind, s.expired(now, e)
	}
	return kind, nil
}

// genuine makes the checks that cost something.
func (s *Set) genuine(kind Kind, e *envelope.Envelope) error {
	if kind.Check != nil {
		if err := kind.Check(e); err != nil {
			return err
		}
	}
	return e.Verify()
}

// expired is the error for a record past its life; a tombstone has none.
func (s *Set) expired(now time.Time, e *envelope.Envelope) error {
	if e.IsTombstone() && now.Before(s.rules.heldUntil(s.kinds[e.Kind], e)) || now.Before(s.rules.liveUntil(e)) {
		return nil
	}
	return fmt.Errorf("%w: its life ended %s ago; sign a new one or set the clock", ErrExpired, now.Sub(e.ExpiresAt()).Round(time.Millisecond))
}

// newer is the join: greater version, then greater hash.
func newer(e *envelope.Envelope, hash [32]byte, old *entry) bool {
	if v, w := e.Version(), old.env.Version(); v != w {
		return w.Less(v)
	}
	return bytes.Compare(hash[:], old.hash[:]) > 0
}

// Get returns what is held under key, shown or not.
func (s *Set) Get(key Key) (envelope.Envelope, bool) {
	if en, ok := s.entries[key]; ok {
		return en.env, true
	}
	return envelope.Envelope{}, false
}

// Live returns what is held under key if it is shown at now.
func (s *Set) Live(now time.Time, key Key) (envelope.Envelope, bool) {
	en, ok := s.entries[key]
	if !ok || !now.Before(s.rules.liveUntil(&en.env)) {
		return envelope.Envelope{}, false
	}
	return en.env, true
}

// All returns the envelopes that are shown at now, in order of their keys.
func (s *Set) All(now time.Time) []envelope.Envelope {
	var all []envelope.Envelope
	for _, k := range s.keys() {
		if e, ok := s.Live(now, k); ok {
			all = append(all, e)
		}
	}
	return all
}

// Len counts the entries of every state.
func (s *Set) Len() int { return len(s.entries) }

// Expire forgets marks whose time has come and returns their keys in order.
func (s *Set) Expire(now time.Time) []Key {
	var gone []Key
	for k, en := range s.entries {
		if !now.Before(en.held) {
			gone = append(gone, k)
			delete(s.entries, k)
		}
	}
	slices.SortFunc(gone, Key.compare)
	return gone
}

// LiveUntil is when e stops being shown.
func (s *Set) LiveUntil(e *envelope.Envelope) time.Time { return s.rules.liveUntil(e) }

// Digest is a SHA-256 over everything held, marks included: equal Sets, and no
// others, have equal digests.
func (s *Set) Digest() [32]byte {
	h := sha256.New()
	for _, k := range s.keys() {
		en := s.entries[k]
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(k.Kind)))
		h.Write(size[:])
		h.Write([]byte(k.Kind))
		h.Write(k.Subject[:])
		h.Write(k.Issuer[:])
		h.Write(en.hash[:])
	}
	return [32]byte(h.Sum(nil))
}

func (s *Set) keys() []Key {
	keys := make([]Key, 0, len(s.entries))
	for k := range s.entries {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, Key.compare)
	return keys
}
