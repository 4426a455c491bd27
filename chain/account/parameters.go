package account

import (
	"context"

	"github.com/drtc-network/drtc/chain/bindings"
)

// Parameters are those of the economy under one version (spec/economics.md). Scores
// and shares of the supply are wads, a wad of 10^18 being one; shares of payments are
// in basis points.
type Parameters struct {
	DCPerGB          uint32 `json:"dc_per_gb"`
	RelayWeightBps   uint64 `json:"relay_weight_bps"`
	AlphaBps         uint16 `json:"alpha_bps"`
	KappaBps         uint16 `json:"kappa_bps"`
	MarginBps        uint16 `json:"margin_bps"`
	WeightsBps       Scores `json:"weights_bps"`
	K                Amount `json:"k"`
	MinQuality       uint64 `json:"v_min,string"`
	MidQuality       int64  `json:"v_mid,string"`
	Tau              int64  `json:"v_tau,string"`
	MinHistory       uint64 `json:"h_min,string"`
	LowestMint       Amount `json:"lo"`
	HighestMint      Amount `json:"hi"`
	Filler           bool   `json:"filler"`
	BetaBps          uint16 `json:"beta_bps"`
	BetaSlewBps      uint16 `json:"beta_slew_bps"`
	CreditsCapBps    uint16 `json:"credits_cap_bps"`
	ChallengeSeconds uint64 `json:"challenge_seconds"`
}

// Scores are weights of the four scores that a node's reputation is made of.
type Scores struct {
	Availability uint16 `json:"availability"`
	History      uint16 `json:"history"`
	Location     uint16 `json:"location"`
	Coverage     uint16 `json:"coverage"`
}

func (l *Ledger) parameters(ctx context.Context, version uint64) (*Parameters, error) {
	b := bindings.NewParameters()
	p, err := read(ctx, l, "Parameters", b.PackParametersOf(uint32(version)), b.UnpackParametersOf)
	if err != nil {
		return nil, err
	}
	r, s := p.Reward, p.Supply
	return &Parameters{
		DCPerGB: s.DcPerGB, RelayWeightBps: r.WRelayBps.Uint64(), AlphaBps: r.AlphaBps, KappaBps: s.KappaBps, MarginBps: r.MarginBps,
		WeightsBps: Scores{r.WeightAvailability, r.WeightHistory, r.WeightLocation, r.WeightCoverage},
		K:          Amount{r.K}, MinQuality: r.VMin, MidQuality: r.VMid, Tau: r.VTau, MinHistory: r.HMin,
		LowestMint: Amount{s.Lo}, HighestMint: Amount{s.Hi}, Filler: s.Filler, BetaBps: s.BetaBps, BetaSlewBps: s.BetaSlewBps,
		CreditsCapBps: s.CreditsCapBps, ChallengeSeconds: s.ChallengeWindow.Uint64(),
	}, nil
}
