package simulation

import (
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/record"
)

// resubmitEvery is how long an issuer waits for a receipt.
const resubmitEvery = 2 * time.Second

const tagResubmit = 0

// Issuer is a Media Node that keeps its record at some Registries.
type Issuer struct {
	world *World
	port  *netsim.Port[Message]
	key   *identity.Key
	homes []int // machines of its Registries

	version envelope.Version
	wanted  map[int]envelope.Envelope // what each home has not acknowledged yet
}

func newIssuer(w *World, p *netsim.Port[Message], key *identity.Key, homes []int) *Issuer {
	return &Issuer{world: w, port: p, key: key, homes: homes, wanted: map[int]envelope.Envelope{}}
}

// Start implements netsim.Node. An issuer that lost its state goes on from its
// clock, as spec REG-15 has it.
func (i *Issuer) Start(now time.Time) {
	i.version = envelope.Version{Seq: uint64(now.UnixMilli())}
	i.port.After(resubmitEvery, tagResubmit)
}

// Receive implements netsim.Node: receipts and dials.
func (i *Issuer) Receive(_ time.Time, from int, m Message) {
	switch m := m.(type) {
	case Receipt:
		i.receipt(from, m)
	case Ping:
		i.port.Send(from, Pong(m))
	}
}

func (i *Issuer) receipt(from int, receipt Receipt) {
	want, ok := i.wanted[from]
	if !ok || want.Hash() != receipt.Hash {
		return // of an older one
	}
	held := receipt.Held
	switch {
	case receipt.Accepted:
		i.world.acknowledge(from, &want)
		delete(i.wanted, from)
	case held.Issuer == i.key.ID() && want.Version().Less(held.Version()):
		delete(i.wanted, from) // it has a newer one of ours
	case held.Issuer == i.key.ID():
		delete(i.wanted, from) // we equivocated, and the other one stands
	}
}

// Timeout implements netsim.Node: it asks again until there is a receipt.
func (i *Issuer) Timeout(_ time.Time, tag int) {
	if tag == tagResubmit {
		for _, home := range i.homes {
			if e, ok := i.wanted[home]; ok {
				i.Submit(e, home)
			}
		}
		i.port.After(resubmitEvery, tagResubmit)
	}
}

// Refresh signs a new record of the given life and submits it.
func (i *Issuer) Refresh(ttl time.Duration) {
	i.version = i.version.Next()
	i.submit(i.sign(ttl, 0, "here"), i.homes)
}

// Leave signs a tombstone and submits it.
func (i *Issuer) Leave() {
	i.version = i.version.Next()
	i.submit(i.sign(time.Minute, envelope.Tombstone, ""), i.homes)
}

// Equivocate signs two records of one version and gives each to other Registries.
func (i *Issuer) Equivocate(ttl time.Duration) {
	i.world.liars[i.key.ID()] = true
	i.version = i.version.Next()
	i.submit(i.sign(ttl, 0, "one"), i.homes[:1])
	i.submit(i.sign(ttl, 0, "other"), i.homes[1:])
}

// Key is where the issuer's record is held.
func (i *Issuer) Key() record.Key {
	return record.Key{Kind: record.KindNode, Subject: i.key.ID(), Issuer: i.key.ID()}
}

// SignAt signs a record as if it were issued at another time.
func (i *Issuer) SignAt(at time.Time, ttl time.Duration) envelope.Envelope {
	e := i.sign(ttl, 0, "here")
	e.IssuedAt = at
	e.Seq = uint64(at.UnixMilli())
	if err := e.Sign(i.key); err != nil {
		panic(err) // every field is from here
	}
	i.world.signed[e.Hash()] = true
	return e
}

func (i *Issuer) sign(ttl time.Duration, flags envelope.Flags, body string) envelope.Envelope {
	e := envelope.Envelope{
		Kind: record.KindNode, Network: i.world.rules.Network, Subject: i.key.ID(),
		Generation: i.version.Generation, Seq: i.version.Seq,
		IssuedAt: i.port.Now(), TTL: ttl, Flags: flags,
	}
	if flags == 0 {
		e.Body = []byte(body)
	}
	if err := e.Sign(i.key); err != nil {
		panic(err) // every field is from here
	}
	i.world.signed[e.Hash()] = true
	return e
}

func (i *Issuer) submit(e envelope.Envelope, homes []int) {
	for _, home := range homes {
		i.wanted[home] = e
		i.Submit(e, home)
	}
}

// Submit sends any record to one Registry, once.
func (i *Issuer) Submit(e envelope.Envelope, home int) {
	i.port.SendReliable(home, Submission{e})
}
