package deploy

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/identity"
)

// Roles of the access manager, as in chain/contracts/src/libraries/Roles.sol.
const (
	administrator uint64 = 0
	guardian      uint64 = 1
	rewards       uint64 = 2
)

// Step is one transaction of the deployer: its nonce is its place in the plan.
type Step struct {
	// Name of the contract it makes, or of what it does.
	Name string
	// Artefact is the compiled contract; empty for a call.
	Artefact string
	// Target is the contract it calls, by the name of the step that made it.
	Target string
	// Input is the constructor's arguments or the call's data, made when all
	// addresses are known.
	Input func(Book) []byte
	// Value goes along of the chain's own coin, in wei; nil for none.
	Value *big.Int
}

// Book says where contracts are, by name.
type Book map[string]common.Address

// book computes the addresses of a plan.
func book(deployer common.Address, steps []Step) (Book, error) {
	b := make(Book)
	for nonce, s := range steps {
		if s.Artefact == "" {
			continue
		}
		if _, twice := b[s.Name]; twice {
			return nil, fmt.Errorf("deploy: two contracts are called %s", s.Name)
		}
		b[s.Name] = crypto.CreateAddress(deployer, uint64(nonce))
	}
	return b, nil
}

// Logic is the name of the contract behind the proxy called name.
func Logic(name string) string { return name + ".logic" }

// proxied are the two steps that make a contract that can be upgraded.
func proxied(name string, constructor, initialize func(Book) []byte) []Step {
	return []Step{
		{Name: Logic(name), Artefact: name, Input: constructor},
		{Name: name, Artefact: "ERC1967Proxy", Input: func(b Book) []byte {
			return bindings.NewERC1967Proxy().PackConstructor(b[Logic(name)], initialize(b))
		}},
	}
}

// Plan is every step in order.
func Plan(g Genesis, chainID uint64, deployer common.Address) []Step {
	steps := []Step{{Name: "AccessManager", Artefact: "AccessManager", Input: func(Book) []byte {
		return bindings.NewAccessManager().PackConstructor(deployer)
	}}}
	steps = append(steps, vestings(g)...)
	steps = append(steps, economy(g)...)
	steps = append(steps, pools(g)...)
	steps = append(steps, governance(g, deployer)...)
	steps = append(steps, roles(g)...)
	steps = append(steps, beginnings(g)...)
	steps = append(steps, reporters(g, chainID, deployer)...)
	steps = append(steps, handOver(deployer)...)
	return append(steps, members(g, chainID, deployer)...)
}

// VestingName is the name of the contract that holds allocation i, if that vests.
func VestingName(i int) string { return fmt.Sprintf("Vesting.%d", i) }

func vestings(g Genesis) (steps []Step) {
	for i, a := range g.Allocations {
		if v := a.Vesting; v != nil {
			steps = append(steps, Step{Name: VestingName(i), Artefact: "Vesting", Input: func(Book) []byte {
				return bindings.NewVesting().PackConstructor(a.Holder, v.Start, v.Duration, v.Cliff)
			}})
		}
	}
	return steps
}

func (g Genesis) allocations(b Book) []bindings.IHUDLAllocation {
	out := make([]bindings.IHUDLAllocation, len(g.Allocations))
	for i, a := range g.Allocations {
		out[i] = bindings.IHUDLAllocation{Holder: a.Holder, Amount: a.Wei}
		if a.Vesting != nil {
			out[i].Holder = b[VestingName(i)]
		}
	}
	return out
}

