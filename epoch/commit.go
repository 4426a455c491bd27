package epoch

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Commit is what reporters sign and the chain stores of an epoch (spec P9).
type Commit struct {
	Epoch             uint64
	Root              [32]byte
	LeafCount         uint32
	TotalBytes        econ.Bytes
	RewardTotal       econ.Wei // M0
	MintTotal         econ.Wei // M
	ChargesHash       [32]byte
	ChargeCount       uint32
	DataHash          [32]byte
	PreviousRoot      [32]byte
	ParametersVersion uint32
	Scale             econ.Wei // rMax
}

// Domain is that of the reporters' signatures (spec P10).
func Domain(chainID uint64, contract [20]byte) identity.Domain {
	return identity.Domain{Name: "dRTC ProofOfResource", Version: "1", ChainID: chainID, VerifyingContract: contract}
}

func commitType() identity.Type {
	return identity.Type{Name: "EpochCommit", Fields: []identity.Field{
		{Name: "epoch", Type: "uint64"},
		{Name: "root", Type: "bytes32"},
		{Name: "leafCount", Type: "uint32"},
		{Name: "totalBytes", Type: "uint256"},
		{Name: "rewardTotal", Type: "uint256"},
		{Name: "mintTotal", Type: "uint256"},
		{Name: "chargesHash", Type: "bytes32"},
		{Name: "chargeCount", Type: "uint32"},
		{Name: "dataHash", Type: "bytes32"},
		{Name: "previousRoot", Type: "bytes32"},
		{Name: "parametersVersion", Type: "uint32"},
		{Name: "rMax", Type: "uint256"},
	}}
}

// Hash is hashStruct of EIP-712 (spec P9), which names the commit in a
// Replacement.
func (c Commit) Hash() [32]byte {
	h, err := commitType().HashStruct(c.values()...)
	if err != nil {
		panic("epoch: hashing a commit: " + err.Error()) // the fields fit their types
	}
	return h
}

func (c Commit) values() []any {
	return []any{
		c.Epoch, c.Root, uint64(c.LeafCount), c.TotalBytes.Big(), c.RewardTotal.Big(), c.MintTotal.Big(),
		c.ChargesHash, uint64(c.ChargeCount), c.DataHash, c.PreviousRoot, uint64(c.ParametersVersion), c.Scale.Big(),
	}
}

// Typed is the commit ready to be signed in a domain.
func (c Commit) Typed(domain identity.Domain) identity.TypedHash {
	return identity.TypedHash{Separator: domain.Separator(), Struct: c.Hash()}
}

// Quorum is how many of n reporters must sign (spec P11). Of none nobody is one.
func Quorum(n int) int { return 2*n/3 + 1 }

// VerifyQuorum returns who signed, if it is a quorum of the reporters: V 27 or
// 28, signers in strictly ascending order, all of them reporters (spec P11). The
// error wraps ErrInvalid.
func VerifyQuorum(signed identity.TypedHash, signatures []identity.Signature, reporters []drtc.NodeID) ([]drtc.NodeID, error) {
	if len(reporters) == 0 {
		return nil, fmt.Errorf("%w: no reporters are registered", ErrInvalid)
	}
	signers := make([]drtc.NodeID, 0, len(signatures))
	for i, s := range signatures {
		if v := s[64]; v != 27 && v != 28 {
			return nil, fmt.Errorf("%w: signature %d has V %d, want 27 or 28", ErrInvalid, i, v)
		}
		public, err := identity.RecoverTyped(signed, s)
		if err != nil {
			return nil, fmt.Errorf("%w: signature %d: %w", ErrInvalid, i, err)
		}
		id := public.ID()
		switch {
		case i > 0 && bytes.Compare(signers[i-1][:], id[:]) >= 0:
			return nil, fmt.Errorf("%w: signature %d of %s does not come after that of %s", ErrInvalid, i, id, signers[i-1])
		case !slices.Contains(reporters, id):
			return nil, fmt.Errorf("%w: signature %d is of %s, who is no reporter, or over something else", ErrInvalid, i, id)
		}
		signers = append(signers, id)
	}
	if want := Quorum(len(reporters)); len(signers) < want {
		return nil, fmt.Errorf("%w: %d of %d reporters signed, want %d", ErrInvalid, len(signers), len(reporters), want)
	}
	return signers, nil
}
