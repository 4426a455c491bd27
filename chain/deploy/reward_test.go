package deploy

import (
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/core/vm/runtime"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
)

// fewLeaves is what go test tries; DRTC_LEAVES says otherwise, and make contracts
// says 100,000.
const fewLeaves = 5_000

// leavesOfEpoch share parameters, a price and a cut.
const leavesOfEpoch = 100

// machine runs the code of Rewards as it is deployed, without a chain. The two
// contracts that it asks for the terms of a claim are stand-ins that return what
// they are told.
type machine struct {
	config            *runtime.Config
	evm               *vm.EVM
	rewards           common.Address
	proof, parameters common.Address
	payoutOf          []byte // the function's selector
	terms, rules      abi.Arguments
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	db, err := state.New(types.EmptyRootHash, state.NewDatabaseForTesting())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{config: &runtime.Config{State: db}, proof: common.Address{0: 0xa1}, parameters: common.Address{0: 0xa2}}
	a, err := LoadArtefact("Rewards")
	if err != nil {
		t.Fatal(err)
	}
	arguments := bindings.NewRewards().PackConstructor(m.proof, m.parameters, common.Address{0: 0xa3}, common.Address{0: 0xa4})
	if _, m.rewards, _, err = runtime.Create(append(a.Bytecode, arguments...), m.config); err != nil {
		t.Fatal(err)
	}
	m.evm = runtime.NewEnv(m.config)
	m.payoutOf = method(t, "Rewards", "payoutOf").ID
	m.terms, m.rules = method(t, "ProofOfResource", "claimTerms").Outputs, method(t, "Parameters", "rewardRules").Outputs
	return m
}

func method(t *testing.T, contract, name string) abi.Method {
	t.Helper()
	a, err := LoadArtefact(contract)
	if err != nil {
		t.Fatal(err)
	}
	return a.ABI.Methods[name]
}

// answer makes a contract that returns this, whatever it is asked.
func (m *machine) answer(t *testing.T, at common.Address, results abi.Arguments, value any) {
	t.Helper()
	data, err := results.Pack(value)
	if err != nil {
		t.Fatal(err)
	}
	// push2 length, dup1, push1 10, push0, codecopy, push0, return, then the data
	code := append([]byte{0x61, byte(len(data) >> 8), byte(len(data)), 0x80, 0x60, 10, 0x5f, 0x39, 0x5f, 0xf3}, data...)
	m.config.State.SetCode(at, code, tracing.CodeChangeUnspecified)
}

// payout is what Rewards says that a leaf is paid.
func (m *machine) payout(t *testing.T, l epoch.Leaf) econ.Wei {
	t.Helper()
	const count = 32 // bytes of the number of leaves, before their words
	input := append(m.payoutOf[:4:4], epoch.Encode([]epoch.Leaf{l}, nil)[count:]...)
	output, _, err := m.evm.StaticCall(common.Address{}, m.rewards, input, vm.NewGasBudget(1<<24, 0))
	if err != nil {
		t.Fatalf("Rewards refuses the leaf %+v: %v 0x%x", l, err, output)
	}
	return econ.WeiFromBytes32([32]byte(output))
}

// priced is an epoch as claims see it.
type priced struct {
	parameters econ.Parameters
	curve      econ.Curve
	leaves     []epoch.Leaf
	settlement econ.Settlement
	gross      econ.Wei // M0
}

func power(bits float64) econ.Wei { return econ.WeiFromFloat(math.Exp2(bits)) }

// randomPriced is an epoch of random parameters: half as governance may set them,
// half from all of the domain of E9. Some are cut.
func randomPriced(t *testing.T, r *rand.Rand) priced {
	t.Helper()
	wad := func(most econ.Wad) econ.Wad { return econ.Wad(r.Uint64N(uint64(most) + 1)) }
	e := priced{parameters: econ.DefaultParameters()}
	p := &e.parameters
	p.K, p.Mid, p.Tau = econ.KFromInt(5+r.Uint64N(16)), int64(wad(econ.One)), 0
	rMax := econ.Scale(econ.Bps(1+r.Uint64N(9000)), 1+r.Uint64N(10_000), econ.Price(1+r.Uint64N(1e10)))
	p.MinQuality, p.Alpha, p.RelayWeight = wad(econ.One/2), econ.Whole, econ.Bps(r.Uint64N(econ.MaxRelayBps+1))
	if r.IntN(2) == 0 {
		p.K, p.MinQuality = econ.KFromInt(econ.MaxK).Times(wad(econ.One)), 0
		rMax = power(r.Float64() * 128)
		p.Alpha = econ.Bps(r.Uint64N(uint64(econ.Whole) + 1))
	}
	left := uint32(econ.Whole)
	for _, w := range []*econ.Bps{&p.Weights.Availability, &p.Weights.History, &p.Weights.Location} {
		*w = econ.Bps(r.Uint32N(left + 1))
		left -= uint32(*w)
	}
	p.Weights.Coverage = econ.Bps(left)
	e.curve = p.Curve(rMax)
	bits := 34 + r.Float64()*61.9
	for range leavesOfEpoch {
		e.leaves = append(e.leaves, randomLeaf(r, bits))
		e.gross = e.gross.Add(e.payout0(t, e.leaves[len(e.leaves)-1]))
	}
	// Nothing is cut, or some. ProofOfResource takes no total of 2^128.
	terms := econ.Epoch{Gross: e.gross, Supply: e.gross, Band: econ.Band{Hi: econ.One}}
	if r.IntN(2) == 0 && e.gross.Cmp(power(128)) < 0 {
		terms.Band.Hi = wad(econ.One / 2)
	}
	e.settlement = terms.Settle()
	return e
}

