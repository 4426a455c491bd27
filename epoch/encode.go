package epoch

import (
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

// Encode is the published set of an epoch, of which the commit has the hash
// (spec P8).
func Encode(leaves []Leaf, charges []Charge) []byte {
	b := make([]byte, 0, wordSize*(1+leafWords*len(leaves)+chargeWords*len(charges)))
	b = appendUint(b, uint64(len(leaves)))
	for _, l := range leaves {
		b = l.append(b)
	}
	for _, c := range charges {
		b = c.append(b)
	}
	return b
}

// Decode reads a published set. It refuses what Close would not take and every
// spelling but that of Encode. The error wraps ErrInvalid.
func Decode(b []byte) ([]Leaf, []Charge, error) {
	r := words{rest: b}
	n := r.uint(32, "the number of leaves")
	if r.err == nil && n > uint64(len(b)/(leafWords*wordSize)) {
		return nil, nil, fmt.Errorf("%w: %d leaves in %d bytes", ErrInvalid, n, len(b))
	}
	leaves := make([]Leaf, 0, n)
	for i := uint64(0); i < n && r.err == nil; i++ {
		leaves = append(leaves, r.leaf())
	}
	var charges []Charge
	for r.err == nil && len(r.rest) > 0 {
		charges = append(charges, Charge{Application: r.address("application"), Orchestrator: r.address("orchestrator"), Bytes: r.wei(128, "bytes of a charge")})
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	if len(leaves) > 0 {
		if err := validateLeaves(leaves, leaves[0].Epoch); err != nil {
			return nil, nil, err
		}
	}
	return leaves, charges, validateCharges(charges)
}

// words reads words until one does not fit.
type words struct {
	rest []byte
	err  error
}

func (r *words) leaf() Leaf {
	if v := r.uint(8, "version of a leaf"); r.err == nil && v != LeafVersion {
		r.err = fmt.Errorf("%w: a leaf of version %d, want %d", ErrInvalid, v, LeafVersion)
	}
	wad := func(name string) econ.Wad { return econ.Wad(r.uint(64, name)) }
	return Leaf{
		Node:  r.address("node of a leaf"),
		Epoch: r.uint(64, "epoch of a leaf"), Previous: r.uint(64, "previous epoch of a leaf"),
		Scores: econ.Scores{
			Availability: wad("availability"), History: wad("history"), Location: wad("location"),
			Coverage: wad("coverage"), Quality: wad("quality"),
		},
		ClientBytes: r.wei(128, "client bytes of a leaf"), RelayBytes: r.wei(128, "relay bytes of a leaf"),
		ProvenMbps: uint32(r.uint(32, "proven Mbit/s of a leaf")),
	}
}

func (r *words) wei(bits int, name string) econ.Wei {
	if r.err != nil {
		return econ.Wei{}
	}
	if len(r.rest) < wordSize {
		r.err = fmt.Errorf("%w: the data end before %s", ErrInvalid, name)
		return econ.Wei{}
	}
	w := econ.WeiFromBytes32([32]byte(r.rest[:wordSize]))
	if r.rest = r.rest[wordSize:]; w.Big().BitLen() > bits {
		r.err = fmt.Errorf("%w: %s has more than %d bits", ErrInvalid, name, bits)
	}
	return w
}

func (r *words) uint(bits int, name string) uint64 { return r.wei(bits, name).Big().Uint64() }

func (r *words) address(name string) drtc.NodeID {
	word := r.wei(160, name).Bytes32()
	return drtc.NodeID(word[12:])
}
