package gossip

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Part cuts the network between n and those for whom cut is true: existing
// connections end and no new ones begin. nil heals it.
func (n *Network) Part(cut func(peer.ID) bool) {
	n.gater.mu.Lock()
	n.gater.deny = cut
	n.gater.mu.Unlock()
	for _, p := range n.host.Network().Peers() {
		if cut != nil && cut(p) {
			n.host.Network().ClosePeer(p) //nolint:errcheck // it may have gone by itself
		}
	}
	n.dialSoon()
}

// PeerID is libp2p's name for n.
func (n *Network) PeerID() peer.ID { return n.host.ID() }

// AppendRecord adds one record to a message.
func AppendRecord(message, record []byte) []byte { return appendRecord(message, record) }

// Open says whether others may connect.
func (n *Network) Open() bool { return n.gater.open.Load() }

// Directory is what a Registry answers to GET /peers.
func (n *Network) Directory() Directory {
	return Directory{ID: n.id, Addrs: n.Addrs(), Peers: n.contacts.list()}
}

// list is for a directory of ours.
func (b *book) list() []Contact {
	var all []Contact
	for p, addrs := range b.addresses() {
		id, _ := IDOf(p)
		all = append(all, Contact{ID: id, Addrs: addrs})
	}
	slices.SortFunc(all, func(x, y Contact) int { return cmp.Compare(x.ID.String(), y.ID.String()) })
	return all
}
