package receipt

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// PurseRules are what an Orchestrator holds nodes to. Start from
// DefaultPurseRules.
type PurseRules struct {
	Clock  Clock
	Domain identity.Domain
	// Grace is how long after an epoch's end receipts of it are signed, less than a
	// Till takes them.
	Grace time.Duration
	// Skew is how far ahead a node's clock may be.
	Skew time.Duration
	// MaxRate bounds what one session or link is believed to carry, bits per second.
	MaxRate uint64
	// Tolerance and Slack are how much more than was seen a node may claim without
	// a dispute, DisputeAfter is for how long it may claim even more: what is seen
	// comes some seconds after what is counted.
	Tolerance    econ.Bps
	Slack        uint64
	DisputeAfter time.Duration
	// MaxMeetings bounds the sessions and links that are remembered, Remember is
	// for how long after their end, Idle for how long after they were last heard of.
	MaxMeetings    int
	Remember, Idle time.Duration
	// Keep is for how many epochs receipts are kept.
	Keep uint64
}

// DefaultPurseRules returns the usual bounds; Clock and Domain are to be filled in.
func DefaultPurseRules() PurseRules {
	return PurseRules{
		Grace: time.Minute, Skew: 5 * time.Second, MaxRate: 1e9, Tolerance: 50, Slack: 256 << 10, DisputeAfter: 30 * time.Second,
		MaxMeetings: 7000, Remember: 2 * time.Minute, Idle: time.Hour, Keep: 2,
	}
}

// Validate names the field that is out of range.
func (r PurseRules) Validate() error {
	switch {
	case min(r.Grace, r.Skew, r.DisputeAfter, r.Remember, r.Idle) < 0:
		return fmt.Errorf("receipt: Grace, Skew, DisputeAfter, Remember, Idle: want 0s or more, got %s, %s, %s, %s, %s", r.Grace, r.Skew, r.DisputeAfter, r.Remember, r.Idle)
	case r.MaxRate < 8 || r.MaxRate > 1e12:
		return fmt.Errorf("receipt: MaxRate: want 8 to 1e12 bits per second, got %d", r.MaxRate)
	case r.Tolerance > econ.Whole:
		return fmt.Errorf("receipt: Tolerance: want at most %d bps, got %d", econ.Whole, r.Tolerance)
	case r.MaxMeetings < 1 || r.Keep < 1:
		return fmt.Errorf("receipt: MaxMeetings, Keep: want at least 1, got %d and %d", r.MaxMeetings, r.Keep)
	}
	return r.Clock.Validate()
}

// Observation is the counters of a session or a link so far, as a node's events
// tell them.
type Observation struct {
	ID          string // unique on the node, at most 80 bytes
	Application Application
	Counters
	Ended bool // they are its last
}

// Purse is an Orchestrator's side for one node: it remembers what it saw
// acknowledged and what it signed for. Use NewPurse or ParsePurse.
type Purse struct {
	self, node drtc.NodeID
	rules      PurseRules
	accounts   map[Application]*tab
	meetings   map[string]*meeting
	since      map[Account]time.Time // since when a claim has been too high
}

// tab is one application.
type tab struct {
	// seen and signed are of all epochs: which epoch a byte belongs to is for the
	// node to say, that it is paid once is for us.
	seen, signed Counters
	last         map[uint64]Signed // by epoch
}

// meeting is a session or a link on the node.
type meeting struct {
	application Application
	taken       Counters // that were added to what is seen
	first       time.Time
	heard       time.Time // last, to the minute
	endedAt     time.Time // zero while it goes on
	// What the other side says to have received, if it says anything.
	word    uint64
	wordAt  time.Time
	wordBps uint64
}

const (
	maxID    = 80   // bytes
	maxSince = 4096 // claims that are held against a node
)

// NewPurse is that of an Orchestrator self for a node of which it knows nothing.
func NewPurse(self, node drtc.NodeID, rules PurseRules) *Purse {
	return &Purse{
		self: self, node: node, rules: rules, accounts: map[Application]*tab{}, meetings: map[string]*meeting{}, since: map[Account]time.Time{},
	}
}

func (p *Purse) tab(a Application) *tab {
	t := p.accounts[a]
	if t == nil {
		t = &tab{last: map[uint64]Signed{}}
		p.accounts[a] = t
	}
	return t
}

// Observe takes counters and returns what is new of them. Those that come late,
// twice or after the end of their session add nothing. What is above MaxRate, or
// above what the other side says (Witness), waits.
func (p *Purse) Observe(now time.Time, o Observation) (fresh Counters) {
	if len(o.ID) > maxID || !o.valid() {
		return Counters{}
	}
	m := p.meetings[o.ID]
	if m == nil {
		if len(p.meetings) >= p.rules.MaxMeetings {
			return Counters{}
		}
		m = &meeting{application: o.Application, first: now}
		p.meetings[o.ID] = m
	}
	if !m.endedAt.IsZero() {
		return Counters{}
	}
	m.heard = now.Truncate(time.Minute)
	t := p.tab(m.application)
	fresh = m.believed(now, o.Counters, p.rules).less(m.taken)
	m.taken = m.taken.plus(fresh)
	t.seen = t.seen.plus(fresh)
	if o.Ended {
		m.endedAt = now
	}
	return fresh
}

// burst is for how long at MaxRate a session may have run before it is first heard
// of.
const burst = 30 * time.Second

// believed is as much of the node's word as can be.
func (m *meeting) believed(now time.Time, said Counters, rules PurseRules) Counters {
	limit := atRate(rules.MaxRate, now.Sub(m.first)+burst)
	if !m.wordAt.IsZero() {
		recent := atRate(2*m.wordBps, min(now.Sub(m.wordAt), time.Minute))
		limit = min(limit, m.word+share(m.word, rules.Tolerance)+rules.Slack+recent)
	}
	if sum := said.Sum(); sum > limit { // both in their ratio
		said.Relay = uint64(float64(limit) * (float64(said.Relay) / float64(sum)))
		said.Client = limit - said.Relay
	}
	return said
}

// atRate is the bytes of a time at so many bits per second. Nothing that others
// must agree on depends on it.
func atRate(bps uint64, d time.Duration) uint64 {
	return uint64(min(float64(bps)/8*max(d, 0).Seconds(), MaxBytes/4))
}

// Witness takes what the other side of a session or link says to have received so
// far: a client its statistics, a node its end of a relay link. What the sender
// says beyond that is not believed until the other side says it too.
func (p *Purse) Witness(now time.Time, id string, received uint64) {
	m := p.meetings[id]
	if m == nil || received < m.word || received >= MaxBytes {
		return
	}
	if passed := now.Sub(m.wordAt); !m.wordAt.IsZero() && passed > 0 {
		m.wordBps = min((received-m.word)*8/max(uint64(passed/time.Second), 1), p.rules.MaxRate)
	}
	m.word, m.wordAt = received, now
}

// Dispute is a claim that is not signed in full.
type Dispute struct {
	Account
	Claimed, Signed, Seen Counters
	// For is how long it has been so, zero where the reason is another than the
	// bytes.
	For    time.Duration
	Reason string
}

// Answer says what to sign of a node's claims: what is new, up to what was seen
// (RC5). Every statement is to be signed, handed to Took and stored before anybody
// else gets it; until then Answer repeats itself.
func (p *Purse) Answer(now time.Time, claims []Claim) (statements []Signed, disputes []Dispute) {
	p.tidy(now)
	promised := map[Application]Counters{} // in this answer, to claims of other epochs
	answered := map[Account]bool{}
	for _, c := range claims {
		a := Account{Application: c.Application, Orchestrator: p.self, Node: p.node, Epoch: c.Epoch}
		dispute := func(format string, args ...any) {
			disputes = append(disputes, Dispute{
				Account: a, Claimed: c.Counted, Signed: p.last(a).Counters, Seen: p.seen(a.Application), Reason: fmt.Sprintf(format, args...),
			})
		}
		if answered[a] { // else one sequence could be signed twice
			dispute("the node claims twice for one account")
			continue
		}
		answered[a] = true
		if c.Last.Sequence > 0 && !p.recognise(a, c.Last) {
			dispute("the node shows a receipt that is not ours")
			continue
		}
		if !c.Counted.valid() {
			dispute("counters: want below 2^62")
			continue
		}
		if reason := p.outside(now, c.Epoch); reason != "" {
			// Of the epoch before, the node is about to carry over what is left.
			if c.Counted.Sum() > p.last(a).Sum() && c.Epoch+1 != p.rules.Clock.At(now) {
				dispute("%s", reason)
			}
			continue
		}
		next := p.next(now, a, c.Counted, promised[a.Application])
		if next.Sequence > 0 {
			statements = append(statements, next)
			promised[a.Application] = promised[a.Application].plus(next.less(p.last(a).Counters))
		}
		if late := p.overdue(now, a, c.Counted, p.last(a).most(next.Counters)); late > 0 {
			dispute("more is claimed than was acknowledged")
			disputes[len(disputes)-1].For = late
		}
	}
	return statements, disputes
}

// next is the statement that a claim is worth beside what is promised, without
// Sequence if none.
func (p *Purse) next(now time.Time, a Account, counted, promised Counters) Signed {
	last, t := p.last(a), p.accounts[a.Application]
	if t == nil {
		return Signed{}
	}
	more := counted.less(last.Counters).least(t.seen.less(t.signed.plus(promised)))
	if more == (Counters{}) {
		return Signed{}
	}
	// By the clock, so that no sequence comes twice even if the store is lost.
	sequence := max(last.Sequence+1, uint64(now.UnixMilli()))
	return Signed{Account: a, Sequence: sequence, Counters: last.plus(more)}
}

// overdue is how long a claim has been more above what is signed than it may be.
func (p *Purse) overdue(now time.Time, a Account, counted, signed Counters) time.Duration {
	if counted.less(signed).Sum() <= p.rules.Slack+share(counted.Sum(), p.rules.Tolerance) {
		delete(p.since, a)
		return 0
	}
	since, ok := p.since[a]
	if !ok {
		if since = now; len(p.since) < maxSince {
			p.since[a] = now
		}
	}
	if d := now.Sub(since); d >= p.rules.DisputeAfter {
		return d
	}
	return 0
}

// outside says why nothing is signed for an epoch, empty if something is.
func (p *Purse) outside(now time.Time, e uint64) string {
	present := p.rules.Clock.At(now)
	switch {
	case present == epoch.None:
		return "the first epoch has not begun"
	case e > present && p.rules.Clock.At(now.Add(p.rules.Skew)) < e:
		return fmt.Sprintf("epoch %d has not begun", e)
	case e < present && !now.Before(p.rules.Clock.End(e).Add(p.rules.Grace)):
		return fmt.Sprintf("epoch %d is over", e)
	}
	return ""
}

// recognise takes over a receipt of ours that we don't remember, as after the loss
// of the store. It reports whether it is ours.
func (p *Purse) recognise(a Account, s Signed) bool {
	held := p.last(a)
	switch {
	case s.Account != a:
		return false
	case s == held:
		return true
	case s.Verify(p.rules.Domain) != nil:
		return false
	case s.Sequence > held.Sequence:
		p.Took(s)
		t := p.tab(s.Application) // what was signed had been seen
		t.seen = t.seen.most(t.signed)
	}
	return true
}

// Took notes that a receipt was signed. Of one account the greatest counts.
func (p *Purse) Took(s Signed) {
	t := p.tab(s.Application)
	held := t.last[s.Epoch]
	if s.Sequence <= held.Sequence {
		return
	}
	t.signed = t.signed.plus(s.Counters.less(held.Counters))
	t.last[s.Epoch] = s
}

func (p *Purse) last(a Account) Signed {
	if t := p.accounts[a.Application]; t != nil {
		return t.last[a.Epoch]
	}
	return Signed{}
}

func (p *Purse) seen(a Application) Counters {
	if t := p.accounts[a]; t != nil {
		return t.seen
	}
	return Counters{}
}

// Due are the receipts that a node does not have, by its claims.
func (p *Purse) Due(claims []Claim) []Signed {
	var due []Signed
	for _, c := range claims {
		held := p.last(Account{Application: c.Application, Orchestrator: p.self, Node: p.node, Epoch: c.Epoch})
		if held.Sequence > c.Last.Sequence {
			due = append(due, held)
		}
	}
	return due
}

// Receipts are the last ones, by account.
func (p *Purse) Receipts() []Signed {
	var all []Signed
	for _, t := range p.accounts {
		for _, s := range t.last {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Signed) int { return a.Account.compare(b.Account) })
	return all
}

// Spent is what was signed for each application since the Purse was new.
func (p *Purse) Spent() map[Application]Counters {
	spent := map[Application]Counters{}
	for a, t := range p.accounts {
		spent[a] = t.signed
	}
	return spent
}

