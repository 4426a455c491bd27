package deploy

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/identity"
)

// Genesis is what the contracts begin with.
type Genesis struct {
	// Time is t0, the beginning of epoch 0, in Unix seconds; EpochLength is in seconds.
	Time        uint64
	EpochLength uint32
	// Allocations are all HUDL there is before the first reward.
	Allocations []Allocation
	// Parameters are those of the economy from epoch 0 on (spec/economics.md).
	Parameters bindings.ParameterSet
	Oracle     Oracle
	Pools      bindings.IPoolManagerBounds
	// RedeemLock is how long veHUDL waits to become HUDL, in seconds.
	RedeemLock uint32
	// Bonds are the terms for Registries, Orchestrators and operators of nodes.
	Bonds [3]bindings.BondsTerms
	// Sales of Media Node Keys, by region.
	Sales []Sale
	// KeysURI is where wallets find what a Media Node Key looks like; may be empty.
	KeysURI string
	// Governance is how votes run, TimelockDelay how long a decision waits, in seconds.
	Governance    bindings.GovernanceRules
	TimelockDelay uint64
	// Guardian may pause contracts, and nothing else.
	Guardian common.Address
	// GasAllowance is what the Reserve gives back to committers and claimants.
	GasAllowance bindings.IReserveGasAllowance
	// GasFund is what the deployer gives the Reserve for that, in wei of the chain's
	// coin; nil leaves it to others.
	GasFund *big.Int
	// Reporters are Registries whose bonds the deployer pays and that report from
	// the beginning. Their keys are needed, so this is for a network of one operator;
	// elsewhere Registries bond and are admitted by vote.
	Reporters []*identity.Key
	// Orchestrators and Nodes are bonded by the deployer too, after it has handed
	// over. A later run may name further nodes behind those of before.
	Orchestrators, Nodes []*identity.Key
}

// Allocation gives HUDL to a holder at genesis.
type Allocation struct {
	Holder common.Address
	Wei    *big.Int
	// Vesting releases it little by little; nil gives it at once.
	Vesting *Vesting
}

// Vesting releases in a line from Start to Start+Duration, and nothing before
// Start+Cliff. Start is in Unix seconds, the others are in seconds.
type Vesting struct{ Start, Duration, Cliff uint64 }

// Oracle is where the price of HUDL comes from.
type Oracle struct {
	Bounds  bindings.IPriceOracleBounds
	Feeders []common.Address
	// FixedPrice8 is a price that never moves, in USD x 10^8, for development; 0
	// leaves it to the feeders.
	FixedPrice8 uint64
}

// Sale offers so many keys of a region at a price in wei of HUDL.
type Sale struct {
	Region string
	Wei    *big.Int
	Count  uint64
}

// Supply is all HUDL of genesis, in wei.
func (g Genesis) Supply() *big.Int {
	sum := new(big.Int)
	for _, a := range g.Allocations {
		sum.Add(sum, a.Wei)
	}
	return sum
}

// Validate names the field that cannot be used. What the contracts check they
// check themselves.
func (g Genesis) Validate() error {
	switch {
	case g.Time == 0 || g.EpochLength == 0:
		return errors.New("deploy: time and epoch length: want both above 0")
	case len(g.Allocations) == 0:
		return errors.New("deploy: allocations: without any there is no HUDL to buy credits with")
	case g.Guardian == (common.Address{}):
		return errors.New("deploy: guardian: want an address")
	case g.Oracle.FixedPrice8 == 0 && len(g.Oracle.Feeders) == 0:
		return errors.New("deploy: oracle: want feeders, or a fixed price")
	case g.GasFund != nil && g.GasFund.Sign() < 0:
		return errors.New("deploy: gas fund: want at least 0 wei")
	}
	for i, a := range g.Allocations {
		if a.Holder == (common.Address{}) || a.Wei == nil || a.Wei.Sign() <= 0 {
			return fmt.Errorf("deploy: allocation %d: want a holder and more than 0 wei", i)
		}
	}
	for _, s := range g.Sales {
		if s.Region == "" || len(s.Region) > 3 || s.Wei == nil || s.Wei.Sign() < 0 {
			return fmt.Errorf("deploy: sale: want a region of 1 to 3 letters and a price, got %q", s.Region)
		}
	}
	return nil
}

