package record

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
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

// Path is the way by which an envelope came.
type Path int

const (
	// Submitted by its issuer: rate limited.
	Submitted Path = iota
	// Gossiped by another Registry as news: rate limited.
	Gossiped
	// Synced from another Registry's Set, where only the newest of each key is
	// passed on: not rate limited.
	Synced
)

// Outcome is what became of an envelope.
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

// Result is what became of one envelope of several.
type Result struct {
	Outcome Outcome
	Err     error
}

// Set is the map. Make one with New.
type Set struct {
	rules Rules
	kinds []Kind           // resolved; an entry names its kind by position
	names map[string]uint8 // position in kinds

	leaves  [Leaves]leaf
	groups  [Groups]sum
	root    sum
	count   int
	quotas  map[author]*quota
	gone    map[Key]struct{} // no longer held, and not yet returned by Expire
	scan    time.Time        // when Expire looks again, or zero
	pending []Equivocation
}

// New returns an empty Set, or says which rule is out of range.
func New(rules Rules) (*Set, error) {
	if err := rules.Validate(); err != nil {
		return nil, err
	}
	s := &Set{rules: rules, names: map[string]uint8{}, quotas: map[author]*quota{}, gone: map[Key]struct{}{}}
	for i, k := range rules.Kinds {
		s.kinds = append(s.kinds, rules.resolve(k))
		s.names[k.Name] = uint8(i)
	}
	s.initSums()
	return s, nil
}

// verdict is what Judge finds.
type verdict struct {
	outcome Outcome
	kind    uint8
	id      ItemID
	hash    [32]byte
	old     *entry // held under id, or nil
	evicts  *entry // goes to make room, or nil
	proves  bool   // with old it is an equivocation
}

// Judge says what Merge would do with e: everything but the body's rule and the
// signature. Only Stored asks for more: call Genuine and then Merge, whose
// outcome counts. It may still be Stale, when e does not replace what is held
// but proves that its issuer equivocates.
//
// An expired envelope that is still worth a mark is refused with ErrExpired and
// outcome Stored: it is never shown, but two Sets that saw it at different times
// still agree.
func (s *Set) Judge(now time.Time, e *envelope.Envelope, p Path) (Outcome, error) {
	v, err := s.judge(now, e, p)
	return v.outcome, err
}

// Genuine makes the checks that cost something: the body's rule, then the
// signature. It may run in several goroutines, also while others use the Set.
// The envelope's kind must be one that Judge accepted.
func (s *Set) Genuine(e *envelope.Envelope) error {
	i, ok := s.names[e.Kind]
	if !ok {
		return fmt.Errorf("%w: got %.40q", ErrKind, e.Kind)
	}
	if check := s.kinds[i].Check; check != nil {
		if err := check(e); err != nil {
			return err
		}
	}
	signer, err := e.Signer()
	if check := s.kinds[i].CheckSigner; err == nil && check != nil {
		err = check(e, signer)
	}
	return err
}

// Merge judges e again and joins it. The caller has found e Genuine and no longer
// changes it.
func (s *Set) Merge(now time.Time, e envelope.Envelope, p Path) (Outcome, error) {
	v, err := s.judge(now, &e, p)
	if v.outcome != Stored {
		return v.outcome, err
	}
	return s.join(now, v, &e, p), err
}

// Apply is Judge, Genuine and Merge of an envelope that its issuer submitted.
// The caller no longer changes e.
func (s *Set) Apply(now time.Time, e envelope.Envelope) (Outcome, error) {
	v, err := s.judge(now, &e, Submitted)
	if v.outcome != Stored {
		return v.outcome, err
	}
	if err := s.Genuine(&e); err != nil {
		return Refused, err
	}
	return s.join(now, v, &e, Submitted), err
}

// Restore joins an envelope that this Registry verified before it stored it,
// without the signature and the rate limit; hash is e.Hash(). What the rules no
// longer admit is refused.
func (s *Set) Restore(now time.Time, e envelope.Envelope, hash [32]byte) (Outcome, error) {
	i, err := s.admissible(now, &e)
	if err != nil {
		return Refused, err
	}
	v, err := s.place(now, i, &e, hash, Synced)
	if v.outcome != Stored {
		return v.outcome, err
	}
	return s.join(now, v, &e, Synced), nil
}

