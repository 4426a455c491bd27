package liveness

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/drtc-network/drtc"
)

// DefaultProbers is how many Registries watch over one node.
const DefaultProbers = 3

const probersDomain = "drtc prober\n"

// Probers returns the Registries that watch over node in an epoch, the first in
// rank first: the k greatest of SHA-256("drtc prober\n", epoch, node, registry),
// or all when there are fewer (spec LIV-1). A Registry that is listed twice
// counts once. When one leaves or joins, no node changes more than one prober.
func Probers(node drtc.NodeID, registries []drtc.NodeID, epoch uint64, k int) []drtc.NodeID {
	type rank struct {
		hash [sha256.Size]byte
		id   drtc.NodeID
	}
	var in [len(probersDomain) + 8 + 20 + 20]byte
	rest := in[copy(in[:], probersDomain):]
	binary.BigEndian.PutUint64(rest, epoch)
	copy(rest[8:], node[:])
	best := make([]rank, 0, k+1)
	for _, id := range registries {
		copy(rest[8+20:], id[:])
		r := rank{sha256.Sum256(in[:]), id}
		at, found := slices.BinarySearchFunc(best, r, func(a, b rank) int { return bytes.Compare(b.hash[:], a.hash[:]) })
		if found || at >= k {
			continue
		}
		best = slices.Insert(best, at, r)
		best = best[:min(len(best), k)]
	}
	ids := make([]drtc.NodeID, len(best))
	for i, r := range best {
		ids[i] = r.id
	}
	return ids
}
