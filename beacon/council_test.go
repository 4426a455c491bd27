package beacon_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/beacon"
	"github.com/drtc-network/drtc/identity"
)

// table is a Council whose members hear one another after random delays.
type table struct {
	t       testing.TB
	r       *rand.Rand
	council beacon.Council
	keys    map[drtc.NodeID]*identity.Key
	sits    map[drtc.NodeID]*beacon.Sitting
	now     time.Time
	// drop says which messages do not reach whom.
	drop func(m beacon.Message, to drtc.NodeID) bool
	said []beacon.Message
	when []time.Time
}

type delivery struct {
	at time.Time
	to drtc.NodeID
	m  beacon.Message
}

func newTable(t testing.TB, n int, round, seed uint64) *table {
	t.Helper()
	tb := &table{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), keys: map[drtc.NodeID]*identity.Key{}, sits: map[drtc.NodeID]*beacon.Sitting{},
		drop: func(beacon.Message, drtc.NodeID) bool { return false },
	}
	tb.council = beacon.Council{
		Clock:   beacon.Clock{Genesis: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Period: 30 * time.Minute},
		Network: [32]byte{1}, Step: 20 * time.Second,
	}
	for i := range n {
		key, err := identity.ParseKey(fmt.Sprintf("%064x", 1000*(seed+1)+uint64(i)+1))
		if err != nil {
			t.Fatal(err)
		}
		tb.keys[key.ID()] = key
	}
	tb.council.Members = slices.SortedFunc(maps.Keys(tb.keys), func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range tb.council.Members {
		s, err := tb.council.Sit(tb.keys[id], round, tb.secret(id))
		if err != nil {
			t.Fatal(err)
		}
		tb.sits[id] = s
	}
	return tb
}

func (tb *table) secret(id drtc.NodeID) (s [32]byte) {
	copy(s[:], id[:])
	s[31] = byte(tb.r.Uint32())
	return s
}

// run lets the round happen: timeouts and deliveries in the order of their time.
func (tb *table) run(round uint64) {
	tb.now = tb.council.Time(round).Add(-4 * tb.council.Step)
	end := tb.council.Time(round).Add(3 * tb.council.Step)
	var under []delivery
	send := func(ms []beacon.Message) {
		for _, m := range ms {
			tb.said, tb.when = append(tb.said, m), append(tb.when, tb.now)
			for _, to := range tb.council.Members {
				if to != m.From && !tb.drop(m, to) {
					under = append(under, delivery{tb.now.Add(time.Duration(tb.r.IntN(2000)) * time.Millisecond), to, m})
				}
			}
		}
	}
	for ; tb.now.Before(end); tb.now = tb.now.Add(250 * time.Millisecond) {
		for _, id := range tb.council.Members {
			send(tb.sits[id].HandleTimeout(tb.now))
		}
		due := slices.DeleteFunc(slices.Clone(under), func(d delivery) bool { return d.at.After(tb.now) })
		under = slices.DeleteFunc(under, func(d delivery) bool { return !d.at.After(tb.now) })
		for _, d := range due {
			say, err := tb.sits[d.to].Handle(tb.now, d.m)
			if err != nil {
				tb.t.Fatalf("%s: %v", tb.now, err)
			}
			send(say)
		}
	}
}

// results are the rounds that members hold, each verified.
func (tb *table) results() map[drtc.NodeID]beacon.Round {
	got := map[drtc.NodeID]beacon.Round{}
	for id, s := range tb.sits {
		if r, ok := s.Result(); ok {
			if err := tb.council.Verify(r); err != nil {
				tb.t.Errorf("the round of %s: %v", id.Short(), err)
			}
			got[id] = r
		}
	}
	return got
}

func TestCouncil_membersAgreeOnAValueThatNobodyKnowsBeforeItsTime(t *testing.T) {
	values := map[[32]byte]bool{}
	for seed := range uint64(12) {
		n := []int{1, 2, 3, 4, 7, 10}[seed%6]
		tb := newTable(t, n, seed+5, seed)
		tb.run(seed + 5)
		got := tb.results()
		if len(got) != n {
			t.Fatalf("seed %d: %d of %d members have the round", seed, len(got), n)
		}
		first := got[tb.council.Members[0]]
		for id, r := range got {
			if r.Void || r.Number != seed+5 || r.Randomness != first.Randomness {
				t.Errorf("seed %d: %s has %+v, want %x", seed, id.Short(), r, first.Randomness)
			}
		}
		values[first.Randomness] = true
		for i, m := range tb.said {
			if m.Stage == beacon.StageReveal && tb.when[i].Before(tb.council.Time(seed+5)) {
				t.Errorf("seed %d: a secret was told at %s, before %s", seed, tb.when[i], tb.council.Time(seed+5))
			}
		}
	}
	if len(values) != 12 {
		t.Errorf("%d different values of 12 rounds", len(values))
	}
}

