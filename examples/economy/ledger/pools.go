package ledger

import (
	"fmt"
	"math"
	"slices"

	"github.com/drtc-network/drtc/econ"
)

// never is the end of what has not ended.
const never = math.MaxUint64

// term is a stretch of epochs in which a key counted for an owner at a node: from
// included, until not.
type term struct {
	owner, node string
	from, until uint64
}

// key is one Media Node Key. Its number is its place, from 1.
type key struct {
	owner  string
	node   string // empty while it is not delegated
	terms  []term
	earned map[string]econ.Wei // by owner
}

// commission holds from an epoch on.
type commission struct {
	from uint64
	bps  econ.Bps
}

// pool is that of a node.
type pool struct {
	operator    string
	commissions []commission
	owed        map[string]econ.Wei
	dust        econ.Wei
	next        uint64 // epoch after the last that was paid
}

// PoolOf is the name of a node's pool, which holds HUDL.
func PoolOf(node string) string { return "pool of " + node }

// BuyKeys sells keys to an owner, for HUDL that the Reserve keeps.
func (l *Ledger) BuyKeys(owner string, count int, price econ.Wei) {
	for range count {
		l.Pay(owner, Reserve, price)
		l.keys = append(l.keys, &key{owner: owner, earned: make(map[string]econ.Wei)})
	}
}

// CreatePool makes the pool of a node.
func (l *Ledger) CreatePool(node, operator string, bps econ.Bps) {
	l.pools[node] = &pool{operator: operator, commissions: []commission{{0, bps}}, owed: make(map[string]econ.Wei)}
	l.order = append(l.order, node)
}

// SetCommission changes, in an epoch, what the operator gets from another epoch on.
// It replaces a change that has not come into effect.
func (l *Ledger) SetCommission(epoch uint64, node string, bps econ.Bps, from uint64) {
	p := l.pools[node]
	p.commissions = slices.DeleteFunc(p.commissions, func(c commission) bool { return c.from > epoch })
	p.commissions = append(p.commissions, commission{from, bps})
}

func (p *pool) commission(epoch uint64) (bps econ.Bps) {
	for _, c := range p.commissions {
		if c.from <= epoch {
			bps = c.bps
		}
	}
	return bps
}

// Delegate has keys count for their owner at a node, from the next epoch on.
func (l *Ledger) Delegate(epoch uint64, node string, ids ...int) {
	for _, id := range ids {
		k := l.keys[id-1]
		k.node = node
		k.terms = append(k.terms, term{k.owner, node, epoch + 1, never})
	}
}

// Undelegate ends that with the epoch before this one.
func (l *Ledger) Undelegate(epoch uint64, ids ...int) {
	for _, id := range ids {
		k := l.keys[id-1]
		k.node = ""
		// Delegated and undelegated in one epoch it never counted: until is below from.
		k.terms[len(k.terms)-1].until = epoch
	}
}

// Sell hands a key over, which ends its delegation.
func (l *Ledger) Sell(epoch uint64, id int, to string) {
	k := l.keys[id-1]
	if k.node != "" {
		l.Undelegate(epoch, id)
	}
	k.owner = to
}

// counting are the keys that count at a node in an epoch.
func (l *Ledger) counting(node string, epoch uint64) (counted []*key) {
	for _, k := range l.keys {
		if k.term(node, epoch) != nil {
			counted = append(counted, k)
		}
	}
	return counted
}

func (k *key) term(node string, epoch uint64) *term {
	i := slices.IndexFunc(k.terms, func(t term) bool { return t.node == node && t.from <= epoch && epoch < t.until })
	if i < 0 {
		return nil
	}
	return &k.terms[i]
}

// Claim pays an epoch's reward of a node into its pool, which divides it among the
// keys that counted in that epoch.
func (l *Ledger) Claim(node string, number uint64, payout econ.Wei) error {
	p := l.pools[node]
	keys := l.counting(node, number)
	d, err := econ.Distribute(payout, p.dust, uint64(len(keys)), p.commission(number))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	l.reserveOwes = l.reserveOwes.Sub(payout)
	l.Pay(Reserve, PoolOf(node), payout)
	p.owed[p.operator] = p.owed[p.operator].Add(d.Commission)
	for _, k := range keys {
		owner := k.term(node, number).owner
		p.owed[owner] = p.owed[owner].Add(d.PerKey)
		k.earned[owner] = k.earned[owner].Add(d.PerKey)
	}
	p.dust, p.next = d.Dust, number+1
	return nil
}

// Owed is what a node's pool owes to an account.
func (l *Ledger) Owed(who, node string) econ.Wei { return l.pools[node].owed[who] }

// Earned is what a key has earned for an owner.
func (l *Ledger) Earned(id int, owner string) econ.Wei { return l.keys[id-1].earned[owner] }

// Collect gives an account what pools owe to it, as veHUDL.
func (l *Ledger) Collect(who string, nodes ...string) {
	for _, node := range nodes {
		p := l.pools[node]
		l.Pay(PoolOf(node), VeHUDL, p.owed[who])
		l.veHUDL[who] = l.veHUDL[who].Add(p.owed[who])
		delete(p.owed, who)
	}
}

func (l *Ledger) poolBooks(books map[Entry]econ.Wei) {
	for node, p := range l.pools {
		total := p.dust
		for who, amount := range p.owed {
			books[Entry{"owed by the " + PoolOf(node), who}] = amount
			total = total.Add(amount)
		}
		if held := l.hudl[PoolOf(node)]; held != total {
			panic("ledger: the " + PoolOf(node) + " has " + held.String() + " wei and owes " + total.String())
		}
		books[Entry{"dust", PoolOf(node)}] = p.dust
		books[Entry{"epochs paid up to, not included", node}] = econ.NewWei(p.next)
		for number := uint64(0); l.last != nil && number <= l.last.Commit.Epoch; number++ {
			books[CountEntry(number, node)] = econ.NewWei(uint64(len(l.counting(node, number))))
		}
	}
	for i, k := range l.keys {
		books[KeyEntry(i+1, k.owner, k.node)] = econ.NewWei(1)
	}
}

// CountEntry is the line of how many keys counted at a node in an epoch.
func CountEntry(epoch uint64, node string) Entry {
	return Entry{"keys that counted", fmt.Sprintf("epoch %d, %s", epoch, node)}
}

// KeyEntry is the line that says whose a key is and where it is delegated; node is
// empty where it is not.
func KeyEntry(id int, owner, node string) Entry {
	if node == "" {
		node = "no node"
	}
	return Entry{"keys", fmt.Sprintf("%2d of %s, delegated to %s", id, owner, node)}
}
