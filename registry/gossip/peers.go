package gossip

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

// Peer is what is known of another Registry, or of a reader, for people.
type Peer struct {
	ID        drtc.NodeID `json:"registry"`
	Peer      string      `json:"peer"` // libp2p's name for the same key
	Bonded    bool        `json:"bonded"`
	Connected bool        `json:"connected"`
	Addresses []string    `json:"addresses"`
	// Direction is "in" or "out": who opened the connection.
	Direction string    `json:"direction,omitempty"`
	Since     time.Time `json:"since,omitzero"` // the connection
	Score     float64   `json:"score"`
	// Budget is the share used of the fullest budget, 0 to 1.
	Budget float64 `json:"budget"`

	LastSync    time.Time `json:"last_sync,omitzero"`
	SyncOutcome string    `json:"sync_outcome,omitempty"`

	BytesIn    int64  `json:"bytes_in"`
	BytesOut   int64  `json:"bytes_out"`
	RecordsIn  uint64 `json:"records_in"`
	RecordsOut uint64 `json:"records_out"`

	Ban *Ban `json:"ban,omitempty"`
}

// maxStates bounds the peers that are remembered after they left.
const maxStates = 2048

// peerState is what is kept of one peer while it is connected, and for a time
// after, so that who comes again finds its budget as it was.
type peerState struct {
	peer    peer.ID
	id      drtc.NodeID
	account *account

	app                   atomic.Uint64 // score for gossipsub, bits of a float64
	score                 atomic.Uint64 // gossipsub's, bits of a float64
	recordsIn, recordsOut atomic.Uint64
	asking, answering     atomic.Bool // a conversation is under way

	mu          sync.Mutex // guards all below
	left        time.Time  // last seen connected
	lastSync    time.Time
	syncOutcome string
}

func (s *peerState) name() string { return s.id.String() }

func (s *peerState) synced(now time.Time, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastSync, s.syncOutcome = now, outcome
}

// peerTable holds the states.
type peerTable struct {
	mu     sync.Mutex
	states map[peer.ID]*peerState
}

// of returns the state of p, made if need be.
func (t *peerTable) of(p peer.ID) *peerState {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.states[p]
	if !ok {
		id, _ := IDOf(p)
		s = &peerState{peer: p, id: id, account: newAccount(), left: time.Now()}
		s.app.Store(math.Float64bits(bondedScore))
		t.states[p] = s
	}
	return s
}

func (t *peerTable) all() []*peerState {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*peerState, 0, len(t.states))
	for _, s := range t.states {
		all = append(all, s)
	}
	return all
}

// appScore is asked by gossipsub.
func (t *peerTable) appScore(p peer.ID) float64 {
	return math.Float64frombits(t.of(p).app.Load())
}

// scored is told by gossipsub.
func (t *peerTable) scored(scores map[peer.ID]float64) {
	for p, score := range scores {
		t.of(p).score.Store(math.Float64bits(score))
	}
}

// forget drops states of those who left long ago, and more if there are too
// many, the longest gone first.
func (t *peerTable) forget(now time.Time, connected func(peer.ID) bool, after time.Duration) {
	type absent struct {
		peer peer.ID
		left time.Time
	}
	var gone []absent
	for _, s := range t.all() {
		s.mu.Lock()
		if connected(s.peer) {
			s.left = now
		} else {
			gone = append(gone, absent{s.peer, s.left})
		}
		s.mu.Unlock()
	}
	slices.SortFunc(gone, func(a, b absent) int { return a.left.Compare(b.left) })
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range gone {
		if len(t.states) > maxStates || now.Sub(a.left) > after {
			delete(t.states, a.peer)
		}
	}
}

// watch closes connections that may no longer be and renews the scores that
// gossipsub asks for.
func (n *Network) watch(now time.Time) {
	at := map[netip.Addr]int{}
	for _, c := range n.host.Network().Conns() {
		if a, ok := addressOf(c); ok && !a.IsLoopback() {
			at[a]++
		}
	}
	scattered := n.contacts.known() >= crowdKnown
	for _, p := range n.host.Network().Peers() {
		state := n.peers.of(p)
		bonded := n.bonding.Bonded(record.RoleRegistry, state.id)
		if _, banned := n.gater.ban(p, now); banned || !bonded && n.gater.maxReaders == 0 {
			n.disconnect(p)
			continue
		}
		score := bondedScore + fullScore*min(1, state.account.used(now, &n.config.Budget))
		if !bonded {
			score = unbondedScore
		}
		if scattered {
			for _, c := range n.host.Network().ConnsToPeer(p) {
				a, _ := addressOf(c)
				many := float64(max(0, at[a]-crowd))
				score += crowdScore * many * many
			}
		}
		state.app.Store(math.Float64bits(score))
	}
	n.peers.forget(now, n.connected, n.config.BanFor)
	n.traffic.TrimIdle(now.Add(-n.config.BanFor))
}

// addressOf is the other end of c.
func addressOf(c network.Conn) (netip.Addr, bool) {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}

func (n *Network) connected(p peer.ID) bool {
	return n.host.Network().Connectedness(p) == network.Connected
}

// readers counts those who are connected and not bonded.
func (n *Network) readers() int {
	count := 0
	for _, p := range n.host.Network().Peers() {
		if !n.bonding.Bonded(record.RoleRegistry, n.peers.of(p).id) {
			count++
		}
	}
	return count
}

// Peers returns everybody who is connected, known to be a Registry or banned, in
// order of ids.
func (n *Network) Peers() []Peer {
	now := time.Now()
	bans, addrs := n.gater.banned(now), n.contacts.addresses()
	want := map[peer.ID]bool{}
	for _, p := range n.host.Network().Peers() {
		want[p] = true
	}
	for p := range bans {
		want[p] = true
	}
	for p := range addrs {
		want[p] = true
	}
	all := make([]Peer, 0, len(want))
	for p := range want {
		all = append(all, n.describe(now, p, addrs[p], bans))
	}
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return all
}

func (n *Network) describe(now time.Time, p peer.ID, addrs []string, bans map[peer.ID]Ban) Peer {
	state, traffic := n.peers.of(p), n.traffic.GetBandwidthForPeer(p)
	state.mu.Lock()
	defer state.mu.Unlock()
	d := Peer{
		ID: state.id, Peer: p.String(), Bonded: n.bonding.Bonded(record.RoleRegistry, state.id),
		Addresses: addrs, Score: math.Float64frombits(state.score.Load()),
		Budget: min(1, state.account.used(now, &n.config.Budget)), LastSync: state.lastSync, SyncOutcome: state.syncOutcome,
		BytesIn: traffic.TotalIn, BytesOut: traffic.TotalOut,
		RecordsIn: state.recordsIn.Load(), RecordsOut: state.recordsOut.Load(),
	}
	for _, c := range n.host.Network().ConnsToPeer(p) {
		d.Connected, d.Since, d.Direction = true, c.Stat().Opened, "in"
		if c.Stat().Direction == network.DirOutbound {
			d.Direction = "out"
		}
		if len(addrs) == 0 {
			d.Addresses = append(d.Addresses, c.RemoteMultiaddr().String())
		}
	}
	if b, ok := bans[p]; ok {
		d.Ban = &b
	}
	return d
}