func (s *Set) judge(now time.Time, e *envelope.Envelope, p Path) (verdict, error) {
	i, err := s.admissible(now, e)
	if err != nil {
		return verdict{}, err
	}
	return s.place(now, i, e, e.Hash(), p)
}

// place is the part of judge after the checks that cost nothing.
func (s *Set) place(now time.Time, i uint8, e *envelope.Envelope, hash [32]byte, p Path) (v verdict, err error) {
	kind, key := &s.kinds[i], KeyOf(e)
	v = verdict{outcome: Stored, kind: i, id: ItemOf(key), hash: hash}
	v.old = s.find(v.id)
	if v.old == nil {
		if v.evicts, err = s.room(now, v.id, i, e.Issuer, p); err != nil {
			return verdict{}, err
		}
		return v, s.expired(now, e)
	}
	if v.old.hash == v.hash {
		v.outcome = Known
		return v, s.expired(now, e)
	}
	v.proves = s.contradicts(v.old, e)
	if !newer(e, v.hash, v.old) {
		if !v.proves {
			v.outcome = Stale
		}
		return v, nil
	}
	// Leaving is never too soon: a tombstone after a live record passes, and the
	// way back is under the limit.
	leaving := e.IsTombstone() && !v.old.isTombstone()
	if wait := v.old.rate.wait(now, kind); wait > 0 && !leaving && p != Synced {
		return verdict{}, fmt.Errorf("%w: at most one every %s and %d at once; try again in %s",
			ErrRate, kind.RateEvery, kind.RateBurst, wait.Round(time.Millisecond))
	}
	return v, s.expired(now, e)
}

// join does what judge found.
func (s *Set) join(now time.Time, v verdict, e *envelope.Envelope, p Path) Outcome {
	if v.proves {
		s.accuse(v.old, e, v.hash)
		if !newer(e, v.hash, v.old) {
			return Stale
		}
	}
	if v.evicts != nil {
		s.evict(now, v.evicts, p)
	}
	en := newEntry(v.kind, v.id, v.hash, e)
	if v.old != nil {
		en.rate = v.old.rate
		en.accused = v.old.accused && v.old.version() == e.Version()
	}
	if p != Synced {
		en.rate.take(now, &s.kinds[v.kind])
	}
	s.put(en, v.old)
	s.scanAt(s.heldUntil(&en))
	if s.rules.Bonding != nil { // its answers may change
		s.scanAt(now.Truncate(ForgetGrid).Add(ForgetGrid))
	}
	return Stored
}

// admissible makes the checks that cost nothing and returns the kind.
func (s *Set) admissible(now time.Time, e *envelope.Envelope) (uint8, error) {
	i, ok := s.names[e.Kind]
	if !ok {
		return 0, fmt.Errorf("%w: got %.40q", ErrKind, e.Kind)
	}
	kind := &s.kinds[i]
	switch {
	case e.Network != s.rules.Network:
		return 0, fmt.Errorf("%w: want %q, got %.40q", ErrNetwork, s.rules.Network, e.Network)
	case kind.SelfIssued && e.Issuer != e.Subject:
		return 0, fmt.Errorf("%w: a %s record is signed by its subject %s, got %s", ErrIssuer, e.Kind, e.Subject, e.Issuer)
	case len(e.Body) > kind.MaxBody:
		return 0, fmt.Errorf("%w: want at most %d bytes, got %d", ErrSize, kind.MaxBody, len(e.Body))
	case e.TTL > kind.MaxTTL:
		return 0, fmt.Errorf("%w: want at most %s, got %s", ErrTTL, kind.MaxTTL, e.TTL)
	case e.IsTombstone() && !kind.Tombstones:
		return 0, fmt.Errorf("%w: kind %q", ErrTombstone, e.Kind)
	}
	if err := s.bonded(kind, e.Issuer, e.Generation); err != nil {
		return 0, err
	}
	if e.IssuedAt.After(now.Add(s.rules.Skew)) {
		return 0, fmt.Errorf("%w: it is %s ahead of this Registry, at most %s is allowed; set the clock", ErrFuture, e.IssuedAt.Sub(now).Round(time.Millisecond), s.rules.Skew)
	}
	if !now.Before(s.rules.heldUntil(kind, e.IssuedAt)) {
		return 0, s.expired(now, e)
	}
	return i, nil
}

