package roll

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

const (
	// silent is for how many of our own beats a member may say nothing.
	silent = 3
	// forgotten is after how many the member's last words are removed.
	forgotten = 600
)

// Key names a room among an operator's rooms.
type Key string

// Member is what a member writes of itself.
type Member struct {
	Life string `json:"life"` // differs with every start of the process
	URL  string `json:"url"`
	Beat uint64 `json:"beat"`
	// Ending members take no more rooms.
	Ending bool `json:"ending,omitempty"`
}

// Tenure is what the store has of a room. Without a member the room is free: for
// To while that one lives, else for everybody.
type Tenure struct {
	Member string `json:"member,omitempty"`
	Life   string `json:"life,omitempty"`
	Term   uint64 `json:"term"`
	To     string `json:"to,omitempty"`
}

// Owner is who writes a room: nobody if Member is empty.
type Owner struct {
	Member string
	URL    string
	Term   uint64 // 0 of a member that the room was handed to and that has not taken it
	Mine   bool   // it is held by this member
}

// TakenError says who writes the room instead.
type TakenError struct{ Owner Owner }

// Error implements error.
func (e *TakenError) Error() string {
	return fmt.Sprintf("roll: the room is member %q's with term %d", e.Owner.Member, e.Owner.Term)
}

var (
	// ErrNotHeld is for rooms that this member does not hold.
	ErrNotHeld = errors.New("roll: the room is not held")
	// ErrSpent is for a term that can't be exceeded.
	ErrSpent = errors.New("roll: the term is the greatest there is")
)

// Output is something to be done or told: one of the types below.
type Output interface{ output() }

// Lost says that a room is not this member's any more: stop writing it.
type Lost struct{ Key Key }

// Offered says that a room is free and that this member is to take it. It is
// said again while that is so.
type Offered struct{ Key Key }

// Forget asks to remove the record of a member that is long dead.
type Forget struct {
	Member   string
	Revision uint64
}

func (Lost) output()    {}
func (Offered) output() {}
func (Forget) output()  {}

type member struct {
	Member
	revision uint64
	silence  int // our beats since its last
	round    int // of the watch in which it was seen last
}

type noted struct {
	Tenure
	revision uint64
	round    int
}

type hold struct {
	term, revision uint64
	round          int
}

// Roll is the knowledge of one member.
type Roll struct {
	self, life, url string
	beat            uint64
	members         map[string]*member
	tenures         map[Key]noted
	free            map[Key]int // rooms to be taken by somebody: our beats until we are told again
	held            map[Key]hold
	round           int
	current         bool // what existed when the watch began has been told
	ending          bool
	out             []Output
}

// New makes the roll of a member that holds nothing. life must differ from that
// of every other process.
func New(self, life, url string) *Roll {
	return &Roll{
		self: self, life: life, url: url,
		members: map[string]*member{}, tenures: map[Key]noted{}, free: map[Key]int{}, held: map[Key]hold{},
	}
}

// Poll returns the next output.
func (r *Roll) Poll() (Output, bool) {
	if len(r.out) == 0 {
		return nil, false
	}
	o := r.out[0]
	r.out = r.out[1:]
	return o, true
}

// Beat returns what to write of this member next.
func (r *Roll) Beat() Member {
	r.beat++
	return Member{Life: r.life, URL: r.url, Beat: r.beat, Ending: r.ending}
}

// Life is this process of the member. It never changes.
func (r *Roll) Life() string { return r.life }

// Retire says that this member ends: no more rooms are for it.
func (r *Roll) Retire() { r.ending = true }

// Begin says that the store is watched anew: it tells everything again.
func (r *Roll) Begin() {
	r.round++
	r.current = false
}

// Current says that everything that existed when the watch began has been told.
func (r *Roll) Current() {
	r.current = true
	for name, m := range r.members {
		if m.silence = 0; m.round < r.round {
			delete(r.members, name)
		}
	}
	for key, t := range r.tenures {
		if t.round < r.round {
			delete(r.tenures, key)
		}
	}
	for key, h := range r.held {
		if _, ok := r.tenures[key]; !ok && h.round < r.round {
			r.lose(key)
		}
	}
	r.judgeAll()
}

// SawMember takes what a member wrote.
func (r *Roll) SawMember(name string, m Member, revision uint64) {
	known := r.members[name]
	if known == nil {
		known = &member{}
		r.members[name] = known
	}
	if revision < known.revision {
		return
	}
	changed := !r.alive(name, m.Life) || known.Ending != m.Ending
	known.Member, known.revision, known.round, known.silence = m, revision, r.round, 0
	if name == r.self {
		r.sawSelf(m)
		return
	}
	if changed && r.current {
		r.judgeAll()
	}
}