func economy(g Genesis) []Step {
	steps := proxied("Parameters",
		func(Book) []byte { return bindings.NewParameters().PackConstructor(g.Time, g.EpochLength) },
		func(b Book) []byte { return bindings.NewParameters().PackInitialize(b["AccessManager"], g.Parameters) })
	steps = append(steps, proxied("PriceOracle",
		func(b Book) []byte { return bindings.NewPriceOracle().PackConstructor(b["Parameters"]) },
		func(b Book) []byte {
			return bindings.NewPriceOracle().PackInitialize(b["AccessManager"], g.Oracle.Bounds, g.Oracle.Feeders, g.Oracle.FixedPrice8)
		})...)
	steps = append(steps,
		Step{Name: "HUDL", Artefact: "HUDL", Input: func(b Book) []byte {
			return bindings.NewHUDL().PackConstructor(b["Reserve"], g.allocations(b))
		}},
		Step{Name: "Reserve", Artefact: "Reserve", Input: func(b Book) []byte {
			return bindings.NewReserve().PackConstructor(b["HUDL"], b["ProofOfResource"], b["Rewards"], b["Parameters"], b["AccessManager"])
		}})
	steps = append(steps, proxied("DataCredits",
		func(b Book) []byte {
			return bindings.NewDataCredits().PackConstructor(b["HUDL"], b["PriceOracle"], b["Parameters"], b["ProofOfResource"], b["Reserve"])
		},
		func(b Book) []byte { return bindings.NewDataCredits().PackInitialize(b["AccessManager"]) })...)
	steps = append(steps, proxied("Bonds",
		func(b Book) []byte {
			return bindings.NewBonds().PackConstructor(b["HUDL"], b["Reserve"], b["ProofOfResource"], b["DataCredits"])
		},
		func(b Book) []byte { return bindings.NewBonds().PackInitialize(b["AccessManager"], g.Bonds) })...)
	return append(steps, proxied("ProofOfResource",
		func(b Book) []byte {
			return bindings.NewProofOfResource().PackConstructor(b["Bonds"], b["Parameters"], b["PriceOracle"], b["DataCredits"], b["Reserve"], b["Rewards"])
		},
		func(b Book) []byte {
			return bindings.NewProofOfResource().PackInitialize(b["AccessManager"], g.Supply())
		})...)
}

func pools(g Genesis) []Step {
	steps := []Step{
		{Name: "VeHUDL", Artefact: "VeHUDL", Input: func(b Book) []byte {
			return bindings.NewVeHUDL().PackConstructor(b["HUDL"], b["PoolManager"], b["AccessManager"], g.RedeemLock)
		}},
		{Name: "MediaNodeKey", Artefact: "MediaNodeKey", Input: func(b Book) []byte {
			return bindings.NewMediaNodeKey().PackConstructor(b["HUDL"], b["Reserve"], b["PoolManager"], b["AccessManager"], g.KeysURI)
		}},
		{Name: Logic("Pool"), Artefact: "Pool", Input: func(b Book) []byte {
			return bindings.NewPool().PackConstructor(b["PoolManager"], b["HUDL"], b["VeHUDL"])
		}},
	}
	steps = append(steps, proxied("PoolManager",
		func(b Book) []byte {
			return bindings.NewPoolManager().PackConstructor(b["MediaNodeKey"], b[Logic("Pool")], b["Parameters"])
		},
		func(b Book) []byte { return bindings.NewPoolManager().PackInitialize(b["AccessManager"], g.Pools) })...)
	return append(steps, proxied("Rewards",
		func(b Book) []byte {
			return bindings.NewRewards().PackConstructor(b["ProofOfResource"], b["Parameters"], b["PoolManager"], b["Reserve"])
		},
		func(b Book) []byte { return bindings.NewRewards().PackInitialize(b["AccessManager"]) })...)
}

func governance(g Genesis, deployer common.Address) []Step {
	return []Step{
		{Name: "TimelockController", Artefact: "TimelockController", Input: func(Book) []byte {
			everybody := []common.Address{{}}
			return bindings.NewTimelockController().PackConstructor(new(big.Int).SetUint64(g.TimelockDelay), nil, everybody, deployer)
		}},
		{Name: "Governance", Artefact: "Governance", Input: func(b Book) []byte {
			return bindings.NewGovernance().PackConstructor(b["VeHUDL"], b["TimelockController"], g.Governance)
		}},
	}
}