// Who withholds its secret cancels the round for everybody, and is named.
func TestCouncil_withheldSecretVoidsTheRound(t *testing.T) {
	for seed := range uint64(6) {
		tb := newTable(t, 7, 3, seed)
		villain := tb.council.Members[seed]
		tb.drop = func(m beacon.Message, _ drtc.NodeID) bool {
			return m.From == villain && (m.Stage == beacon.StageReveal || m.Stage == beacon.StageVoid)
		}
		tb.run(3)
		got := tb.results()
		delete(got, villain)
		if len(got) != 6 {
			t.Fatalf("seed %d: %d of 6 members have a round", seed, len(got))
		}
		for id, r := range got {
			if who, ok := r.Withheld(); !r.Void || !ok || who != villain || r.Randomness != [32]byte{} {
				t.Errorf("seed %d: %s has void %v, withheld by %s, want %s", seed, id.Short(), r.Void, who.Short(), villain.Short())
			}
		}
	}
}

func TestBarred_isWhoWithheldLately(t *testing.T) {
	tb := newTable(t, 4, 9, 8)
	villain := tb.council.Members[2]
	tb.drop = func(m beacon.Message, _ drtc.NodeID) bool { return m.From == villain && m.Stage == beacon.StageReveal }
	tb.run(9)
	void := tb.results()[tb.council.Members[0]]
	rounds := []beacon.Round{{Number: 8}, void, void, {Number: 10, Void: true}}
	for number, want := range map[uint64]bool{9: false, 10: true, 109: true, 110: false} {
		if got := beacon.Barred(rounds, number, 100); slices.Contains(got, villain) != want || len(got) > 1 {
			t.Errorf("round %d: barred %v, want %v", number, got, want)
		}
	}
}

// A reveal at the last moment that reaches only some: either a quorum missed it,
// or the value stands; not both without the void being known to beat it.
func TestCouncil_lateRevealEndsInOneResult(t *testing.T) {
	void, value := 0, 0
	for seed := range uint64(30) {
		tb := newTable(t, 7, 3, seed)
		villain := tb.council.Members[3]
		reached := int(seed % 7)
		tb.drop = func(m beacon.Message, to drtc.NodeID) bool {
			return m.From == villain && m.Stage == beacon.StageReveal && slices.Index(tb.council.Members, to) >= reached
		}
		tb.run(3)
		kinds := map[bool]int{}
		for _, r := range tb.results() {
			kinds[r.Void]++
		}
		if len(kinds) > 1 {
			t.Errorf("seed %d: %d members hold a void round and %d a value", seed, kinds[true], kinds[false])
		}
		void, value = void+kinds[true], value+kinds[false]
	}
	if void == 0 || value == 0 {
		t.Errorf("%d void results and %d values: one of the cases did not happen", void, value)
	}
}

func TestCouncil_silentProposerVoidsTheRound(t *testing.T) {
	tb := newTable(t, 4, 9, 1)
	silent := tb.council.Proposer(9)
	tb.drop = func(m beacon.Message, _ drtc.NodeID) bool { return m.From == silent }
	tb.run(9)
	got := tb.results()
	delete(got, silent)
	for id, r := range got {
		if who, ok := r.Withheld(); !r.Void || ok {
			t.Errorf("%s has void %v, withheld by %s, want void by nobody", id.Short(), r.Void, who.Short())
		}
	}
	if len(got) != 3 {
		t.Errorf("%d of 3 members have a round", len(got))
	}
}

// One of seven may be away all the time, or hear nothing of the roster's making.
func TestCouncil_onesWhoAreAwayDoNotMatter(t *testing.T) {
	tb := newTable(t, 7, 9, 2)
	away := tb.council.Members[0]
	tb.drop = func(m beacon.Message, to drtc.NodeID) bool { return m.From == away || to == away }
	tb.run(9)
	got := tb.results()
	delete(got, away)
	if len(got) != 6 {
		t.Fatalf("%d of 6 members have the round", len(got))
	}
	for _, r := range got {
		if r.Void {
			t.Error("the round is void although only one was away")
		}
	}
}

