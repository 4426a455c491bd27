package sim

import (
	"fmt"

	"github.com/drtc-network/drtc/econ"
)

// ledger is who has which HUDL, in wei. Every wei of the supply is in it.
type ledger struct {
	supply   econ.Wei
	market   econ.Wei // everybody who is no agent
	reserve  econ.Wei
	washer   econ.Wei
	operator []econ.Wei // commission, by node
	pool     []pool     // what keys of a node are owed, by node
	holder   []account
}

// pool has what its keys may claim, and dust.
type pool struct {
	balance econ.Wei
	perKey  econ.Wei // since the beginning
	dust    econ.Wei
}

// account is a holder's, with where its pool's index was when it last claimed.
type account struct {
	balance econ.Wei
	mark    econ.Wei
}

func newLedger(supply econ.Wei, nodes, holders int) *ledger {
	return &ledger{supply: supply, market: supply, operator: make([]econ.Wei, nodes), pool: make([]pool, nodes), holder: make([]account, holders)}
}

// grow makes room for new nodes.
func (l *ledger) grow(nodes int) {
	for len(l.pool) < nodes {
		l.operator, l.pool = append(l.operator, econ.Wei{}), append(l.pool, pool{})
	}
}

// pay divides a payout between a node's operator and its keys.
func (l *ledger) pay(node int, payout econ.Wei, keys uint64, commission econ.Bps) error {
	p := &l.pool[node]
	d, err := econ.Distribute(payout, p.dust, keys, commission)
	if err != nil {
		return err
	}
	l.operator[node] = l.operator[node].Add(d.Commission)
	p.balance = p.balance.Add(payout.Sub(d.Commission))
	p.perKey, p.dust = p.perKey.Add(d.PerKey), d.Dust
	return nil
}

// claim gives a holder what its keys at a node are owed.
func (l *ledger) claim(holder, node int, keys uint64) {
	a, p := &l.holder[holder], &l.pool[node]
	owed := p.perKey.Sub(a.mark).MulDiv(econ.NewWei(keys), econ.NewWei(1))
	a.balance, p.balance, a.mark = a.balance.Add(owed), p.balance.Sub(owed), p.perKey
}

// fill divides a filler equally among keys of nodes that take part. What is left
// over, and all of it when there are none, is the Reserve's.
func (l *ledger) fill(amount econ.Wei, nodes []node) {
	var keys uint64
	for i := range nodes {
		if nodes[i].active {
			keys += nodes[i].keys
		}
	}
	left := amount
	if keys > 0 {
		perKey := amount.MulDiv(econ.NewWei(1), econ.NewWei(keys))
		for i := range nodes {
			if !nodes[i].active || nodes[i].keys == 0 {
				continue
			}
			part := perKey.MulDiv(econ.NewWei(nodes[i].keys), econ.NewWei(1))
			p := &l.pool[i]
			p.balance, p.perKey, left = p.balance.Add(part), p.perKey.Add(perKey), left.Sub(part)
		}
	}
	l.reserve = l.reserve.Add(left)
}

// sell moves a share of an account to the market.
func (l *ledger) sell(from *econ.Wei, share econ.Bps) {
	amount := from.Share(share)
	*from, l.market = from.Sub(amount), l.market.Add(amount)
}

// conserved compares the sum of all accounts with the supply.
func (l *ledger) conserved() error {
	sum := l.market.Add(l.reserve).Add(l.washer)
	for i := range l.pool {
		sum = sum.Add(l.operator[i]).Add(l.pool[i].balance)
	}
	for i := range l.holder {
		sum = sum.Add(l.holder[i].balance)
	}
	if sum != l.supply {
		return fmt.Errorf("accounts hold %s wei of a supply of %s", sum, l.supply)
	}
	return nil
}
