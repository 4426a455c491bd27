package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/nodes"
	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/receipt"
)

// receiptsPrefix is of what was seen and signed of each node, in the store.
const receiptsPrefix = "receipts."

// maxLogged bounds the disputes of a node that are logged at a time.
const maxLogged = 8

// ledger is what there is to do with one node.
type ledger struct {
	b    *Billing
	node drtc.NodeID

	// Guarded by Billing.mu.
	spenders  map[string]receipt.Spender
	pending   map[string]receipt.Observation // not in the store yet
	witnessed map[string]uint64
	spent     map[receipt.Application]receipt.Counters

	// Of the goroutine that settles, one at a time.
	purse    *receipt.Purse
	revision uint64 // of what purse was read from or written to; 0: nothing is stored
	stored   string // bytes at revision
}

func newLedger(b *Billing, node drtc.NodeID) *ledger {
	return &ledger{
		b: b, node: node, spenders: map[string]receipt.Spender{}, pending: map[string]receipt.Observation{}, witnessed: map[string]uint64{},
		purse: receipt.NewPurse(b.config.Key.ID(), node, b.rules),
	}
}

func (l *ledger) key() string { return receiptsPrefix + l.node.String() }

// read takes what the store has.
func (l *ledger) read(e state.Entry) error {
	purse, err := receipt.ParsePurse(e.Value, l.b.config.Key.ID(), l.node, l.b.rules)
	if err != nil {
		return fmt.Errorf("billing: %s: %w", e.Key, err)
	}
	purse.Inherit(l.purse)
	l.purse, l.revision, l.stored = purse, e.Revision, string(e.Value)
	l.spent = purse.Spent()
	return nil
}

// settle takes in what was observed, signs what the node claims, and stores both
// before it delivers.
func (l *ledger) settle(ctx context.Context, up bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*l.b.config.CallTimeout)
	defer cancel()
	log := l.b.config.Log.With(slog.String("node", l.node.String()))
	var claims []receipt.Claim
	if up {
		var err error
		call, done := context.WithTimeout(ctx, l.b.config.CallTimeout)
		claims, err = l.b.config.Nodes.Claims(call, l.node)
		done()
		if err != nil && !errors.Is(err, nodes.ErrNoReceipts) {
			log.Debug("a node did not say what it served", slog.Any("error", err))
		}
	}
	if err := l.write(ctx, claims, log); err != nil {
		l.forget()
		l.b.meter.failures.Inc()
		log.Error("receipts were not stored", slog.Any("error", err))
		return
	}
	due := l.purse.Due(claims)
	if len(due) == 0 {
		return
	}
	if err := l.b.config.Nodes.Deliver(ctx, l.node, due); err != nil {
		log.Warn("a node did not take receipts", slog.Any("error", err))
		return
	}
	l.b.meter.delivered.Add(float64(len(due)))
}

// write brings the purse up to date and stores it. Where another member was faster
// it begins anew from what that has written.
func (l *ledger) write(ctx context.Context, claims []receipt.Claim, log *slog.Logger) error {
	const tries = 5
	for try := 1; ; try++ {
		taken, fresh, err := l.update(time.Now(), claims, log)
		if err != nil {
			return err
		}
		err = l.store(ctx)
		switch {
		case err == nil:
			l.done(taken, fresh)
			return nil
		case try < tries && (errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrExists)):
			e, err := l.b.config.Store.Get(ctx, l.key())
			if errors.Is(err, state.ErrNotFound) {
				l.revision = 0
				continue
			}
			if err == nil {
				l.b.mu.Lock()
				err = l.read(e)
				l.b.mu.Unlock()
			}
			if err != nil {
				return fmt.Errorf("billing: %w", err)
			}
		default:
			return fmt.Errorf("billing: %w", err)
		}
	}
}

// forget goes back to what was last stored: what was signed since has not left.
func (l *ledger) forget() {
	purse := receipt.NewPurse(l.b.config.Key.ID(), l.node, l.b.rules)
	if l.revision > 0 {
		stored, err := receipt.ParsePurse([]byte(l.stored), l.b.config.Key.ID(), l.node, l.b.rules)
		if err != nil {
			panic("billing: reading what was written: " + err.Error())
		}
		purse = stored
	}
	purse.Inherit(l.purse)
	l.purse = purse
}

// update observes, answers and signs. It returns what it observed, and what of it
// was new.
func (l *ledger) update(now time.Time, claims []receipt.Claim, log *slog.Logger) (map[string]receipt.Observation, map[string]receipt.Counters, error) {
	l.b.mu.Lock()
	taken := make(map[string]receipt.Observation, len(l.pending))
	fresh := map[string]receipt.Counters{}
	for id, received := range l.witnessed {
		l.purse.Witness(now, id, received)
	}
	for id, o := range l.pending {
		taken[id] = o
		fresh[id] = l.purse.Observe(now, o)
	}
	l.b.mu.Unlock()
	statements, disputes := l.purse.Answer(now, claims)
	l.b.meter.disputes.Add(float64(len(disputes)))
	for _, d := range disputes[:min(len(disputes), maxLogged)] {
		log.Warn("a node claims more than is signed", slog.String("reason", d.Reason), slog.Uint64("epoch", d.Epoch),
			slog.String("account", drtc.NodeID(d.Application).String()), slog.Uint64("claimed_bytes", d.Claimed.Sum()),
			slog.Uint64("signed_bytes", d.Signed.Sum()), slog.Uint64("seen_bytes", d.Seen.Sum()), slog.Duration("for", d.For))
	}
	for _, s := range statements {
		signed, err := s.Sign(l.b.config.Key, l.b.rules.Domain)
		if err != nil {
			return nil, nil, fmt.Errorf("billing: signing: %w", err)
		}
		l.purse.Took(signed)
	}
	return taken, fresh, nil
}

// store writes the purse where it differs from what is stored.
func (l *ledger) store(ctx context.Context) error {
	value := l.purse.Bytes()
	if string(value) == l.stored {
		return nil
	}
	var err error
	revision := l.revision
	if revision == 0 {
		revision, err = l.b.config.Store.Create(ctx, l.key(), value)
	} else {
		revision, err = l.b.config.Store.Update(ctx, l.key(), value, revision)
	}
	if err != nil {
		return err
	}
	l.revision, l.stored = revision, string(value)
	return nil
}

// done counts what was new for whom, now that it is stored.
func (l *ledger) done(taken map[string]receipt.Observation, fresh map[string]receipt.Counters) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	today := receipt.DayOf(time.Now())
	for id, o := range taken {
		l.b.usage.Add(today, l.spenders[id], fresh[id])
		if l.pending[id] == o {
			delete(l.pending, id)
		}
		if o.Ended {
			delete(l.spenders, id)
			delete(l.witnessed, id)
		}
	}
	l.spent = l.purse.Spent()
}
