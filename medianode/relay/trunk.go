package relay

import (
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
)

// How much of the other end is tolerated: so many messages at once and so many
// a second from then on. A stray, what concerns nothing that there is, counts
// for several: a few are the rule while orders are under way.
const (
	tolerance     = 32768
	toleratedRate = 2000 // per second
	strayCost     = 4
)

// Name is a link: what an Orchestrator calls it is only its own, and it may use
// the name again.
type Name struct {
	Owner    drtc.NodeID
	Link     string
	Instance Instance
}

// Trunk is what two nodes have agreed on over one association: that they mean
// each other, and which links are open. It numbers this end's links; numbers are
// never used again.
type Trunk struct {
	self, peer drtc.NodeID
	version    uint8

	greeted bool
	last    uint32              // number of this end's newest link
	ours    map[Name]*opened    // this end's links
	theirs  map[uint32]*foreign // the other end's, by its number
	names   map[Name]uint32     // the same by name
	highest uint32              // of their numbers

	budget float64
	filled time.Time
}

// opened is a link that this end has opened.
type opened struct {
	number uint32
	room   string
	up     bool
}

// foreign is a link that the other end has opened.
type foreign struct {
	name Name
	room string
}

// NewTrunk begins an association with peer in a version both speak.
func NewTrunk(now time.Time, self, peer drtc.NodeID, version uint8) *Trunk {
	return &Trunk{
		self: self, peer: peer, version: version, ours: map[Name]*opened{}, theirs: map[uint32]*foreign{}, names: map[Name]uint32{},
		budget: tolerance, filled: now,
	}
}

// Version is that of the messages.
func (t *Trunk) Version() uint8 { return t.version }

// Hello is the first message of this end.
func (t *Trunk) Hello() []byte {
	return Encode(nil, t.version, Hello{Version: t.version, Node: t.self, Peer: t.peer})
}

// Open opens this end of a link and returns the message that says so, and
// whether the link is up: the other end has opened its own.
func (t *Trunk) Open(name Name, room string) (message []byte, up bool, err error) {
	if t.ours[name] != nil || len(t.ours) >= MaxLinks {
		return nil, false, fmt.Errorf("relay: link %.64q is open, or %d others are", name.Link, MaxLinks)
	}
	if n, ok := t.names[name]; ok {
		if t.theirs[n].room != room {
			return nil, false, fmt.Errorf("%w: link %.64q is of another room there", ErrProtocol, name.Link)
		}
		up = true
	}
	t.last++
	t.ours[name] = &opened{number: t.last, room: room, up: up}
	return Encode(nil, t.version, Open{Number: t.last, Owner: name.Owner, Link: name.Link, Instance: name.Instance, Room: room}), up, nil
}

// Close closes this end of a link and returns the message that says so; nil if
// it was not open.
func (t *Trunk) Close(name Name, reason string) []byte {
	o := t.ours[name]
	if o == nil {
		return nil
	}
	delete(t.ours, name)
	return Encode(nil, t.version, Close{Number: o.number, Reason: reason})
}

// Encode makes a message of a link that is up, with this end's number; nil if
// the link is not up or the version doesn't have the message.
func (t *Trunk) Encode(name Name, m Message) []byte {
	o := t.ours[name]
	if o == nil || !o.up {
		return nil
	}
	switch v := m.(type) {
	case Routes:
		v.Number = o.number
		m = v
	case Track:
		v.Number = o.number
		m = v
	case Gone:
		v.Number = o.number
		m = v
	case Want:
		v.Number = o.number
		m = v
	case State:
		v.Number = o.number
		m = v
	default:
		return nil
	}
	return Encode(nil, t.version, m)
}

// EncodeData makes a data packet for a link that is up; nil if it is not.
func (t *Trunk) EncodeData(name Name, d Data) []byte {
	o := t.ours[name]
	if o == nil || !o.up {
		return nil
	}
	d.Number = o.number
	return EncodeData(make([]byte, 0, 64+len(d.Packet)), t.version, d)
}

// Arrival is what a message of the other end means.
type Arrival struct {
	// Name is the link that it is about; empty if it is about none.
	Name Name
	// Up says that the link is open at both ends from now on, Down that the
	// other end has closed it, for Reason.
	Up, Down bool
	Reason   string
	// Message is for the link's Exchange, nil for none.
	Message Message
}

