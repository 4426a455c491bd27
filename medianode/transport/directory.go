package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// maxUfrags is how many ICE user names of a peer are kept: the one in use, and
// those of restarts that the client may still answer.
const maxUfrags = 4

// directory knows which worker has which peer, and so whose a datagram is. Its
// mutex is the last that is taken: workers ask it with their own held.
type directory struct {
	// contested counts the addresses that several cores believe to be a peer's
	// of theirs. While there are any, a core's own belief is not enough.
	contested atomic.Int32
	together  int // Config.Together

	mu     sync.RWMutex // guards what follows
	closed bool
	peers  map[engine.PeerID]*peer
	ufrags map[string]engine.CoreID
	// addrs are the authenticated addresses, with the cores that believe in
	// them, the newest last.
	addrs map[netip.AddrPort][]engine.CoreID
	rooms map[drtc.RoomID][]int // peers of each room, by worker
	load  []int                 // peers, by worker
	// relays are the peers that are other nodes, by worker.
	relays []int
}

func newDirectory(workers, together int) *directory {
	return &directory{
		together: together,
		peers:    map[engine.PeerID]*peer{},
		ufrags:   map[string]engine.CoreID{},
		addrs:    map[netip.AddrPort][]engine.CoreID{},
		rooms:    map[drtc.RoomID][]int{},
		load:     make([]int, workers),
		relays:   make([]int, workers),
	}
}

// place chooses the worker of a new peer: of those that have a few of the
// room's peers the one with most, else the one with the fewest of all. A relay
// peer carries many rooms, so it goes where the fewest of its kind are.
func (d *directory) place(room drtc.RoomID, relay bool) engine.CoreID {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if relay {
		best := 0
		for i := range d.relays {
			if d.relays[i] < d.relays[best] || d.relays[i] == d.relays[best] && d.load[i] < d.load[best] {
				best = i
			}
		}
		return engine.CoreID(best)
	}
	best, most := -1, 0
	for i, count := range d.rooms[room] {
		if count < d.together && count > most {
			best, most = i, count
		}
	}
	if best < 0 {
		best = slices.Index(d.load, slices.Min(d.load))
	}
	return engine.CoreID(best)
}

// add enters a peer of a worker under its id and its ufrag.
func (d *directory) add(p *peer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, taken := d.ufrags[p.cfg.Local.Ufrag]
	switch {
	case d.closed:
		return fmt.Errorf("%w %d: the transport is closed", ErrPeer, p.id)
	case d.peers[p.id] != nil:
		return fmt.Errorf("%w %d: open already", ErrPeer, p.id)
	case taken:
		return fmt.Errorf("%w: ufrag %q", engine.ErrPeerExists, p.cfg.Local.Ufrag)
	}
	d.peers[p.id] = p
	d.ufrags[p.cfg.Local.Ufrag] = p.worker.id
	p.ufrags = append(p.ufrags, p.cfg.Local.Ufrag)
	if d.rooms[p.cfg.Room] == nil {
		d.rooms[p.cfg.Room] = make([]int, len(d.load))
	}
	d.rooms[p.cfg.Room][p.worker.id]++
	d.load[p.worker.id]++
	if p.cfg.Relay {
		d.relays[p.worker.id]++
	}
	return nil
}

// rename adds an ufrag of a peer that is there, for an ICE restart.
func (d *directory) rename(p *peer, ufrag string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(p.ufrags, ufrag) {
		return nil
	}
	if _, taken := d.ufrags[ufrag]; taken {
		return fmt.Errorf("%w: ufrag %q", engine.ErrPeerExists, ufrag)
	}
	if len(p.ufrags) == maxUfrags {
		delete(d.ufrags, p.ufrags[0])
		p.ufrags = slices.Delete(p.ufrags, 0, 1)
	}
	d.ufrags[ufrag] = p.worker.id
	p.ufrags = append(p.ufrags, ufrag)
	return nil
}

// remove forgets a peer that was added.
func (d *directory) remove(p *peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.peers, p.id)
	for _, u := range p.ufrags {
		delete(d.ufrags, u)
	}
	room := d.rooms[p.cfg.Room]
	room[p.worker.id]--
	if !slices.ContainsFunc(room, func(count int) bool { return count > 0 }) {
		delete(d.rooms, p.cfg.Room)
	}
	d.load[p.worker.id]--
	if p.cfg.Relay {
		d.relays[p.worker.id]--
	}
}

// close refuses peers from now on and returns those that there are.
func (d *directory) close() (all []*peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, p := range d.peers {
		all = append(all, p)
	}
	return all
}

// peer returns an open peer or nil.
func (d *directory) peer(id engine.PeerID) *peer {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.peers[id]
}

// believe notes that a core has authenticated an address. It takes the place of
// what other cores believed before.
func (d *directory) believe(core engine.CoreID, addr netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.addrs[addr]
	d.setAddr(addr, append(slices.DeleteFunc(before, func(c engine.CoreID) bool { return c == core }), core), len(before))
}

// forget notes that a core believes in an address no more.
func (d *directory) forget(core engine.CoreID, addr netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.addrs[addr]
	d.setAddr(addr, slices.DeleteFunc(before, func(c engine.CoreID) bool { return c == core }), len(before))
}

func (d *directory) setAddr(addr netip.AddrPort, cores []engine.CoreID, before int) {
	if len(cores) == 0 {
		delete(d.addrs, addr)
	} else {
		d.addrs[addr] = cores
	}
	switch {
	case before < 2 && len(cores) > 1:
		d.contested.Add(1)
	case before > 1 && len(cores) < 2:
		d.contested.Add(-1)
	}
}

// byAddr returns the core that was the last to authenticate an address.
func (d *directory) byAddr(addr netip.AddrPort) (core engine.CoreID, known bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	cores := d.addrs[addr]
	if len(cores) == 0 {
		return 0, false
	}
	return cores[len(cores)-1], true
}

// byUfrag returns the core of the peer that answers to an ICE user name.
func (d *directory) byUfrag(ufrag []byte) (core engine.CoreID, known bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	core, known = d.ufrags[string(ufrag)]
	return core, known
}
