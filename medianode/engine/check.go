package engine

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/stun"
)

const (
	// checkInterval is the time between two checks of an address that answers: two
	// may be lost before relayDisconnectAfter.
	checkInterval = 500 * time.Millisecond
	// unansweredAfter is after how much silence all addresses are checked again.
	unansweredAfter = 2*checkInterval + checkInterval/4
	// maxPendingChecks is how many checks of a peer may be unanswered.
	maxPendingChecks = 64
	// maxCheckAddresses bounds PeerConfig.Check.
	maxCheckAddresses = 8
	// relayPriority is that of a host candidate (RFC 8445 section 5.1.2.1).
	relayPriority = 126<<24 | 65535<<8 | 255
)

// quickStart is how long to wait after each of the first checks: at 0, 20, 50,
// 100, 200 and 400 ms.
var quickStart = [...]time.Duration{20, 30, 50, 100, 200}

// checker is the controlling side of a peer (RFC 8445 sections 6.1.1 and 7.2),
// which sends connectivity checks to an agent that sends none. It checks all
// addresses until one answers, and goes on with that one.
type checker struct {
	addresses []netip.AddrPort
	tie       uint64
	round     int
	next      time.Time // of the next checks
	answered  time.Time // the last time
	pending   [maxPendingChecks]pendingCheck
	newest    int
}

// pendingCheck is a check without an answer yet.
type pendingCheck struct {
	id [12]byte
	to netip.AddrPort
	at time.Time // zero if there is none
}

func newChecker(now time.Time, addresses []netip.AddrPort, random func() uint32) *checker {
	return &checker{
		addresses: slices.Clone(addresses[:min(len(addresses), maxCheckAddresses)]),
		tie:       uint64(random())<<32 | uint64(random()), next: now,
	}
}

// AnswerTo tells whose check a datagram answers, of a node whose cores share its
// sockets: it comes from an address that nobody needs to know yet. It says
// nothing of whether the answer is to be believed.
func AnswerTo(datagram []byte) (CoreID, bool) {
	if !stun.Is(datagram) || binary.BigEndian.Uint16(datagram) != stun.BindingSuccess {
		return 0, false
	}
	return CoreID(datagram[8]), true
}

// sendChecks sends the checks that are due: to the address in use as long as it
// answers, else to all.
func (c *Core) sendChecks(now time.Time, p *peer, batch *Batch) {
	k := p.checker
	if k == nil || now.Before(k.next) || p.state == StateFailed {
		return
	}
	wait := checkInterval
	if !p.addr.IsValid() && k.round < len(quickStart) {
		wait = quickStart[k.round] * time.Millisecond
	}
	k.round++
	k.next = now.Add(wait)
	if p.addr.IsValid() {
		c.sendCheck(now, p, p.addr, batch)
	}
	if p.addr.IsValid() && now.Sub(k.answered) < unansweredAfter {
		return
	}
	for _, to := range k.addresses {
		if to != p.addr {
			c.sendCheck(now, p, to, batch)
		}
	}
}

// sendCheck sends one check. That to the address in use nominates it, so that
// the other side sends there too.
func (c *Core) sendCheck(now time.Time, p *peer, to netip.AddrPort, batch *Batch) {
	k := p.checker
	k.newest = (k.newest + 1) % maxPendingChecks
	slot := &k.pending[k.newest]
	delete(c.checks, slot.id)
	*slot = pendingCheck{id: c.transactionID(), to: to, at: now}
	c.checks[slot.id] = p
	cred := p.credentials()
	c.counters.ChecksSent++
	batch.add(to, stun.AppendBindingRequest(batch.slot(), slot.id, cred.remote.Ufrag+":"+cred.local.Ufrag, cred.remote.Pwd, stun.RequestOptions{
		Priority: relayPriority, UseCandidate: to == p.addr, Controlling: true, TieBreaker: k.tie,
	}), 0)
}

// transactionID is one that nobody can guess: 88 random bits behind the number
// of the core, by which AnswerTo finds it.
func (c *Core) transactionID() (id [12]byte) {
	for i := 0; i < len(id); i += 4 {
		binary.BigEndian.PutUint32(id[i:], c.cfg.Random())
	}
	id[0] = byte(c.cfg.Self)
	return id
}

// credentials are those with which to check: of a restart as long as it is not
// confirmed.
func (p *peer) credentials() *credentials {
	if p.next != nil {
		return p.next
	}
	return &p.ice
}

// handleAnswer takes an answer to a check. It counts if the transaction id is
// one of ours, it comes from where the check went, and whoever made it knows the
// password (RFC 8445 section 7.2.5.2). Anything else changes nothing.
func (c *Core) handleAnswer(now time.Time, from netip.AddrPort, b []byte, batch *Batch) {
	p := c.checks[[12]byte(b[8:20])]
	if p == nil {
		c.counters.STUNRefused++
		return
	}
	m, err := stun.Parse(b)
	at := slices.IndexFunc(p.checker.pending[:], func(k pendingCheck) bool { return k.id == m.TransactionID && !k.at.IsZero() })
	if err != nil || at < 0 || p.checker.pending[at].to != from || !m.CheckIntegrity(p.credentials().remote.Pwd) {
		c.counters.STUNRefused++
		return
	}
	c.counters.ChecksAnswered++
	sent := p.checker.pending[at].at
	p.checker.pending[at] = pendingCheck{}
	delete(c.checks, m.TransactionID)
	if p.next != nil {
		c.restarted(p)
	}
	c.answered(now, p, from, sent, batch)
}

// answered notes that an address of a peer answers.
func (c *Core) answered(now time.Time, p *peer, from netip.AddrPort, sent time.Time, batch *Batch) {
	k := p.checker
	silent := now.Sub(k.answered) >= unansweredAfter
	p.lastCheck = now
	if rtt := now.Sub(sent); rtt > 0 {
		p.observeRoundTrip(rtt)
	}
	c.validate(p, from)
	switch {
	case !p.addr.IsValid():
		p.addr, k.answered, k.next = from, now, now.Add(checkInterval)
		c.emit(PeerReachable{Peer: p.cfg.ID, Addr: from})
		c.sendCheck(now, p, from, batch)
	case p.addr == from:
		k.answered, p.confirmBy = now, time.Time{}
	case silent:
		k.answered = now
		c.move(now, p, from)
		p.confirmBy = time.Time{}
		c.sendCheck(now, p, from, batch)
	}
	c.heard(now, p)
}

// forgetChecks forgets the checks of a peer that ends.
func (c *Core) forgetChecks(p *peer) {
	if p.checker == nil {
		return
	}
	for i := range p.checker.pending {
		delete(c.checks, p.checker.pending[i].id)
	}
}