// randomLeaf served fewer than 2^bits bytes.
func randomLeaf(r *rand.Rand, bits float64) epoch.Leaf {
	score := func() econ.Wad {
		switch r.IntN(8) {
		case 0:
			return econ.One
		case 1:
			return econ.Wad(r.Uint64N(1000))
		}
		return econ.Wad(r.Uint64N(uint64(econ.One) + 1))
	}
	l := epoch.Leaf{
		Node: drtc.NodeID{0: 1}, Previous: epoch.None,
		Scores:      econ.Scores{Availability: score(), History: score(), Location: score(), Coverage: score(), Quality: score()},
		ClientBytes: econ.NewWei(econ.GB), // one GB shows the unit reward itself
	}
	if r.IntN(2) == 0 {
		l.ClientBytes, l.RelayBytes = power(r.Float64()*bits), power(r.Float64()*bits)
	}
	return l
}

// payout0 is econ's, before a cut.
func (e priced) payout0(t *testing.T, l epoch.Leaf) econ.Wei {
	t.Helper()
	unit, err := e.curve.Unit(e.parameters.Weights.Sum(l.Scores), l.Scores.Quality)
	if err != nil {
		t.Fatal(err)
	}
	return econ.Gross(econ.Session(unit, e.served(t, l)), e.parameters.Alpha)
}

