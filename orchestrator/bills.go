package orchestrator

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/billing"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/nodes"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/receipt"
)

// Receipts says what the network's receipts are and how this Orchestrator gives
// them (design decision 12).
type Receipts struct {
	receipt.Network
	// Interval is the time between two of a node, and after which usage is stored:
	// a crash loses no more.
	Interval time.Duration `toml:"interval"`
	// KeepDays is for how many days usage is kept.
	KeepDays int `toml:"keep_days"`
}

func defaultReceipts() Receipts {
	return Receipts{Network: receipt.DefaultNetwork(), Interval: 10 * time.Second, KeepDays: 62}
}

// validateBills names the key about receipts, accounts or budgets that is wrong.
func (c Config) validateBills() error {
	if err := c.Receipts.Validate(); err != nil {
		return fmt.Errorf("orchestrator: receipts: %w", err)
	}
	switch r := c.Receipts; {
	case r.Interval < 100*time.Millisecond || r.Interval > time.Hour:
		return fmt.Errorf("orchestrator: receipts.interval: want 100ms to 1h, got %s", r.Interval)
	case r.KeepDays < 31 || r.KeepDays > 3660:
		return fmt.Errorf("orchestrator: receipts.keep_days: want 31 to 3660, got %d", r.KeepDays)
	}
	for i, b := range c.Budgets {
		if err := b.Validate(); err != nil {
			return fmt.Errorf("orchestrator: budgets[%d]: %w", i, err)
		}
		if _, ok := c.keyNamed(b.Key); b.Key != "" && !ok {
			return fmt.Errorf("orchestrator: budgets[%d].key: want the key of one of keys, got %.80q", i, b.Key)
		}
	}
	accounts := map[string]drtc.NodeID{}
	for i, k := range c.Keys {
		before, known := accounts[k.owner()]
		if known && before != k.Account {
			return fmt.Errorf("orchestrator: keys[%d].account: want %s as with the other keys of application %q, got %s", i, before, k.owner(), k.Account)
		}
		accounts[k.owner()] = k.Account
	}
	return nil
}

// bills makes what signs receipts and counts usage.
func (o *Orchestrator) bills(authorities billing.Authorities) (*billing.Billing, error) {
	c := o.config
	accounts := map[string]receipt.Application{}
	for _, k := range c.Keys {
		if !k.Account.IsZero() {
			accounts[k.owner()] = receipt.Application(k.Account)
		}
	}
	b, err := billing.New(billing.Config{
		Key: o.key, Member: c.Member, Alone: c.MemberURL == "", Store: o.store, Nodes: o.pool, Network: c.Receipts.Network, Interval: c.Receipts.Interval,
		Accounts: accounts, Authorities: authorities, Budgets: c.Budgets, KeepDays: c.Receipts.KeepDays,
		Counted: o.endOver, Log: o.log, Metrics: o.meter.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	return b, nil
}

// Sessions and links have one space of names in the accounts.
func sessionMeeting(s drtc.SessionID) string { return "s/" + string(s) }
func linkMeeting(l cascade.LinkID) string    { return "l/" + string(l) }

// spender is for whom the room's sessions of an API key are counted.
func (a *actor) spender(key string) receipt.Spender {
	return receipt.Spender{Application: a.name.Application, Key: key, Room: a.name.Name}
}

// count takes what a node says that a session or a link has used.
func (o *Orchestrator) count(c nodes.Count) {
	if c.Link == "" {
		o.billing.Observe(c.Node, sessionMeeting(c.Session), c.Counters, c.Ended)
		return
	}
	o.billing.Observe(c.Node, linkMeeting(c.Link), c.Counters, c.Ended)
	if c.Received > 0 {
		o.billing.Witness(c.Node, linkMeeting(c.Link), c.Received)
	}
}

// affords turns away who comes into a room for which nothing is left.
func (o *Orchestrator) affords(name signal.RoomName, key string) error {
	e, over := o.billing.Refuses(receipt.Spender{Application: name.Application, Key: key, Room: name.Name})
	if !over {
		return nil
	}
	o.meter.exhausted.Inc()
	return signal.Exhausted(e.Reason)
}

// endOver ends the rooms for which nothing is left and that are not to go on.
func (o *Orchestrator) endOver() {
	over := o.billing.Over()
	rooms := map[signal.RoomName]string{}
	for s, reason := range over {
		rooms[signal.RoomName{Application: s.Application, Name: s.Room}] = reason
	}
	for _, name := range slices.SortedFunc(maps.Keys(rooms), func(a, b signal.RoomName) int {
		return slices.Compare([]string{a.Application, a.Name}, []string{b.Application, b.Name})
	}) {
		a := o.running(name)
		if a == nil {
			continue
		}
		o.log.Info("room ends: nothing is left for it", slog.String("room", string(a.id)), slog.String("reason", rooms[name]))
		o.group.Go(func() { a.post(room.Close{}) })
	}
}
