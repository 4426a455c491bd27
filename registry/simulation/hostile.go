package simulation

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// Habits are what a hostile Registry does. Without any it listens, and passes
// nothing on.
type Habits struct {
	// Drop acknowledges what it is given and keeps silent otherwise.
	Drop bool
	// Replay gossips records that it has heard, the oldest most of all.
	Replay bool
	// Flood is how many bad records it makes and gossips in a second.
	Flood int
	// Gossip is gossiped once a second.
	Gossip []envelope.Envelope
	// Show is shown in sessions, to all and again and again.
	Show []envelope.Envelope
	// Lie shows random hashes in sessions, items that nobody has, and records
	// that were not asked for.
	Lie bool
	// Garble breaks every fourth frame: bits, length, order, repetition.
	Garble bool
	// Endless shows sixty thousand items that nobody has, other ones each time.
	Endless bool
}

// memory is how many records a hostile Registry keeps to replay.
const memory = 500

const (
	tagFlood = iota
	tagReplay
	tagOpen
)

// Hostile is a Registry that means harm. It has a bonded identity, hears all that
// others hear and may say anything.
type Hostile struct {
	Habits
	world    *World
	port     *netsim.Port[Message]
	set      *record.Set
	heard    []envelope.Envelope
	sessions map[Session]*session
	last     [][]byte // frames that it has seen, to repeat
}

func newHostile(w *World, p *netsim.Port[Message], h Habits) *Hostile {
	return &Hostile{Habits: h, world: w, port: p, sessions: map[Session]*session{}}
}

// Start implements netsim.Node.
func (h *Hostile) Start(time.Time) {
	set, err := record.New(h.world.rules)
	if err != nil {
		panic(err) // the Plan was validated
	}
	h.set = set
	for tag := range tagOpen + 1 {
		h.port.After(time.Second, tag)
	}
}

// Receive implements netsim.Node.
func (h *Hostile) Receive(now time.Time, from int, m Message) {
	switch m := m.(type) {
	case Gossip:
		for _, e := range m {
			h.learn(now, e)
		}
	case Submission:
		h.learn(now, m.Record)
		h.port.SendReliable(from, Receipt{Hash: m.Record.Hash(), Accepted: true})
	case Frame:
		if !h.Drop {
			h.frame(now, from, m)
		}
	}
}

// Timeout implements netsim.Node.
func (h *Hostile) Timeout(now time.Time, tag int) {
	r := h.port.Rand()
	switch tag {
	case tagFlood:
		g := slices.Clone(h.Gossip)
		for range h.Flood {
			g = append(g, h.junk(now))
		}
		h.gossip(g)
	case tagReplay:
		if h.Replay && len(h.heard) > 0 {
			var g Gossip
			for range 20 {
				g = append(g, h.heard[r.IntN(1+r.IntN(len(h.heard)))])
			}
			h.gossip(g)
		}
	case tagOpen:
		if h.Lie || h.Garble || h.Endless || len(h.Show) > 0 || h.Replay {
			h.open(r.IntN(h.world.plan.Registries - len(h.world.plan.Hostile)))
		}
	}
	h.port.After(time.Second, tag)
}

func (h *Hostile) gossip(g Gossip) {
	for len(g) > 0 {
		n := min(len(g), batchRecords)
		for _, to := range h.world.mesh[h.port.ID()] {
			h.port.Send(to, g[:n:n])
		}
		g = g[n:]
	}
}

func (h *Hostile) learn(now time.Time, e envelope.Envelope) {
	_, _ = h.set.Apply(now, e)
	if len(h.heard) < memory {
		h.heard = append(h.heard, e)
	}
}

// junk is a record with one thing wrong, of a kind drawn at random.
func (h *Hostile) junk(now time.Time) envelope.Envelope {
	r := h.port.Rand()
	if r.IntN(2) == 0 && len(h.heard) > 0 {
		return forged(r, h.heard[r.IntN(len(h.heard))])
	}
	bad := h.world.bad(now, h.world.keys[h.port.ID()])
	return bad[r.IntN(len(bad))].Record
}

// forged changes one field of a genuine record and leaves the signature.
func forged(r *rand.Rand, e envelope.Envelope) envelope.Envelope {
	switch r.IntN(5) {
	case 0:
		e.Seq += 1 + r.Uint64N(1000)
	case 1:
		e.Generation++
	case 2:
		e.Body = append(slices.Clone(e.Body), 'x')
	case 3:
		e.Flags ^= envelope.Tombstone
		e.Seq++
	default:
		e.Signature[r.IntN(64)] ^= 1
		e.Seq++
	}
	return e
}

