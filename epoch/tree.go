package epoch

import (
	"bytes"

	"github.com/drtc-network/drtc/identity"
)

// Tree is a Merkle tree of leaf hashes (spec P4).
type Tree struct {
	levels [][][32]byte // from the leaves to the root
}

// NewTree builds the tree of hashes in their order.
func NewTree(hashes [][32]byte) *Tree {
	t := &Tree{levels: [][][32]byte{hashes}}
	for level := hashes; len(level) > 1; {
		next := make([][32]byte, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			next = append(next, parent(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		t.levels = append(t.levels, next)
		level = next
	}
	return t
}

// Root is the root, zero for a tree without leaves.
func (t *Tree) Root() [32]byte {
	top := t.levels[len(t.levels)-1]
	if len(top) == 0 {
		return [32]byte{}
	}
	return top[0]
}

// Proof is the siblings of leaf i from the bottom up.
func (t *Tree) Proof(i int) [][32]byte {
	proof := [][32]byte{}
	for _, level := range t.levels[:len(t.levels)-1] {
		if sibling := i ^ 1; sibling < len(level) {
			proof = append(proof, level[sibling])
		}
		i /= 2
	}
	return proof
}

// VerifyProof reports whether a proof leads from a leaf's hash to root.
func VerifyProof(root, leaf [32]byte, proof [][32]byte) bool {
	for _, sibling := range proof {
		leaf = parent(leaf, sibling)
	}
	return leaf == root
}

func parent(a, b [32]byte) [32]byte {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return identity.Keccak256(a[:], b[:])
}
