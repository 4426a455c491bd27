package gossip

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/drtc-network/drtc/registry/record"
)

// Why a connection is refused.
const (
	refusedClosed   = "closed" // Run has not begun or has ended
	refusedKey      = "key"    // not a secp256k1 key
	refusedBanned   = "banned"
	refusedUnbonded = "unbonded"
	refusedReaders  = "readers" // too many of them
)

// maxBans bounds the list; the one that ends first makes room.
const maxBans = 4096

// Ban is a refusal for a time.
type Ban struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// gater decides who may connect. It implements connmgr.ConnectionGater.
type gater struct {
	bonding    record.Bonding
	maxReaders int // 0 for none
	readers    func() int
	refused    func(reason string)
	open       atomic.Bool

	mu   sync.Mutex // guards all below
	bans map[peer.ID]Ban
	deny func(peer.ID) bool // set by tests that cut the network
}

// bonded reports whether p takes part as a Registry.
func (g *gater) bonded(p peer.ID) bool {
	id, ok := IDOf(p)
	return ok && g.bonding.Bonded(record.RoleRegistry, id)
}

// admits returns why p may not connect, or "".
func (g *gater) admits(p peer.ID, now time.Time) string {
	if !g.open.Load() {
		return refusedClosed
	}
	id, ok := IDOf(p)
	if !ok {
		return refusedKey
	}
	if _, banned := g.ban(p, now); banned {
		return refusedBanned
	}
	if g.bonding.Bonded(record.RoleRegistry, id) {
		return ""
	}
	switch {
	case g.maxReaders == 0:
		return refusedUnbonded
	case g.readers() >= g.maxReaders:
		return refusedReaders
	}
	return ""
}

func (g *gater) allow(p peer.ID) bool {
	reason := g.admits(p, time.Now())
	if reason != "" {
		g.refused(reason)
	}
	return reason == ""
}

// ban returns the ban on p that holds now.
func (g *gater) ban(p peer.ID, now time.Time) (Ban, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deny != nil && g.deny(p) {
		return Ban{}, true
	}
	b, ok := g.bans[p]
	if ok && !now.Before(b.Until) {
		delete(g.bans, p)
		return Ban{}, false
	}
	return b, ok
}

// punish bans p and reports whether it was not banned before.
func (g *gater) punish(p peer.ID, b Ban, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, ok := g.bans[p]; ok && now.Before(old.Until) {
		return false
	}
	if len(g.bans) >= maxBans {
		var first peer.ID
		for q, old := range g.bans {
			if first == "" || old.Until.Before(g.bans[first].Until) {
				first = q
			}
		}
		delete(g.bans, first)
	}
	g.bans[p] = b
	return true
}

// banned returns the bans that hold now.
func (g *gater) banned(now time.Time) map[peer.ID]Ban {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[peer.ID]Ban{}
	for p, b := range g.bans {
		if now.Before(b.Until) {
			all[p] = b
		}
	}
	return all
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.allow(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return g.open.Load() }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.allow(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
