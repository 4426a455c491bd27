package simulation

import (
	"cmp"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// How the shells behave, as the design has it.
const (
	commitAfter  = 20 * time.Millisecond // from a write to the disk having it
	batchAfter   = 50 * time.Millisecond // gossip waits this long for company
	batchRecords = 64
	syncEvery    = 3 * time.Second // +/- 50 %, doubled while roots are equal
	syncMost     = 30 * time.Second
	hotAfter     = 500 * time.Millisecond
	sessionIdle  = 5 * time.Second // without a frame: given up
	houseEvery   = time.Second
)

// Timer tags.
const (
	tagCommit = iota
	tagBatch
	tagSync
	tagHouse
	tagHot
	tagProber
	tagAnnounce
	tagDial // and the number of the dial
)

// Registry is one honest Registry.
type Registry struct {
	world *World
	port  *netsim.Port[Message]
	set   *record.Set

	disk    *disk
	pending []write
	outbox  Gossip

	watch    *watch // nil unless Plan.Liveness
	sessions map[Session]*session
	quiet    int // sessions in a row that found nothing

	// Refusals counts records that were refused, by cause and by how they came.
	Refusals map[Refusal]int
	// Broken counts sessions that a peer's frame ended with an error.
	Broken int
	// Proofs are the equivocations that this Registry has seen.
	Proofs []record.Equivocation
}

// Refusal is why and where a record was not taken.
type Refusal struct {
	Cause error
	Path  record.Path
}

// disk is what a crash leaves.
type disk struct {
	records map[record.Key]envelope.Envelope
}

// write is a change on its way to the disk.
type write struct {
	key    record.Key
	record *envelope.Envelope // nil: only wait for those before
	to     int                // whom to tell, or nobody
	reply  Receipt
}

const nobody = -1

type session struct {
	core     *reconcile.Session
	peer     int
	sent     int
	received int
	heard    time.Duration
	learnt   int // records that were stored
}

func newRegistry(w *World, p *netsim.Port[Message]) *Registry {
	return &Registry{world: w, port: p, sessions: map[Session]*session{}, Refusals: map[Refusal]int{}}
}

func (r *Registry) id() drtc.NodeID { return r.world.keys[r.port.ID()].ID() }

// Set is what the Registry holds.
func (r *Registry) Set() *record.Set { return r.set }

// Start implements netsim.Node: it reads the disk and joins the network.
func (r *Registry) Start(now time.Time) {
	set, err := record.New(r.world.rules)
	if err != nil {
		panic(err) // the Plan was validated
	}
	r.set = set
	if saved, ok := r.port.Saved().(*disk); ok {
		r.disk = saved
		for _, key := range sortedKeys(saved.records) {
			e := saved.records[key]
			if _, err := set.Restore(now, e, e.Hash()); err != nil {
				delete(saved.records, key)
			}
		}
	} else {
		r.disk = &disk{records: map[record.Key]envelope.Envelope{}}
		r.port.Save(r.disk)
	}
	if r.world.plan.Liveness {
		r.watch = newWatch(now, r)
	}
	r.port.After(r.jitter(houseEvery), tagHouse)
	r.open(r.partner())
	r.port.After(r.jitter(syncEvery), tagSync)
}

// Receive implements netsim.Node.
func (r *Registry) Receive(now time.Time, from int, m Message) {
	switch m := m.(type) {
	case Gossip:
		var fresh Gossip
		for i := range m {
			if outcome, err := r.take(now, &m[i], record.Gossiped, nobody); outcome == record.Stored && err == nil {
				fresh = append(fresh, m[i])
			}
		}
		if len(fresh) > 0 {
			r.flood(fresh, from)
		}
	case Submission:
		if outcome, err := r.take(now, &m.Record, record.Submitted, from); outcome == record.Stored && err == nil {
			r.publish(m.Record)
		}
	case Frame:
		r.frame(now, from, m)
	case Pong:
		r.watch.answered(now, m.Number, liveness.Answer{Outcome: liveness.Answered})
	case Look:
		r.watch.prober.Asked(now, m.Node)
		r.watch.work(now)
	}
}

// Timeout implements netsim.Node.
func (r *Registry) Timeout(now time.Time, tag int) {
	switch tag {
	case tagCommit:
		r.commit()
	case tagBatch:
		r.flush()
	case tagSync:
		r.open(r.partner())
		r.port.After(r.jitter(min(syncEvery<<min(r.quiet, 8), syncMost)), tagSync)
	case tagHot:
		r.open(r.partner())
	case tagHouse:
		r.expire(now)
		r.Proofs = append(r.Proofs, r.set.Equivocations()...)
		r.endIdle()
		if r.watch != nil {
			r.watch.house(now)
		}
		r.port.After(houseEvery, tagHouse)
	case tagProber:
		r.watch.work(now)
	case tagAnnounce:
		r.watch.announce(now)
	default:
		r.watch.answered(now, tag-tagDial, liveness.Answer{Outcome: liveness.Missed})
	}
}

// take is the way of every record into the Set: judged, verified, merged.
func (r *Registry) take(now time.Time, e *envelope.Envelope, p record.Path, tell int) (record.Outcome, error) {
	outcome, err := r.set.Judge(now, e, p)
	if outcome == record.Stored {
		if bad := r.world.genuine(r.set, e); bad != nil {
			outcome, err = record.Refused, bad
		} else {
			outcome, err = r.set.Merge(now, *e, p)
		}
	}
	if err != nil {
		r.Refusals[Refusal{cause(err), p}]++
	} else if outcome == record.Stale {
		r.Refusals[Refusal{ErrStale, p}]++
	}
	if r.watch != nil && outcome == record.Stored && err == nil {
		r.watch.learn(now, e)
	}
	w := write{key: record.KeyOf(e), to: tell, reply: Receipt{Hash: e.Hash(), Err: err}}
	switch {
	case outcome == record.Stored:
		w.record, w.reply.Accepted = e, err == nil
		r.write(w)
	case outcome == record.Known && tell != nobody:
		w.reply.Accepted = err == nil
		r.write(w) // perhaps not on disk yet
	case tell != nobody:
		if held, ok := r.set.Get(w.key); ok && outcome == record.Stale {
			w.reply.Held = held
		}
		r.port.SendReliable(tell, w.reply)
	}
	return outcome, err
}

func (r *Registry) write(w write) {
	if len(r.pending) == 0 {
		r.port.After(commitAfter, tagCommit)
	}
	r.pending = append(r.pending, w)
}

func (r *Registry) commit() {
	for _, w := range r.pending {
		if w.record != nil {
			r.disk.records[w.key] = *w.record
		}
		if w.to != nobody {
			r.port.SendReliable(w.to, w.reply)
		}
	}
	r.pending = r.pending[:0]
}

// publish gossips what was submitted here: with company, but a tombstone at once.
func (r *Registry) publish(e envelope.Envelope) {
	if len(r.outbox) == 0 {
		r.port.After(batchAfter, tagBatch)
	}
	r.outbox = append(r.outbox, e)
	if e.IsTombstone() || len(r.outbox) >= batchRecords {
		r.flush()
	}
}

func (r *Registry) flush() {
	if len(r.outbox) > 0 {
		r.flood(r.outbox, nobody)
		r.outbox = nil
	}
}

func (r *Registry) flood(g Gossip, except int) {
	for _, to := range r.world.mesh[r.port.ID()] {
		if to != except {
			r.port.Send(to, g)
		}
	}
}

func (r *Registry) expire(now time.Time) {
	for _, key := range r.set.Expire(now) {
		delete(r.disk.records, key)
	}
}

// partner is any other Registry, hostile ones too: nobody knows which they are.
func (r *Registry) partner() int {
	other := r.port.Rand().IntN(r.world.plan.Registries - 1)
	if other >= r.port.ID() {
		other++
	}
	return other
}

func (r *Registry) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(r.port.Rand().Int64N(int64(d)+1))
}

