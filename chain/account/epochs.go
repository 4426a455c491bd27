package account

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/epoch"
)

// Root is one of the leaves of an epoch. As text it is hex.
type Root [32]byte

// MarshalText writes 0x and 64 hex digits.
func (r Root) MarshalText() ([]byte, error) { return []byte("0x" + hex.EncodeToString(r[:])), nil }

// Status is where an epoch stands (spec/epoch.md, contract ProofOfResource).
type Status string

// The statuses, in the order of the contract's numbers.
const (
	NotOpened Status = "none"
	Opened    Status = "open"
	Charging  Status = "charging"
	Committed Status = "committed"
	Void      Status = "void"
)

// EpochRecord is what the chain keeps of an epoch (whitepaper 5.7).
type EpochRecord struct {
	Epoch  uint64    `json:"epoch"`
	Begins time.Time `json:"begins"`
	Ends   time.Time `json:"ends"`
	Status Status    `json:"status"`
	Root   Root      `json:"root"`
	// MintWei is M, PaidWei what was claimed of it.
	MintWei Amount `json:"mint_wei"`
	PaidWei Amount `json:"paid_wei"`
	// ScaleWei is r_max, in wei per GB.
	ScaleWei          Amount     `json:"r_max_wei"`
	ParametersVersion uint64     `json:"parameters_version"`
	CommittedAt       *time.Time `json:"committed_at,omitempty"`
	// ClaimableFrom is when the challenge window ends; only the newest commit has one.
	ClaimableFrom *time.Time `json:"claimable_from,omitempty"`
	// Cut says that payouts were scaled down to what the cap on net mint allows.
	Cut bool `json:"cut"`
	// Low8 and High8 are the prices recorded for it, in USD x 10^8; 0 while none are.
	Low8  uint64 `json:"low8"`
	High8 uint64 `json:"high8"`
	// Settlement is there when all charges came.
	Settlement *Settlement `json:"settlement,omitempty"`
}

// Settlement is what an epoch's end did to the supply (spec/economics.md E16 to E24).
type Settlement struct {
	ConsumedCredits Amount `json:"consumed_credits"`
	ReceivedWei     Amount `json:"received_wei"` // Q
	BurnWei         Amount `json:"burn_wei"`     // B
	FillerWei       Amount `json:"filler_wei"`   // Y
	SupplyWei       Amount `json:"supply_wei"`   // S_C after it
	BetaBps         uint16 `json:"beta_bps"`     // of the next epoch
}

// ErrNoEpoch says that none was committed yet.
var ErrNoEpoch = errors.New("account: no epoch was committed yet")

// LatestEpoch is the last that was committed, else ErrNoEpoch.
func (l *Ledger) LatestEpoch(ctx context.Context) (uint64, error) {
	b := bindings.NewProofOfResource()
	last, err := read(ctx, l, "ProofOfResource", b.PackLastEpoch(), b.UnpackLastEpoch)
	if err == nil && last == epoch.None {
		err = ErrNoEpoch
	}
	return last, err
}

// EpochRecord of an epoch.
func (l *Ledger) EpochRecord(ctx context.Context, n uint64) (EpochRecord, error) {
	b := bindings.NewProofOfResource()
	e := EpochRecord{Epoch: n}
	if err := l.times(ctx, &e); err != nil {
		return e, err
	}
	r, err := read(ctx, l, "ProofOfResource", b.PackEpochs(n), b.UnpackEpochs)
	if err != nil {
		return e, err
	}
	statuses := []Status{NotOpened, Opened, Charging, Committed, Void}
	if int(r.Status) >= len(statuses) {
		return e, fmt.Errorf("account: epoch %d has status %d, which is unknown here: take a newer drtc", n, r.Status)
	}
	e.Status, e.Root, e.Cut = statuses[r.Status], r.Root, r.IsCut
	e.MintWei.Int, e.PaidWei.Int, e.ScaleWei.Int = r.MintTotal, r.Paid, r.RMax
	e.ParametersVersion = r.ParametersVersion.Uint64()
	if r.CommittedAt != 0 {
		at := time.Unix(int64(r.CommittedAt), 0).UTC()
		e.CommittedAt = &at
	}
	standing, err := read(ctx, l, "ProofOfResource", b.PackStanding(), b.UnpackStanding)
	if err != nil {
		return e, err
	}
	if standing.LastEpoch == n && standing.WindowEnds != 0 {
		at := time.Unix(int64(standing.WindowEnds), 0).UTC()
		e.ClaimableFrom = &at
	}
	if err := l.prices(ctx, &e); err != nil {
		return e, err
	}
	e.Settlement, err = l.settlement(ctx, n)
	return e, err
}

// times fills in when the epoch is.
func (l *Ledger) times(ctx context.Context, e *EpochRecord) error {
	b := bindings.NewParameters()
	genesis, err := read(ctx, l, "Parameters", b.PackGenesisTime(), b.UnpackGenesisTime)
	if err != nil {
		return err
	}
	length, err := read(ctx, l, "Parameters", b.PackEpochLength(), b.UnpackEpochLength)
	if err != nil {
		return err
	}
	const never = 1 << 40 // seconds; as a year it has five digits
	if e.Epoch > (never-genesis)/uint64(length) {
		return fmt.Errorf("account: epoch %d is beyond all time: want one that has begun", e.Epoch)
	}
	e.Begins = time.Unix(int64(genesis+e.Epoch*uint64(length)), 0).UTC()
	e.Ends = e.Begins.Add(time.Duration(length) * time.Second)
	return nil
}