// sawSelf counts a beat of ours that came back.
func (r *Roll) sawSelf(m Member) {
	if m.Life != r.life || !r.current {
		return
	}
	died := false
	for name, m := range r.members {
		if name == r.self {
			continue
		}
		m.silence++
		died = died || m.silence == silent
		if m.silence%forgotten == 0 {
			r.out = append(r.out, Forget{Member: name, Revision: m.revision})
		}
	}
	if died {
		r.judgeAll()
	}
	for key, wait := range r.free {
		if r.free[key] = wait - 1; wait <= 1 {
			r.offer(key)
		}
	}
}

// MemberGone takes that a member has removed what it wrote: it has ended.
func (r *Roll) MemberGone(name string) {
	if r.members[name] != nil {
		delete(r.members, name)
		r.judgeAll()
	}
}

// SawTenure takes what the store has of a room.
func (r *Roll) SawTenure(key Key, t Tenure, revision uint64) {
	if revision < r.tenures[key].revision {
		return
	}
	r.tenures[key] = noted{Tenure: t, revision: revision, round: r.round}
	if h, ok := r.held[key]; ok && revision > h.revision {
		if t.Member == r.self && t.Life == r.life { // a raise, before its answer
			r.held[key] = hold{term: t.Term, revision: revision, round: r.round}
		} else {
			r.lose(key)
		}
	}
	r.judge(key)
}

// TenureGone takes that the store has nothing of a room from a revision on.
func (r *Roll) TenureGone(key Key, revision uint64) {
	if revision < r.tenures[key].revision {
		return
	}
	delete(r.tenures, key)
	delete(r.free, key)
	if h, ok := r.held[key]; ok && revision > h.revision {
		r.lose(key)
	}
}

// lose ends a hold because of what the store says.
func (r *Roll) lose(key Key) {
	delete(r.held, key)
	r.out = append(r.out, Lost{Key: key})
}

// Owner is who writes a room, as far as is known.
func (r *Roll) Owner(key Key) Owner {
	if h, ok := r.held[key]; ok {
		return Owner{Member: r.self, URL: r.url, Term: h.term, Mine: true}
	}
	t, ok := r.tenures[key]
	if !ok {
		return Owner{}
	}
	return r.owner(t.Tenure)
}

// owner is who writes a room that we do not hold.
func (r *Roll) owner(t Tenure) Owner {
	if t.Member == "" && t.To != r.self {
		if m := r.members[t.To]; m != nil && r.alive(t.To, m.Life) && !m.Ending {
			return Owner{Member: t.To, URL: m.URL}
		}
		return Owner{}
	}
	if t.Member == r.self || !r.alive(t.Member, t.Life) {
		return Owner{} // an earlier life of ours, or an answer that was lost
	}
	return Owner{Member: t.Member, URL: r.members[t.Member].URL, Term: t.Term}
}

// alive reports whether a life of a member goes on.
func (r *Roll) alive(name, life string) bool {
	m := r.members[name]
	return m != nil && m.Life == life && m.silence < silent
}

// Knows reports whether a life of a member was heard of. Who has a room and was
// not may have come a moment ago: ask the store.
func (r *Roll) Knows(name, life string) bool {
	m := r.members[name]
	return m != nil && m.Life == life
}

// Claim returns what to write over what was just read of a room, to take it. It
// fails with a TakenError if somebody who lives has it. If this member holds it
// at that revision, the tenure is returned as it is, with write false.
func (r *Roll) Claim(now time.Time, key Key, read Tenure, revision uint64) (t Tenure, write bool, err error) {
	if h, ok := r.held[key]; ok && h.revision == revision {
		return read, false, nil
	}
	if o := r.owner(read); o.Member != "" {
		return Tenure{}, false, &TakenError{Owner: o}
	}
	t = Tenure{Member: r.self, Life: r.life}
	t.Term, err = above(now, read.Term)
	return t, true, err
}

// above returns the next term.
func above(now time.Time, term uint64) (uint64, error) {
	if term == math.MaxUint64 {
		return 0, ErrSpent
	}
	return max(term+1, uint64(max(0, now.UnixMilli()))), nil
}

