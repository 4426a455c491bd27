package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/chain/devchain"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Times of the economy, in seconds of the chain, which are made to pass.
const (
	epochSeconds  = 3600
	windowSeconds = epochSeconds / 4
	timelockDelay = 300
	redeemLock    = 60
)

// Genesis, in HUDL.
const (
	genesisSupply = 2_000_000
	vested        = 10_000
	reporterCount = 4
	gasFund       = 10 // coins of the chain, to give back what commits and claims cost
)

// people have wallets. Reporters and nodes only sign.
func people() []string {
	return []string{
		"treasury", "guardian", "founder", "owner 1", "owner 2", "owner 3", "operator 3",
		"application 1", "application 2", "orchestrator 1", "orchestrator 2",
		"feeder 1", "feeder 2", "feeder 3", "stranger",
	}
}

func nodeNames() []string { return []string{"node 1", "node 2", "node 3"} }

// party is somebody with a key. Those without a sender only sign.
type party struct {
	name   string
	key    *identity.Key
	sender *client.Sender
}

func (p *party) address() common.Address { return common.Address(p.key.ID()) }

// network is a chain with the contracts, and everybody who uses them.
type network struct {
	chain     *devchain.Chain
	client    *client.Client
	at        deploy.Addresses
	genesis   deploy.Genesis
	parties   map[string]*party
	reporters []*identity.Key
	sent      int
	closers   []func() error
}

// newNetwork starts a chain in dir and puts the contracts on it. It is to be closed
// also when there is an error.
func newNetwork(ctx context.Context, dir string, seed uint64) (*network, error) {
	var bytes [32]byte
	for i := range 8 {
		bytes[i] = byte(seed >> (8 * i))
	}
	random := rand.NewChaCha8(bytes)
	n := &network{parties: make(map[string]*party)}
	deployer, err := identity.Generate(random)
	if err != nil {
		return n, err
	}
	funded := []devchain.Account{{Address: common.Address(deployer.ID()), Ether: 1000}}
	for _, name := range append(people(), nodeNames()...) {
		key, err := identity.Generate(random)
		if err != nil {
			return n, err
		}
		n.parties[name] = &party{name: name, key: key}
		funded = append(funded, devchain.Account{Address: common.Address(key.ID()), Ether: 1000})
	}
	for range reporterCount {
		key, err := identity.Generate(random)
		if err != nil {
			return n, err
		}
		n.reporters = append(n.reporters, key)
	}
	if err := n.start(ctx, dir, funded); err != nil {
		return n, err
	}
	return n, n.deploy(ctx, dir, deployer)
}

// start runs the chain until close. A block is made as soon as there is a
// transaction, and time passes when it is told to.
func (n *network) start(ctx context.Context, dir string, funded []devchain.Account) (err error) {
	quiet := slog.New(slog.DiscardHandler)
	c := devchain.DefaultConfig()
	c.Dir, c.Listen, c.BlockTime, c.Funded = filepath.Join(dir, "chain"), "127.0.0.1:0", 0, funded
	if n.chain, err = devchain.New(c, quiet); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- n.chain.Run(running) }()
	n.closers = append(n.closers, func() error { stop(); return <-ended })
	reasons, err := deploy.Reasons()
	if err != nil {
		return err
	}
	config := client.DefaultConfig()
	config.URL, config.PollEvery = n.chain.URL(), time.Millisecond
	if n.client, err = client.Dial(ctx, config, reasons, quiet); err != nil {
		return err
	}
	n.closers = append(n.closers, func() error { n.client.Close(); return nil })
	for _, p := range n.parties {
		wallet, err := client.NewWallet(p.key)
		if err != nil {
			return err
		}
		if p.sender, err = client.NewSender(n.client, wallet, filepath.Join(dir, p.name+".journal")); err != nil {
			return err
		}
		n.closers = append(n.closers, p.sender.Close)
	}
	return nil
}

func (n *network) deploy(ctx context.Context, dir string, deployer *identity.Key) error {
	wallet, err := client.NewWallet(deployer)
	if err != nil {
		return err
	}
	first, err := n.client.BlockAt(ctx, 1)
	for errors.Is(err, client.ErrNotFound) { // it is being made
		first, err = n.client.BlockAt(ctx, 1)
	}
	if err != nil {
		return err
	}
	n.genesis = n.rules(uint64(first.Time.Unix()), deployer.ID())
	config := deploy.Config{Addresses: filepath.Join(dir, "addresses.json"), Journal: filepath.Join(dir, "deployer.journal"), Pipelined: true}
	n.at, err = deploy.Run(ctx, n.client, wallet, n.genesis, config, slog.New(slog.DiscardHandler))
	return err
}

