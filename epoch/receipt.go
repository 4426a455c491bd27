package epoch

import (
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Receipt is an Orchestrator's word for what a node has served an application
// since the epoch began (spec P15). A later one, with a higher sequence, stands for
// all before it.
type Receipt struct {
	Application             [20]byte
	Orchestrator            drtc.NodeID // who signs
	Node                    drtc.NodeID
	Epoch                   uint64
	Sequence                uint64
	ClientBytes, RelayBytes econ.Bytes // below 2^96 each
}

// ReceiptDomain is that of receipts' signatures: contract is DataCredits (spec P15).
func ReceiptDomain(chainID uint64, contract [20]byte) identity.Domain {
	return identity.Domain{Name: "dRTC DataCredits", Version: "1", ChainID: chainID, VerifyingContract: contract}
}

// Validate names the first field outside P15.
func (r Receipt) Validate() error {
	switch {
	case r.Application == [20]byte{}:
		return fmt.Errorf("%w: a receipt without application", ErrInvalid)
	case r.Orchestrator == drtc.NodeID{}:
		return fmt.Errorf("%w: a receipt without orchestrator", ErrInvalid)
	case r.Node == drtc.NodeID{}:
		return fmt.Errorf("%w: a receipt without node", ErrInvalid)
	case r.Epoch == None:
		return fmt.Errorf("%w: a receipt without epoch", ErrInvalid)
	}
	if _, err := econ.Rewardable(r.ClientBytes, r.RelayBytes, econ.Whole); err != nil {
		return fmt.Errorf("%w: the receipt of node %s: %w", ErrInvalid, r.Node, err)
	}
	return nil
}

// Typed is the receipt ready to be signed in a domain. The error is that of
// Validate.
func (r Receipt) Typed(domain identity.Domain) (identity.TypedHash, error) {
	if err := r.Validate(); err != nil {
		return identity.TypedHash{}, err
	}
	h, err := identity.Type{Name: "Receipt", Fields: []identity.Field{
		{Name: "application", Type: "address"},
		{Name: "orchestrator", Type: "address"},
		{Name: "node", Type: "address"},
		{Name: "epoch", Type: "uint64"},
		{Name: "sequence", Type: "uint64"},
		{Name: "clientBytes", Type: "uint128"},
		{Name: "relayBytes", Type: "uint128"},
	}}.HashStruct(r.Application, r.Orchestrator, r.Node, r.Epoch, r.Sequence, r.ClientBytes.Big(), r.RelayBytes.Big())
	if err != nil {
		panic("epoch: hashing a receipt: " + err.Error()) // a valid one fits its types
	}
	return identity.TypedHash{Separator: domain.Separator(), Struct: h}, nil
}

// Contradicts reports whether both, signed by one Orchestrator, forfeit its bond:
// one sequence with different bytes.
func (r Receipt) Contradicts(other Receipt) bool {
	same := r
	same.ClientBytes, same.RelayBytes = other.ClientBytes, other.RelayBytes
	return same == other && r != other
}
