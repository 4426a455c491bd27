package deploy

import (
	"context"
	"errors"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/devchain"
	"github.com/drtc-network/drtc/identity"
)

func key(t *testing.T, seed byte) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// place is a chain with a deployer that has gas, and where to record.
type place struct {
	client *client.Client
	wallet *client.Wallet
	config Config
	log    *slog.Logger
}

func newPlace(t *testing.T) *place {
	t.Helper()
	w, err := client.NewWallet(key(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	c := devchain.DefaultConfig()
	c.Dir, c.Listen, c.BlockTime = t.TempDir(), "127.0.0.1:0", 0
	c.Funded = []devchain.Account{{Address: w.Address(), Ether: 1000}}
	chain, err := devchain.New(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- chain.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })

	reasons, err := Reasons()
	if err != nil {
		t.Fatal(err)
	}
	config := client.DefaultConfig()
	config.URL, config.PollEvery = chain.URL(), 5*time.Millisecond
	dialled, err := client.Dial(t.Context(), config, reasons, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dialled.Close)
	dir := t.TempDir()
	return &place{dialled, w, Config{Addresses: filepath.Join(dir, "addresses.json"), Journal: filepath.Join(dir, "journal"), Pipelined: true}, quiet}
}

func (p *place) genesis(t *testing.T) Genesis {
	t.Helper()
	g := Devnet(uint64(time.Now().Unix()), 10, drtc.NodeID{0: 0xaa}, drtc.NodeID{0: 0xbb}, drtc.NodeID(p.wallet.Address()), []*identity.Key{key(t, 2), key(t, 3)})
	g.Time = 1_700_000_000 // the same in every call
	g.Allocations = append(g.Allocations, Allocation{
		Holder: common.Address{0: 0xcc}, Wei: ether(5), Vesting: &Vesting{Start: g.Time, Duration: 100, Cliff: 10},
	})
	g.GasAllowance = bindings.IReserveGasAllowance{WeiPerEpoch: ether(1), GasPerCall: 500_000, TipPerGas: 1e9}
	g.GasFund = ether(3)
	return g
}

// largest is a bit more than the code that makes a contract of 24,576 bytes, the
// most that a chain takes (EIP-170).
const largest = 25_600

// plan is every step before the first contract that no chain takes; with whole it
// is the plan.
func (p *place) plan(t *testing.T, g Genesis) (steps []Step, whole bool) {
	t.Helper()
	all := Plan(g, p.client.ChainID().Uint64(), p.wallet.Address())
	for n, s := range all {
		if s.Artefact == "" {
			continue
		}
		a, err := LoadArtefact(s.Artefact)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Bytecode) > largest {
			t.Logf("%s is too large for any chain with %d bytes: only what is before it is deployed", s.Artefact, len(a.Bytecode))
			return all[:n], false
		}
	}
	return all, true
}

func (p *place) run(t *testing.T, g Genesis) (Addresses, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if steps, whole := p.plan(t, g); !whole {
		return execute(ctx, p.client, p.wallet, steps, nil, p.config, p.log)
	}
	return Run(ctx, p.client, p.wallet, g, p.config, p.log)
}

