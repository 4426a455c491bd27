package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// Plan says what a World consists of.
type Plan struct {
	Seed       uint64
	Registries int
	// Hostile says what the Registries of the highest numbers are instead.
	Hostile []Habits
	Issuers int
	Homes   int // Registries that an issuer submits to
	// Degree is how many others each Registry gossips with at least; zero: all.
	Degree int
	Link   netsim.Link
	// Liveness has Registries dial the issuers and count the votes.
	Liveness bool
	// Rules changes the network's rules; nil leaves them.
	Rules func(*record.Rules)
	// Trace is how many of the last events a failed run shows.
	Trace int
}

// World is the whole network. Make one with New.
type World struct {
	plan    Plan
	net     *netsim.Network[Message]
	rules   record.Rules
	limits  reconcile.Limits
	mesh    [][]int
	issuers []*Issuer
	keys    []*identity.Key // of the Registries
	// nodeKeys are of the issuers; machines are where everybody runs.
	nodeKeys []*identity.Key
	machines map[drtc.NodeID]int
	// OnVerdict, if set, is told of what Registries make of nodes.
	OnVerdict func(registry int, c liveness.Change)

	signed   map[[32]byte]bool                // by honest issuers
	acked    map[record.Key]envelope.Envelope // the join of what honest Registries acknowledged
	liars    map[drtc.NodeID]bool             // issuers that have equivocated
	bonds    *Bonds
	verdicts map[[32]byte]error // of Genuine, by hash
	// Verdicts counts calls of Genuine by honest Registries.
	Verdicts int
	// Sessions sums up the sessions that honest Registries finished.
	Sessions reconcile.Stats
	Finished int
}

// ErrStale stands in Refusals for records than which a newer one is held.
var ErrStale = errors.New("simulation: a newer one is held")

// Causes are the reasons for which a record is refused.
func causes() []error {
	return []error{
		record.ErrKind, record.ErrNetwork, record.ErrIssuer, record.ErrSize, record.ErrTTL, record.ErrTombstone,
		record.ErrBond, record.ErrRevoked, record.ErrFuture, record.ErrExpired, record.ErrRate, record.ErrQuota,
		record.ErrFull, envelope.ErrSignature, envelope.ErrField,
	}
}

func cause(err error) error {
	for _, c := range causes() {
		if errors.Is(err, c) {
			return c
		}
	}
	return err
}

// New builds the network of p; it starts with the first Run.
func New(p Plan) (*World, error) {
	w := &World{
		plan: p, limits: reconcile.DefaultLimits(), signed: map[[32]byte]bool{},
		acked: map[record.Key]envelope.Envelope{}, verdicts: map[[32]byte]error{}, liars: map[drtc.NodeID]bool{}, machines: map[drtc.NodeID]int{},
		bonds: &Bonds{Nodes: map[drtc.NodeID]bool{}, Registries: map[drtc.NodeID]bool{}, Least: map[drtc.NodeID]uint64{}},
	}
	w.rules = record.DefaultRules("simnet")
	w.rules.Kinds = []record.Kind{record.NodeKind(nil), record.RegistryKind(nil), record.LivenessKind(nil)}
	if p.Liveness {
		w.rules.Kinds[2] = record.LivenessKind(liveness.Check)
	}
	w.rules.Bonding = w.bonds
	if p.Rules != nil {
		p.Rules(&w.rules)
	}
	if err := w.rules.Validate(); err != nil {
		return nil, err
	}
	w.net = netsim.New(netsim.Config[Message]{
		Seed: p.Seed, Link: p.Link, Trace: p.Trace, Describe: describe, Size: Message.size,
	})
	w.mesh = newMesh(w.net.Rand(), p.Registries, p.Degree)
	for id := range p.Registries {
		key := newKey('r', id)
		w.keys = append(w.keys, key)
		w.bonds.Registries[key.ID()], w.machines[key.ID()] = true, id
		if h := id - (p.Registries - len(p.Hostile)); h >= 0 {
			w.bonds.Least[key.ID()] = 1
			w.net.Add(func(port *netsim.Port[Message]) netsim.Node[Message] { return newHostile(w, port, p.Hostile[h]) })
		} else {
			w.net.Add(func(port *netsim.Port[Message]) netsim.Node[Message] { return newRegistry(w, port) })
		}
	}
	for id := range p.Issuers {
		key := newKey('n', id)
		w.bonds.Nodes[key.ID()], w.machines[key.ID()] = true, p.Registries+id
		w.nodeKeys = append(w.nodeKeys, key)
		homes := w.net.Rand().Perm(p.Registries)[:min(max(p.Homes, 1), p.Registries)]
		w.net.Add(func(port *netsim.Port[Message]) netsim.Node[Message] {
			issuer := newIssuer(w, port, key, homes)
			if id < len(w.issuers) {
				w.issuers[id] = issuer
			} else {
				w.issuers = append(w.issuers, issuer)
			}
			return issuer
		})
	}
	return w, w.net.Run(0)
}

