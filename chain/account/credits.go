package account

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/identity"
)

// Credits are an application's (whitepaper 3.3); one is 10^-5 USD.
type Credits struct {
	Application drtc.NodeID `json:"application"`
	Credits     Amount      `json:"credits"`
	// EscrowWei is the HUDL that bought them.
	EscrowWei Amount `json:"escrow_wei"`
	// Authorisations are those of the Orchestrators that were asked for.
	Authorisations []Authorisation `json:"authorisations"`
}

// Authorisation is what an Orchestrator may still use in an epoch; Credits is 0
// when it may nothing.
type Authorisation struct {
	Orchestrator drtc.NodeID `json:"orchestrator"`
	Credits      Amount      `json:"credits"`
	FirstEpoch   uint64      `json:"first_epoch"`
	EndEpoch     uint64      `json:"end_epoch"`
}

// Credits of an application, and what these Orchestrators may use of them in the
// next epoch, where every authorisation that was given so far holds.
func (l *Ledger) Credits(ctx context.Context, application drtc.NodeID, orchestrators []drtc.NodeID) (Credits, error) {
	b := bindings.NewDataCredits()
	held, err := read(ctx, l, "DataCredits", b.PackAccountOf(common.Address(application)), b.UnpackAccountOf)
	if err != nil {
		return Credits{}, err
	}
	c := Credits{application, Amount{held.Dc}, Amount{held.EscrowWei}, []Authorisation{}}
	now, err := l.Epoch(ctx)
	if err != nil {
		return c, err
	}
	for _, o := range orchestrators {
		given, err := read(ctx, l, "DataCredits", b.PackAuthorisation(common.Address(application), common.Address(o), now+1), b.UnpackAuthorisation)
		if err != nil {
			return c, err
		}
		c.Authorisations = append(c.Authorisations, Authorisation{o, Amount{given.RemainingDC}, given.FirstEpoch, given.EndEpoch})
	}
	return c, nil
}

// Authorised are the Orchestrators that an application has ever authorised, in the
// order in which it first did. It looks through all blocks since the contracts are
// there, which takes long on a long chain.
func (l *Ledger) Authorised(ctx context.Context, application drtc.NodeID) ([]drtc.NodeID, error) {
	query := client.Query{
		Contracts: []common.Address{l.addresses.Of("DataCredits")},
		Topics:    [][]common.Hash{{topic(authorised)}, {common.BytesToHash(application[:])}},
		From:      l.addresses.Block,
	}
	var found []drtc.NodeID
	b := bindings.NewDataCredits()
	err := l.events(ctx, query, func(log types.Log) (bool, error) {
		event, err := b.UnpackAuthorisedEvent(&log)
		if err == nil && !slices.Contains(found, drtc.NodeID(event.Orchestrator)) {
			found = append(found, drtc.NodeID(event.Orchestrator))
		}
		return false, err
	})
	return found, err
}

// BoughtCredits is what a purchase gave.
type BoughtCredits struct {
	Done
	Credits Amount `json:"credits"`
	Wei     Amount `json:"wei"` // HUDL that went into escrow
}

// BuyCredits buys credits for an application with the account's HUDL. It takes at
// least so many, or nothing.
func (a *Account) BuyCredits(ctx context.Context, application drtc.NodeID, wei, least *big.Int) (BoughtCredits, error) {
	b := bindings.NewDataCredits()
	return a.buyCredits(ctx, act{"buy-credits", []any{application, wei}, func() (call, error) {
		if err := a.affordable(ctx, wei); err != nil {
			return call{}, err
		}
		return call{
			contract: "DataCredits", input: b.PackBuy(common.Address(application), wei, least),
			what: fmt.Sprintf("buy at least %s credits", least), pays: HUDL(wei) + " HUDL",
		}, a.allow(ctx, a.addresses.Of("HUDL"), a.addresses.Of("DataCredits"), wei)
	}})
}

