package record

import (
	"bytes"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
)

// entry is a held envelope with its names and times packed: 224 bytes, and the
// body.
type entry struct {
	id         ItemID
	subject    drtc.NodeID
	issuer     drtc.NodeID
	hash       [32]byte
	signature  identity.Signature
	kind       uint8
	accused    bool // an equivocation at this version has been reported
	flags      envelope.Flags
	ttl        uint32 // seconds
	generation uint64
	seq        uint64
	issued     int64 // Unix milliseconds
	rate       bucket
	body       []byte
}

func newEntry(kind uint8, id ItemID, hash [32]byte, e *envelope.Envelope) entry {
	return entry{
		id: id, subject: e.Subject, issuer: e.Issuer, hash: hash, signature: e.Signature, kind: kind,
		flags: e.Flags, ttl: uint32(e.TTL / time.Second), generation: e.Generation, seq: e.Seq,
		issued: e.IssuedAt.UnixMilli(), body: e.Body,
	}
}

// envelope is the reverse of newEntry.
func (s *Set) envelope(en *entry) envelope.Envelope {
	return envelope.Envelope{
		Kind: s.kinds[en.kind].Name, Network: s.rules.Network, Subject: en.subject, Issuer: en.issuer,
		Generation: en.generation, Seq: en.seq, IssuedAt: time.UnixMilli(en.issued).UTC(),
		TTL: time.Duration(en.ttl) * time.Second, Flags: en.flags, Body: en.body, Signature: en.signature,
	}
}

func (en *entry) version() envelope.Version {
	return envelope.Version{Generation: en.generation, Seq: en.seq}
}

func (en *entry) isTombstone() bool { return en.flags&envelope.Tombstone != 0 }

func (s *Set) heldUntil(en *entry) time.Time {
	return s.rules.heldUntil(&s.kinds[en.kind], time.UnixMilli(en.issued))
}

func (s *Set) key(en *entry) Key { return Key{s.kinds[en.kind].Name, en.subject, en.issuer} }

// find returns the entry held under id, or nil.
func (s *Set) find(id ItemID) *entry {
	l := &s.leaves[id.Leaf()]
	if i, ok := l.search(id); ok {
		return l.entries[i]
	}
	return nil
}

// put holds en in the place of old, which is nil for a new id.
func (s *Set) put(en entry, old *entry) {
	s.touch(en.id.Leaf())
	if old != nil {
		*old = en
		return
	}
	l := &s.leaves[en.id.Leaf()]
	i, _ := l.search(en.id)
	l.entries = slices.Insert(l.entries, i, &en)
	s.count++
	s.enlist(&en)
	delete(s.gone, s.key(&en))
}

// drop forgets en.
func (s *Set) drop(en *entry) {
	s.touch(en.id.Leaf())
	l := &s.leaves[en.id.Leaf()]
	if i, ok := l.search(en.id); ok {
		l.entries = slices.Delete(l.entries, i, i+1)
	}
	s.count--
	s.delist(en)
	s.gone[s.key(en)] = struct{}{}
}

func (l *leaf) search(id ItemID) (int, bool) {
	return slices.BinarySearchFunc(l.entries, id, func(en *entry, id ItemID) int { return bytes.Compare(en.id[:], id[:]) })
}
