package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/receipt"
)

// Nodes are the Media Nodes that are connected.
type Nodes interface {
	// Up lists those that can be asked.
	Up() []drtc.NodeID
	// Claims asks a node what it has served.
	Claims(ctx context.Context, node drtc.NodeID) ([]receipt.Claim, error)
	// Deliver hands receipts to a node.
	Deliver(ctx context.Context, node drtc.NodeID, receipts []receipt.Signed) error
}

// Authorities knows what applications let this Orchestrator spend.
type Authorities interface {
	// Authority of an application's account. It answers from memory.
	Authority(application receipt.Application) (receipt.Authority, error)
}

// Config of a Billing. Key, Store, Nodes, Member and Log are required.
type Config struct {
	Key    *identity.Key
	Member string
	Store  state.Store
	Nodes  Nodes
	// Network says what receipts are; without a contract none are signed, and only
	// usage is counted.
	Network receipt.Network
	// Interval is the time between receipts, CallTimeout bounds one call.
	Interval, CallTimeout time.Duration
	// Accounts pay for applications, by name; for others this Orchestrator pays.
	Accounts map[string]receipt.Application
	// Authorities, if set, bounds what applications with an account may use.
	Authorities Authorities
	Budgets     []receipt.Budget
	// Alone says that there are no other members.
	Alone bool
	// KeepDays is for how many days usage is kept.
	KeepDays int
	// Counted, if set, is called after each Interval, when budgets are known anew.
	Counted func()
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 5 * time.Second
	}
	if c.KeepDays == 0 {
		c.KeepDays = 62
	}
	if c.Counted == nil {
		c.Counted = func() {}
	}
	return c
}

// Billing counts and signs. Make one with New, call Load, then Run.
type Billing struct {
	config Config
	rules  receipt.PurseRules
	meter  *meter

	mu       sync.Mutex // guards what follows; never held while waiting
	ledgers  map[drtc.NodeID]*ledger
	usage    *receipt.Usage
	others   []receipt.Row // of other members
	tally    *receipt.Tally
	refusals map[string]string // by application: why its credits are no good

	// Of the goroutine of Run, and of Load before.
	pages  *pages
	looked time.Time // at what other members used
}

// New makes a Billing that has counted nothing.
func New(c Config) (*Billing, error) {
	c = c.withDefaults()
	if c.Key == nil || c.Store == nil || c.Nodes == nil || c.Log == nil || c.Member == "" {
		return nil, errors.New("billing: config: Key, Member, Store, Nodes and Log are required")
	}
	for i, b := range c.Budgets {
		if err := b.Validate(); err != nil {
			return nil, fmt.Errorf("billing: budgets[%d]: %w", i, err)
		}
	}
	rules := receipt.DefaultPurseRules()
	if c.Network.Enabled() {
		rules.Clock, rules.Domain = c.Network.Clock(), c.Network.Domain()
		rules.Grace = min(rules.Grace, c.Network.EpochLength/8)
		if err := rules.Validate(); err != nil {
			return nil, fmt.Errorf("billing: %w", err)
		}
	}
	b := &Billing{
		config: c, rules: rules, ledgers: map[drtc.NodeID]*ledger{}, usage: receipt.NewUsage(), refusals: map[string]string{},
		pages: newPages(c.Store, c.Member),
	}
	b.count(time.Now())
	var err error
	b.meter, err = newMeter(c.Metrics)
	return b, err
}

// Account is the account on the chain that pays for an application.
func (b *Billing) Account(application string) receipt.Application {
	if a, ok := b.config.Accounts[application]; ok {
		return a
	}
	return b.config.Key.ID()
}

func (b *Billing) ledger(node drtc.NodeID) *ledger {
	l := b.ledgers[node]
	if l == nil {
		l = newLedger(b, node)
		b.ledgers[node] = l
	}
	return l
}

// Meet says for whom a session or a link on a node is, before it is observed.
func (b *Billing) Meet(node drtc.NodeID, id string, s receipt.Spender) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger(node).spenders[id] = s
}

// Observe takes the counters of a session or a link that Meet has named; of others
// nobody here knows who pays.
func (b *Billing) Observe(node drtc.NodeID, id string, c receipt.Counters, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.ledgers[node]
	if l == nil {
		return
	}
	s, ok := l.spenders[id]
	if !ok {
		return
	}
	before := l.pending[id]
	l.pending[id] = receipt.Observation{
		ID: id, Application: b.Account(s.Application), Ended: ended || before.Ended,
		Counters: receipt.Counters{Client: max(c.Client, before.Client), Relay: max(c.Relay, before.Relay)},
	}
}

// Witness takes what the receiving end of a link says to have got over it: what its
// sender says beyond that is not paid.
func (b *Billing) Witness(receiver drtc.NodeID, id string, received uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node, l := range b.ledgers {
		if _, ok := l.spenders[id]; ok && node != receiver {
			l.witnessed[id] = received
		}
	}
}

// Testify takes what the client of a session says to have received.
func (b *Billing) Testify(node drtc.NodeID, id string, received uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.ledgers[node]; l != nil && l.spenders[id] != (receipt.Spender{}) {
		l.witnessed[id] = received
	}
}

