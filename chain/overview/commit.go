package overview

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// epochDomain is what commits are signed in (spec P10).
type epochDomain struct {
	chainID  uint64
	contract [20]byte
}

// committed is what a transaction to ProofOfResource says.
type committed struct {
	commit     epoch.Commit
	charges    []bindings.Charge
	signatures [][]byte
	replaces   bool
}

var errInput = errors.New("overview: not a commit")

// readCommit reads the input of commit or replace. Any other is errInput.
func readCommit(declared *abi.ABI, input []byte) (committed, error) {
	if len(input) < 4 {
		return committed{}, errInput
	}
	method, err := declared.MethodById(input[:4])
	if err != nil || method.Name != "commit" && method.Name != "replace" {
		return committed{}, errInput
	}
	values, err := method.Inputs.Unpack(input[4:])
	if err != nil {
		return committed{}, fmt.Errorf("%w: %w", errInput, err)
	}
	said := committed{replaces: method.Name == "replace"}
	c := *abi.ConvertType(values[0], new(bindings.EpochCommit)).(*bindings.EpochCommit)
	if !said.replaces {
		said.charges = *abi.ConvertType(values[1], new([]bindings.Charge)).(*[]bindings.Charge)
	}
	signatures, ok := values[len(values)-1].([][]byte)
	if !ok {
		return committed{}, errInput
	}
	said.signatures = signatures
	into := &said.commit
	*into = epoch.Commit{
		Epoch: c.Epoch, Root: c.Root, LeafCount: c.LeafCount, ChargesHash: c.ChargesHash, ChargeCount: c.ChargeCount,
		DataHash: c.DataHash, PreviousRoot: c.PreviousRoot, ParametersVersion: c.ParametersVersion,
	}
	for _, amount := range []struct {
		to   *econ.Wei
		from *big.Int
	}{{&into.TotalBytes, c.TotalBytes}, {&into.RewardTotal, c.RewardTotal}, {&into.MintTotal, c.MintTotal}, {&into.Scale, c.RMax}} {
		if *amount.to, err = econ.WeiFromBig(amount.from); err != nil {
			return committed{}, fmt.Errorf("%w: %w", errInput, err)
		}
	}
	return said, nil
}

// signers recovers who signed; voided is the commit that a replacement replaces. One
// whose signature cannot be read is left out.
func (c committed) signers(d epochDomain, voided epoch.Commit) []drtc.NodeID {
	domain := epoch.Domain(d.chainID, d.contract)
	typed := c.commit.Typed(domain)
	if c.replaces {
		replacement, err := epoch.Replace(voided, c.commit)
		if err != nil {
			return nil
		}
		typed = replacement.Typed(domain)
	}
	var signers []drtc.NodeID
	for _, bytes := range c.signatures {
		if len(bytes) != len(identity.Signature{}) {
			continue
		}
		if public, err := identity.RecoverTyped(typed, identity.Signature(bytes)); err == nil {
			signers = append(signers, public.ID())
		}
	}
	return signers
}
