package epoch

import (
	"fmt"

	"github.com/drtc-network/drtc/identity"
)

// Replacement is what reporters sign to put another commit in the place of a void
// one (spec P14). It is another type than a Commit, so that a reporter who signed
// both contradicts nobody.
type Replacement struct {
	Voided [32]byte // Commit.Hash of the void commit
	Commit Commit
}

// Replace makes the replacement of a void commit. What was charged has been paid
// and stays; rewards may only sink. The error wraps ErrInvalid and names the field
// that the contract would refuse.
func Replace(voided, by Commit) (Replacement, error) {
	for _, kept := range []struct {
		name string
		same bool
	}{
		{"epoch", by.Epoch == voided.Epoch},
		{"totalBytes", by.TotalBytes == voided.TotalBytes},
		{"chargesHash", by.ChargesHash == voided.ChargesHash},
		{"chargeCount", by.ChargeCount == voided.ChargeCount},
		{"previousRoot", by.PreviousRoot == voided.PreviousRoot},
		{"parametersVersion", by.ParametersVersion == voided.ParametersVersion},
		{"rMax", by.Scale == voided.Scale},
	} {
		if !kept.same {
			return Replacement{}, fmt.Errorf("%w: the replacement of epoch %d has another %s than the void commit", ErrInvalid, voided.Epoch, kept.name)
		}
	}
	if by.RewardTotal.Cmp(voided.RewardTotal) > 0 {
		return Replacement{}, fmt.Errorf("%w: the replacement of epoch %d has rewardTotal %s, want at most %s", ErrInvalid, voided.Epoch, by.RewardTotal, voided.RewardTotal)
	}
	return Replacement{Voided: voided.Hash(), Commit: by}, nil
}

// Typed is the replacement ready to be signed in a domain, that of commits.
func (r Replacement) Typed(domain identity.Domain) identity.TypedHash {
	commit := commitType()
	h, err := identity.Type{Name: "Replacement", Fields: []identity.Field{
		{Name: "voided", Type: "bytes32"},
		{Name: "commit", Struct: &commit},
	}}.HashStruct(r.Voided, r.Commit.values())
	if err != nil {
		panic("epoch: hashing a replacement: " + err.Error()) // the fields fit their types
	}
	return identity.TypedHash{Separator: domain.Separator(), Struct: h}
}