// Lost says that a node was restarted or is gone: its sessions have ended.
func (b *Billing) Lost(node drtc.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.ledgers[node]
	if l == nil {
		return
	}
	for id, s := range l.spenders {
		o := l.pending[id]
		o.ID, o.Application, o.Ended = id, b.Account(s.Application), true
		l.pending[id] = o
	}
}

// Refuses says whether somebody may use no more, and why.
func (b *Billing) Refuses(s receipt.Spender) (receipt.Exceeded, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuses(s)
}

// refuses needs mu.
func (b *Billing) refuses(s receipt.Spender) (receipt.Exceeded, bool) {
	if reason := b.refusals[s.Application]; reason != "" {
		return receipt.Exceeded{Reason: reason, End: true}, true
	}
	return b.tally.Exceeded(s)
}

// Over lists the spenders with sessions whose rooms are to end, and why.
func (b *Billing) Over() map[receipt.Spender]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	over := map[receipt.Spender]string{}
	for _, l := range b.ledgers {
		for _, s := range l.spenders {
			if e, ok := b.refuses(s); ok && e.End {
				over[s] = e.Reason
			}
		}
	}
	return over
}

// Rows is the usage of all members between two days, both included, in order.
func (b *Billing) Rows(from, to receipt.Day) []receipt.Row {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []receipt.Row
	for _, r := range receipt.MergeRows(b.usage.Rows(), b.others) {
		if r.Day >= from && r.Day <= to {
			all = append(all, r)
		}
	}
	return all
}

// Load reads what the store has, before Run.
func (b *Billing) Load(ctx context.Context) error {
	own, others, err := b.pages.load(ctx)
	if err != nil {
		return err
	}
	entries, err := b.config.Store.List(ctx, receiptsPrefix)
	if err != nil {
		return fmt.Errorf("billing: reading receipts: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.usage, b.others = own, others
	for _, e := range entries {
		node, err := drtc.ParseNodeID(e.Key[len(receiptsPrefix):])
		if err != nil {
			return fmt.Errorf("billing: %s: %w", e.Key, err)
		}
		if err := b.ledger(node).read(e); err != nil {
			return err
		}
	}
	b.count(time.Now())
	return nil
}

// Run settles with every node each Interval until ctx ends, and once more then.
func (b *Billing) Run(ctx context.Context) error {
	tick := time.NewTicker(b.config.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.round(ctx)
			b.config.Counted()
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.config.CallTimeout)
			defer cancel()
			b.round(last)
			return nil
		}
	}
}

// othersEvery is the time between two looks at what other members used.
const othersEvery = time.Minute

// atOnce is with how many nodes there are calls under way at a time.
const atOnce = 16

func (b *Billing) round(ctx context.Context) {
	up := map[drtc.NodeID]bool{}
	if b.config.Network.Enabled() {
		for _, id := range b.config.Nodes.Up() {
			up[id] = true
		}
	}
	b.mu.Lock()
	for id := range up {
		b.ledger(id)
	}
	ledgers := slices.Collect(maps.Values(b.ledgers))
	b.mu.Unlock()
	var calls sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, l := range ledgers {
		calls.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			l.settle(ctx, up[l.node])
		})
	}
	calls.Wait()
	now := time.Now()
	b.mu.Lock()
	gone := b.usage.Drop(receipt.DayOf(now.AddDate(0, 0, -b.config.KeepDays)))
	dirty := b.usage.Dirty()
	b.mu.Unlock()
	if err := b.pages.save(ctx, dirty, gone, b.page); err != nil {
		b.meter.failures.Inc()
		b.config.Log.Error("usage was not stored", slog.Any("error", err))
		b.mu.Lock()
		b.usage.Touch(dirty)
		b.mu.Unlock()
	}
	var others []receipt.Row
	look := !b.config.Alone && now.Sub(b.looked) >= othersEvery
	if look {
		var err error
		if others, err = b.pages.others(ctx); err != nil {
			look = false
			b.config.Log.Warn("the usage of other members can't be read", slog.Any("error", err))
		} else {
			b.looked = now
		}
	}
	b.mu.Lock()
	if look {
		b.others = others
	}
	b.count(now)
	b.mu.Unlock()
}

func (b *Billing) page(p receipt.UsagePage) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.usage.Page(p)
}

// count reckons budgets and credits anew; it needs mu.
func (b *Billing) count(now time.Time) {
	b.tally = receipt.NewTally(b.config.Budgets, now, receipt.MergeRows(b.usage.Rows(), b.others))
	clear(b.refusals)
	if b.config.Authorities == nil {
		return
	}
	spent := map[receipt.Application]uint64{}
	for _, l := range b.ledgers {
		for a, c := range l.spent {
			spent[a] += c.Sum()
		}
	}
	for name, account := range b.config.Accounts {
		authority, err := b.config.Authorities.Authority(account)
		switch {
		case err != nil:
			b.refusals[name] = "the application's data credits can't be looked up: " + err.Error()
		default:
			if reason := authority.Refuses(b.rules.Clock.At(now), spent[account]); reason != "" {
				b.refusals[name] = reason
			}
		}
	}
}
