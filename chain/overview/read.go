package overview

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/epoch"
)

// questions are asked together, as of one block, and each answer goes where it
// belongs. After an answer that cannot be read all others are not read either.
type questions struct {
	overview *Overview
	block    uint64
	asked    []client.Question
	answers  []func([]byte) error
}

// ask adds one question.
func ask[T any](q *questions, at common.Address, input []byte, unpack func([]byte) (T, error), take func(T)) {
	q.asked = append(q.asked, client.Question{Contract: at, Input: input})
	q.answers = append(q.answers, func(b []byte) error {
		v, err := unpack(b)
		if err == nil {
			take(v)
		}
		return err
	})
}

// do asks what was added and forgets it.
func (q *questions) do(ctx context.Context) error {
	for len(q.asked) > 0 {
		n := min(len(q.asked), client.MaxQuestions)
		answers, err := q.overview.client.CallsAt(ctx, q.block, q.asked[:n])
		if err != nil {
			return err
		}
		for i, b := range answers {
			if err := q.answers[i](b); err != nil {
				return fmt.Errorf("%w: an answer cannot be read: %w", client.ErrUnavailable, err)
			}
		}
		q.asked, q.answers = q.asked[n:], q.answers[n:]
	}
	return nil
}

// read makes the View of a settled block.
func (o *Overview) read(ctx context.Context, settled client.Block) (*View, error) {
	q := &questions{overview: o, block: settled.Number}
	v := &View{Chain: Chain{ChainID: o.config.Addresses.ChainID, Block: settled.Number, BlockTime: settled.Time.UTC(), Contracts: map[string]drtc.NodeID{}}}
	for name, c := range o.config.Addresses.Contracts {
		v.Chain.Contracts[name] = drtc.NodeID(c.Address)
	}
	window, err := o.readChain(ctx, q, &v.Chain)
	if err != nil {
		return nil, err
	}
	if o.follower == nil {
		from, err := o.begin(ctx, settled, v.Chain.begins(v.Chain.From))
		if err != nil {
			return nil, err
		}
		o.follower = o.client.Follower(client.Query{
			Contracts: slices.Collect(maps.Keys(o.reader.addresses)), Topics: [][]common.Hash{o.names}, From: from,
		}, client.Cursor{})
	}
	if err := o.follow(ctx); err != nil {
		return nil, err
	}
	o.fold.forget(v.Chain.From, o.config.MaxPayouts)
	if err := o.readEpochs(ctx, q, v, window); err != nil {
		return nil, err
	}
	if err := o.readPools(ctx, q, v); err != nil {
		return nil, err
	}
	v.payouts = map[drtc.NodeID][]Payout{}
	for node, all := range o.fold.payouts {
		v.payouts[node] = slices.Clip(all) // appending to it moves it
	}
	return v, nil
}

// begins is when an epoch does.
func (c *Chain) begins(n uint64) time.Time {
	return c.Genesis.Add(time.Duration(n*c.EpochSeconds) * time.Second)
}

// readChain returns when the newest commit's window ends, 0 for not at all.
func (o *Overview) readChain(ctx context.Context, q *questions, c *Chain) (window uint64, err error) {
	of := o.config.Addresses.Of
	parameters, proof, pools := bindings.NewParameters(), o.reader.proof, o.reader.pools
	keys, hudl := bindings.NewMediaNodeKey(), bindings.NewHUDL()
	ask(q, of("Parameters"), parameters.PackCurrentEpoch(), parameters.UnpackCurrentEpoch, func(n uint64) { c.Epoch = n })
	ask(q, of("Parameters"), parameters.PackGenesisTime(), parameters.UnpackGenesisTime, func(n uint64) { c.Genesis = time.Unix(int64(n), 0).UTC() })
	ask(q, of("Parameters"), parameters.PackEpochLength(), parameters.UnpackEpochLength, func(n uint32) { c.EpochSeconds = uint64(n) })
	ask(q, of("HUDL"), hudl.PackTotalSupply(), hudl.UnpackTotalSupply, func(n *big.Int) { c.HUDLWei.Int = n })
	ask(q, of("MediaNodeKey"), keys.PackTotalSupply(), keys.UnpackTotalSupply, func(n *big.Int) { c.KeysSold = n.Uint64() })
	ask(q, of("PoolManager"), pools.PackPoolCount(), pools.UnpackPoolCount, func(n *big.Int) { c.Pools = n.Uint64() })
	ask(q, of("ProofOfResource"), proof.PackCommittee(), proof.UnpackCommittee, func(all []common.Address) {
		c.Committee = []drtc.NodeID{}
		for _, a := range all {
			c.Committee = append(c.Committee, drtc.NodeID(a))
		}
	})
	ask(q, of("ProofOfResource"), proof.PackQuorum(), proof.UnpackQuorum, func(n *big.Int) { c.Quorum = n.Uint64() })
	ask(q, of("ProofOfResource"), proof.PackStanding(), proof.UnpackStanding, func(s bindings.IProofOfResourceStanding) {
		c.SupplyWei.Int, c.BetaBps, c.Paused = s.Supply, s.BetaBps, s.Paused
		if s.LastEpoch == epoch.None {
			return
		}
		c.LastEpoch = &s.LastEpoch
		if window = s.WindowEnds; window != 0 {
			at := time.Unix(int64(window), 0).UTC()
			c.ClaimableFrom = &at
		}
	})
	if err := q.do(ctx); err != nil {
		return 0, err
	}
	held := min(uint64(o.config.Epochs), uint64(o.config.History/time.Second)/max(1, c.EpochSeconds)+1)
	c.From = c.Epoch - min(c.Epoch, held-1)
	return window, nil
}

