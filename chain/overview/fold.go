package overview

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/epoch"
)

// fold is what events up to some block say.
type fold struct {
	epochs  map[uint64]*Epoch
	commits map[uint64]epoch.Commit // the newest of each, to recover who replaced it
	payouts map[drtc.NodeID][]Payout
	paid    int // entries in payouts
	// Epochs and pools about which something was said since the last look.
	changedEpochs map[uint64]bool
	changedPools  map[drtc.NodeID]bool
}

func newFold() *fold {
	return &fold{
		epochs: map[uint64]*Epoch{}, commits: map[uint64]epoch.Commit{}, payouts: map[drtc.NodeID][]Payout{},
		changedEpochs: map[uint64]bool{}, changedPools: map[drtc.NodeID]bool{},
	}
}

// epoch is one of f's, made when it is new.
func (f *fold) epoch(n uint64) *Epoch {
	e := f.epochs[n]
	if e == nil {
		e = &Epoch{Epoch: n, Status: account.NotOpened}
		f.epochs[n] = e
	}
	f.changedEpochs[n] = true
	return e
}

// pay notes what a claim brought. Claims of a node come in order of epochs.
func (f *fold) pay(node drtc.NodeID, n uint64, wei *big.Int) {
	f.payouts[node] = append(f.payouts[node], Payout{n, account.Amount{Int: wei}})
	f.paid++
	f.changedEpochs[n], f.changedPools[node] = true, true
}

// forget drops what is before an epoch, and the oldest payouts beyond a number.
func (f *fold) forget(before uint64, most int) {
	for n := range f.epochs {
		if n < before {
			delete(f.epochs, n)
			delete(f.commits, n)
		}
	}
	for n := range f.changedEpochs {
		if n < before {
			delete(f.changedEpochs, n)
		}
	}
	drop := func(first uint64) {
		f.paid = 0
		for node, all := range f.payouts {
			at, _ := slices.BinarySearchFunc(all, first, func(p Payout, n uint64) int {
				if p.Epoch < n {
					return -1
				}
				return 1
			})
			if at == len(all) {
				delete(f.payouts, node)
				continue
			}
			f.payouts[node] = slices.Clone(all[at:])
			f.paid += len(all) - at
		}
	}
	drop(before)
	for f.paid > most {
		oldest := epoch.None
		for _, all := range f.payouts {
			oldest = min(oldest, all[0].Epoch)
		}
		drop(oldest + 1)
	}
}

// reader takes events in.
type reader struct {
	addresses map[common.Address]string
	proof     *bindings.ProofOfResource
	rewards   *bindings.Rewards
	oracle    *bindings.PriceOracle
	pools     *bindings.PoolManager
	abi       *abi.ABI // of ProofOfResource
	domain    epochDomain
	charges   int // held of an epoch
}

// names are the topics of the events that matter.
func (r *reader) names() ([]common.Hash, error) {
	var names []common.Hash
	for _, c := range []struct {
		declared interface{ ParseABI() (*abi.ABI, error) }
		events   []string
	}{
		{&bindings.ProofOfResourceMetaData, []string{"Opened", "Committed", "Settled", "Voided", "Replaced", "ChargesAbandoned"}},
		{&bindings.RewardsMetaData, []string{"Rewarded"}},
		{&bindings.PriceOracleMetaData, []string{"EpochPricesRecorded"}},
		{&bindings.PoolManagerMetaData, []string{"PoolCreated", "Delegated", "Undelegated", "ProvenMbpsSet"}},
	} {
		parsed, err := c.declared.ParseABI()
		if err != nil {
			return nil, fmt.Errorf("overview: bindings: %w", err)
		}
		for _, name := range c.events {
			event, ok := parsed.Events[name]
			if !ok {
				return nil, fmt.Errorf("overview: bindings: no event %s", name)
			}
			names = append(names, event.ID)
		}
	}
	return names, nil
}

// commits reports whether an event says that an epoch was committed.
func (r *reader) commits(l *types.Log) bool {
	if r.addresses[l.Address] != "ProofOfResource" || len(l.Topics) == 0 {
		return false
	}
	return l.Topics[0] == r.abi.Events["Committed"].ID || l.Topics[0] == r.abi.Events["Replaced"].ID
}

