package engine_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
)

// prober is a core with one peer that it must check, whose addresses are held by
// the test.
type prober struct {
	t      *testing.T
	core   *engine.Core
	now    time.Time
	batch  engine.Batch
	sent   []check
	events []engine.Event
}

type check struct {
	at time.Duration
	to netip.AddrPort
	m  stun.Message
}

var (
	began    = time.Unix(1_700_000_000, 0)
	nearICE  = engine.ICE{Ufrag: "near", Pwd: "password-of-the-near-end"}
	farICE   = engine.ICE{Ufrag: "away", Pwd: "password-of-the-far-end."}
	firstAt  = netip.MustParseAddrPort("192.0.2.1:4000")
	secondAt = netip.MustParseAddrPort("[2001:db8::2]:4000")
	stranger = netip.MustParseAddrPort("192.0.2.9:4000")
)

func newProber(t *testing.T) *prober {
	p := &prober{t: t, now: began, core: engine.New(engine.Config{Self: 5, Random: rand.New(rand.NewPCG(1, 1)).Uint32})}
	if err := p.core.AddPeer(p.now, engine.PeerConfig{
		ID: 1, Local: nearICE, Remote: farICE, Relay: true, Check: []netip.AddrPort{firstAt, secondAt},
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// until lets time go by up to a moment after the beginning.
func (p *prober) until(end time.Duration) {
	p.t.Helper()
	for {
		next := p.core.NextTimeout()
		if next.IsZero() || next.After(began.Add(end)) {
			break
		}
		if next.After(p.now) {
			p.now = next
		}
		p.core.HandleTimeout(p.now, &p.batch)
		p.flush()
	}
	p.now = began.Add(end)
}

func (p *prober) flush() {
	p.t.Helper()
	for _, d := range p.batch.Datagrams() {
		m, err := stun.Parse(slices.Clone(d.Payload))
		if err != nil {
			continue // reports, once there are keys
		}
		if m.Type != stun.BindingRequest || !m.CheckIntegrity(farICE.Pwd) || string(m.Username) != "away:near" || !m.Controlling || m.Controlled || !m.HasFingerprint {
			p.t.Fatalf("a check that its receiver would refuse: %+v", m)
		}
		p.sent = append(p.sent, check{p.now.Sub(began), d.To, m})
	}
	p.batch.Reset()
	for e, ok := p.core.Poll(); ok; e, ok = p.core.Poll() {
		p.events = append(p.events, e)
	}
}

// answer answers a check from an address.
func (p *prober) answer(from netip.AddrPort, c check, password string) {
	p.t.Helper()
	b := stun.AppendBindingSuccess(nil, c.m.TransactionID, stranger, password)
	if core, ok := engine.AnswerTo(b); !ok || core != 5 {
		p.t.Fatalf("the answer is said to be for core %d (%v), want 5", core, ok)
	}
	p.core.HandleDatagram(p.now, from, b, &p.batch)
	p.flush()
}

// times are when an address was checked.
func (p *prober) times(to netip.AddrPort) (ms []int) {
	for _, c := range p.sent {
		if c.to == to {
			ms = append(ms, int(c.at/time.Millisecond))
		}
	}
	return ms
}

func (p *prober) newest(to netip.AddrPort) check {
	p.t.Helper()
	for _, c := range slices.Backward(p.sent) {
		if c.to == to {
			return c
		}
	}
	p.t.Fatalf("%v was not checked", to)
	return check{}
}

func (p *prober) state() engine.State {
	for _, e := range slices.Backward(p.events) {
		if s, is := e.(engine.PeerState); is {
			return s.State
		}
	}
	return engine.StateNew
}

// All addresses are checked, soon and then less often, until one answers.
func TestCheck_allAddressesUntilOneAnswers(t *testing.T) {
	p := newProber(t)
	p.until(1500 * time.Millisecond)
	want := []int{0, 20, 50, 100, 200, 400, 900, 1400}
	for _, to := range []netip.AddrPort{firstAt, secondAt} {
		if got := p.times(to); !slices.Equal(got, want) {
			t.Errorf("%v was checked at %v ms, want %v", to, got, want)
		}
	}
	for _, c := range p.sent {
		if c.m.UseCandidate {
			t.Fatal("an address is nominated that has not answered")
		}
	}
	// A late answer counts: the way is long.
	long := p.sent[slices.IndexFunc(p.sent, func(c check) bool { return c.to == secondAt && c.at == 400*time.Millisecond })]
	p.sent = nil
	p.answer(secondAt, long, farICE.Pwd)
	if e, ok := p.events[len(p.events)-1].(engine.PeerReachable); !ok || e.Addr != secondAt {
		t.Fatalf("got %v, want PeerReachable at %v", p.events, secondAt)
	}
	if got := p.core.Address(1); got != secondAt {
		t.Errorf("the peer is at %v, want %v", got, secondAt)
	}
	p.until(2900 * time.Millisecond)
	if got := p.times(secondAt); !slices.Equal(got, []int{1500, 2000, 2500}) || !p.sent[0].m.UseCandidate {
		t.Errorf("the address that answered was checked at %v ms, want it nominated at once and every 500 ms", got)
	}
	if got := p.times(firstAt); len(got) != 0 {
		t.Errorf("the other was checked at %v ms though one had answered just now", got)
	}
}

// Nothing changes by an answer that is forged, comes from elsewhere, is of
// another transaction, or comes twice.
func TestCheck_believesItsOwnAnswersAlone(t *testing.T) {
	p := newProber(t)
	p.until(100 * time.Millisecond)
	asked := p.newest(firstAt)
	p.answer(firstAt, asked, "another password, another passw")
	p.answer(stranger, asked, farICE.Pwd)
	p.answer(secondAt, asked, farICE.Pwd)
	other := asked
	other.m.TransactionID[11] ^= 1
	p.answer(firstAt, other, farICE.Pwd)
	b := stun.AppendBindingError(nil, asked.m.TransactionID, stun.CodeRoleConflict, "Role Conflict", farICE.Pwd)
	p.core.HandleDatagram(p.now, firstAt, b, &p.batch)
	p.flush()
	if len(p.events) != 0 || p.core.Address(1).IsValid() {
		t.Fatalf("got events %v and address %v, want nothing", p.events, p.core.Address(1))
	}
	p.answer(firstAt, asked, farICE.Pwd)
	if p.core.Address(1) != firstAt {
		t.Fatal("the right answer was refused")
	}
	n := p.core.Counters().ChecksAnswered
	p.answer(firstAt, asked, farICE.Pwd)
	if got := p.core.Counters().ChecksAnswered; got != n {
		t.Error("an answer counted twice")
	}
}

// connected is a prober whose peer answers at an address and has keys.
func connected(t *testing.T) *prober {
	p := newProber(t)
	p.until(0)
	p.now = began.Add(5 * time.Millisecond)
	p.answer(firstAt, p.newest(firstAt), farICE.Pwd)
	if err := p.core.Protect(p.now, 1, newKeys(1), &p.batch); err != nil {
		t.Fatal(err)
	}
	p.flush()
	return p
}

// Without answers the peer is disconnected after 1.5 s and gone after 30; with
// one it is back.
func TestCheck_consent(t *testing.T) {
	p := connected(t)
	for at := 510 * time.Millisecond; at < 3*time.Second; at += 500 * time.Millisecond {
		p.until(at)
		p.answer(firstAt, p.newest(firstAt), farICE.Pwd)
	}
	if p.state() != engine.StateConnected {
		t.Fatalf("the peer is %v though it answers", p.state())
	}
	p.until(4 * time.Second)
	if p.state() != engine.StateConnected {
		t.Errorf("the peer is %v after 1.5 s of silence, want a little more patience", p.state())
	}
	p.until(4030 * time.Millisecond)
	if p.state() != engine.StateDisconnected {
		t.Fatalf("the peer is %v after more than 1.5 s of silence", p.state())
	}
	p.sent = nil
	p.until(6 * time.Second)
	if a, b := len(p.times(firstAt)), len(p.times(secondAt)); a < 3 || b < 3 {
		t.Errorf("%d and %d checks of the addresses in 2 s, want of both, for the way may be another now", a, b)
	}
	p.answer(secondAt, p.newest(secondAt), farICE.Pwd)
	if p.state() != engine.StateConnected || p.core.Address(1) != secondAt {
		t.Errorf("the peer is %v at %v, want connected by its other address", p.state(), p.core.Address(1))
	}
	p.until(37 * time.Second)
	if p.state() != engine.StateFailed {
		t.Fatalf("the peer is %v after 30 s of silence", p.state())
	}
	p.sent = nil
	p.until(40 * time.Second)
	if len(p.sent) > 0 {
		t.Errorf("%d checks of a peer that has failed", len(p.sent))
	}
}

// An address that answers stays, though another does too.
func TestCheck_keepsTheAddressThatAnswers(t *testing.T) {
	p := connected(t)
	other := p.newest(secondAt)
	p.answer(secondAt, other, farICE.Pwd)
	if got := p.core.Address(1); got != firstAt {
		t.Errorf("the peer went to %v", got)
	}
}

// A peer that never answers fails.
func TestCheck_neverAnswered(t *testing.T) {
	p := newProber(t)
	p.until(31 * time.Second)
	if p.state() != engine.StateFailed {
		t.Errorf("the peer is %v, want failed", p.state())
	}
	p.core.RemovePeer(p.now, 1)
	b := stun.AppendBindingSuccess(nil, p.sent[len(p.sent)-1].m.TransactionID, stranger, farICE.Pwd)
	p.core.HandleDatagram(p.now, firstAt, b, &p.batch) // of a peer that is gone
}

// Both ends may not control: who checks refuses to be checked by another who does.
func TestCheck_roleConflict(t *testing.T) {
	p := connected(t)
	b := stun.AppendBindingRequest(nil, [12]byte{1}, "near:away", nearICE.Pwd, stun.RequestOptions{Controlling: true, TieBreaker: 1, UseCandidate: true})
	p.core.HandleDatagram(p.now, stranger, b, &p.batch)
	if p.batch.Len() != 1 {
		t.Fatalf("%d datagrams answer, want one", p.batch.Len())
	}
	m, err := stun.Parse(p.batch.Datagrams()[0].Payload)
	if err != nil || m.ErrorCode != stun.CodeRoleConflict {
		t.Errorf("got %+v, %v; want a role conflict", m, err)
	}
	if got := p.core.Address(1); got != firstAt {
		t.Errorf("the peer went to %v", got)
	}
}

// New credentials of both ends are used from the next check on, and confirmed by
// its answer.
func TestCheck_restart(t *testing.T) {
	p := connected(t)
	fresh := engine.ICE{Ufrag: "near2", Pwd: "the-second-password-here"}
	far := engine.ICE{Ufrag: "away2", Pwd: "the-second-password-there"}
	if err := p.core.RestartICE(p.now, 1, fresh, far); err != nil {
		t.Fatal(err)
	}
	for p.batch.Len() == 0 {
		p.now = p.core.NextTimeout()
		p.core.HandleTimeout(p.now, &p.batch)
	}
	m, err := stun.Parse(slices.Clone(p.batch.Datagrams()[0].Payload))
	if err != nil || string(m.Username) != "away2:near2" || !m.CheckIntegrity(far.Pwd) {
		t.Fatalf("got check %+v, %v; want the new credentials", m, err)
	}
	p.batch.Reset()
	n := p.core.Counters().ChecksAnswered
	p.answer(firstAt, check{m: m}, farICE.Pwd)
	p.answer(firstAt, check{m: m}, far.Pwd)
	if got := p.core.Counters().ChecksAnswered - n; got != 1 {
		t.Errorf("%d answers were believed, want that with the new password", got)
	}
}