func (e priced) served(t *testing.T, l epoch.Leaf) econ.Bytes {
	t.Helper()
	b, err := econ.Rewardable(l.ClientBytes, l.RelayBytes, e.parameters.RelayWeight)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load has the stand-ins say what Parameters and ProofOfResource would of e.
func (m *machine) load(t *testing.T, e priced) {
	t.Helper()
	p := e.parameters
	m.answer(t, m.parameters, m.rules, bindings.RewardRules{
		WeightAvailability: uint16(p.Weights.Availability), WeightHistory: uint16(p.Weights.History),
		WeightLocation: uint16(p.Weights.Location), WeightCoverage: uint16(p.Weights.Coverage),
		K: p.K.Big(), VMin: uint64(p.MinQuality), AlphaBps: uint16(p.Alpha), WRelayBps: big.NewInt(int64(p.RelayWeight)),
		VMid: p.Mid, VTau: p.Tau,
	})
	terms := bindings.IProofOfResourceClaimTerms{RMax: e.curve.Max.Big(), ParametersVersion: 1, Cap: new(big.Int), RewardTotal: new(big.Int)}
	if e.settlement.Cut {
		terms.Cap, terms.RewardTotal = e.settlement.Limit.Big(), e.gross.Big()
	}
	m.answer(t, m.proof, m.terms, []bindings.IProofOfResourceClaimTerms{terms})
}

const precision = 320

func exactly(w econ.Wei) *big.Float { return new(big.Float).SetPrec(precision).SetInt(w.Big()) }

func times(a *big.Float, b econ.Wei) *big.Float {
	return new(big.Float).SetPrec(precision).Mul(a, exactly(b))
}

func over(a *big.Float, b econ.Wei) *big.Float {
	return new(big.Float).SetPrec(precision).Quo(a, exactly(b))
}

// exponential is e^x to about 300 bits, by its series.
func exponential(x *big.Float) *big.Float {
	small := new(big.Float).SetPrec(precision).Set(x)
	halvings := max(0, small.MantExp(nil)+6)
	small.SetMantExp(small, -halvings)
	sum, term := big.NewFloat(1).SetPrec(precision), big.NewFloat(1).SetPrec(precision)
	for n := 1.0; term.Sign() != 0 && term.MantExp(nil) > -precision; n++ {
		term.Quo(term.Mul(term, small), big.NewFloat(n))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// truth is what a leaf is paid if nothing is ever rounded but the sum S and the
// bytes, and how much less the bound of E12 allows: 1.53 * 10^-18 r_max and a wei
// for each GB, and a wei for each of the roundings to whole wei that follow.
func (e priced) truth(t *testing.T, l epoch.Leaf) (paid, allowed *big.Float) {
	t.Helper()
	p, one := e.parameters, econ.NewWei(uint64(econ.One))
	scale := func(x *big.Float) *big.Float { // of a GB, to the payout
		x = over(times(over(times(x, e.served(t, l)), econ.NewWei(econ.GB)), econ.NewWei(uint64(p.Alpha))), econ.NewWei(uint64(econ.Whole)))
		if e.settlement.Cut {
			x = over(times(x, e.settlement.Limit), e.gross)
		}
		return x
	}
	distance := new(big.Float).SetPrec(precision).SetInt64(p.Mid + p.Tau - int64(l.Scores.Quality))
	y := over(over(times(distance, p.K), one), one)
	sum := over(exactly(econ.NewWei(uint64(p.Weights.Sum(l.Scores)))), one)
	bottom := exponential(y)
	bottom.Add(bottom.Mul(bottom, sum), big.NewFloat(1))
	unit := sum.Quo(times(sum, e.curve.Max), bottom)
	if l.Scores.Quality < p.MinQuality {
		unit.SetInt64(0)
	}
	factor := 1.53e-18
	if y.Cmp(big.NewFloat(40.99)) > 0 {
		factor = 1.6e-18
	}
	bound := times(big.NewFloat(factor).SetPrec(precision), e.curve.Max)
	bound = scale(bound.Add(bound, big.NewFloat(1)))
	return scale(unit), bound.Add(bound, big.NewFloat(3))
}

// better is l with one score that is higher, by little or much.
func better(r *rand.Rand, l epoch.Leaf) (epoch.Leaf, string) {
	scores := []struct {
		name string
		wad  *econ.Wad
	}{
		{"availability", &l.Scores.Availability}, {"history", &l.Scores.History}, {"location", &l.Scores.Location},
		{"coverage", &l.Scores.Coverage}, {"quality", &l.Scores.Quality},
	}
	s := scores[r.IntN(len(scores))]
	if gap := uint64(econ.One - *s.wad); gap > 0 {
		*s.wad += econ.Wad(1 + r.Uint64N(min(gap, 1<<r.UintN(60))))
	}
	return l, s.name
}

// What the compiled Rewards pays for random leaves is econ's to the wei, is never
// above the exact reward, is below it by no more than E12 says, and does not fall
// when a score rises.
func TestRewards_payAsEconToTheWei(t *testing.T) {
	count := fewLeaves
	if text := os.Getenv("DRTC_LEAVES"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatalf("DRTC_LEAVES: %v", err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	m := newMachine(t)
	var e priced
	var paid, cut, risen int
	var worst float64
	for i := range count {
		if i%leavesOfEpoch == 0 {
			e = randomPriced(t, r)
			m.load(t, e)
		}
		l := e.leaves[i%leavesOfEpoch]
		got := m.payout(t, l)
		if want := e.settlement.Payout(e.payout0(t, l)); got != want {
			t.Fatalf("leaf %d: %+v with %+v: the contract pays %s, econ %s", i, l, e.curve, got, want)
		}
		exact, allowed := e.truth(t, l)
		short := new(big.Float).SetPrec(precision).Sub(exact, exactly(got))
		if short.Sign() < 0 || short.Cmp(allowed) > 0 {
			t.Fatalf("leaf %d: %+v with %+v: the contract pays %s, the exact reward is %s: want at most %s less and never more",
				i, l, e.curve, got, exact.Text('f', 6), allowed.Text('g', 6))
		}
		if e.curve.Max.Cmp(power(80)) > 0 { // else what is allowed is whole wei, and they are used
			used, _ := short.Quo(short, allowed).Float64()
			worst = max(worst, used)
		}
		raised, score := better(r, l)
		// A cut takes from all leaves alike: it is that of this epoch still.
		if e.settlement.Cut && e.payout0(t, raised).Cmp(e.gross) > 0 {
			continue // the contract refuses what cannot be part of the total
		}
		more := m.payout(t, raised)
		if more.Cmp(got) < 0 {
			t.Fatalf("leaf %d: %+v with %+v: a higher %s lowers what the contract pays from %s to %s", i, l, e.curve, score, got, more)
		}
		if more != got {
			risen++
		}
		if !got.IsZero() {
			paid++
		}
		if e.settlement.Cut {
			cut++
		}
	}
	t.Logf("%d leaves, %d paid, %d under a cut, %d rewards rose with a score; at most %.0f %% of the allowed error was used", count, paid, cut, risen, 100*worst)
	if paid < count/2 || cut < count/10 || risen < count/4 {
		t.Errorf("too few leaves that say something: %d paid, %d under a cut, %d risen of %d", paid, cut, risen, count)
	}
}
