package account

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

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
	// Parameters are those of its version; nil while it is not open.
	Parameters *Parameters `json:"parameters,omitempty"`
	// Totals are what its reporters signed; nil while it is not committed, and when
	// the commit came through another contract.
	Totals *Totals `json:"totals,omitempty"`
	// Settlement is there when all charges came.
	Settlement *Settlement `json:"settlement,omitempty"`
}

// Totals of an epoch's commit (spec/epoch.md P9).
type Totals struct {
	Leaves uint32 `json:"leaves"`
	// Bytes that were served, weighted.
	Bytes Amount `json:"bytes"`
	// Charges of its payers: they come with the commit, or all after it.
	Charges uint32 `json:"charges"`
	// RewardWei is M0, the rewards before a cut.
	RewardWei Amount `json:"reward_wei"`
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
	if r.CommittedAt != 0 && e.Status != Opened { // of an open one it is the id of the last
		at := time.Unix(int64(r.CommittedAt), 0).UTC()
		e.CommittedAt = &at
	}
	standing, err := read(ctx, l, "ProofOfResource", b.PackStanding(), b.UnpackStanding)
	if err != nil {
		return e, err
	}
	if standing.LastEpoch == n && e.Status == Committed {
		at := time.Unix(int64(standing.WindowEnds), 0).UTC()
		e.ClaimableFrom = &at
	}
	if err := l.prices(ctx, &e); err != nil {
		return e, err
	}
	if e.ParametersVersion != 0 {
		if e.Parameters, err = l.parameters(ctx, e.ParametersVersion); err != nil {
			return e, err
		}
	}
	if e.CommittedAt != nil {
		err = l.history(ctx, &e)
	}
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