// prices fills in what the oracle recorded, if it did.
func (l *Ledger) prices(ctx context.Context, e *EpochRecord) error {
	b := bindings.NewPriceOracle()
	p, err := read(ctx, l, "PriceOracle", b.PackEpochPrices(e.Epoch), b.UnpackEpochPrices)
	var refused *client.Revert
	if errors.As(err, &refused) && refused.Name == "PriceOracle_EpochNotRecorded" {
		return nil
	}
	if err != nil {
		return err
	}
	e.Low8, e.High8 = p.Arg0.Uint64(), p.Arg1.Uint64()
	return nil
}

// settlement is the newest of an epoch's events; nil while there is none.
func (l *Ledger) settlement(ctx context.Context, n uint64) (*Settlement, error) {
	b := bindings.NewProofOfResource()
	follower := l.client.Follower(client.Query{
		Contracts: []common.Address{l.addresses.Of("ProofOfResource")},
		Topics:    [][]common.Hash{{settledTopic()}, {common.BigToHash(number(n))}},
		From:      l.addresses.Block,
	}, client.Cursor{})
	var logs []types.Log
	for more := true; more; {
		var err error
		if more, err = follower.Step(ctx, func(found []types.Log, _ client.Cursor) error {
			logs = append(logs, found...)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if len(logs) == 0 {
		return nil, nil
	}
	s, err := b.UnpackSettledEvent(&logs[len(logs)-1])
	if err != nil {
		return nil, fmt.Errorf("account: epoch %d: %w", n, err)
	}
	return &Settlement{Amount{s.ConsumedDC}, Amount{s.Received}, Amount{s.BurnWei}, Amount{s.FillerWei}, Amount{s.Supply}, s.BetaBps}, nil
}

func settledTopic() common.Hash {
	return crypto.Keccak256Hash([]byte("Settled(uint64,uint256,uint256,uint256,uint256,uint256,uint256,uint16)"))
}

// claimable makes of published epochs what Rewards wants for a node: leaves in
// order from the first that is not paid, each with its proof.
func (a *Account) claimable(ctx context.Context, node drtc.NodeID, epochs []EpochData) ([]bindings.Leaf, [][][32]byte, error) {
	rewards, resource := bindings.NewRewards(), bindings.NewProofOfResource()
	paid, err := read(ctx, a.Ledger, "Rewards", rewards.PackLastRewardedBatch(common.Address(node)), rewards.UnpackLastRewardedBatch)
	if err != nil {
		return nil, nil, err
	}
	type proven struct {
		leaf  epoch.Leaf
		proof [][32]byte
	}
	var own []proven
	for _, e := range epochs {
		hashes := make([][32]byte, len(e.Leaves))
		at := -1
		for i, leaf := range e.Leaves {
			hashes[i] = leaf.Hash()
			if leaf.Node == node {
				at = i
			}
		}
		if at < 0 || paid != epoch.None && e.Leaves[at].Epoch <= paid {
			continue
		}
		tree := epoch.NewTree(hashes)
		n := e.Leaves[at].Epoch
		record, err := read(ctx, a.Ledger, "ProofOfResource", resource.PackEpochs(n), resource.UnpackEpochs)
		if err != nil {
			return nil, nil, err
		}
		if record.Root != tree.Root() {
			return nil, nil, fmt.Errorf("account: leaves of epoch %d: their root is 0x%x, the chain has 0x%x: take the published set of that epoch", n, tree.Root(), record.Root)
		}
		own = append(own, proven{e.Leaves[at], tree.Proof(at)})
	}
	if len(own) == 0 {
		return nil, nil, fmt.Errorf("account: leaves: none of node %s that is not paid yet", node)
	}
	slices.SortFunc(own, func(x, y proven) int {
		if x.leaf.Epoch < y.leaf.Epoch {
			return -1
		}
		return 1
	})
	if own[0].leaf.Previous != paid {
		return nil, nil, fmt.Errorf("account: leaves: the last epoch paid to node %s is %s, so the next is that whose leaf says so; the first here, of epoch %d, follows on %s: give those between too",
			node, epochText(paid), own[0].leaf.Epoch, epochText(own[0].leaf.Previous))
	}
	var leaves []bindings.Leaf
	var proofs [][][32]byte
	for _, o := range own {
		leaves, proofs = append(leaves, leafOf(o.leaf)), append(proofs, o.proof)
	}
	return leaves, proofs, nil
}

func epochText(n uint64) string {
	if n == epoch.None {
		return "none"
	}
	return fmt.Sprint(n)
}

// leafOf is a leaf as the contracts take it.
func leafOf(l epoch.Leaf) bindings.Leaf {
	return bindings.Leaf{
		Version: epoch.LeafVersion, Node: common.Address(l.Node), Epoch: l.Epoch, PreviousEpoch: l.Previous,
		Availability: uint64(l.Scores.Availability), History: uint64(l.Scores.History), Location: uint64(l.Scores.Location),
		Coverage: uint64(l.Scores.Coverage), Quality: uint64(l.Scores.Quality),
		ClientBytes: l.ClientBytes.Big(), RelayBytes: l.RelayBytes.Big(), ProvenMbps: l.ProvenMbps,
	}
}