func (p *place) nonce(t *testing.T) uint64 {
	t.Helper()
	n, err := p.client.Nonce(t.Context(), p.wallet.Address())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func read[T any](t *testing.T, p *place, at common.Address, input []byte, unpack func([]byte) (T, error)) T {
	t.Helper()
	v, err := client.Read(t.Context(), p.client, at, input, client.Newest, unpack)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRun_deploysOnce(t *testing.T) {
	p := newPlace(t)
	g := p.genesis(t)
	a, err := p.run(t, g)
	if err != nil {
		t.Fatal(err)
	}
	hudl := bindings.NewHUDL()
	if got := read(t, p, a.Of("HUDL"), hudl.PackTotalSupply(), hudl.UnpackTotalSupply); got.Cmp(g.Supply()) != 0 {
		t.Errorf("supply: got %s, want %s", got, g.Supply())
	}
	if got := read(t, p, a.Of("HUDL"), hudl.PackBalanceOf(a.Of(VestingName(2))), hudl.UnpackBalanceOf); got.Cmp(ether(5)) != 0 {
		t.Errorf("in the vesting wallet: got %s, want 5 HUDL", got)
	}
	if got := read(t, p, a.Of("HUDL"), hudl.PackReserve(), hudl.UnpackReserve); got != a.Of("Reserve") {
		t.Errorf("HUDL's Reserve: got %s, want %s", got, a.Of("Reserve"))
	}
	if _, whole := p.plan(t, g); whole {
		p.checkWhole(t, g, a)
	}

	sent := p.nonce(t)
	again, err := p.run(t, g)
	if err != nil || !reflect.DeepEqual(again, a) {
		t.Errorf("the second time: got %v, %v, want the same", again, err)
	}
	if now := p.nonce(t); now != sent {
		t.Errorf("the second time sent %d transactions, want none", now-sent)
	}
	if saved, err := LoadAddresses(p.config.Addresses); err != nil || !reflect.DeepEqual(saved, a) {
		t.Errorf("recorded: %v, %v", saved, err)
	}

	g.EpochLength++
	if _, err := p.run(t, g); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "Parameters") {
		t.Errorf("with longer epochs: got %v, want ErrChanged that names Parameters", err)
	}
}

// checkWhole looks at what the last steps did.
func (p *place) checkWhole(t *testing.T, g Genesis, a Addresses) {
	t.Helper()
	bonds, pools := bindings.NewBonds(), bindings.NewPoolManager()
	for _, reporter := range g.Reporters {
		if !read(t, p, a.Of("Bonds"), bonds.PackIsReporter(common.Address(reporter.ID())), bonds.UnpackIsReporter) {
			t.Errorf("%s is no reporter", reporter.ID())
		}
	}
	reserve := bindings.NewReserve()
	if got := read(t, p, a.Of("Reserve"), reserve.PackGasAllowance(), reserve.UnpackGasAllowance); !reflect.DeepEqual(got, g.GasAllowance) {
		t.Errorf("gas allowance: got %v, want %v", got, g.GasAllowance)
	}
	if got, err := p.client.Balance(t.Context(), a.Of("Reserve")); err != nil || got.Cmp(g.GasFund) != 0 {
		t.Errorf("the Reserve's ether: got %s, %v, want %s", got, err, g.GasFund)
	}
	if got := read(t, p, a.Of("PoolManager"), pools.PackImplementation(), pools.UnpackImplementation); got != a.Of(Logic("Pool")) {
		t.Errorf("pools run %s, want %s", got, a.Of(Logic("Pool")))
	}
}

// A network that grows bonds its further nodes and leaves all else as it is.
func TestRun_bondsMembersAndThoseThatComeLater(t *testing.T) {
	p := newPlace(t)
	orchestrator, nodes := key(t, 4), []*identity.Key{key(t, 5), key(t, 6), key(t, 7)}
	genesis := func(nodes []*identity.Key) Genesis {
		return p.genesis(t).Bond(drtc.NodeID(p.wallet.Address()), []*identity.Key{orchestrator}, nodes)
	}
	if g := genesis(nil); g.Supply().Cmp(p.genesis(t).Supply()) != 0 {
		t.Fatalf("supply: got %s", g.Supply())
	}
	bonds := bindings.NewBonds()
	for _, n := range []int{1, 3} {
		a, err := p.run(t, genesis(nodes[:n]))
		if err != nil {
			t.Fatalf("with %d nodes: %v", n, err)
		}
		for kind, keys := range map[uint8][]*identity.Key{registryBond: {key(t, 2), key(t, 3)}, orchestratorBond: {orchestrator}, nodeBond: nodes[:n]} {
			count := read(t, p, a.Of("Bonds"), bonds.PackActiveCount(kind), bonds.UnpackActiveCount)
			if count.Int64() != int64(len(keys)) {
				t.Errorf("with %d nodes, kind %d: %s are bonded, want %d", n, kind, count, len(keys))
			}
			for _, k := range keys {
				if !read(t, p, a.Of("Bonds"), bonds.PackIsActive(kind, common.Address(k.ID())), bonds.UnpackIsActive) {
					t.Errorf("with %d nodes, kind %d: %s is not bonded", n, kind, k.ID())
				}
			}
		}
	}
	g := genesis(nodes)
	g.Reporters = g.Reporters[:1]
	if _, err := p.run(t, g); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "reporters") {
		t.Errorf("with a reporter less: got %v, want ErrChanged that names the reporters", err)
	}
}