// readEpochs asks for the records of the epochs about which something was said.
func (o *Overview) readEpochs(ctx context.Context, q *questions, v *View, window uint64) error {
	proof := o.reader.proof
	changed := o.fold.changedEpochs
	for n := range changed {
		into := o.fold.epoch(n)
		ask(q, o.config.Addresses.Of("ProofOfResource"), proof.PackEpochs(n), proof.UnpackEpochs, func(r bindings.IProofOfResourceEpochRecord) {
			o.readRecord(into, r)
		})
	}
	if err := q.do(ctx); err != nil {
		return err
	}
	clear(changed)
	v.epochs = make(map[uint64]*Epoch, len(o.fold.epochs))
	for n, e := range o.fold.epochs {
		shown := *e
		shown.Begins, shown.Ends = v.Chain.begins(n), v.Chain.begins(n+1)
		if window != 0 && v.Chain.LastEpoch != nil && *v.Chain.LastEpoch == n {
			shown.ClaimableFrom = v.Chain.ClaimableFrom
		}
		v.epochs[n] = &shown
	}
	return nil
}

// readRecord puts what the contract keeps of an epoch beside what events said.
func (o *Overview) readRecord(into *Epoch, r bindings.IProofOfResourceEpochRecord) {
	statuses := []account.Status{account.NotOpened, account.Opened, account.Charging, account.Committed, account.Void}
	if int(r.Status) < len(statuses) {
		into.Status = statuses[r.Status]
	}
	into.PaidWei.Int, into.Cut = r.Paid, r.IsCut
	if r.CommittedAt == 0 {
		return
	}
	at := time.Unix(int64(r.CommittedAt), 0).UTC()
	into.CommittedAt, into.Root, into.MintWei = &at, (*account.Root)(&r.Root), &account.Amount{Int: r.MintTotal}
}

// readPools finds new pools by their numbers and looks again at those about which
// something was said; with a new epoch at all of them.
func (o *Overview) readPools(ctx context.Context, q *questions, v *View) error {
	manager, of := o.reader.pools, o.config.Addresses.Of
	known := len(o.pools)
	all := min(int(v.Chain.Pools), o.config.MaxPools)
	pools := append(make([]Pool, 0, max(all, known)), o.pools...)
	for number := known + 1; number <= all; number++ {
		pools = append(pools, Pool{Number: uint32(number)})
		p := &pools[number-1] // it has room and does not move
		ask(q, of("PoolManager"), manager.PackNodeOf(uint32(number)), manager.UnpackNodeOf, func(a common.Address) { p.Node = drtc.NodeID(a) })
	}
	if err := q.do(ctx); err != nil {
		return err
	}
	for i := known; i < len(pools); i++ {
		p := &pools[i]
		ask(q, of("PoolManager"), manager.PackPoolOf(common.Address(p.Node)), manager.UnpackPoolOf, func(a common.Address) { p.Address = drtc.NodeID(a) })
	}
	if err := q.do(ctx); err != nil {
		return err
	}
	next := o.view == nil || o.view.Chain.Epoch != v.Chain.Epoch
	for i := range pools {
		if i >= known || next || o.fold.changedPools[pools[i].Node] {
			o.askPool(q, &pools[i], v.Chain.Epoch)
		}
	}
	if err := q.do(ctx); err != nil {
		return err
	}
	clear(o.fold.changedPools)
	for i := range pools {
		sum := new(big.Int)
		for _, p := range o.fold.payouts[pools[i].Node] {
			sum.Add(sum, p.Wei.Int)
		}
		pools[i].PaidWei.Int = sum
	}
	o.pools, v.pools = pools, pools
	return nil
}

// commissionNotice is far enough ahead that every announced commission holds.
const commissionNotice = 1 << 16

func (o *Overview) askPool(q *questions, p *Pool, now uint64) {
	manager, pool, of := o.reader.pools, bindings.NewPool(), o.config.Addresses.Of
	at := common.Address(p.Address)
	ask(q, of("PoolManager"), manager.PackKeysOf(common.Address(p.Node)), manager.UnpackKeysOf, func(k bindings.PoolManagerKeysOfOutput) {
		p.Keys, p.Most = k.Keys.Uint64(), k.Most.Uint64()
	})
	ask(q, of("PoolManager"), manager.PackProvenMbps(common.Address(p.Node)), manager.UnpackProvenMbps, func(n uint32) { p.ProvenMbps = n })
	ask(q, at, pool.PackOperator(), pool.UnpackOperator, func(a common.Address) { p.Operator = drtc.NodeID(a) })
	ask(q, at, pool.PackCommissionAt(now), pool.UnpackCommissionAt, func(n uint16) { p.CommissionBps = n })
	ask(q, at, pool.PackCommissionAt(now+commissionNotice), pool.UnpackCommissionAt, func(n uint16) { p.NextCommissionBps = n })
	ask(q, at, pool.PackKeysAt(now), pool.UnpackKeysAt, func(n *big.Int) { p.Counting = n.Uint64() })
	ask(q, at, pool.PackLastEpoch(), pool.UnpackLastEpoch, func(n uint64) {
		if n != epoch.None {
			p.LastEpoch = &n
		}
	})
	ask(q, at, pool.PackIndex(), pool.UnpackIndex, func(i bindings.PoolIndexOutput) { p.PerKeyWei.Int = i.PerKey })
}
