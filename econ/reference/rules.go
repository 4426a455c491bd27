package reference

import (
	"math"
	"math/big"

	"github.com/drtc-network/drtc/econ"
)

// tiny is 10^-n.
func tiny(n int64) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil))
}

// unitReward is E8, E11 and E30: the sum exactly, the reward in float64 within a
// relative 10^-12, the integer within r_max * 4 * 10^-18 * max(1, k) + 1 wei and
// not more than 1 wei above. Arguments outside E9 must be refused.
func unitReward(_, c *fields) {
	curve := econ.Curve{Max: weiOf(c.scaled("r_max", 18)), K: weiOf(c.scaled("k", 18))}
	mid, tau := c.scaled("v_mid", 18), c.scaled("v_tau", 18)
	curve.Mid, curve.Tau = mid.Int64(), tau.Int64()
	profile, _ := c.raw("profile")
	w := c.object("w")
	scores := econ.Scores{Availability: c.wad("A"), History: c.wad("H"), Quality: c.wad("V")}
	weight := func(name string) econ.Bps { return econ.Bps(w.scaled(name, 4).Uint64()) }
	var sum econ.Wad
	var err error
	switch profile {
	case "2.3":
		scores.Location, scores.Coverage = c.wad("L"), c.wad("C")
		weights := econ.Weights{Availability: weight("A"), History: weight("H"), Location: weight("L"), Coverage: weight("C")}
		sum, err = weights.Sum(scores), weights.Validate()
		if literal := econ.ProfileAsymptote(curve.Max, curve.K); literal != curve {
			c.bad("v_mid", "in profile 2.3 want r_max/2 and v_tau 0")
		}
	case "3.2":
		weights := econ.QualityWeights{Availability: weight("A"), History: weight("H"), Quality: weight("V")}
		sum, err = weights.Sum(scores), weights.Validate()
	default:
		c.bad("profile", "%q: want 2.3 or 3.2", profile)
	}
	if err != nil {
		c.bad("w", "%v", err)
	}
	if !c.ok() || !w.ok() {
		return
	}
	one := new(big.Rat).SetInt(econ.NewWei(uint64(econ.One)).Big())
	ofWad := func(n *big.Int) *big.Rat { return new(big.Rat).Quo(new(big.Rat).SetInt(n), one) }
	c.near("S", ofWad(econ.NewWei(uint64(sum)).Big()), tiny(18))
	unitRewardFloat(c, profile, scores.Quality, sum)

	got, err := curve.Unit(sum, scores.Quality)
	if inside := insideDomain(c); inside != (err == nil) {
		c.bad("r", "inside the domain: %t, the rule says %v", inside, err)
	}
	if err != nil {
		return
	}
	k, most := c.rational("k"), c.rational("r_max")
	slack := new(big.Rat).Mul(most, tiny(18))
	slack.Mul(slack, big.NewRat(4, 1))
	if k.Cmp(big.NewRat(1, 1)) > 0 {
		slack.Mul(slack, k)
	}
	c.near("r", ofWad(got.Big()), slack.Add(slack, tiny(18)))
	if above := new(big.Rat).Sub(ofWad(got.Big()), c.rational("r")); above.Cmp(tiny(18)) > 0 {
		c.bad("r", "the rule gives %s, more than 1 wei above", got)
	}
}

func unitRewardFloat(c *fields, profile string, quality, sum econ.Wad) {
	float := func(name string) float64 { f, _ := c.rational(name).Float64(); return f }
	curve := econ.CurveFloat{Max: float("r_max"), K: float("k"), Mid: float("v_mid"), Tau: float("v_tau")}
	if profile == "2.3" {
		curve = econ.ProfileAsymptoteFloat(curve.Max, curve.K)
	}
	got, want := curve.Unit(sum.Float(), quality.Float()), float("r")
	if math.IsNaN(got) || math.Abs(got-want) > 1e-12*math.Abs(want) {
		c.bad("r", "in float64 the rule gives %v, the file says %v", got, want)
	}
}

// insideDomain is E9, told from the case's own values.
func insideDomain(c *fields) bool {
	m := new(big.Rat).Add(c.rational("v_mid"), c.rational("v_tau"))
	k, most := c.rational("k"), c.scaled("r_max", 18)
	return m.Sign() >= 0 && m.Cmp(big.NewRat(1, 1)) <= 0 &&
		k.Sign() >= 0 && k.Cmp(big.NewRat(econ.MaxK, 1)) <= 0 &&
		most.Sign() >= 0 && most.Cmp(new(big.Int).Lsh(big.NewInt(1), 128)) <= 0
}

