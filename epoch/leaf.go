package epoch

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// ErrInvalid is wrapped by every refusal. The text names the field.
var ErrInvalid = errors.New("epoch: invalid")

// None stands for no epoch (spec P1).
const None uint64 = 1<<64 - 1

// At is the epoch of a time, all in seconds; None before genesis or for a length
// of zero (spec P1).
func At(unix, genesis, length uint64) uint64 {
	if unix < genesis || length == 0 {
		return None
	}
	return (unix - genesis) / length
}

// LeafVersion is the version of Leaf.
const LeafVersion = 1

// Leaf is what one Media Node did in one epoch (spec P2).
type Leaf struct {
	Node        drtc.NodeID
	Epoch       uint64
	Previous    uint64 // last epoch before in which the node had a leaf, or None
	Scores      econ.Scores
	ClientBytes econ.Bytes // below 2^96
	RelayBytes  econ.Bytes // below 2^96
	ProvenMbps  uint32     // 0 is unknown
}

const (
	wordSize  = 32
	leafWords = 12
)

// Validate names the first field outside P2.
func (l Leaf) Validate() error {
	switch {
	case l.Node == drtc.NodeID{}:
		return fmt.Errorf("%w: a leaf without node", ErrInvalid)
	case l.Epoch == None:
		return fmt.Errorf("%w: the leaf of %s has no epoch", ErrInvalid, l.Node)
	case l.Previous != None && l.Previous >= l.Epoch:
		return fmt.Errorf("%w: the leaf of %s is of epoch %d and names %d as the one before", ErrInvalid, l.Node, l.Epoch, l.Previous)
	}
	if err := l.Scores.Validate(); err != nil {
		return fmt.Errorf("%w: the leaf of %s: %w", ErrInvalid, l.Node, err)
	}
	if _, err := econ.Rewardable(l.ClientBytes, l.RelayBytes, econ.Whole); err != nil {
		return fmt.Errorf("%w: the leaf of %s: %w", ErrInvalid, l.Node, err)
	}
	return nil
}

// Hash is the leaf's hash in the tree (spec P3).
func (l Leaf) Hash() [32]byte {
	inner := identity.Keccak256(l.append(make([]byte, 0, leafWords*wordSize)))
	return identity.Keccak256(inner[:])
}

// append adds the leaf's words to b.
func (l Leaf) append(b []byte) []byte {
	b = appendUint(b, LeafVersion)
	b = appendAddress(b, l.Node)
	for _, n := range []uint64{
		l.Epoch, l.Previous,
		uint64(l.Scores.Availability), uint64(l.Scores.History), uint64(l.Scores.Location),
		uint64(l.Scores.Coverage), uint64(l.Scores.Quality),
	} {
		b = appendUint(b, n)
	}
	b = appendWei(b, l.ClientBytes)
	b = appendWei(b, l.RelayBytes)
	return appendUint(b, uint64(l.ProvenMbps))
}

func appendUint(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, make([]byte, wordSize-8)...), n)
}

func appendAddress(b []byte, a [20]byte) []byte {
	return append(append(b, make([]byte, wordSize-len(a))...), a[:]...)
}

func appendWei(b []byte, w econ.Wei) []byte {
	word := w.Bytes32()
	return append(b, word[:]...)
}