// Net is the network below: time, partitions, crashes, clocks. Registries are its
// first machines, then come the issuers.
func (w *World) Net() *netsim.Network[Message] { return w.net }

// Rules are the network's.
func (w *World) Rules() record.Rules { return w.rules }

// Issuers is how many there are.
func (w *World) Issuers() int { return len(w.issuers) }

// Machine is where an issuer runs, for partitions and crashes.
func (w *World) Machine(issuer int) int { return w.plan.Registries + issuer }

// RestartIssuer makes an issuer lose its state.
func (w *World) RestartIssuer(id int) {
	w.net.Crash(w.Machine(id))
	w.net.Restart(w.Machine(id))
}

// Issuer returns an issuer by its number.
func (w *World) Issuer(id int) *Issuer { return w.issuers[id] }

// Registry returns an honest Registry that is up, or nil.
func (w *World) Registry(id int) *Registry {
	r, _ := w.net.Node(id).(*Registry)
	return r
}

// Trust makes e pass for genuine, for worlds that begin with more records than
// it takes time to sign.
func (w *World) Trust(e *envelope.Envelope) {
	hash := e.Hash()
	w.verdicts[hash], w.signed[hash] = nil, true
}

// Hostile returns a hostile Registry that is up, or nil.
func (w *World) Hostile(id int) *Hostile {
	h, _ := w.net.Node(id).(*Hostile)
	return h
}

// Bad makes one record for each rule that a hostile Registry can break.
func (w *World) Bad(id int) []BadRecord { return w.bad(w.net.Now(), w.keys[id]) }

// Page is a page of liveness that a Registry signs now.
func (w *World) Page(registry, page int) envelope.Envelope {
	e := envelope.Envelope{
		Kind: record.KindLiveness, Network: w.rules.Network, Subject: drtc.NodeID{19: byte(page + 1)},
		Seq: uint64(w.net.Now().UnixMilli()), IssuedAt: w.net.Now(), TTL: 5 * time.Minute, Body: []byte{byte(page)},
	}
	if err := e.Sign(w.keys[registry]); err != nil {
		panic(err) // every field is from here
	}
	w.signed[e.Hash()] = true
	return e
}

// Honest are the numbers of the honest Registries.
func (w *World) Honest() []int {
	ids := make([]int, w.plan.Registries-len(w.plan.Hostile))
	for id := range ids {
		ids[id] = id
	}
	return ids
}

// Check says in which way honest Registries differ from each other or from what
// was acknowledged; nil is a network that has converged. Clocks must be right
// again and every Registry up.
func (w *World) Check() error {
	now := w.net.Now()
	want := w.Registry(0)
	for _, id := range w.Honest() {
		r := w.Registry(id)
		if r == nil {
			return fmt.Errorf("simulation: Registry %d is down", id)
		}
		r.expire(now)
		for _, p := range r.Proofs {
			if !w.liars[p.Offender] {
				return fmt.Errorf("simulation: Registry %d accuses %s, who never equivocated", id, p.Offender)
			}
		}
		if r.set.Root() != want.set.Root() {
			return fmt.Errorf("simulation: roots of Registries 0 and %d differ: they hold %d and %d", id, want.set.Len(), r.set.Len())
		}
	}
	return w.checkHeld(now, want.set)
}

func (w *World) checkHeld(now time.Time, set *record.Set) error {
	for _, key := range sortedKeys(w.acked) {
		e := w.acked[key]
		held, ok := set.Get(key)
		switch end := w.heldUntil(&e); {
		case ok && held.Hash() == e.Hash():
			if !now.Before(end.Add(record.ForgetGrid)) {
				return fmt.Errorf("simulation: %s should be forgotten since %s", name(&e), end)
			}
		case ok && w.signed[held.Hash()] && joins(&held, &e) && w.mayHold(now, set, &held):
		case ok:
			return fmt.Errorf("simulation: %s is held, acknowledged was %s", name(&held), name(&e))
		case now.Before(end):
			return fmt.Errorf("simulation: %s was acknowledged and is lost", name(&e))
		}
	}
	return w.checkGenuine(now, set)
}