// call is a step that calls a contract.
func call(name, target string, input func(Book) []byte) Step {
	return Step{Name: name, Target: target, Input: input}
}

// roles give Rewards its way to pools and the guardian every pause.
func roles(g Genesis) []Step {
	access := bindings.NewAccessManager()
	grant := func(role uint64, to func(Book) common.Address) func(Book) []byte {
		return func(b Book) []byte { return access.PackGrantRole(role, to(b), 0) }
	}
	steps := []Step{
		call("role of Rewards", "AccessManager", grant(rewards, func(b Book) common.Address { return b["Rewards"] })),
		call("role of the guardian", "AccessManager", grant(guardian, func(Book) common.Address { return g.Guardian })),
	}
	for _, r := range []struct {
		target string
		meta   string
		names  []string
		role   uint64
	}{
		{"PoolManager", bindings.PoolManagerMetaData.ABI, []string{"distribute"}, rewards},
		{"PoolManager", bindings.PoolManagerMetaData.ABI, []string{"pause"}, guardian},
		{"ProofOfResource", bindings.ProofOfResourceMetaData.ABI, []string{"pause", "voidByGuardian"}, guardian},
		{"Rewards", bindings.RewardsMetaData.ABI, []string{"pause"}, guardian},
		{"DataCredits", bindings.DataCreditsMetaData.ABI, []string{"pause"}, guardian},
		{"Bonds", bindings.BondsMetaData.ABI, []string{"pause"}, guardian},
	} {
		steps = append(steps, call(fmt.Sprintf("%s of %s", r.names[0], r.target), "AccessManager", func(b Book) []byte {
			return access.PackSetTargetFunctionRole(b[r.target], selectors(r.meta, r.names), r.role)
		}))
	}
	return steps
}

// beginnings are settings that a constructor does not take.
func beginnings(g Genesis) (steps []Step) {
	for _, s := range g.Sales {
		steps = append(steps, call("sale in "+s.Region, "MediaNodeKey", func(Book) []byte {
			var region [3]byte
			copy(region[:], s.Region)
			return bindings.NewMediaNodeKey().PackSetSale(region, s.Wei, s.Count)
		}))
	}
	if a := g.GasAllowance; a.WeiPerEpoch != nil && a.WeiPerEpoch.Sign() > 0 {
		steps = append(steps, call("gas allowance", "Reserve", func(Book) []byte { return bindings.NewReserve().PackSetGasAllowance(a) }))
	}
	if g.GasFund != nil && g.GasFund.Sign() > 0 {
		give := call("gas fund", "Reserve", func(Book) []byte { return nil })
		give.Value = g.GasFund
		steps = append(steps, give)
	}
	return steps
}

// consentType is what a key signs that is to be bonded.
var consentType = identity.Type{Name: "Bond", Fields: []identity.Field{
	{Name: "kind", Type: "uint8"}, {Name: "identity", Type: "address"}, {Name: "owner", Type: "address"}, {Name: "deadline", Type: "uint256"},
}}

// Consent is the agreement of a key to be bonded by an owner until the deadline, in
// Unix seconds, as the contract at bonds wants it. kind is of IBonds' Kind.
func Consent(key *identity.Key, kind uint8, bonds, owner common.Address, chainID, deadline uint64) ([]byte, error) {
	hash, err := consentType.HashStruct(uint64(kind), [20]byte(key.ID()), [20]byte(owner), deadline)
	if err != nil {
		return nil, fmt.Errorf("deploy: consent of %s: %w", key.ID(), err)
	}
	domain := identity.Domain{Name: "dRTC Bonds", Version: "1", ChainID: chainID, VerifyingContract: bonds}
	signature := key.SignTyped(identity.TypedHash{Separator: domain.Separator(), Struct: hash})
	return signature[:], nil
}