// Took says that the store took a claim. It fails with a TakenError if another
// member has already been seen to follow.
func (r *Roll) Took(key Key, t Tenure, revision uint64) error {
	if seen, ok := r.tenures[key]; ok && seen.revision > revision {
		if _, held := r.held[key]; held {
			r.lose(key)
		}
		return &TakenError{Owner: r.owner(seen.Tenure)}
	}
	r.tenures[key] = noted{Tenure: t, revision: revision, round: r.round}
	r.held[key] = hold{term: t.Term, revision: revision, round: r.round}
	delete(r.free, key)
	return nil
}

// Held returns the term and the revision at which a room is held.
func (r *Roll) Held(key Key) (term, revision uint64, ok bool) {
	h, ok := r.held[key]
	return h.term, h.revision, ok
}

// Raise returns what to write to hold a room with a term above another, which a
// node has seen. If the term is above it already, write is false.
func (r *Roll) Raise(now time.Time, key Key, over uint64) (t Tenure, revision uint64, write bool, err error) {
	h, ok := r.held[key]
	if !ok {
		return Tenure{}, 0, false, ErrNotHeld
	}
	t = Tenure{Member: r.self, Life: r.life, Term: h.term}
	if h.term > over {
		return t, h.revision, false, nil
	}
	t.Term, err = above(now, over)
	return t, h.revision, true, err
}

// Leave ends the hold of a room, which must not be written any more, and returns
// what to write to hand it to another member, or to everybody if to is empty.
func (r *Roll) Leave(key Key, to string) (t Tenure, revision uint64, err error) {
	h, ok := r.held[key]
	if !ok {
		return Tenure{}, 0, ErrNotHeld
	}
	delete(r.held, key)
	return Tenure{Term: h.term, To: to}, h.revision, nil
}

// Drop ends the hold of a room of which something else than the watch told that
// another has it.
func (r *Roll) Drop(key Key) {
	if _, ok := r.held[key]; ok {
		r.lose(key)
	}
}

// Keys returns the rooms that are held, in order.
func (r *Roll) Keys() []Key {
	keys := make([]Key, 0, len(r.held))
	for key := range r.held {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Members returns the names of all who live, in order.
func (r *Roll) Members() []string {
	var names []string
	for name, m := range r.members {
		if r.alive(name, m.Life) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Spare says how many rooms this member has more than its share, by more than a
// fifth, and who has the fewest.
func (r *Roll) Spare() (rooms int, to string) {
	count := map[string]int{}
	for _, name := range r.Members() {
		count[name] = 0
	}
	total := 0
	for _, t := range r.tenures {
		if r.alive(t.Member, t.Life) {
			count[t.Member]++
			total++
		}
	}
	if len(count) < 2 {
		return 0, ""
	}
	share := (total + len(count) - 1) / len(count)
	if rooms = len(r.held) - share; rooms <= max(1, share/5) {
		return 0, ""
	}
	for name, n := range count {
		if name != r.self && !r.members[name].Ending && (to == "" || cmp.Or(cmp.Compare(n, count[to]), cmp.Compare(name, to)) < 0) {
			to = name
		}
	}
	if to == "" { // all others end
		return 0, ""
	}
	return rooms, to
}

// Heir is who takes a room over when nobody has it: each room has another order
// of members, so that they share what one leaves behind. Who ends is no heir.
func (r *Roll) Heir(key Key, but string) string {
	var heir string
	var most uint64
	for _, name := range r.Members() {
		if rank := rank(key, name); name != but && !r.members[name].Ending && (heir == "" || rank > most) {
			heir, most = name, rank
		}
	}
	return heir
}

func rank(key Key, name string) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%s", key, name) // never fails
	x := h.Sum64()                               // the last bytes have hardly moved the upper bits: mix
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// judgeAll finds the rooms that are free when it has changed who lives.
func (r *Roll) judgeAll() {
	for key := range r.tenures {
		r.judge(key)
	}
}

// judge finds out whether a room is free, and offers it.
func (r *Roll) judge(key Key) {
	t := r.tenures[key]
	_, mine := r.held[key]
	if !r.current || mine || t.Member == r.self && t.Life == r.life || r.owner(t.Tenure).Member != "" {
		delete(r.free, key)
		return
	}
	if _, known := r.free[key]; !known {
		r.offer(key)
	}
}

// offer tells of a free room if it is for us.
func (r *Roll) offer(key Key) {
	r.free[key] = silent
	if r.ending {
		return
	}
	if t := r.tenures[key]; t.Member == "" && t.To == r.self || r.Heir(key, "") == r.self {
		r.out = append(r.out, Offered{Key: key})
	}
}
