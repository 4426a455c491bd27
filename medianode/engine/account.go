package engine

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/meter"
)

// RelayFigures are those of one room on a relay peer.
type RelayFigures struct {
	RoundTrip time.Duration // of the hop, zero when unknown
	// SendLoss and ReceiveLoss are those of the whole peer, 0..1 over the last
	// interval and before retransmission.
	SendLoss, ReceiveLoss float64
	// SentBytes and ReceivedBytes are headers and payloads of media (design
	// decision 12) and user bytes of data, AcknowledgedBytes what of the sent ones
	// the other node has reported to have. Received are also what was sent again.
	SentBytes, ReceivedBytes, AcknowledgedBytes uint64
	// Layers is how many this end forwards.
	Layers    int
	Connected bool
}

// accountName says for whom the bytes of a relay layer are counted.
type accountName struct {
	room        drtc.RoomID
	application string
}

// account counts the bytes of one application in one room on a relay peer.
type account struct {
	name    accountName
	meter   *meter.Meter
	carried *carried
}

// carried is what a relay peer carries of one room.
type carried struct {
	layers   int
	received uint64
}

func (k *trunk) account(room drtc.RoomID, application string) *account {
	name := accountName{room, application}
	a := k.accounts[name]
	if a == nil {
		a = &account{name: name, meter: meter.New(meter.Relay), carried: k.room(room)}
		k.accounts[name] = a
	}
	return a
}

func (k *trunk) room(room drtc.RoomID) *carried {
	r := k.rooms[room]
	if r == nil {
		r = &carried{}
		k.rooms[room] = r
	}
	return r
}

// RelayFigures returns what a relay peer carried of a room so far, false if
// nothing ever.
func (c *Core) RelayFigures(id PeerID, room drtc.RoomID) (RelayFigures, bool) {
	p := c.peers[id]
	if p == nil || p.trunk == nil || p.trunk.rooms[room] == nil {
		return RelayFigures{}, false
	}
	r := p.trunk.rooms[room]
	f := RelayFigures{
		RoundTrip: p.roundTrip, SendLoss: p.downlinkLoss, ReceiveLoss: p.uplinkLoss,
		ReceivedBytes: r.received, Layers: r.layers, Connected: p.state == StateConnected,
	}
	for name, a := range p.trunk.accounts {
		if name.room == room {
			counted := a.meter.Snapshot()
			f.SentBytes += counted.RelaySent
			f.AcknowledgedBytes += counted.Relay
		}
	}
	return f, true
}

// CountRelayData adds the user bytes of a message that was sent to a relay peer
// for an application's room, once SCTP has taken it.
func (c *Core) CountRelayData(id PeerID, room drtc.RoomID, application string, bytes int) {
	if p := c.peers[id]; p != nil && p.trunk != nil {
		p.trunk.account(room, application).meter.Data(bytes)
	}
}

// usage is what a peer counted so far.
func (p *peer) usage() meter.Counters {
	sum := p.meter.Snapshot()
	if p.trunk != nil {
		for _, a := range p.trunk.accounts {
			sum.Add(a.meter.Snapshot())
		}
	}
	return sum
}

// takeUsage hands over what a peer counted since the call before, by
// application.
func (p *peer) takeUsage(add func(application string, counted meter.Counters)) {
	take := func(application string, m *meter.Meter) {
		if counted := m.Take(); counted != (meter.Counters{}) {
			add(application, counted)
		}
	}
	take(p.cfg.Application, p.meter)
	if p.trunk != nil {
		for name, a := range p.trunk.accounts {
			take(name.application, a.meter)
		}
	}
}

// meterOf is where the bytes of a subscription are counted.
func (s *subscription) meterOf() *meter.Meter {
	if s.relay != nil {
		return s.relay.account.meter
	}
	return s.peer.meter
}

// closeAccounts keeps what was counted of a room, and forgets the room.
func (c *Core) closeAccounts(p *peer, room drtc.RoomID) {
	for name, a := range p.trunk.accounts {
		if name.room == room {
			c.end(name.application, a.meter.Take())
			delete(p.trunk.accounts, name)
		}
	}
	delete(p.trunk.rooms, room)
}
