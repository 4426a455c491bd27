package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

// Contact is a Registry and where it can be dialled: multiaddresses that end in
// /p2p/ID.
type Contact struct {
	ID    drtc.NodeID `json:"registry"`
	Addrs []string    `json:"addresses"`
}

const (
	maxAddrs = 8 // of one contact
	maxDials = 8 // at one time
)

// contact is a Registry that is known.
type contact struct {
	id       drtc.NodeID
	peer     peer.ID
	fixed    []ma.Multiaddr // from Config
	told     []ma.Multiaddr // by a directory
	recorded []ma.Multiaddr // from its own record
	dialling bool
	failures int
	next     time.Time // when it may be dialled again
}

// addrs are all addresses, those that the Registry itself signed first.
func (c *contact) addrs() []ma.Multiaddr {
	var all []ma.Multiaddr
	for _, a := range slices.Concat(c.recorded, c.fixed, c.told) {
		if len(all) < maxAddrs && !slices.ContainsFunc(all, a.Equal) {
			all = append(all, a)
		}
	}
	return all
}

// book is everybody who is known.
type book struct {
	self    drtc.NodeID
	bonding record.Bonding
	limit   int
	// private says that addresses of this machine alone may be dialled: this
	// Registry listens on such a one itself.
	private bool

	mu       sync.Mutex
	contacts map[drtc.NodeID]*contact
}

// parseAddr reads a multiaddress that ends in /p2p/ID.
func parseAddr(s string) (*peer.AddrInfo, error) {
	info, err := peer.AddrInfoFromString(s)
	if err != nil {
		return nil, fmt.Errorf("want a multiaddress that ends in /p2p/ID: %w", err)
	}
	if _, ok := IDOf(info.ID); !ok {
		return nil, fmt.Errorf("want the peer id of a secp256k1 key, got %s", info.ID)
	}
	if len(info.Addrs) != 1 {
		return nil, fmt.Errorf("want an address before /p2p/%s", info.ID)
	}
	return info, nil
}

// useful returns the addresses in c that name its Registry and may be dialled.
func (b *book) useful(c Contact) (peer.ID, []ma.Multiaddr) {
	var p peer.ID
	var addrs []ma.Multiaddr
	for _, s := range c.Addrs[:min(len(c.Addrs), maxAddrs)] {
		info, err := parseAddr(s)
		if err != nil {
			continue
		}
		if id, _ := IDOf(info.ID); id != c.ID || !b.private && manet.IsIPLoopback(info.Addrs[0]) || manet.IsIPUnspecified(info.Addrs[0]) {
			continue
		}
		p, addrs = info.ID, append(addrs, info.Addrs...)
	}
	return p, addrs
}

// entry returns the contact of p, made if there is room.
func (b *book) entry(id drtc.NodeID, p peer.ID) *contact {
	c, ok := b.contacts[id]
	if !ok && len(b.contacts) < b.limit {
		c = &contact{id: id, peer: p}
		b.contacts[id] = c
	}
	return c
}

