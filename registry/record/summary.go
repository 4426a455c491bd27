package record

import (
	"bytes"
	"crypto/sha256"

	"github.com/drtc-network/drtc/envelope"
)

// Shape of the Merkle summary: the root covers Groups groups, each of them
// Leaves/Groups leaves, each of them the items whose ids begin with its number.
const (
	Leaves = 4096
	Groups = 64

	leavesPerGroup = Leaves / Groups
)

// ItemID is the short name of a Key: the first 16 bytes of SHA-256 over it. Two
// keys of one id can only belong to somebody who searched for them, about 2^64
// hashes; they are then held as one.
type ItemID [16]byte

// ItemOf returns the id of a key.
func ItemOf(k Key) ItemID {
	b := make([]byte, 0, len(tagItem)+1+len(k.Kind)+len(k.Subject)+len(k.Issuer))
	b = append(b, tagItem...)
	b = append(b, byte(len(k.Kind)))
	b = append(b, k.Kind...)
	b = append(b, k.Subject[:]...)
	b = append(b, k.Issuer[:]...)
	h := sha256.Sum256(b)
	return ItemID(h[:16])
}

// Leaf is the number of the leaf that the id belongs to: its first 12 bits.
func (id ItemID) Leaf() int { return int(id[0])<<4 | int(id[1])>>4 }

func (id ItemID) compare(o ItemID) int { return bytes.Compare(id[:], o[:]) }

// Item says which record is held under an id.
type Item struct {
	ID      ItemID
	Version envelope.Version
	Hash    [32]byte // of the canonical bytes
}

// Each hash begins with what it is over, so that none can be shown for another.
const (
	tagItem  = "drtc item\x00"
	tagLeaf  = "drtc leaf\x00"
	tagGroup = "drtc group\x00"
	tagRoot  = "drtc root\x00"
)

// sum is a hash that is computed when it is asked for.
type sum struct {
	hash  [32]byte
	stale bool
}

// leaf holds the entries of one part of the Set in order of their ids.
type leaf struct {
	entries []*entry
	sum     sum
}

// EmptyLeaf is the hash of a leaf without items.
func EmptyLeaf() [32]byte { return sha256.Sum256([]byte(tagLeaf)) }

// Root is a hash over everything held, marks included: equal Sets, and no others,
// have equal roots. It and the hashes below cost as much as has changed since.
func (s *Set) Root() [32]byte {
	if s.root.stale {
		b := make([]byte, 0, len(tagRoot)+Groups*32)
		b = append(b, tagRoot...)
		for g := range Groups {
			h := s.Group(g)
			b = append(b, h[:]...)
		}
		s.root = sum{hash: sha256.Sum256(b)}
	}
	return s.root.hash
}

// Group is a hash over the leaves of group g, from 0 to Groups-1.
func (s *Set) Group(g int) [32]byte {
	if s.groups[g].stale {
		b := make([]byte, 0, len(tagGroup)+leavesPerGroup*32)
		b = append(b, tagGroup...)
		for l := g * leavesPerGroup; l < (g+1)*leavesPerGroup; l++ {
			h := s.Leaf(l)
			b = append(b, h[:]...)
		}
		s.groups[g] = sum{hash: sha256.Sum256(b)}
	}
	return s.groups[g].hash
}

// Leaf is a hash over the items of leaf l, from 0 to Leaves-1.
func (s *Set) Leaf(l int) [32]byte {
	at := &s.leaves[l]
	if at.sum.stale {
		b := make([]byte, 0, len(tagLeaf)+len(at.entries)*48)
		b = append(b, tagLeaf...)
		for _, en := range at.entries {
			b = append(b, en.id[:]...)
			b = append(b, en.hash[:]...)
		}
		at.sum = sum{hash: sha256.Sum256(b)}
	}
	return at.sum.hash
}

// Items returns the items of leaf l, from 0 to Leaves-1, in order of their ids.
func (s *Set) Items(l int) []Item {
	entries := s.leaves[l].entries
	items := make([]Item, len(entries))
	for i, en := range entries {
		items[i] = Item{ID: en.id, Version: en.version(), Hash: en.hash}
	}
	return items
}

// touch says that leaf l has changed.
func (s *Set) touch(l int) {
	s.leaves[l].sum.stale = true
	s.groups[l/leavesPerGroup].stale = true
	s.root.stale = true
}

// initSums gives an empty Set its hashes.
func (s *Set) initSums() {
	empty := sum{hash: EmptyLeaf()}
	for l := range s.leaves {
		s.leaves[l].sum = empty
	}
	s.groups[0].stale, s.root.stale = true, true
	s.Group(0)
	for g := range s.groups {
		s.groups[g] = s.groups[0]
	}
}