// take puts one event into a fold; input is that of its transaction, if it commits an
// epoch. One that nobody knows is nobody's concern.
func (r *reader) take(f *fold, l *types.Log, input []byte) {
	switch r.addresses[l.Address] {
	case "ProofOfResource":
		r.takeEpoch(f, l, input)
	case "PriceOracle":
		if e, err := r.oracle.UnpackEpochPricesRecordedEvent(l); err == nil {
			into := f.epoch(e.Epoch)
			into.Low8, into.High8 = e.Low, e.High
		}
	case "Rewards":
		if e, err := r.rewards.UnpackRewardedEvent(l); err == nil {
			for i := range min(len(e.Epochs), len(e.Amounts)) {
				f.pay(drtc.NodeID(e.Node), e.Epochs[i], e.Amounts[i])
			}
		}
	case "PoolManager":
		for _, node := range r.nodesOf(l) {
			f.changedPools[node] = true
		}
	}
}

// nodesOf are whose pool an event of PoolManager is about.
func (r *reader) nodesOf(l *types.Log) []drtc.NodeID {
	if e, err := r.pools.UnpackDelegatedEvent(l); err == nil {
		return []drtc.NodeID{drtc.NodeID(e.Node)}
	}
	if e, err := r.pools.UnpackUndelegatedEvent(l); err == nil {
		return []drtc.NodeID{drtc.NodeID(e.Node)}
	}
	if e, err := r.pools.UnpackProvenMbpsSetEvent(l); err == nil {
		return []drtc.NodeID{drtc.NodeID(e.Node)}
	}
	return nil // pools are found by their numbers
}

func (r *reader) takeEpoch(f *fold, l *types.Log, input []byte) {
	if e, err := r.proof.UnpackOpenedEvent(l); err == nil {
		into := f.epoch(e.Epoch)
		into.ParametersVersion, into.ScaleWei = e.ParametersVersion, &account.Amount{Int: e.RMax}
	} else if e, err := r.proof.UnpackSettledEvent(l); err == nil {
		f.epoch(e.Epoch).Settlement = &account.Settlement{
			ConsumedCredits: account.Amount{Int: e.ConsumedDC}, ReceivedWei: account.Amount{Int: e.Received},
			BurnWei: account.Amount{Int: e.BurnWei}, FillerWei: account.Amount{Int: e.FillerWei},
			SupplyWei: account.Amount{Int: e.Supply}, BetaBps: e.BetaBps,
		}
	} else if e, err := r.proof.UnpackCommittedEvent(l); err == nil {
		r.takeCommit(f, l, e.Epoch, input)
	} else if e, err := r.proof.UnpackReplacedEvent(l); err == nil {
		r.takeCommit(f, l, e.Epoch, input)
	} else if e, err := r.proof.UnpackVoidedEvent(l); err == nil {
		f.epoch(e.Epoch) // the record says what it is now
	} else if e, err := r.proof.UnpackChargesAbandonedEvent(l); err == nil {
		f.epoch(e.Epoch)
	}
}

// takeCommit reads the transaction that committed an epoch.
func (r *reader) takeCommit(f *fold, l *types.Log, n uint64, input []byte) {
	into := f.epoch(n)
	into.Transaction, into.Block = &l.TxHash, l.BlockNumber
	into.Signers = nil
	said, err := readCommit(r.abi, input)
	if err != nil || said.commit.Epoch != n {
		return // sent through another contract: its input says nothing here
	}
	c := said.commit
	into.LeafCount, into.ChargeCount = c.LeafCount, c.ChargeCount
	into.TotalBytes, into.RewardTotalWei = &account.Amount{Int: c.TotalBytes.Big()}, &account.Amount{Int: c.RewardTotal.Big()}
	into.PreviousRoot, into.DataHash = (*account.Root)(&c.PreviousRoot), (*account.Root)(&c.DataHash)
	into.Signers = said.signers(r.domain, f.commits[n])
	if !said.replaces { // a replacement leaves the charges
		into.Charges = nil
	}
	for _, charge := range said.charges[:min(len(said.charges), r.charges)] {
		into.Charges = append(into.Charges, Charge{drtc.NodeID(charge.Application), drtc.NodeID(charge.Orchestrator), account.Amount{Int: charge.Bytes}})
	}
	f.commits[n] = c
}