// BadRecord is a record that must never be stored, and why it is refused.
type BadRecord struct {
	Name   string
	Record envelope.Envelope
	Want   error
}

// bad makes one record for each rule that a hostile Registry with the given key
// can break. The victim in whose name it speaks is the first issuer.
func (w *World) bad(now time.Time, key *identity.Key) []BadRecord {
	victim := w.issuers[0].key
	stranger := newKey('s', 1)
	base := func(kind string) envelope.Envelope {
		return envelope.Envelope{
			Kind: kind, Network: w.rules.Network, Subject: key.ID(), Generation: 9, Seq: 1 << 60,
			IssuedAt: now, TTL: time.Minute, Body: []byte("bad"),
		}
	}
	var all []BadRecord
	add := func(name string, want error, by *identity.Key, kind string, change func(*envelope.Envelope)) {
		e := base(kind)
		e.Subject = by.ID()
		change(&e)
		if err := e.Sign(by); err != nil {
			panic(err) // bad by the network's rules, not by the envelope's
		}
		all = append(all, BadRecord{name, e, want})
	}
	node, registry := record.KindNode, record.KindRegistry
	add("unknown kind", record.ErrKind, key, "gossip", func(*envelope.Envelope) {})
	add("foreign network", record.ErrNetwork, victim, node, func(e *envelope.Envelope) { e.Network = "othernet" })
	add("about another", record.ErrIssuer, key, node, func(e *envelope.Envelope) { e.Subject = victim.ID() })
	add("oversized", record.ErrSize, victim, node, func(e *envelope.Envelope) { e.Body = make([]byte, 5<<10) })
	add("long-lived", record.ErrTTL, victim, node, func(e *envelope.Envelope) { e.TTL = 24 * time.Hour })
	add("unbonded node", record.ErrBond, stranger, node, func(*envelope.Envelope) {})
	add("unbonded registry", record.ErrBond, stranger, registry, func(*envelope.Envelope) {})
	add("node as registry", record.ErrBond, victim, registry, func(*envelope.Envelope) {})
	add("registry as node", record.ErrBond, key, node, func(*envelope.Envelope) {})
	add("revoked", record.ErrRevoked, key, registry, func(e *envelope.Envelope) { e.Generation = 0 })
	add("future", record.ErrFuture, victim, node, func(e *envelope.Envelope) { e.IssuedAt = now.Add(w.rules.Skew + time.Minute) })
	add("expired", record.ErrExpired, victim, node, func(e *envelope.Envelope) { e.IssuedAt = now.Add(-24 * time.Hour) })
	forged := base(node)
	forged.Subject = victim.ID()
	if err := forged.Sign(key); err != nil {
		panic(err)
	}
	forged.Issuer = victim.ID()
	all = append(all, BadRecord{"forged", forged, envelope.ErrSignature})
	return all
}

func (h *Hostile) open(peer int) {
	id := Session{h.port.ID(), h.port.Rand().Uint64()}
	core, frames := reconcile.Begin(h.source(), h.world.limits)
	s := &session{core: core, peer: peer}
	h.sessions[id] = s
	h.send(id, s, frames)
}

func (h *Hostile) frame(now time.Time, from int, f Frame) {
	s := h.sessions[f.Session]
	if s == nil {
		if f.Reset {
			return
		}
		s = &session{core: reconcile.Answer(h.source(), h.world.limits), peer: from}
		h.sessions[f.Session] = s
	}
	if h.Garble && len(h.last) < memory {
		h.last = append(h.last, f.Body)
	}
	step, err := s.core.Handle(f.Body)
	for _, e := range step.Records {
		h.learn(now, e)
	}
	h.send(f.Session, s, step.Send)
	if err != nil || step.Done || f.Reset {
		delete(h.sessions, f.Session)
	}
}

func (h *Hostile) send(id Session, s *session, frames [][]byte) {
	for _, body := range frames {
		if h.Garble && h.port.Rand().IntN(4) == 0 {
			body = h.garbled(body)
		}
		h.port.SendReliable(s.peer, Frame{Session: id, Index: s.sent, Body: body})
		s.sent++
	}
}

func (h *Hostile) garbled(body []byte) []byte {
	r := h.port.Rand()
	out := slices.Clone(body)
	switch r.IntN(5) {
	case 0:
		for range 1 + r.IntN(4) {
			if len(out) > 0 {
				out[r.IntN(len(out))] ^= byte(1 + r.IntN(255))
			}
		}
	case 1:
		out = out[:r.IntN(len(out)+1)]
	case 2:
		out = append(out, out...)
	case 3:
		if len(h.last) > 0 {
			out = h.last[r.IntN(len(h.last))]
		}
	default:
		out = make([]byte, r.IntN(2000))
		for i := range out {
			out[i] = byte(r.Uint32())
		}
	}
	return out
}

func (h *Hostile) source() reconcile.Source {
	l := &liar{Set: h.set, hostile: h, poison: map[record.ItemID]shown{}}
	if h.Replay {
		for _, e := range h.heard[:min(len(h.heard), 50)] {
			l.poison[record.ItemOf(record.KeyOf(&e))] = shown{e, envelope.Version{Generation: 1 << 60}}
		}
	}
	for _, e := range h.Show {
		l.poison[record.ItemOf(record.KeyOf(&e))] = shown{e, e.Version()}
	}
	return l
}

// liar is what a hostile Registry shows in a session.
type liar struct {
	*record.Set
	hostile *Hostile
	poison  map[record.ItemID]shown
}

// shown is a record and the version that is claimed for it.
type shown struct {
	record envelope.Envelope
	as     envelope.Version
}

func (l *liar) hash(honest [32]byte) [32]byte {
	if l.hostile.Lie || l.hostile.Endless || len(l.poison) > 0 {
		honest[0] ^= byte(1 + l.hostile.port.Rand().IntN(255))
	}
	return honest
}

// Root, Group and Leaf differ from everybody's, so that all leaves are compared.
func (l *liar) Root() [32]byte         { return l.hash(l.Set.Root()) }
func (l *liar) Group(g int) [32]byte   { return l.hash(l.Set.Group(g)) }
func (l *liar) Leaf(leaf int) [32]byte { return l.hash(l.Set.Leaf(leaf)) }

// Items shows poison and replays as newer than anything.
func (l *liar) Items(leaf int) []record.Item {
	items := l.Set.Items(leaf)
	r := l.hostile.port.Rand()
	if l.hostile.Lie {
		for i := range items {
			switch r.IntN(4) {
			case 0:
				items[i].Version.Seq++
			case 1:
				items[i].Version.Seq--
			case 2:
				items[i].Hash[r.IntN(32)]++
			}
		}
		items = append(items, randomItem(r, leaf))
	}
	if l.hostile.Endless && leaf%64 == 0 {
		for range 1000 {
			items = append(items, randomItem(r, leaf))
		}
	}
	for id, p := range l.poison {
		if id.Leaf() != leaf {
			continue
		}
		item := record.Item{ID: id, Version: p.as, Hash: p.record.Hash()}
		if i := slices.IndexFunc(items, func(have record.Item) bool { return have.ID == id }); i >= 0 {
			items[i] = item
		} else {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b record.Item) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return items
}

// Lookup gives poison for its id, and now and then something else.
func (l *liar) Lookup(id record.ItemID) (envelope.Envelope, bool) {
	if p, ok := l.poison[id]; ok {
		return p.record, true
	}
	r := l.hostile.port.Rand()
	if heard := l.hostile.heard; l.hostile.Lie && len(heard) > 0 && r.IntN(3) == 0 {
		return heard[r.IntN(len(heard))], true
	}
	return l.Set.Lookup(id)
}

func randomItem(r *rand.Rand, leaf int) record.Item {
	var item record.Item
	for i := range item.ID {
		item.ID[i] = byte(r.Uint32())
	}
	item.ID[0], item.ID[1] = byte(leaf>>4), byte(leaf<<4)|item.ID[1]&0xf
	item.Version = envelope.Version{Seq: r.Uint64()}
	for i := range item.Hash {
		item.Hash[i] = byte(r.Uint32())
	}
	return item
}

// Bonds is the agreed list of who takes part.
type Bonds struct {
	Nodes, Registries map[drtc.NodeID]bool
	Least             map[drtc.NodeID]uint64
}

// Bonded implements record.Bonding.
func (b *Bonds) Bonded(role record.Role, id drtc.NodeID) bool {
	return role == record.RoleNode && b.Nodes[id] || role == record.RoleRegistry && b.Registries[id]
}

// MinGeneration implements record.Bonding.
func (b *Bonds) MinGeneration(id drtc.NodeID) uint64 { return b.Least[id] }