// A run that is cut off after any step goes on, also when its journal is lost.
func TestRun_goesOnWhereItWasCutOff(t *testing.T) {
	for name, lose := range map[string]bool{"with its journal": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			g := p.genesis(t)
			steps, _ := p.plan(t, g)
			for _, cut := range []int{1, 4, 7, 8, len(steps) - 2} {
				part := p.config
				part.Addresses = filepath.Join(t.TempDir(), "addresses.json")
				if _, err := execute(t.Context(), p.client, p.wallet, steps[:cut], nil, part, p.log); err != nil {
					t.Fatalf("the first %d steps: %v", cut, err)
				}
				if lose {
					if err := os.Remove(p.config.Journal); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := p.run(t, g); err != nil {
				t.Fatal(err)
			}
			if got := p.nonce(t); got != uint64(len(steps)) {
				t.Errorf("transactions: got %d, want %d", got, len(steps))
			}
		})
	}
}

// Without the rule of thumb each step is estimated and waited for, as on a chain of
// others.
func TestRun_oneStepAfterTheOther(t *testing.T) {
	p := newPlace(t)
	p.config.Pipelined = false
	if _, err := p.run(t, p.genesis(t)); err != nil {
		t.Fatal(err)
	}
}

func TestRun_refusesAUsedAccount(t *testing.T) {
	p := newPlace(t)
	sender, err := client.NewSender(p.client, p.wallet, filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if _, err := sender.Send(t.Context(), client.Intent{ID: "other", To: &common.Address{0: 0xaa}, Value: big.NewInt(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.run(t, p.genesis(t)); !errors.Is(err, ErrUsed) {
		t.Errorf("got %v, want ErrUsed", err)
	}
}

func TestRun_saysWhichStepWasRefusedAndWhy(t *testing.T) {
	p := newPlace(t)
	p.config.Pipelined = false
	g := p.genesis(t)
	g.Parameters.Reward.WeightAvailability++ // the weights do not sum to 10,000
	_, err := p.run(t, g)
	var revert *client.Revert
	if !errors.As(err, &revert) || revert.Name == "" || !strings.Contains(err.Error(), "Parameters") {
		t.Errorf("got %v, want a step of Parameters with the contract's reason", err)
	}
}

func TestValidate_namesTheField(t *testing.T) {
	p := newPlace(t)
	for field, spoil := range map[string]func(*Genesis){
		"time":         func(g *Genesis) { g.Time = 0 },
		"allocations":  func(g *Genesis) { g.Allocations = nil },
		"allocation 0": func(g *Genesis) { g.Allocations[0].Wei = new(big.Int) },
		"guardian":     func(g *Genesis) { g.Guardian = common.Address{} },
		"oracle":       func(g *Genesis) { g.Oracle.FixedPrice8 = 0 },
		"sale":         func(g *Genesis) { g.Sales[0].Region = "EURO" },
		"gas fund":     func(g *Genesis) { g.GasFund = big.NewInt(-1) },
	} {
		g := p.genesis(t)
		spoil(&g)
		if err := g.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func TestArtefact_damaged(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{", "no bytecode": `{"abi": []}`, "no hex": `{"abi": [], "bytecode": "0xzz"}`, "another ABI": `{"abi": 5, "bytecode": "0x00"}`,
	} {
		if _, err := parseArtefact("X", []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := LoadArtefact("Nothing"); err == nil {
		t.Error("a contract that is not there: loaded")
	}
}