// Receive takes a message from the control channel. An error ends the trunk.
func (t *Trunk) Receive(now time.Time, b []byte) (Arrival, error) {
	if err := t.spend(now, 1); err != nil {
		return Arrival{}, err
	}
	m, err := Decode(t.version, b)
	if err != nil {
		return Arrival{}, err
	}
	hello, isHello := m.(Hello)
	switch {
	case isHello && t.greeted, !isHello && !t.greeted:
		return Arrival{}, fmt.Errorf("%w: want one hello, and first", ErrProtocol)
	case isHello && (hello.Version != t.version || hello.Node != t.peer || hello.Peer != t.self):
		return Arrival{}, fmt.Errorf("%w: hello of %s to %s in version %d, want %s to %s in version %d",
			ErrProtocol, hello.Node, hello.Peer, hello.Version, t.peer, t.self, t.version)
	case isHello:
		t.greeted = true
		return Arrival{}, nil
	}
	switch m := m.(type) {
	case Open:
		return t.opened(m)
	case Close:
		return t.closed(now, m)
	}
	f := t.theirs[m.number()]
	if f == nil {
		if m.number() > t.highest {
			return Arrival{}, fmt.Errorf("%w: link %d was never opened", ErrProtocol, m.number())
		}
		return Arrival{}, t.Stray(now)
	}
	if o := t.ours[f.name]; o == nil || !o.up { // it is closed here, which it has not heard yet
		return Arrival{}, t.Stray(now)
	}
	return Arrival{Name: f.name, Message: m}, nil
}

func (t *Trunk) opened(m Open) (Arrival, error) {
	name := Name{m.Owner, m.Link, m.Instance}
	_, twice := t.names[name]
	switch {
	case m.Number <= t.highest:
		return Arrival{}, fmt.Errorf("%w: link number %d after %d", ErrProtocol, m.Number, t.highest)
	case twice || len(t.theirs) >= MaxLinks:
		return Arrival{}, fmt.Errorf("%w: link %.64q is open, or %d others are", ErrProtocol, m.Link, MaxLinks)
	}
	t.highest = m.Number
	t.theirs[m.Number], t.names[name] = &foreign{name, m.Room}, m.Number
	o := t.ours[name]
	switch {
	case o == nil:
		return Arrival{}, nil
	case o.room != m.Room:
		return Arrival{}, fmt.Errorf("%w: link %.64q is of another room there", ErrProtocol, m.Link)
	}
	o.up = true
	return Arrival{Name: name, Up: true}, nil
}

func (t *Trunk) closed(now time.Time, m Close) (Arrival, error) {
	f := t.theirs[m.Number]
	if f == nil {
		return Arrival{}, t.Stray(now)
	}
	delete(t.theirs, m.Number)
	delete(t.names, f.name)
	o := t.ours[f.name]
	if o == nil || !o.up {
		return Arrival{}, nil
	}
	o.up = false
	return Arrival{Name: f.name, Down: true, Reason: m.Reason}, nil
}

// ReceiveData takes a message from a data channel; false if it is for no link
// that is up. An error ends the trunk.
func (t *Trunk) ReceiveData(now time.Time, b []byte) (Name, Data, bool, error) {
	d, err := DecodeData(t.version, b)
	if err != nil {
		return Name{}, Data{}, false, err
	}
	f := t.theirs[d.Number]
	if f == nil {
		return Name{}, Data{}, false, t.Stray(now)
	}
	if o := t.ours[f.name]; o == nil || !o.up {
		return Name{}, Data{}, false, t.Stray(now)
	}
	return f.name, d, true, nil
}

// Stray counts a message that concerned nothing that there is. The error ends
// the trunk: there are too many.
func (t *Trunk) Stray(now time.Time) error { return t.spend(now, strayCost) }

func (t *Trunk) spend(now time.Time, cost float64) error {
	if passed := now.Sub(t.filled).Seconds(); passed > 0 {
		t.budget = min(tolerance, t.budget+passed*toleratedRate)
		t.filled = now
	}
	if t.budget -= cost; t.budget < 0 {
		return fmt.Errorf("%w: it floods: more than %d messages a second", ErrProtocol, toleratedRate)
	}
	return nil
}
