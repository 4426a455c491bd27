package econ

import "math"

// CurveFloat is Curve in float64, for simulation (spec E30).
type CurveFloat struct {
	Max, K, Mid, Tau, MinQuality float64
}

// Unit is the unit reward for a sum and a quality, each 0 to 1.
func (c CurveFloat) Unit(sum, quality float64) float64 {
	if sum == 0 || quality < c.MinQuality {
		return 0
	}
	return c.Max * sum / (1 + sum*math.Exp(-c.K*(quality-c.Mid-c.Tau)))
}

// Float is c in float64.
func (c Curve) Float() CurveFloat {
	const one = float64(One)
	return CurveFloat{
		Max: c.Max.Float(), K: c.K.Float() / one,
		Mid: float64(c.Mid) / one, Tau: float64(c.Tau) / one, MinQuality: c.MinQuality.Float(),
	}
}

// ProfileAsymptoteFloat is ProfileAsymptote in float64, without the domain of E9.
func ProfileAsymptoteFloat(rAsym, k float64) CurveFloat {
	return CurveFloat{Max: rAsym, K: k, Mid: rAsym / 2}
}

// SumFloat is Weights.Sum in float64.
func (w Weights) SumFloat(availability, history, location, coverage float64) float64 {
	return w.Availability.Float()*availability + w.History.Float()*history +
		w.Location.Float()*location + w.Coverage.Float()*coverage
}

// WashFloat is what an owner gains from a GB served to itself, USD, as
// Wash.Profit: what comes back less what is paid and what it costs.
func WashFloat(alpha, reward, price, flowBack, paid, cost float64) float64 {
	return alpha*reward*price + flowBack - paid - cost
}
