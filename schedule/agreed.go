package schedule

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// Never is the age of what has not happened yet.
const Never = 1<<32 - 1

// Bounds of agreed data.
const (
	MaxNodes     = 1 << 20
	maxAddresses = 8
	maxMbps      = 4_000_000 // kbit/s of a test fit 32 bits
)

// Node is an eligible node as everybody knows it when an epoch begins.
type Node struct {
	ID drtc.NodeID
	// Owner and Pool of the node; zero for none, which is shared with nobody.
	Owner drtc.NodeID
	Pool  [20]byte
	// Addresses of the node's record, at most 8. Two nodes are neighbours when one
	// of each are in the same /24 (IPv4) or /48 (IPv6).
	Addresses []netip.Addr
	// AS is the autonomous system by the table whose hash is on the chain, 0 if unknown.
	AS uint32

	// DeclaredMbps is what the node's record advertises, ProvenMbps what a capacity
	// test has shown; at most 4,000,000.
	DeclaredMbps, ProvenMbps uint32
	// MeasuredAgo is the number of epochs since the last capacity test, from 1, or Never.
	MeasuredAgo uint32

	// Results as a prover, over the epochs that score counts.
	Results uint32
	// ProvedAgo and ChallengedAgo are the slots from the last test in that role to
	// the first slot of the epoch, from 1, or Never. An epoch or more is the same.
	ProvedAgo, ChallengedAgo uint32
	// OwedProver and OwedChallenger are the tests that the epoch before fell short
	// in each role, -1 to 1.
	OwedProver, OwedChallenger int8

	// Flagged nodes are tested sooner and do not challenge in extra and capacity tests.
	Flagged bool
	// Extra tests that the node has to pass in this epoch beside the others.
	Extra uint8
	// Credibility of the node as a challenger.
	Credibility econ.Wad
}

// Pair is two nodes and the last epoch in which they were in a quality or extra
// test together.
type Pair struct {
	A, B  drtc.NodeID
	Epoch uint64
}

// Agreed is what a plan is made from, beside the rules and the rounds: committed
// results and signed records, never what one Registry happens to see (spec T11).
type Agreed struct {
	Epoch uint64
	// Nodes that are eligible, each once, in any order.
	Nodes []Node
	// Pairs tested before, in any order; older ones than Rules.RepeatEpochs and those
	// of nodes that are not eligible are of no account.
	Pairs []Pair
	// Registries that may witness, each once, in any order.
	Registries []drtc.NodeID
}