// fix adds an address from Config.
func (b *book) fix(info *peer.AddrInfo) {
	id, _ := IDOf(info.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.entry(id, info.ID); c != nil && id != b.self {
		c.fixed = append(c.fixed, info.Addrs...)
	}
}

// tell adds what a directory said.
func (b *book) tell(all []Contact) {
	for _, t := range all {
		if p, addrs := b.useful(t); len(addrs) > 0 && t.ID != b.self && b.bonding.Bonded(record.RoleRegistry, t.ID) {
			b.mu.Lock()
			if c := b.entry(t.ID, p); c != nil {
				c.told = addrs
			}
			b.mu.Unlock()
		}
	}
}

// know replaces what Registries said of themselves.
func (b *book) know(all []Contact) {
	fresh := map[drtc.NodeID][]ma.Multiaddr{}
	peers := map[drtc.NodeID]peer.ID{}
	for _, k := range all {
		if p, addrs := b.useful(k); len(addrs) > 0 && k.ID != b.self {
			fresh[k.ID], peers[k.ID] = addrs, p
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, c := range b.contacts {
		c.recorded = nil
		if len(c.fixed) == 0 && len(c.told) == 0 && fresh[id] == nil && !c.dialling {
			delete(b.contacts, id)
		}
	}
	for id, addrs := range fresh {
		if c := b.entry(id, peers[id]); c != nil {
			if !slices.EqualFunc(c.recorded, addrs, ma.Multiaddr.Equal) {
				c.recorded = addrs
			}
		}
	}
}

// all returns the contacts that are bonded.
func (b *book) all() []*contact {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*contact
	for _, c := range b.contacts {
		if b.bonding.Bonded(record.RoleRegistry, c.id) && c.id != b.self {
			all = append(all, c)
		}
	}
	return all
}

func (b *book) known() int { return len(b.all()) }

func (b *book) addresses() map[peer.ID][]string {
	all := map[peer.ID][]string{}
	for _, c := range b.all() {
		b.mu.Lock()
		all[c.peer] = full(c.peer, c.addrs())
		b.mu.Unlock()
	}
	return all
}

// full adds /p2p/ID to addresses.
func full(p peer.ID, addrs []ma.Multiaddr) []string {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String()+"/p2p/"+p.String())
	}
	return texts
}

func (b *book) peerOf(id drtc.NodeID) (peer.ID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.contacts[id]
	if !ok {
		return "", false
	}
	return c.peer, true
}

// remember gives the addresses of p to libp2p for the next dial.
func (b *book) remember(store peerstore.Peerstore, p peer.ID) {
	id, _ := IDOf(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.contacts[id]; ok {
		store.AddAddrs(p, c.addrs(), peerstore.TempAddrTTL)
	}
}

// prefix is the neighbourhood of an address: /16 of IPv4, /32 of IPv6. Of names
// and on this machine there is none.
func prefix(addrs []ma.Multiaddr) (netip.Prefix, bool) {
	for _, a := range addrs {
		ip, err := manet.ToIP(a)
		if err != nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(ip)
		if addr = addr.Unmap(); !ok || addr.IsLoopback() {
			continue
		}
		bits := 32
		if addr.Is4() {
			bits = 16
		}
		p, err := addr.Prefix(bits)
		return p, err == nil
	}
	return netip.Prefix{}, false
}

// wanted returns whom to dial now, best first: below keepAll known Registries
// everybody who is not connected, else as many as are missing to minOutbound,
// those in neighbourhoods of their own before others. That is a rank and no
// rule, so that a network in few neighbourhoods holds together.
func (b *book) wanted(now time.Time, connected map[peer.ID]network.Direction, c *Config) []*contact {
	all := b.all()
	b.mu.Lock()
	defer b.mu.Unlock()
	outbound, taken := 0, map[netip.Prefix]bool{}
	var free []*contact
	for _, k := range all {
		direction, ok := connected[k.peer]
		switch {
		case ok && direction == network.DirOutbound:
			outbound++
			if p, ok := prefix(k.addrs()); ok {
				taken[p] = true
			}
		case k.dialling:
			outbound++
		case !ok && !now.Before(k.next):
			free = append(free, k)
		}
	}
	missing := len(free)
	if len(all) >= c.KeepAll {
		missing = max(0, c.MinOutbound-outbound)
	}
	rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	slices.SortStableFunc(free, func(x, y *contact) int { return cmp.Compare(x.failures, y.failures) })
	var chosen, others []*contact
	for _, k := range free {
		p, ok := prefix(k.addrs())
		if ok && taken[p] {
			others = append(others, k)
			continue
		}
		taken[p] = ok
		chosen = append(chosen, k)
	}
	chosen = append(chosen, others...)
	return chosen[:min(missing, len(chosen), maxDials)]
}

// begin marks k as being dialled, unless it is.
func (b *book) begin(k *contact) ([]ma.Multiaddr, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.dialling {
		return nil, false
	}
	k.dialling = true
	return k.addrs(), true
}

// end notes how a dial went.
func (b *book) end(now time.Time, k *contact, ok bool, c *Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k.dialling = false
	if ok {
		k.failures, k.next = 0, now
		return
	}
	wait := c.RetryMax
	if k.failures < 16 {
		wait = min(wait, c.RetryMin<<k.failures)
	}
	k.failures++
	k.next = now.Add(spread(wait))
}

// Know replaces what is known from Registries' own records. Addresses that do
// not name their Registry's key, and Registries that are not bonded, are passed
// over.
func (n *Network) Know(registries []Contact) {
	n.contacts.know(registries)
	n.dialSoon()
}

func (n *Network) dialSoon() {
	select {
	case n.dials <- struct{}{}:
	default:
	}
}

// contactLoop keeps connections and watches over them until ctx is done.
func (n *Network) contactLoop(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, n.config.RetryMin))
	defer tick.Stop()
	var dials sync.WaitGroup
	defer dials.Wait()
	for {
		now := time.Now()
		n.watch(now)
		for _, k := range n.contacts.wanted(now, n.directions(), &n.config) {
			if addrs, ok := n.contacts.begin(k); ok {
				dials.Go(func() { n.dial(ctx, k, addrs) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.dials:
		}
	}
}

// directions are the connections, outbound if any of a peer's is, and as neither
// those who may not be dialled because they are banned.
func (n *Network) directions() map[peer.ID]network.Direction {
	all := map[peer.ID]network.Direction{}
	for p := range n.gater.banned(time.Now()) {
		all[p] = network.DirUnknown
	}
	for _, c := range n.host.Network().Conns() {
		if p := c.RemotePeer(); all[p] != network.DirOutbound {
			all[p] = c.Stat().Direction
		}
	}
	return all
}

func (n *Network) dial(ctx context.Context, k *contact, addrs []ma.Multiaddr) {
	ctx, cancel := context.WithTimeout(ctx, n.config.DialTimeout)
	defer cancel()
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(k.peer) // ours is in the contact
	}
	n.host.Peerstore().ClearAddrs(k.peer)
	err := n.host.Connect(ctx, peer.AddrInfo{ID: k.peer, Addrs: addrs})
	if err != nil && !errors.Is(err, context.Canceled) {
		n.log.Debug("registry not reached", slog.String("registry", k.id.String()), slog.Any("error", err))
	}
	n.contacts.end(time.Now(), k, err == nil, &n.config)
}