// consentTime is how long after t0 the consents of genesis hold, in seconds.
const consentTime = 10 * 365 * 86400

// reporters bonds Registries with HUDL of the deployer and admits them.
func reporters(g Genesis, chainID uint64, deployer common.Address) (steps []Step) {
	if len(g.Reporters) == 0 {
		return nil
	}
	steps = append(steps, call("HUDL for bonds", "HUDL", func(b Book) []byte {
		return bindings.NewHUDL().PackApprove(b["Bonds"], g.reporterBonds())
	}))
	for _, key := range g.Reporters {
		id := common.Address(key.ID())
		steps = append(steps, g.bond(registryBond, key, chainID, deployer),
			call("reporter "+id.Hex(), "Bonds", func(Book) []byte { return bindings.NewBonds().PackAdmitReporter(id) }))
	}
	return steps
}

// Kinds of bonds, as IBonds numbers them.
const (
	registryBond uint8 = iota
	orchestratorBond
	nodeBond
)

// bond places the smallest bond of a kind, owned by the deployer.
func (g Genesis) bond(kind uint8, key *identity.Key, chainID uint64, deployer common.Address) Step {
	id, deadline := common.Address(key.ID()), g.Time+consentTime
	return call("bond of "+id.Hex(), "Bonds", func(b Book) []byte {
		signature, err := Consent(key, kind, b["Bonds"], deployer, chainID, deadline)
		if err != nil {
			panic(err) // the fields fit their types
		}
		return bindings.NewBonds().PackBond(kind, id, g.Bonds[kind].Minimum, new(big.Int).SetUint64(deadline), signature)
	})
}

// members bonds Orchestrators and Media Nodes, which needs no rights. There may be
// more nodes the next time: they come last.
func members(g Genesis, chainID uint64, deployer common.Address) (steps []Step) {
	if len(g.Orchestrators)+len(g.Nodes) == 0 {
		return nil
	}
	steps = append(steps, call("HUDL for members' bonds", "HUDL", func(b Book) []byte {
		return bindings.NewHUDL().PackApprove(b["Bonds"], ether(purse))
	}))
	for _, key := range g.Orchestrators {
		steps = append(steps, g.bond(orchestratorBond, key, chainID, deployer))
	}
	for _, key := range g.Nodes {
		steps = append(steps, g.bond(nodeBond, key, chainID, deployer))
	}
	return steps
}

// handOver leaves the deployer without rights: votes propose and cancel, everybody
// executes, the timelock administers.
func handOver(deployer common.Address) []Step {
	timelock, access := bindings.NewTimelockController(), bindings.NewAccessManager()
	role := func(name string) [32]byte { return crypto.Keccak256Hash([]byte(name)) }
	return []Step{
		call("votes propose", "TimelockController", func(b Book) []byte { return timelock.PackGrantRole(role("PROPOSER_ROLE"), b["Governance"]) }),
		call("votes cancel", "TimelockController", func(b Book) []byte { return timelock.PackGrantRole(role("CANCELLER_ROLE"), b["Governance"]) }),
		call("deployer leaves the timelock", "TimelockController", func(Book) []byte { return timelock.PackRenounceRole([32]byte{}, deployer) }),
		call("timelock administers", "AccessManager", func(b Book) []byte { return access.PackGrantRole(administrator, b["TimelockController"], 0) }),
		call("deployer leaves the contracts", "AccessManager", func(Book) []byte { return access.PackRenounceRole(administrator, deployer) }),
	}
}

// selectors of a contract's functions by name.
func selectors(meta string, names []string) [][4]byte {
	contract, err := abi.JSON(strings.NewReader(meta))
	if err != nil {
		panic(err) // generated
	}
	out := make([][4]byte, len(names))
	for i, name := range names {
		method, ok := contract.Methods[name]
		if !ok {
			panic("deploy: there is no function " + name) // a row of the plan is wrong
		}
		out[i] = [4]byte(method.ID)
	}
	return out
}
