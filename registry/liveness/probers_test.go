package liveness_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
)

// The rule of LIV-1 spelled out: all hashes, sorted.
func TestProbers_areTheGreatestHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k, epoch := rapid.IntRange(0, 12).Draw(t, "registries"), rapid.IntRange(1, 5).Draw(t, "k"), rapid.Uint64().Draw(t, "epoch")
		node := simID(rapid.IntRange(0, 1000).Draw(t, "node"))
		var registries []drtc.NodeID
		for i := range n {
			registries = append(registries, simID(5000+i))
		}
		hash := func(id drtc.NodeID) [32]byte {
			b := binary.BigEndian.AppendUint64([]byte("drtc prober\n"), epoch)
			return sha256.Sum256(append(append(b, node[:]...), id[:]...))
		}
		want := slices.SortedFunc(slices.Values(registries), func(a, b drtc.NodeID) int {
			x, y := hash(a), hash(b)
			return slices.Compare(y[:], x[:])
		})
		want = want[:min(k, n)]
		shuffled := append(slices.Clone(registries), registries[:n/2]...) // some twice
		rand.New(rand.NewPCG(epoch, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := liveness.Probers(node, shuffled, epoch, k); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestProbers_oneThatLeavesMovesOnlyItsNodes(t *testing.T) {
	var registries []drtc.NodeID
	for i := range 8 {
		registries = append(registries, simID(5000+i))
	}
	moved := 0
	for i := range 1000 {
		before := liveness.Probers(simID(i), registries, 1, 3)
		after := liveness.Probers(simID(i), registries[1:], 1, 3)
		if !slices.Contains(before, registries[0]) {
			if !slices.Equal(before, after) {
				t.Fatalf("node %d: its probers changed from %v to %v although none of them left", i, before, after)
			}
			continue
		}
		moved++
		for _, id := range before {
			if id != registries[0] && !slices.Contains(after, id) {
				t.Fatalf("node %d: %s was taken off it although it stayed", i, id)
			}
		}
	}
	if math.Abs(float64(moved)-375) > 60 { // 3 of 8; four standard deviations
		t.Errorf("%d of 1000 nodes had the one that left, want about 375", moved)
	}
}
