package medianode

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/medianode/till"
	"github.com/drtc-network/drtc/receipt"
)

// Receipts says what the network's receipts are, and what the node holds
// Orchestrators to (design decision 12).
type Receipts struct {
	receipt.Network
	// File keeps the accounts; empty is the name of the key file with .receipts in
	// place of its ending.
	File string `toml:"file"`
	// CreditMB, of 10^6 bytes, and CreditTime are how much of what it was served an
	// Orchestrator may have unsigned, and for how long, before it is cut off.
	CreditMB   float64       `toml:"credit_mb"`
	CreditTime time.Duration `toml:"credit_time"`
	// Grace is how long after an epoch's end its receipts are taken, at most a
	// quarter of an epoch.
	Grace time.Duration `toml:"grace"`
	// ToleranceBps is the share of an epoch's bytes, in hundredths of a per cent,
	// that may stay unsigned: reports get lost with those who send them.
	ToleranceBps uint64 `toml:"tolerance_bps"`
}

func defaultReceipts() Receipts {
	rules := receipt.DefaultTillRules()
	return Receipts{
		Network: receipt.DefaultNetwork(), CreditMB: float64(rules.CreditBytes) / 1e6, CreditTime: rules.CreditTime,
		Grace: rules.Grace, ToleranceBps: uint64(rules.Tolerance),
	}
}

func (r Receipts) validate() error {
	if !r.Enabled() {
		return nil
	}
	if err := r.Network.Validate(); err != nil {
		return err
	}
	if !(r.CreditMB > 0 && r.CreditMB <= 1e12) {
		return fmt.Errorf("credit_mb: want above 0 to 1e12, got %v", r.CreditMB)
	}
	return r.config().Rules.Validate()
}

// config is what the Till is told, but for files and Registries.
func (r Receipts) config() till.Config {
	c := till.DefaultConfig(r.Network)
	c.Rules.CreditBytes, c.Rules.CreditTime = uint64(r.CreditMB*1e6), r.CreditTime
	c.Rules.Grace, c.Rules.Tolerance = min(r.Grace, r.EpochLength/4), econ.Bps(min(r.ToleranceBps, 1<<31))
	return c
}

func (n *Node) openTill() error {
	r := n.cfg.Receipts
	if !r.Enabled() {
		return nil
	}
	c := r.config()
	c.Network, c.Registries = n.cfg.Network, n.cfg.Registries
	if c.File = r.File; c.File == "" {
		c.File = strings.TrimSuffix(n.cfg.KeyFile, filepath.Ext(n.cfg.KeyFile)) + ".receipts"
	}
	var err error
	if n.till, err = till.Open(c, n.key, n.logger, n.registry); err != nil {
		return fmt.Errorf("medianode: receipts: %w", err)
	}
	n.usage.till = n.till
	return nil
}

// keepTill runs the Till until the sessions have ended, so that what they counted
// last is written down as well.
func (n *Node) keepTill(ctx, media context.Context) error {
	tilled, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- n.till.Run(tilled) }()
	select {
	case err := <-done:
		return err
	case <-media.Done():
	}
	stop()
	return <-done
}