// normal returns the one form of equal data: sorted, without pairs that do not
// count. It does not touch what a holds.
func (a Agreed) normal(r Rules) (Agreed, error) {
	if len(a.Nodes) > MaxNodes {
		return Agreed{}, fmt.Errorf("%w: Agreed.Nodes has %d nodes, want at most %d", ErrInvalid, len(a.Nodes), MaxNodes)
	}
	a.Nodes = slices.Clone(a.Nodes)
	slices.SortFunc(a.Nodes, func(x, y Node) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	for i := range a.Nodes {
		n := &a.Nodes[i]
		if err := n.validate(); err != nil {
			return Agreed{}, err
		}
		if i > 0 && a.Nodes[i-1].ID == n.ID {
			return Agreed{}, fmt.Errorf("%w: Agreed.Nodes has %s twice", ErrInvalid, n.ID)
		}
		n.Addresses = slices.Clone(n.Addresses)
		for j, addr := range n.Addresses {
			n.Addresses[j] = addr.Unmap().WithZone("")
		}
		slices.SortFunc(n.Addresses, netip.Addr.Compare)
		n.ProvedAgo, n.ChallengedAgo = min(n.ProvedAgo, r.Slots), min(n.ChallengedAgo, r.Slots)
	}
	a.Registries = slices.Clone(a.Registries)
	slices.SortFunc(a.Registries, func(x, y drtc.NodeID) int { return bytes.Compare(x[:], y[:]) })
	a.Registries = slices.Compact(a.Registries)
	var err error
	a.Pairs, err = a.normalPairs(r)
	return a, err
}

func (a Agreed) normalPairs(r Rules) ([]Pair, error) {
	pairs := make([]Pair, 0, len(a.Pairs))
	for _, p := range a.Pairs {
		if p.Epoch >= a.Epoch {
			return nil, fmt.Errorf("%w: Agreed.Pairs has a test of epoch %d, want one before %d", ErrInvalid, p.Epoch, a.Epoch)
		}
		if bytes.Compare(p.A[:], p.B[:]) > 0 {
			p.A, p.B = p.B, p.A
		}
		if a.Epoch-p.Epoch < uint64(r.RepeatEpochs) && a.has(p.A) && a.has(p.B) {
			pairs = append(pairs, p)
		}
	}
	slices.SortFunc(pairs, func(x, y Pair) int {
		return cmp.Or(bytes.Compare(x.A[:], y.A[:]), bytes.Compare(x.B[:], y.B[:]), cmp.Compare(y.Epoch, x.Epoch))
	})
	return slices.CompactFunc(pairs, func(x, y Pair) bool { return x.A == y.A && x.B == y.B }), nil
}

// find returns the place of id among the nodes, which are sorted.
func (a Agreed) find(id drtc.NodeID) (int, bool) {
	return slices.BinarySearchFunc(a.Nodes, id, func(n Node, id drtc.NodeID) int { return bytes.Compare(n.ID[:], id[:]) })
}

func (a Agreed) has(id drtc.NodeID) bool {
	_, ok := a.find(id)
	return ok
}

func (n Node) validate() error {
	bad := func(field, want string) error {
		return fmt.Errorf("%w: %s of node %s: want %s", ErrInvalid, field, n.ID, want)
	}
	switch {
	case n.ID.IsZero():
		return bad("ID", "one that is not zero")
	case len(n.Addresses) > maxAddresses:
		return bad("Addresses", "at most 8")
	case slices.ContainsFunc(n.Addresses, func(a netip.Addr) bool { return !a.IsValid() }):
		return bad("Addresses", "IP addresses")
	case n.DeclaredMbps > maxMbps || n.ProvenMbps > maxMbps:
		return bad("DeclaredMbps and ProvenMbps", "at most 4000000")
	case n.MeasuredAgo == 0 || n.ProvedAgo == 0 || n.ChallengedAgo == 0:
		return bad("MeasuredAgo, ProvedAgo and ChallengedAgo", "at least 1, or Never")
	case min(n.OwedProver, n.OwedChallenger) < -1 || max(n.OwedProver, n.OwedChallenger) > 1:
		return bad("OwedProver and OwedChallenger", "-1 to 1")
	case n.Credibility > econ.One:
		return bad("Credibility", "a wad, at most 10^18")
	}
	return nil
}

// root is the hash of normal data and the rules (spec T11).
func (a Agreed) root(r Rules) [32]byte {
	u32, u64 := binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	h := sha256.New()
	b := u64(r.append([]byte("drtc eligible\n")), a.Epoch)
	b = u32(b, uint32(len(a.Nodes)))
	for _, n := range a.Nodes {
		b = append(append(append(b, n.ID[:]...), n.Owner[:]...), n.Pool[:]...)
		b = append(b, byte(len(n.Addresses)))
		for _, addr := range n.Addresses {
			wide := addr.As16()
			b = append(b, wide[:]...)
		}
		for _, v := range []uint32{n.AS, n.DeclaredMbps, n.ProvenMbps, n.MeasuredAgo, n.Results, n.ProvedAgo, n.ChallengedAgo} {
			b = u32(b, v)
		}
		b = append(b, byte(n.OwedProver), byte(n.OwedChallenger), bit(n.Flagged), n.Extra)
		b = u64(b, uint64(n.Credibility))
		h.Write(b)
		b = b[:0]
	}
	b = u32(b, uint32(len(a.Pairs)))
	for _, p := range a.Pairs {
		h.Write(u64(append(append(b, p.A[:]...), p.B[:]...), p.Epoch))
		b = b[:0]
	}
	b = u32(b, uint32(len(a.Registries)))
	for _, id := range a.Registries {
		b = append(b, id[:]...)
	}
	h.Write(b)
	return [32]byte(h.Sum(nil))
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}
