package overview

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
)

// Chain is where the network stands on the chain.
type Chain struct {
	ChainID   uint64                 `json:"chain_id"`
	Contracts map[string]drtc.NodeID `json:"contracts"`
	Block     uint64                 `json:"block"`
	BlockTime time.Time              `json:"block_time"`
	// Epoch is the one that runs; epoch 0 began at Genesis, each takes EpochSeconds.
	Epoch        uint64    `json:"epoch"`
	Genesis      time.Time `json:"genesis"`
	EpochSeconds uint64    `json:"epoch_seconds"`
	// LastEpoch is the last that was committed; nil for none.
	LastEpoch     *uint64        `json:"last_epoch,omitempty"`
	ClaimableFrom *time.Time     `json:"claimable_from,omitempty"`
	Paused        bool           `json:"paused,omitempty"`
	SupplyWei     account.Amount `json:"supply_wei"` // S_C
	HUDLWei       account.Amount `json:"hudl_wei"`   // all HUDL that there is
	BetaBps       uint16         `json:"beta_bps"`
	KeysSold      uint64         `json:"keys_sold"`
	Pools         uint64         `json:"pools"`
	Committee     []drtc.NodeID  `json:"committee"` // who signs epochs
	Quorum        uint64         `json:"quorum"`    // signatures that a commit needs
	// From is the first epoch of which there may be something here.
	From uint64 `json:"from"`
}

// Epoch is one as the chain has it.
type Epoch struct {
	Epoch  uint64         `json:"epoch"`
	Begins time.Time      `json:"begins"`
	Ends   time.Time      `json:"ends"`
	Status account.Status `json:"status"`
	// Low8 and High8 are the prices that were recorded for it, in USD x 10^8.
	Low8              uint64          `json:"low8,omitempty"`
	High8             uint64          `json:"high8,omitempty"`
	ScaleWei          *account.Amount `json:"r_max_wei,omitempty"` // r_max, for a GB
	ParametersVersion uint32          `json:"parameters_version,omitempty"`

	// Of the commit.
	Root           *account.Root   `json:"root,omitempty"`
	PreviousRoot   *account.Root   `json:"previous_root,omitempty"`
	DataHash       *account.Root   `json:"data_hash,omitempty"`
	Transaction    *common.Hash    `json:"transaction,omitempty"`
	Block          uint64          `json:"block,omitempty"`
	CommittedAt    *time.Time      `json:"committed_at,omitempty"`
	ClaimableFrom  *time.Time      `json:"claimable_from,omitempty"` // of the last one
	LeafCount      uint32          `json:"leaf_count,omitempty"`
	ChargeCount    uint32          `json:"charge_count,omitempty"`
	TotalBytes     *account.Amount `json:"total_bytes,omitempty"`
	RewardTotalWei *account.Amount `json:"reward_total_wei,omitempty"` // M0
	MintWei        *account.Amount `json:"mint_wei,omitempty"`         // M
	Signers        []drtc.NodeID   `json:"signers,omitempty"`
	// Cut says that payouts were scaled down to the cap on net mint.
	Cut     bool           `json:"cut,omitempty"`
	PaidWei account.Amount `json:"paid_wei"` // of M, by claims
	// Charges are the first of them; nil in lists.
	Charges []Charge `json:"charges,omitempty"`

	Settlement *account.Settlement `json:"settlement,omitempty"`
}

// Charge is what an application pays for what an Orchestrator had served to it.
type Charge struct {
	Application  drtc.NodeID    `json:"application"`
	Orchestrator drtc.NodeID    `json:"orchestrator"`
	Bytes        account.Amount `json:"bytes"`
}

// Pool is that of one node.
type Pool struct {
	account.Pool
	// Number counts pools from 1 in the order in which they were made.
	Number uint32 `json:"number"`
	// PaidWei is what came in, in the epochs that are held here.
	PaidWei account.Amount `json:"paid_wei"`
}

// Payouts is what a node's pool got, by epochs.
type Payouts struct {
	Node   drtc.NodeID `json:"node"`
	Epochs []Payout    `json:"epochs"` // ascending
}

// Payout is what one epoch brought a pool.
type Payout struct {
	Epoch uint64         `json:"epoch"`
	Wei   account.Amount `json:"wei"`
}

// View is what the chain says as of one block.
type View struct {
	Chain   Chain
	epochs  map[uint64]*Epoch
	pools   []Pool                   // by number
	payouts map[drtc.NodeID][]Payout // ascending by epoch
}

// Epochs lists epochs that the chain knows something of, the newest first, at most
// limit, of numbers below before; 0 is no bound.
func (v *View) Epochs(before uint64, limit int) []Epoch {
	numbers := slices.Sorted(maps.Keys(v.epochs))
	slices.Reverse(numbers)
	list := []Epoch{}
	for _, n := range numbers {
		if len(list) == limit {
			break
		}
		if before == 0 || n < before {
			e := *v.epochs[n]
			e.Charges = nil
			list = append(list, e)
		}
	}
	return list
}

// Epoch returns one, with its charges.
func (v *View) Epoch(n uint64) (Epoch, bool) {
	e, ok := v.epochs[n]
	if !ok {
		return Epoch{}, false
	}
	return *e, true
}

// Pools lists them by number; that of a node alone unless it is zero.
func (v *View) Pools(node drtc.NodeID) []Pool {
	if node.IsZero() {
		return v.pools
	}
	for i := range v.pools {
		if v.pools[i].Node == node {
			return v.pools[i : i+1]
		}
	}
	return []Pool{}
}

// Payouts lists what pools got, in order of nodes; a node's alone unless it is zero.
func (v *View) Payouts(node drtc.NodeID) []Payouts {
	list := []Payouts{}
	if !node.IsZero() {
		if own := v.payouts[node]; own != nil {
			list = append(list, Payouts{node, own})
		}
		return list
	}
	for _, id := range slices.SortedFunc(maps.Keys(v.payouts), compareIDs) {
		list = append(list, Payouts{id, v.payouts[id]})
	}
	return list
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }
