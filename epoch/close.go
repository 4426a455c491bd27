package epoch

import (
	"bytes"
	"fmt"
	"math"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Open is everything that an epoch's end depends on.
type Open struct {
	Epoch             uint64
	Parameters        econ.Parameters
	ParametersVersion uint32
	High              econ.Price // higher of spot and average price recorded for the epoch
	Supply            econ.Wei   // S_C before it
	Escrow            econ.Wei   // Q, what the charges take of what was paid for credits
	Beta              econ.Bps   // 0 to 10^4
	PreviousRoot      [32]byte
	Leaves            []Leaf   // ascending by node
	Charges           []Charge // ascending by payer
}

// Closed is an epoch with its totals. Rewards and payouts are in the order of
// the leaves.
type Closed struct {
	Commit   Commit
	Tree     *Tree
	Rewards  []econ.Wei // R
	Gross    []econ.Wei // payout0
	Payouts  []econ.Wei
	Totals   econ.Totals
	Cut      bool
	NextBeta econ.Bps
	Data     []byte // what DataHash is of (spec P8)
}

// Close computes rewards, totals and the commit of an epoch (spec P12). The error
// wraps ErrInvalid and names what it refuses; leaves and charges must stand for
// the same bytes.
func Close(o Open) (*Closed, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	p := o.Parameters
	scale := p.Scale(o.High)
	curve := p.Curve(scale)
	if err := curve.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := &Closed{Rewards: make([]econ.Wei, len(o.Leaves)), Gross: make([]econ.Wei, len(o.Leaves)), Payouts: make([]econ.Wei, len(o.Leaves))}
	hashes := make([][32]byte, len(o.Leaves))
	var served econ.Bytes
	for i, l := range o.Leaves {
		b, err := econ.Rewardable(l.ClientBytes, l.RelayBytes, p.RelayWeight)
		if err != nil {
			return nil, fmt.Errorf("%w: the leaf of %s: %w", ErrInvalid, l.Node, err)
		}
		unit, err := curve.Unit(p.Weights.Sum(l.Scores), l.Scores.Quality)
		if err != nil {
			return nil, fmt.Errorf("%w: the leaf of %s: %w", ErrInvalid, l.Node, err)
		}
		served = served.Add(b)
		c.Rewards[i] = econ.Session(unit, b)
		c.Gross[i] = econ.Gross(c.Rewards[i], p.Alpha)
		hashes[i] = l.Hash()
	}
	var charged econ.Bytes
	for _, charge := range o.Charges {
		charged = charged.Add(charge.Bytes)
	}
	if charged != served {
		return nil, fmt.Errorf("%w: charges are for %s bytes, leaves for %s", ErrInvalid, charged, served)
	}

	gross := econ.Sum(c.Gross)
	s := econ.Epoch{Supply: o.Supply, Escrow: o.Escrow, Gross: gross, Beta: o.Beta, Band: p.Band, Filler: p.Filler}.Settle()
	for i := range c.Gross {
		c.Payouts[i] = s.Payout(c.Gross[i])
	}
	c.Totals, c.Cut, c.NextBeta = s.Totals(econ.Sum(c.Payouts)), s.Cut, s.NextBeta()
	c.Tree, c.Data = NewTree(hashes), Encode(o.Leaves, o.Charges)
	c.Commit = Commit{
		Epoch: o.Epoch, Root: c.Tree.Root(), LeafCount: uint32(len(o.Leaves)),
		TotalBytes: served, RewardTotal: gross, MintTotal: c.Totals.Mint,
		ChargesHash: ChargesHash(o.Charges), ChargeCount: uint32(len(o.Charges)),
		DataHash: identity.Keccak256(c.Data), PreviousRoot: o.PreviousRoot,
		ParametersVersion: o.ParametersVersion, Scale: scale,
	}
	return c, nil
}

func (o *Open) validate() error {
	if err := o.Parameters.Validate(); err != nil {
		return fmt.Errorf("%w: parameters: %w", ErrInvalid, err)
	}
	if err := o.High.Valid("price"); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := o.Supply.Valid("supply"); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := o.Escrow.Valid("escrow"); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if o.Beta > econ.Whole {
		return fmt.Errorf("%w: beta is %d bps, want at most %d", ErrInvalid, o.Beta, econ.Whole)
	}
	if len(o.Leaves) > math.MaxUint32 || len(o.Charges) > math.MaxUint32 {
		return fmt.Errorf("%w: %d leaves and %d charges, want below 2^32", ErrInvalid, len(o.Leaves), len(o.Charges))
	}
	if err := validateLeaves(o.Leaves, o.Epoch); err != nil {
		return err
	}
	return validateCharges(o.Charges)
}

func validateLeaves(leaves []Leaf, epoch uint64) error {
	for i, l := range leaves {
		if err := l.Validate(); err != nil {
			return err
		}
		if l.Epoch != epoch {
			return fmt.Errorf("%w: the leaf of %s is of epoch %d, want %d", ErrInvalid, l.Node, l.Epoch, epoch)
		}
		if i > 0 && bytes.Compare(leaves[i-1].Node[:], l.Node[:]) >= 0 {
			return fmt.Errorf("%w: the leaf of %s does not come after that of %s", ErrInvalid, l.Node, leaves[i-1].Node)
		}
	}
	return nil
}
