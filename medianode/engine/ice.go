package engine

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/drtc-network/drtc/medianode/engine/stun"
)

// handleSTUN answers connectivity checks as an ICE-lite agent (RFC 8445
// sections 2.5 and 7.3). Whoever does not know the password gets at most a
// rate-limited error and changes nothing.
func (c *Core) handleSTUN(now time.Time, from netip.AddrPort, b []byte, batch *Batch) {
	if _, is := AnswerTo(b); is && len(c.checks) > 0 {
		c.handleAnswer(now, from, b, batch)
		return
	}
	c.counters.STUNRequests++
	known := c.byAddr[from] != nil
	if !known && !c.stun.Allow(now, from.Addr()) {
		c.counters.STUNLimited++
		return
	}
	m, err := stun.Parse(b)
	if err != nil || m.Type != stun.BindingRequest {
		c.counters.STUNRefused++
		return
	}
	user, _, ok := bytes.Cut(m.Username, []byte{':'})
	p := c.byUfrag[string(user)]
	if !ok || p == nil {
		c.counters.STUNRefused++
		return
	}
	cred := &p.ice
	restarted := p.next != nil && p.next.local.Ufrag == string(user)
	if restarted {
		cred = p.next
	}
	if !m.CheckIntegrity(cred.local.Pwd) {
		c.counters.STUNRefused++
		answer := stun.AppendBindingError(batch.slot(), m.TransactionID, stun.CodeUnauthenticated, "Unauthenticated", "")
		batch.add(from, answer, 0)
		return
	}
	// RFC 8445 section 7.3.1.1: a lite agent is never controlling, and who sends
	// checks to one always is.
	if conflict := m.Controlled && p.checker == nil || m.Controlling && p.checker != nil; conflict {
		answer := stun.AppendBindingError(batch.slot(), m.TransactionID, stun.CodeRoleConflict, "Role Conflict", cred.local.Pwd)
		batch.add(from, answer, 0)
		return
	}
	if p.leaving && !cred.agreed(m.Username) {
		return
	}
	batch.add(from, stun.AppendBindingSuccess(batch.slot(), m.TransactionID, from, cred.local.Pwd), 0)

	p.lastCheck = now
	c.validate(p, from)
	switch {
	case !p.addr.IsValid():
		p.addr = from
		c.emit(PeerReachable{Peer: p.cfg.ID, Addr: from})
	case p.addr == from:
		p.confirmBy = time.Time{}
	case m.UseCandidate || restarted:
		c.move(now, p, from)
		p.confirmBy = time.Time{}
	}
	if restarted {
		c.restarted(p)
	}
	c.heard(now, p)
}

// Leave says that a client is on its way to another node. It restarts ICE then,
// and checks this node from its new candidates as long as it does not know the
// other's address. They get no answer: a path that is only just usable is checked
// before all others, and the other node's would wait for its turn. The path that
// the client has goes on.
func (c *Core) Leave(id PeerID, leaves bool) error {
	p := c.peers[id]
	if p == nil {
		return fmt.Errorf("%w: %d", ErrPeer, id)
	}
	p.leaving = leaves
	return nil
}

// agreed reports whether a check is of the generation of candidates that both
// sides know.
func (k *credentials) agreed(username []byte) bool {
	_, remote, _ := bytes.Cut(username, []byte{':'})
	return k.remote.Ufrag == "" || string(remote) == k.remote.Ufrag
}

// restarted ends an ICE restart: the new credentials have shown themselves.
func (c *Core) restarted(p *peer) {
	delete(c.byUfrag, p.ice.local.Ufrag)
	p.ice, p.next = *p.next, nil
	if p.state == StateFailed && p.keys != nil { // consent is given anew
		c.setState(p, StateDisconnected, "ICE restarted")
	}
}

// validate remembers an address from which the peer sent something authentic.
func (c *Core) validate(p *peer, from netip.AddrPort) {
	if c.byAddr[from] == p {
		return
	}
	if len(p.addresses) == maxAddresses {
		oldest := p.addresses[0]
		if oldest == p.addr { // never forget the one in use
			oldest = p.addresses[1]
			p.addresses[1] = p.addresses[0]
		}
		p.addresses = append(p.addresses[:0], p.addresses[1:]...)
		c.forgetAddress(p, oldest)
	}
	p.addresses = append(p.addresses, from)
	c.byAddr[from] = p
	c.emit(AddressAdded{Peer: p.cfg.ID, Addr: from})
}

func (c *Core) forgetAddress(p *peer, a netip.AddrPort) {
	if c.byAddr[a] == p {
		delete(c.byAddr, a)
		c.emit(AddressRemoved{Peer: p.cfg.ID, Addr: a})
	}
}

func (c *Core) move(now time.Time, p *peer, to netip.AddrPort) {
	p.addr = to
	for _, s := range p.subscriptions { // what went to the old address is lost
		s.askKeyFrame(now, s.current)
	}
	p.changes++
	c.counters.AddressChanges++
	c.emit(PeerMoved{Peer: p.cfg.ID, Addr: to})
}

// moveByMedia follows a peer whose newest media packet came from a new
// address. Until a check confirms the address it is trusted for
// Config.UnconfirmedFor only, so that a copied packet steers a stream away for
// seconds at most, and the peer's own next packet steers it back at once.
func (c *Core) moveByMedia(now time.Time, p *peer, from netip.AddrPort) {
	if p.addr == from {
		return
	}
	c.validate(p, from)
	c.move(now, p, from)
	p.confirmBy = now.Add(c.cfg.UnconfirmedFor)
}

// watchConsent holds media back from silent peers and ends consent (RFC 7675).
func (c *Core) watchConsent(now time.Time, p *peer) {
	if p.state == StateNew || p.state == StateFailed {
		if p.state == StateNew && now.Sub(p.lastCheck) > c.cfg.ConsentTimeout {
			c.setState(p, StateFailed, p.unreached())
		}
		return
	}
	switch {
	case now.Sub(p.lastCheck) > c.cfg.ConsentTimeout:
		c.setState(p, StateFailed, "no connectivity check for too long")
	case now.Sub(p.lastHeard) > c.disconnectAfter(p):
		c.setState(p, StateDisconnected, "nothing heard")
	case !p.confirmBy.IsZero() && now.After(p.confirmBy):
		c.setState(p, StateDisconnected, "new address not confirmed by a connectivity check")
	}
}

// unreached says why a peer was never connected.
func (p *peer) unreached() string {
	if p.checker != nil {
		return "no connectivity check was answered"
	}
	return "no connectivity check arrived"
}

// disconnectAfter is the silence after which media to a peer is held back. A
// relay peer checks, or is checked, all the time.
func (c *Core) disconnectAfter(p *peer) time.Duration {
	if p.cfg.Relay {
		return min(relayDisconnectAfter, c.cfg.DisconnectAfter)
	}
	return c.cfg.DisconnectAfter
}