// bonded asks Rules.Bonding about an issuer.
func (s *Set) bonded(kind *Kind, issuer drtc.NodeID, generation uint64) error {
	b := s.rules.Bonding
	if b == nil {
		return nil
	}
	if !b.Bonded(kind.Issuer, issuer) {
		return fmt.Errorf("%w: %s takes no part as a %s: register it", ErrBond, issuer, kind.Issuer)
	}
	if least := b.MinGeneration(issuer); generation < least {
		return fmt.Errorf("%w: want at least %d, got %d", ErrRevoked, least, generation)
	}
	return nil
}

// expired is the error for a record past its life; a tombstone has none.
func (s *Set) expired(now time.Time, e *envelope.Envelope) error {
	if e.IsTombstone() && now.Before(s.rules.heldUntil(&s.kinds[s.names[e.Kind]], e.IssuedAt)) || now.Before(s.rules.liveUntil(e)) {
		return nil
	}
	return fmt.Errorf("%w: its life ended %s ago; sign a new one or set the clock", ErrExpired, now.Sub(e.ExpiresAt()).Round(time.Millisecond))
}

// newer is the join: greater version, then greater hash.
func newer(e *envelope.Envelope, hash [32]byte, old *entry) bool {
	if v, w := e.Version(), old.version(); v != w {
		return w.Less(v)
	}
	return bytes.Compare(hash[:], old.hash[:]) > 0
}

// Get returns what is held under key, shown or not.
func (s *Set) Get(key Key) (envelope.Envelope, bool) { return s.Lookup(ItemOf(key)) }

// Lookup returns what is held under id, shown or not.
func (s *Set) Lookup(id ItemID) (envelope.Envelope, bool) {
	if en := s.find(id); en != nil {
		return s.envelope(en), true
	}
	return envelope.Envelope{}, false
}

// Live returns what is held under key if it is shown at now.
func (s *Set) Live(now time.Time, key Key) (envelope.Envelope, bool) {
	e, ok := s.Get(key)
	if !ok || !now.Before(s.rules.liveUntil(&e)) {
		return envelope.Envelope{}, false
	}
	return e, true
}

// All returns the envelopes that are shown at now, in order of their keys.
func (s *Set) All(now time.Time) []envelope.Envelope {
	var all []envelope.Envelope
	for l := range s.leaves {
		for i := range s.leaves[l].entries {
			if e := s.envelope(s.leaves[l].entries[i]); now.Before(s.rules.liveUntil(&e)) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b envelope.Envelope) int { return KeyOf(&a).compare(KeyOf(&b)) })
	return all
}

// Len counts the entries of every state.
func (s *Set) Len() int { return s.count }

// Expire forgets marks whose time has come, and what its issuer may no longer
// say, and returns in order the keys that were forgotten since the last call,
// those that made room for others (ErrQuota) included. What it returns may be
// stored again later.
func (s *Set) Expire(now time.Time) []Key {
	if !s.scan.IsZero() && !now.Before(s.scan) {
		s.forget(now)
	}
	if len(s.gone) == 0 {
		return nil
	}
	keys := make([]Key, 0, len(s.gone))
	for k := range s.gone {
		keys = append(keys, k)
	}
	clear(s.gone)
	slices.SortFunc(keys, Key.compare)
	return keys
}

// forget looks at every entry. The Set needs that at most once in a step of the
// grid.
func (s *Set) forget(now time.Time) {
	s.scan = time.Time{}
	if s.rules.Bonding != nil {
		s.scanAt(now.Truncate(ForgetGrid).Add(ForgetGrid))
	}
	for l := range s.leaves {
		for _, en := range slices.Clone(s.leaves[l].entries) {
			until := s.heldUntil(en)
			if !now.Before(until) || s.bonded(&s.kinds[en.kind], en.issuer, en.generation) != nil {
				s.drop(en)
			} else {
				s.scanAt(until)
			}
		}
	}
}

// scanAt makes Expire look again at until at the latest.
func (s *Set) scanAt(until time.Time) {
	if s.scan.IsZero() || until.Before(s.scan) {
		s.scan = until
	}
}

// LiveUntil is when e stops being shown.
func (s *Set) LiveUntil(e *envelope.Envelope) time.Time { return s.rules.liveUntil(e) }
