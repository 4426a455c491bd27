package econ

import "fmt"

// Band is the range that the supply's growth in one epoch is held to, as parts of
// the supply.
type Band struct{ Lo, Hi Wad }

// DailyBand is 2 to 15 % a year for epochs of a day (spec E19).
func DailyBand() Band { return Band{Lo: 54_255_245_176_771, Hi: 382_982_750_338_958} }

// Validate refuses a band that is empty or above One.
func (b Band) Validate() error {
	if b.Lo > b.Hi {
		return fmt.Errorf("%w: the band's lower end %d is above its upper end %d", ErrDomain, b.Lo, b.Hi)
	}
	return b.Hi.Valid("the band's upper end")
}

// Epoch is what minting and burning of one epoch depend on.
type Epoch struct {
	Supply Wei  // S_C, the accounting supply before it
	Escrow Wei  // Q, HUDL received for the credits that it consumed
	Gross  Wei  // M0, sum of payouts before a cut
	Beta   Bps  // share of Escrow to burn, 0 to Whole
	Band   Band // growth of Supply
	Filler bool // whether growth below the band is filled
}

// Settlement is what E19 and E20 say of an Epoch, before the payouts are known
// one by one.
type Settlement struct {
	Burn     Wei  // B
	Proposal Wei  // floor(beta Q), what would be burned without a band
	Cut      bool // whether payouts are scaled by Limit over Gross
	Limit    Wei  // B + hi S, the most that may be minted
	least    Wei  // lo S
	epoch    Epoch
}

// Settle computes the burn and the cut (spec E19, E20).
func (e Epoch) Settle() Settlement {
	least, most := e.Supply.Times(e.Band.Lo), e.Supply.Times(e.Band.Hi)
	s := Settlement{Proposal: e.Escrow.Share(e.Beta), least: least, epoch: e}
	low, high := e.Gross.Less(most), e.Gross.Less(least)
	s.Burn = e.Escrow.Min(low.Max(high.Min(s.Proposal)))
	s.Limit = s.Burn.Add(most)
	s.Cut = e.Gross.Cmp(s.Limit) > 0
	return s
}

// Gross is payout0, a reward times the minting factor, rounded down (spec E18).
func Gross(reward Wei, alpha Bps) Wei { return reward.Share(alpha) }

// Payout is what is paid of payout0 (spec E20).
func (s Settlement) Payout(gross Wei) Wei {
	if !s.Cut {
		return gross
	}
	return gross.MulDiv(s.Limit, s.epoch.Gross)
}

// Totals is what an epoch did to the supply.
type Totals struct {
	Mint   Wei // M, sum of payouts
	Burn   Wei // B, at most Mint
	Filler Wei // Y
	Kept   Wei // Q - B, to the Reserve
	Supply Wei // S_C after it
}

// Totals closes the epoch for the sum of its payouts (spec E20 to E22). Cut
// payouts are each rounded down: should their sum fall below Burn, no more than
// it is burned.
func (s Settlement) Totals(mint Wei) Totals {
	burn := s.Burn.Min(mint)
	t := Totals{Mint: mint, Burn: burn, Kept: s.epoch.Escrow.Sub(burn)}
	net := mint.Sub(burn)
	if s.epoch.Filler {
		t.Filler = s.least.Less(net)
	}
	t.Supply = s.epoch.Supply.Add(net).Add(t.Filler)
	return t
}

// PlainBurn is the burn of the plain form: beta of the escrow, but delta less
// than what is minted (spec E23).
func PlainBurn(escrow, mint Wei, beta, delta Bps) Wei {
	return escrow.Share(beta).Min(mint.Share(Whole - delta))
}