// reporterBonds is what the deployer needs to bond the reporters, in wei.
func (g Genesis) reporterBonds() *big.Int {
	return new(big.Int).Mul(g.Bonds[0].Minimum, big.NewInt(int64(len(g.Reporters))))
}

func (g Genesis) reporterIDs() (ids []common.Address) {
	for _, key := range g.Reporters {
		ids = append(ids, common.Address(key.ID()))
	}
	return ids
}

// purse is what the deployer of a development network has for bonds, however many
// there are: HUDL must not depend on how many nodes join later.
const purse = 100_000

// Bond has the deployer bond Orchestrators and Media Nodes as well, out of what the
// first allocation has.
func (g Genesis) Bond(deployer drtc.NodeID, orchestrators, nodes []*identity.Key) Genesis {
	g.Orchestrators, g.Nodes = orchestrators, nodes
	var others []Allocation
	first := g.Allocations[0]
	for _, a := range g.Allocations[1:] {
		if a.Holder == common.Address(deployer) && a.Vesting == nil {
			first.Wei = new(big.Int).Add(first.Wei, a.Wei) // for reporters alone
		} else {
			others = append(others, a)
		}
	}
	first.Wei = new(big.Int).Sub(first.Wei, ether(purse))
	g.Allocations = append([]Allocation{first, {Holder: common.Address(deployer), Wei: ether(purse)}}, others...)
	return g
}

// ether is n times 10^18.
func ether(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

// Devnet is the economy of a development network whose epochs take so many
// seconds: the defaults of spec/economics.md, a fixed price of 0.05 USD, and times
// that are short. The treasury has all HUDL but what the deployer bonds.
func Devnet(time uint64, epochSeconds uint32, treasury, guardian, deployer drtc.NodeID, reporters []*identity.Key) Genesis {
	g := Genesis{
		Time: time, EpochLength: epochSeconds,
		Parameters: bindings.ParameterSet{
			Reward: bindings.RewardRules{
				WeightAvailability: 4000, WeightHistory: 1500, WeightLocation: 2000, WeightCoverage: 2500,
				K: ether(10), VMin: 2e17, AlphaBps: 10_000, WRelayBps: big.NewInt(10_000),
				VMid: 5e17, VTau: 1e17, HMin: 5e17, MarginBps: 1000,
			},
			Supply: bindings.SupplyRules{
				Lo: big.NewInt(54_255_245_176_771), Hi: big.NewInt(382_982_750_338_958), DcPerGB: 5000,
				ChallengeWindow: big.NewInt(int64(max(1, epochSeconds/4))), CreditsCapBps: 500,
				KappaBps: 9000, BetaBps: 6000, BetaSlewBps: 200,
			},
		},
		Oracle: Oracle{
			Bounds:      bindings.IPriceOracleBounds{MaxAge: 86400, MaxDeviationBps: 2500, MinFeeds: 2, TwapWindow: 86400},
			FixedPrice8: 5_000_000,
		},
		Pools: bindings.IPoolManagerBounds{
			MaxKeys: 100, MbpsPerKey: 10, MaxActiveNodes: 1000, MaxCommissionBps: 3000, CommissionNotice: 2, Unbonding: 2,
		},
		RedeemLock:    60,
		Governance:    bindings.GovernanceRules{VotingDelay: big.NewInt(1), VotingPeriod: 10, ProposalThreshold: big.NewInt(1), QuorumPercent: big.NewInt(4), LeastQuorum: big.NewInt(1)},
		TimelockDelay: 2,
		Guardian:      common.Address(guardian),
		GasAllowance:  bindings.IReserveGasAllowance{WeiPerEpoch: new(big.Int)},
		Reporters:     reporters,
	}
	for i := range g.Bonds {
		g.Bonds[i] = bindings.BondsTerms{Minimum: ether(1000), Unbonding: 60}
	}
	for _, region := range []string{"NAM", "SAM", "EU", "AFR", "MEA", "ASI", "OCE"} {
		g.Sales = append(g.Sales, Sale{region, ether(100), 10_000})
	}
	bonded := g.reporterBonds()
	g.Allocations = []Allocation{{Holder: common.Address(treasury), Wei: new(big.Int).Sub(ether(1_000_000_000), bonded)}}
	if bonded.Sign() > 0 {
		g.Allocations = append(g.Allocations, Allocation{Holder: common.Address(deployer), Wei: bonded})
	}
	return g
}