// BuyCreditsWithStable is BuyCredits with units of the coin of Stable.
func (a *Account) BuyCreditsWithStable(ctx context.Context, application drtc.NodeID, coin Stable, units, least *big.Int) (BoughtCredits, error) {
	b := bindings.NewDataCredits()
	return a.buyCredits(ctx, act{"buy-credits", []any{application, coin.Token, units}, func() (call, error) {
		if err := a.affordableIn(ctx, coin, units); err != nil {
			return call{}, err
		}
		return call{
			contract: "DataCredits", input: b.PackBuyWithStable(common.Address(application), units, least),
			what: fmt.Sprintf("buy at least %s credits", least), pays: coin.Text(units),
		}, a.allow(ctx, common.Address(coin.Token), a.addresses.Of("DataCredits"), units)
	}})
}

func (a *Account) buyCredits(ctx context.Context, act act) (BoughtCredits, error) {
	done, receipt, err := a.do(ctx, act)
	if err != nil {
		return BoughtCredits{}, err
	}
	event, err := find(receipt, bindings.NewDataCredits().UnpackBoughtEvent)
	if err != nil {
		return BoughtCredits{Done: done}, err
	}
	return BoughtCredits{done, Amount{event.Dc}, Amount{event.HudlWei}}, nil
}

// Permission lets an Orchestrator use so many credits of an application, up to and
// with an epoch. Signed, anybody may bring it to the chain, so the application's
// key needs no coin for gas.
type Permission struct {
	Application  drtc.NodeID        `json:"application"`
	Orchestrator drtc.NodeID        `json:"orchestrator"`
	Credits      Amount             `json:"credits"`
	EndEpoch     uint64             `json:"end_epoch"`
	Deadline     int64              `json:"deadline"` // Unix seconds
	Signature    identity.Signature `json:"signature"`
}

// Permit signs a permission with the application's key.
func (l *Ledger) Permit(ctx context.Context, application *identity.Key, orchestrator drtc.NodeID, credits *big.Int, endEpoch uint64, until time.Time) (Permission, error) {
	p := Permission{Application: application.ID(), Orchestrator: orchestrator, Credits: Amount{credits}, EndEpoch: endEpoch, Deadline: until.Unix()}
	b := bindings.NewDataCredits()
	nonce, err := read(ctx, l, "DataCredits", b.PackNonceOf(common.Address(p.Application)), b.UnpackNonceOf)
	if err != nil {
		return Permission{}, err
	}
	typed, err := l.typed("DataCredits", authorisation, [20]byte(p.Application), [20]byte(orchestrator), credits, endEpoch, nonce, seconds(p.Deadline))
	if err != nil {
		return Permission{}, err
	}
	p.Signature = application.SignTyped(typed)
	return p, nil
}

// Present brings a signed permission to the chain; the account pays for the gas.
func (a *Account) Present(ctx context.Context, p Permission) (Done, error) {
	if p.Credits.Int == nil || p.Credits.Sign() <= 0 || p.Credits.Cmp(maxAmount) >= 0 {
		return Done{}, fmt.Errorf("account: permission: credits: want more than 0, got %v", p.Credits)
	}
	b := bindings.NewDataCredits()
	done, _, err := a.do(ctx, simply("authorise", "DataCredits", b.PackAuthoriseBySignature(common.Address(p.Application), common.Address(p.Orchestrator),
		p.Credits.Int, p.EndEpoch, seconds(p.Deadline), p.Signature[:]), p.Signature))
	return done, err
}

// Authorise lets an Orchestrator use the account's own credits.
func (a *Account) Authorise(ctx context.Context, orchestrator drtc.NodeID, credits *big.Int, endEpoch uint64) (Done, error) {
	b := bindings.NewDataCredits()
	done, _, err := a.do(ctx, simply("authorise", "DataCredits", b.PackAuthorise(common.Address(orchestrator), credits, endEpoch), orchestrator, credits, endEpoch))
	return done, err
}

// Revoke ends an Orchestrator's authority after the current epoch.
func (a *Account) Revoke(ctx context.Context, orchestrator drtc.NodeID) (Done, error) {
	b := bindings.NewDataCredits()
	done, _, err := a.do(ctx, simply("revoke", "DataCredits", b.PackRevoke(common.Address(orchestrator)), orchestrator))
	return done, err
}
