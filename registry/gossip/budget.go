package gossip

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// Rate is a token bucket: so much a second for ever, and Burst at once.
type Rate struct{ PerSecond, Burst float64 }

// Budget is what one peer may do before it is cut off. The first three are
// volumes, counted before anything is looked at. Of Useless, an old record that
// was known costs one, a repeated message costs one, and a record that was new
// gives one back.
type Budget struct {
	Messages Rate
	Bytes    Rate
	Records  Rate
	Useless  Rate
	// Invalid counts messages that no honest Registry passes on, and
	// conversations that break the protocol.
	Invalid Rate
	// Sessions counts conversations that the peer opens and Probes its questions
	// about nodes. More are refused, and each that is refused is Useless.
	Sessions, Probes Rate
	// Fresh is the age up to which a record that was known is taken for a race
	// and not for a replay, and how long at least after a record came every older
	// one of its key is.
	Fresh time.Duration
}

// DefaultBudget is several times what 10,000 Media Nodes cause, and little
// enough that 10 MB/s or 100 replayed records a second are cut off within 10 s.
func DefaultBudget() Budget {
	return Budget{
		Messages: Rate{1000, 5000},
		Bytes:    Rate{4 << 20, 32 << 20},
		Records:  Rate{5000, 50_000},
		Useless:  Rate{20, 500},
		Invalid:  Rate{1. / 60, 5},
		Sessions: Rate{1, 10},
		Probes:   Rate{20, 200},
		Fresh:    30 * time.Second,
	}
}

// Validate names the field that is out of range.
func (b Budget) Validate() error {
	for _, f := range []struct {
		name string
		rate Rate
	}{
		{"Messages", b.Messages}, {"Bytes", b.Bytes}, {"Records", b.Records}, {"Useless", b.Useless},
		{"Invalid", b.Invalid}, {"Sessions", b.Sessions}, {"Probes", b.Probes},
	} {
		if f.rate.PerSecond <= 0 || f.rate.Burst < 1 {
			return fmt.Errorf("gossip: Budget.%s must be above 0 a second and at least 1 at once, is %+v", f.name, f.rate)
		}
	}
	if b.Fresh < 0 {
		return fmt.Errorf("gossip: Budget.Fresh must not be negative, is %s", b.Fresh)
	}
	return nil
}

// debt is a token bucket by what has been taken from it.
type debt struct {
	owed float64
	at   time.Time
}

// add takes n, which may be negative, and reports whether that was there.
func (d *debt) add(now time.Time, r Rate, n float64) bool {
	if passed := now.Sub(d.at); passed > 0 {
		d.owed -= passed.Seconds() * r.PerSecond
		d.at = now
	}
	d.owed = max(d.owed, 0)
	d.owed = max(d.owed+n, 0)
	return d.owed <= r.Burst
}

// allow takes n only if it is there.
func (d *debt) allow(now time.Time, r Rate, n float64) bool {
	if d.add(now, r, n) {
		return true
	}
	d.owed -= n
	return false
}

// Why a peer is cut off.
const (
	overMessages = "messages"
	overBytes    = "bytes"
	overRecords  = "records"
	overUseless  = "useless"
	overInvalid  = "invalid"
	banForged    = "forged" // sent a forged record in a conversation
)

// remembered is how many messages of one peer are told from repeats.
const remembered = 4096

// account is one peer's use of its budget.
type account struct {
	mu sync.Mutex // guards all below

	messages, bytes, records, useless, invalid, sessions, probes debt

	seed   maphash.Seed
	recent map[uint64]struct{}
	ring   []uint64
	next   int
}

func newAccount() *account {
	return &account{seed: maphash.MakeSeed(), recent: map[uint64]struct{}{}}
}

// arrived counts messages of so many bytes and returns which budget is used up,
// or "".
func (a *account) arrived(now time.Time, b *Budget, messages, bytes int) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.bytes.add(now, b.Bytes, float64(bytes)):
		return overBytes
	case !a.messages.add(now, b.Messages, float64(messages)):
		return overMessages
	}
	return ""
}

// repeated counts a message that this peer sent before: an honest one sends
// each once, or again when asked.
func (a *account) repeated(now time.Time, b *Budget, data []byte) string {
	h := maphash.Bytes(a.seed, data)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.recent[h]; ok {
		if !a.useless.add(now, b.Useless, 1) {
			return overUseless
		}
		return ""
	}
	if len(a.ring) < remembered {
		a.ring = append(a.ring, h)
	} else {
		delete(a.recent, a.ring[a.next])
		a.ring[a.next] = h
		a.next = (a.next + 1) % remembered
	}
	a.recent[h] = struct{}{}
	return ""
}

// judged counts the records of one message.
func (a *account) judged(now time.Time, b *Budget, t tally) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	invalid := 0.
	if t.forged > 0 {
		invalid = 1
	}
	switch {
	case !a.invalid.add(now, b.Invalid, invalid):
		return overInvalid
	case !a.records.add(now, b.Records, float64(t.records)):
		return overRecords
	case !a.useless.add(now, b.Useless, float64(t.useless-len(t.stored))):
		return overUseless
	}
	return ""
}

// refused counts what the peer asked for and was not given.
func (a *account) refused(now time.Time, b *Budget) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.useless.add(now, b.Useless, 1) {
		return overUseless
	}
	return ""
}

// session reports whether the peer may open a conversation.
func (a *account) session(now time.Time, b *Budget) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions.allow(now, b.Sessions, 1)
}

// probe reports whether the peer may ask about a node.
func (a *account) probe(now time.Time, b *Budget) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.probes.allow(now, b.Probes, 1)
}

// used is the share of the fullest budget, 0 to 1 and a little above.
func (a *account) used(now time.Time, b *Budget) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := 0.
	for _, u := range []struct {
		debt *debt
		rate Rate
	}{
		{&a.messages, b.Messages}, {&a.bytes, b.Bytes}, {&a.records, b.Records},
		{&a.useless, b.Useless}, {&a.invalid, b.Invalid},
	} {
		u.debt.add(now, u.rate, 0)
		most = max(most, u.debt.owed/u.rate.Burst)
	}
	return most
}