// open begins a session unless one with that peer is under way.
func (r *Registry) open(peer int) {
	for id, s := range r.sessions {
		if s.peer == peer && id.Opener == r.port.ID() {
			return
		}
	}
	id := Session{r.port.ID(), r.port.Rand().Uint64()} // not one of an earlier life
	core, frames := reconcile.Begin(r.set, r.world.limits)
	s := &session{core: core, peer: peer, heard: r.world.net.Elapsed()}
	r.sessions[id] = s
	r.send(id, s, frames)
}

func (r *Registry) send(id Session, s *session, frames [][]byte) {
	for _, body := range frames {
		r.port.SendReliable(s.peer, Frame{Session: id, Index: s.sent, Body: body})
		s.sent++
	}
}

func (r *Registry) frame(now time.Time, from int, f Frame) {
	s := r.sessions[f.Session]
	if s == nil && f.Index == 0 && !f.Reset && f.Session.Opener == from && r.mayAnswer(from) {
		s = &session{core: reconcile.Answer(r.set, r.world.limits), peer: from}
		r.sessions[f.Session] = s
	}
	if s == nil || s.peer != from {
		return
	}
	s.heard = r.world.net.Elapsed()
	if f.Reset || f.Index != s.received {
		r.end(f.Session, s, !f.Reset)
		return
	}
	s.received++
	step, err := s.core.Handle(f.Body)
	for i := range step.Records {
		if outcome, _ := r.take(now, &step.Records[i], record.Synced, nobody); outcome == record.Stored {
			s.learnt++
		}
	}
	r.send(f.Session, s, step.Send)
	switch {
	case err != nil:
		r.Broken++
		r.end(f.Session, s, true)
	case step.Done:
		r.world.finished(s.core.Stats())
		switch stats := s.core.Stats(); {
		case s.learnt > 0: // and others may not know it either
			r.port.After(r.jitter(hotAfter), tagHot)
			r.quiet = 0
		case stats.RecordsIn+stats.RecordsOut > 0:
			r.quiet = 0
		case f.Session.Opener == r.port.ID():
			r.quiet++
		}
		delete(r.sessions, f.Session)
	}
}

// mayAnswer: one session for each peer that opens one.
func (r *Registry) mayAnswer(peer int) bool {
	for id := range r.sessions {
		if id.Opener == peer {
			return false
		}
	}
	return true
}

func (r *Registry) end(id Session, s *session, tell bool) {
	delete(r.sessions, id)
	r.quiet = 0
	if tell {
		r.port.SendReliable(s.peer, Frame{Session: id, Index: s.sent, Reset: true})
	}
}

func (r *Registry) endIdle() {
	for _, id := range sortedSessions(r.sessions) {
		if s := r.sessions[id]; r.world.net.Elapsed()-s.heard > sessionIdle {
			r.end(id, s, true)
		}
	}
}

func sortedSessions(m map[Session]*session) []Session {
	ids := make([]Session, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b Session) int {
		return cmp.Or(a.Opener-b.Opener, cmp.Compare(a.Number, b.Number))
	})
	return ids
}