// history is E6: ranks exactly, scores to 10^-18.
func history(_, c *fields) {
	supplied := c.amounts("data")
	minimum := c.wad("h_min")
	if !c.ok() {
		return
	}
	raw, n := c.list("raw")
	clamped, m := c.list("clamped")
	affine, o := c.list("affine")
	if n != len(supplied) || m != len(supplied) || o != len(supplied) || n == 0 {
		c.bad("raw", "raw, clamped and affine have %d, %d and %d values for %d nodes", n, m, o, len(supplied))
		return
	}
	one, mean := big.NewInt(int64(econ.One)), new(big.Rat)
	for i, rank := range econ.Ranks(supplied) {
		a, b := rank.Fraction()
		exact := new(big.Rat).SetFrac(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
		mean.Add(mean, exact)
		raw.near(place(i), exact, new(big.Rat))
		clamped.near(place(i), big.NewRat(0, 1).SetFrac(big.NewInt(int64(rank.History(minimum))), one), tiny(18))
		affine.near(place(i), big.NewRat(0, 1).SetFrac(big.NewInt(int64(rank.HistoryAffine(minimum))), one), tiny(18))
	}
	c.near("mean_raw", mean.Quo(mean, big.NewRat(int64(n), 1)), new(big.Rat))
}

// sessionData is E15.
func sessionData(_, c *fields) {
	const most = 1 << 40
	m := econ.Meeting{Kbps: c.count("kbps", most), Producers: c.count("n_p", most), Consumers: c.count("n_c", most), Seconds: c.count("seconds", most)}
	if !c.ok() {
		return
	}
	c.equal("b_unit_kbps", m.EgressKbps())
	c.equal("bytes", m.Bytes())
}

// dataCredits is E16, with what buying and asking for a price promise each other.
func dataCredits(_, c *fields) {
	price := econ.Price(c.count("price_usd_1e8", math.MaxUint64))
	amount, wanted, served := c.amount("hudl_wei_in"), c.amount("dc_wanted"), c.amount("bytes")
	perGB := c.count("dc_per_gb", math.MaxUint64)
	if err := price.Valid("price_usd_1e8"); c.ok() && err != nil {
		c.bad("price_usd_1e8", "%v", err)
	}
	if !c.ok() {
		return
	}
	c.equal("dc_out", econ.CreditsFor(amount, price))
	cost := econ.CreditsCost(wanted, price)
	c.equal("hudl_wei_cost", cost)
	c.equal("dc_charge", econ.Charge(served, perGB))
	if econ.CreditsFor(cost, price).Cmp(wanted) < 0 {
		c.bad("hudl_wei_cost", "%s buys fewer than %s credits", cost, wanted)
	}
}

// delegation is E27, over several payouts.
func delegation(_, c *fields) {
	keys, commission := c.count("keys", math.MaxUint64), c.bps("commission_bps")
	if keys == 0 && c.ok() {
		c.bad("keys", "0: want at least one key")
	}
	payouts := c.objects("distributions")
	if !c.ok() {
		return
	}
	var in, paid, dust econ.Wei
	for _, p := range payouts {
		payout := p.amount("R")
		d, err := econ.Distribute(payout, dust, keys, commission)
		if err != nil {
			c.bad("commission_bps", "%v", err)
			return
		}
		p.equal("commission", d.Commission)
		p.equal("per_key", d.PerKey)
		p.equal("dust_after", d.Dust)
		in, dust = in.Add(payout), d.Dust
		paid = paid.Add(d.Commission).Add(d.PerKey.MulDiv(econ.NewWei(keys), econ.NewWei(1)))
	}
	c.equal("total_in", in)
	c.equal("total_paid", paid)
	c.equal("final_dust", dust)
	if paid.Add(dust) != in {
		c.bad("total_paid", "%s paid and %s carried are not %s", paid, dust, in)
	}
}

// supply is E18 and the plain burn of E23.
func supply(_, c *fields) {
	const most = 1_000_000 // a factor of minting may be above 1 here
	total, alpha, delta := c.amount("S0"), econ.Bps(c.count("alpha_bps", most)), c.bps("delta_bps")
	epochs := c.objects("epochs")
	if !c.ok() {
		return
	}
	for _, e := range epochs {
		rewards, escrow, beta := e.amounts("rewards"), e.amount("escrow_Q"), e.bps("beta_bps")
		if !e.ok() {
			return
		}
		payouts := gross(rewards, alpha)
		mint := econ.Sum(payouts)
		burn := econ.PlainBurn(escrow, mint, beta, delta)
		total = total.Add(mint).Sub(burn)
		e.equals("payouts", payouts)
		e.equal("M", mint)
		e.equal("B_uncapped", escrow.Share(beta))
		e.equal("B", burn)
		e.equal("to_reserve", escrow.Sub(burn))
		e.equal("S_C", total)
	}
}

func gross(rewards []econ.Wei, alpha econ.Bps) []econ.Wei {
	payouts := make([]econ.Wei, len(rewards))
	for i, r := range rewards {
		payouts[i] = econ.Gross(r, alpha)
	}
	return payouts
}

// supplyBand is E18 to E22.
func supplyBand(file, c *fields) {
	const most = 1_000_000
	band := econ.Band{Lo: econ.Wad(file.count("lo_wad", uint64(econ.One))), Hi: econ.Wad(file.count("hi_wad", uint64(econ.One)))}
	total, alpha, filler := c.amount("S0"), econ.Bps(c.count("alpha_bps", most)), c.flag("floor")
	epochs := c.objects("epochs")
	if !c.ok() || !file.ok() {
		return
	}
	for _, e := range epochs {
		rewards, escrow, beta := e.amounts("rewards"), e.amount("escrow_Q"), e.bps("beta_bps")
		if !e.ok() {
			return
		}
		payouts := gross(rewards, alpha)
		s := econ.Epoch{Supply: total, Escrow: escrow, Gross: econ.Sum(payouts), Beta: beta, Band: band, Filler: filler}.Settle()
		for i := range payouts {
			payouts[i] = s.Payout(payouts[i])
		}
		t := s.Totals(econ.Sum(payouts))
		e.equals("payouts", payouts)
		e.equal("M", t.Mint)
		e.equal("B", t.Burn)
		e.equal("Y", t.Filler)
		e.equal("to_reserve", t.Kept)
		if cut := e.flag("alpha_cut"); cut != s.Cut {
			e.bad("alpha_cut", "the file says %t, the rule gives %t", cut, s.Cut)
		}
		e.equal("S_C", t.Supply)
		total = t.Supply
	}
}