// rules are those of a development network, but for a price that three feeders
// tell, a supply that is small enough for its cap to be felt, and an allocation
// that vests.
func (n *network) rules(begin uint64, deployer drtc.NodeID) deploy.Genesis {
	treasury, founder := n.parties["treasury"].key.ID(), n.parties["founder"].address()
	g := deploy.Devnet(begin, epochSeconds, treasury, n.parties["guardian"].key.ID(), deployer, n.reporters)
	g.Parameters.Supply.Lo.SetUint64(5e13) // 100 and 200 HUDL of 2 million in an epoch
	g.Parameters.Supply.Hi.SetUint64(1e14)
	g.Oracle.FixedPrice8 = 0
	g.Oracle.Bounds.TwapWindow = epochSeconds
	for i := range 3 {
		g.Oracle.Feeders = append(g.Oracle.Feeders, n.parties[fmt.Sprintf("feeder %d", i+1)].address())
	}
	g.TimelockDelay, g.RedeemLock = timelockDelay, redeemLock
	g.GasAllowance = bindings.IReserveGasAllowance{WeiPerEpoch: hudl(1).Big(), GasPerCall: 1_000_000, TipPerGas: 1e9}
	g.GasFund = hudl(gasFund).Big() // a coin of the chain has as many wei
	g.Allocations[0].Wei = hudl(genesisSupply - vested).Big()
	g.Allocations[0].Wei.Sub(g.Allocations[0].Wei, g.Allocations[1].Wei)
	g.Allocations = append(g.Allocations, deploy.Allocation{
		Holder: founder, Wei: hudl(vested).Big(),
		Vesting: &deploy.Vesting{Start: begin, Duration: 100 * epochSeconds, Cliff: 2 * epochSeconds},
	})
	return g
}

// foundersAllocation is the place of what vests, and vestingWallet the contract
// that holds it.
const foundersAllocation = 2

func vestingWallet() string { return deploy.VestingName(foundersAllocation) }

// close stops everything that was started, the chain last.
func (n *network) close() (err error) {
	for i := len(n.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, n.closers[i]())
	}
	return err
}

// send does something in a block.
func (n *network) send(ctx context.Context, who, what, contract string, data []byte) (*types.Receipt, error) {
	n.sent++
	to := n.at.Of(contract)
	return n.parties[who].sender.Send(ctx, client.Intent{ID: fmt.Sprintf("%03d %s", n.sent, what), To: &to, Data: data})
}

// now is the time of the newest block.
func (n *network) now(ctx context.Context) (uint64, error) {
	head, err := n.client.Head(ctx)
	return uint64(head.Time.Unix()), err
}

// until lets time pass.
func (n *network) until(ctx context.Context, then uint64) error {
	now, err := n.now(ctx)
	if err != nil || now >= then {
		return err
	}
	return n.chain.Advance(ctx, time.Duration(then-now)*time.Second)
}

// named is whose an address is, by name; the address itself if nobody's.
func (n *network) named(a common.Address) string {
	for name, p := range n.parties {
		if p.address() == a {
			return name
		}
	}
	for name, c := range n.at.Contracts {
		if c.Address == a {
			return name
		}
	}
	return a.Hex()
}

// hudl is a number of whole ones, in wei.
func hudl(n uint64) econ.Wei {
	return econ.NewWei(n).MulDiv(econ.NewWei(uint64(econ.One)), econ.NewWei(1))
}

// rulesOf are parameters as contracts have them, for econ.
func rulesOf(set bindings.ParameterSet) (econ.Parameters, econ.Bps, error) {
	k, err := econ.WeiFromBig(set.Reward.K)
	p := econ.Parameters{
		Weights: econ.Weights{
			Availability: econ.Bps(set.Reward.WeightAvailability), History: econ.Bps(set.Reward.WeightHistory),
			Location: econ.Bps(set.Reward.WeightLocation), Coverage: econ.Bps(set.Reward.WeightCoverage),
		},
		K: k, Mid: set.Reward.VMid, Tau: set.Reward.VTau,
		MinQuality: econ.Wad(set.Reward.VMin), MinHistory: econ.Wad(set.Reward.HMin),
		Kappa: econ.Bps(set.Supply.KappaBps), Margin: econ.Bps(set.Reward.MarginBps),
		CreditsPerGB: uint64(set.Supply.DcPerGB), RelayWeight: econ.Bps(set.Reward.WRelayBps.Uint64()),
		Alpha: econ.Bps(set.Reward.AlphaBps),
		Band:  econ.Band{Lo: econ.Wad(set.Supply.Lo.Uint64()), Hi: econ.Wad(set.Supply.Hi.Uint64())}, Filler: set.Supply.Filler,
	}
	return p, econ.Bps(set.Supply.BetaBps), errors.Join(err, p.Validate())
}