// mayHold: what was not acknowledged may be held where a hostile Registry was
// asked, or as a mark when it expired before its issuer could ask again.
func (w *World) mayHold(now time.Time, set *record.Set, e *envelope.Envelope) bool {
	return len(w.plan.Hostile) > 0 || !e.IsTombstone() && !now.Before(set.LiveUntil(e))
}

// checkGenuine holds that nothing is in set that no honest issuer signed.
func (w *World) checkGenuine(now time.Time, set *record.Set) error {
	for l := range record.Leaves {
		for _, item := range set.Items(l) {
			e, _ := set.Lookup(item.ID)
			if !w.signed[item.Hash] || e.Hash() != item.Hash {
				return fmt.Errorf("simulation: %s is held, and no honest issuer signed it", name(&e))
			}
			if _, ok := w.acked[record.KeyOf(&e)]; !ok && e.Kind == record.KindNode && w.plan.Issuers > 0 && !w.mayHold(now, set, &e) {
				return fmt.Errorf("simulation: %s is held, and was never acknowledged", name(&e))
			}
		}
	}
	return nil
}

// Converge lets time pass until Check is content, for at most limit, and returns
// how long that took.
func (w *World) Converge(limit time.Duration) (time.Duration, error) {
	begin := w.net.Elapsed()
	for {
		err := w.Check()
		took := w.net.Elapsed() - begin
		if err == nil {
			return took, nil
		}
		if took >= limit {
			return took, fmt.Errorf("not converged after %s: %w\n%s", took, err, w.net.Report())
		}
		if err := w.net.Run(w.net.Elapsed() + 100*time.Millisecond); err != nil {
			return took, fmt.Errorf("%w\n%s", err, w.net.Report())
		}
	}
}

// heldUntil is the end of a mark before it is rounded up to the grid.
func (w *World) heldUntil(e *envelope.Envelope) time.Time {
	for _, k := range w.rules.Kinds {
		if k.Name == e.Kind {
			return e.IssuedAt.Add(k.MaxTTL + w.rules.Grace + 2*w.rules.Skew)
		}
	}
	return time.Time{}
}

// genuine is set.Genuine, remembered.
func (w *World) genuine(set *record.Set, e *envelope.Envelope) error {
	w.Verdicts++
	hash := e.Hash()
	err, ok := w.verdicts[hash]
	if !ok {
		err = set.Genuine(e)
		w.verdicts[hash] = err
	}
	return err
}

func (w *World) acknowledge(registry int, e *envelope.Envelope) {
	if _, hostile := w.net.Node(registry).(*Hostile); hostile {
		return
	}
	key := record.KeyOf(e)
	if old, ok := w.acked[key]; !ok || joins(e, &old) {
		w.acked[key] = *e
	}
}

// joins is the join of spec REG-8, written here a second time: whether e stands
// rather than old.
func joins(e, old *envelope.Envelope) bool {
	if v, w := e.Version(), old.Version(); v != w {
		return w.Less(v)
	}
	a, b := e.Hash(), old.Hash()
	return bytes.Compare(a[:], b[:]) > 0
}

func (w *World) finished(s reconcile.Stats) {
	w.Finished++
	w.Sessions.BytesIn += s.BytesIn
	w.Sessions.BytesOut += s.BytesOut
	w.Sessions.RecordsIn += s.RecordsIn
	w.Sessions.RecordsOut += s.RecordsOut
}

// newMesh draws a connected graph: a ring in random order, and chords until
// everybody has degree neighbours.
func newMesh(r *rand.Rand, n, degree int) [][]int {
	mesh := make([][]int, n)
	join := func(a, b int) {
		if a != b && !slices.Contains(mesh[a], b) {
			mesh[a], mesh[b] = append(mesh[a], b), append(mesh[b], a)
		}
	}
	if degree == 0 || degree >= n {
		degree = n - 1
	}
	ring := r.Perm(n)
	for i := range ring {
		join(ring[i], ring[(i+1)%n])
	}
	for a := range mesh {
		for len(mesh[a]) < degree {
			join(a, r.IntN(n))
		}
	}
	return mesh
}

// newKey makes the same key for the same number every time.
func newKey(role byte, number int) *identity.Key {
	seed := [32]byte{0: role, 30: byte(number >> 8), 31: byte(number)}
	key, err := identity.Generate(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err) // a small number is a key
	}
	return key
}

func sortedKeys(m map[record.Key]envelope.Envelope) []record.Key {
	keys := make([]record.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b record.Key) int {
		return bytes.Compare(fold(a), fold(b))
	})
	return keys
}

func fold(k record.Key) []byte {
	b := append([]byte(k.Kind), 0)
	b = append(b, k.Subject[:]...)
	return append(b, k.Issuer[:]...)
}