func TestCouncil_refusesWhatIsNobodys(t *testing.T) {
	tb := newTable(t, 4, 9, 3)
	tb.run(9)
	stranger, err := identity.ParseKey(strings.Repeat("7", 64))
	if err != nil {
		t.Fatal(err)
	}
	to := tb.sits[tb.council.Members[0]]
	for _, m := range tb.said {
		if m.From == tb.council.Members[0] {
			continue
		}
		other := tb.council.Members[1]
		if m.From == other {
			other = tb.council.Members[2]
		}
		for what, change := range map[string]func(*beacon.Message){
			"a stranger":            func(m *beacon.Message) { m.From = stranger.ID(); m.Commitment.Member = m.From },
			"another round":         func(m *beacon.Message) { m.Round++ },
			"another member's name": func(m *beacon.Message) { m.From = other; m.Commitment.Member = other },
			"no stage":              func(m *beacon.Message) { m.Stage = 9 },
			"another content": func(m *beacon.Message) {
				m.Digest[0] ^= 1
				m.Secret[0] ^= 1
				m.Commitment.Hash[0] ^= 1
			},
		} {
			forged := m
			change(&forged)
			if m.Stage == beacon.StageRoster && what == "another content" {
				continue // its content is signed by others; one that comes late is not looked at
			}
			if _, err := to.Handle(tb.now, forged); !errors.Is(err, beacon.ErrInvalid) {
				t.Errorf("stage %d by %s: got %v, want ErrInvalid", m.Stage, what, err)
			}
		}
	}
}

func TestCouncil_verifyRefusesEachDeviation(t *testing.T) {
	tb := newTable(t, 4, 9, 4)
	tb.run(9)
	value := tb.results()[tb.council.Members[0]]
	tb = newTable(t, 4, 9, 4)
	villain := tb.council.Members[1]
	tb.drop = func(m beacon.Message, _ drtc.NodeID) bool {
		return m.From == villain && m.Stage == beacon.StageReveal
	}
	tb.run(9)
	void := tb.results()[tb.council.Members[0]]
	if !void.Void || value.Void {
		t.Fatal("want a void round and a value")
	}
	for _, good := range []beacon.Round{value, void} {
		for what, change := range map[string]func(*beacon.Round){
			"number":     func(r *beacon.Round) { r.Number++ },
			"number 0":   func(r *beacon.Round) { r.Number = 0 },
			"randomness": func(r *beacon.Round) { r.Randomness[3] ^= 1 },
			"void":       func(r *beacon.Round) { r.Void = !r.Void },
			"previous":   func(r *beacon.Round) { r.Previous = []byte{1} },
			"no proof":   func(r *beacon.Round) { r.Signature = nil },
			"more proof": func(r *beacon.Round) { r.Signature = append(slices.Clone(r.Signature), 0) },
			"the other proof": func(r *beacon.Round) {
				r.Signature = map[bool][]byte{true: value.Signature, false: void.Signature}[r.Void]
			},
		} {
			r := good
			change(&r)
			if err := tb.council.Verify(r); !errors.Is(err, beacon.ErrInvalid) {
				t.Errorf("void %v, %s: got %v, want ErrInvalid", good.Void, what, err)
			}
		}
		for i := range good.Signature {
			r := good
			r.Signature = slices.Clone(good.Signature)
			r.Signature[i] ^= 1
			if err := tb.council.Verify(r); !errors.Is(err, beacon.ErrInvalid) {
				t.Errorf("void %v, byte %d of the proof changed: got %v, want ErrInvalid", good.Void, i, err)
			}
		}
		for what, change := range map[string]func(*beacon.Council){
			"another network":   func(c *beacon.Council) { c.Network[0]++ },
			"fewer members":     func(c *beacon.Council) { c.Members = c.Members[:2] },
			"many more members": func(c *beacon.Council) { c.Members = newTable(t, 40, 9, 5).council.Members },
		} {
			c := tb.council
			change(&c)
			if err := c.Verify(good); !errors.Is(err, beacon.ErrInvalid) {
				t.Errorf("%s: got %v, want ErrInvalid", what, err)
			}
		}
	}
}

func TestCouncil_refusesParametersByField(t *testing.T) {
	for want, change := range map[string]func(*beacon.Council){
		"Members has 0": func(c *beacon.Council) { c.Members = nil },
		"ascending":     func(c *beacon.Council) { slices.Reverse(c.Members) },
		"each once":     func(c *beacon.Council) { c.Members[1] = c.Members[0] },
		"zero id":       func(c *beacon.Council) { c.Members[0] = drtc.NodeID{} },
		"Step":          func(c *beacon.Council) { c.Step = c.Period },
		"Period":        func(c *beacon.Council) { c.Period = 0 },
		"not among":     func(c *beacon.Council) { c.Members = c.Members[1:] },
	} {
		tb := newTable(t, 4, 1, 6)
		key := tb.keys[tb.council.Members[0]]
		change(&tb.council)
		if _, err := tb.council.Sit(key, 1, [32]byte{}); !errors.Is(err, beacon.ErrParameters) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrParameters with %q", err, want)
		}
	}
}