// tidy forgets what ended long ago.
func (p *Purse) tidy(now time.Time) {
	for id, m := range p.meetings {
		if !m.endedAt.IsZero() && now.Sub(m.endedAt) > p.rules.Remember || now.Sub(m.heard) > p.rules.Idle+time.Minute {
			delete(p.meetings, id)
		}
	}
	present := p.rules.Clock.At(now)
	for _, t := range p.accounts {
		for e := range t.last {
			if present != epoch.None && e+p.rules.Keep < present {
				delete(t.last, e)
			}
		}
	}
	for a := range p.since {
		if present != epoch.None && a.Epoch+p.rules.Keep < present {
			delete(p.since, a)
		}
	}
}

// Forget ends the meetings for which keep says no, as of a node that was
// restarted.
func (p *Purse) Forget(now time.Time, keep func(id string) bool) {
	for id, m := range p.meetings {
		if m.endedAt.IsZero() && !keep(id) {
			m.endedAt = now
		}
	}
}

// Inherit takes over from another Purse of the same node what Bytes does not
// write: since when claims have been too high.
func (p *Purse) Inherit(from *Purse) { p.since = from.since }

const purseVersion = 1

// Bytes writes the Purse, for the store. Equal purses have equal bytes.
func (p *Purse) Bytes() []byte {
	b := append(append([]byte{purseVersion}, p.self[:]...), p.node[:]...)
	order := func(x, y Application) int { return bytes.Compare(x[:], y[:]) }
	b = appendNumber(b, uint64(len(p.accounts)))
	numbers := map[Application]int{}
	for i, a := range slices.SortedFunc(maps.Keys(p.accounts), order) {
		t := p.accounts[a]
		numbers[a] = i
		b = appendCounters(appendCounters(append(b, a[:]...), t.seen), t.signed)
		b = appendNumber(b, uint64(len(t.last)))
		for _, e := range slices.SortedFunc(maps.Keys(t.last), cmp.Compare[uint64]) {
			b = t.last[e].Append(b)
		}
	}
	b = appendNumber(b, uint64(len(p.meetings)))
	for _, id := range slices.Sorted(maps.Keys(p.meetings)) {
		m := p.meetings[id]
		b = appendNumber(appendText(b, id), uint64(numbers[m.application]))
		b = appendCounters(b, m.taken)
		for _, at := range []time.Time{m.first, m.heard, m.endedAt, m.wordAt} {
			b = appendTime(b, at)
		}
		b = appendNumber(appendNumber(b, m.word), m.wordBps)
	}
	return b
}

// appendTime writes milliseconds from 1970, 0 for none.
func appendTime(b []byte, at time.Time) []byte {
	if at.IsZero() {
		return appendNumber(b, 0)
	}
	return appendNumber(b, uint64(max(at.UnixMilli(), 1)))
}

func (r *reader) time() time.Time {
	ms := r.number()
	if ms == 0 {
		return time.Time{}
	}
	if ms >= 1<<53 {
		r.err = fmt.Errorf("%w: a time is out of range", ErrMalformed)
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// ParsePurse reads what Bytes wrote, of this Orchestrator and node.
func ParsePurse(b []byte, self, node drtc.NodeID, rules PurseRules) (*Purse, error) {
	p := NewPurse(self, node, rules)
	r := reader{left: b}
	if v := r.byte(); r.err == nil && v != purseVersion {
		return nil, fmt.Errorf("%w: purse version: want %d, got %d", ErrMalformed, purseVersion, v)
	}
	if s, n := drtc.NodeID(r.address()), drtc.NodeID(r.address()); r.err == nil && (s != self || n != node) {
		return nil, fmt.Errorf("%w: the purse is of %s for node %s", ErrParty, s, n)
	}
	var applications []Application
	for n := r.number(); n > 0 && r.err == nil; n-- {
		a := r.address()
		t := p.tab(a)
		applications = append(applications, a)
		t.seen, t.signed = r.counters(), r.counters()
		for m := r.number(); m > 0 && r.err == nil; m-- {
			s := r.signed()
			if r.err == nil && (s.Application != a || s.Orchestrator != self || s.Node != node) {
				return nil, fmt.Errorf("%w: a receipt of another account", ErrMalformed)
			}
			t.last[s.Epoch] = s
		}
	}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		id := r.text(maxID)
		number := r.number()
		if r.err == nil && number >= uint64(len(applications)) {
			return nil, fmt.Errorf("%w: a meeting of an application that is not there", ErrMalformed)
		}
		m := &meeting{taken: r.counters(), first: r.time(), heard: r.time(), endedAt: r.time(), wordAt: r.time()}
		if r.err == nil {
			m.application = applications[number]
		}
		m.word, m.wordBps = r.number(), r.number()
		p.meetings[id] = m
	}
	return p, r.end()
}
