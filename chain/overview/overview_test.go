package overview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/chain/devchain"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

const epochSeconds = 100

var quiet = slog.New(slog.DiscardHandler)

// world is a chain with the contracts; its time passes when it is told to.
type world struct {
	t         *testing.T
	chain     *devchain.Chain
	stop      func()
	config    Config
	reporters []*identity.Key
	owner     *account.Account // has all HUDL
}

func key(t *testing.T, seed byte) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// must is what a call gave; it ends the test when the call failed.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func hudl(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, reporters: []*identity.Key{key(t, 21), key(t, 22), key(t, 23)}}
	c := devchain.DefaultConfig()
	c.Dir, c.Listen, c.BlockTime = filepath.Join(dir, "chain"), "127.0.0.1:0", 0
	for _, seed := range []byte{1, 8, 9} {
		c.Funded = append(c.Funded, devchain.Account{Address: common.Address(key(t, seed).ID()), Ether: 10})
	}
	w.chain = must(devchain.New(c, quiet))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.chain.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
		}
	}
	t.Cleanup(w.stop)

	w.config = DefaultConfig()
	w.config.Client.URL, w.config.Client.PollEvery = w.chain.URL(), 5*time.Millisecond
	dialled := must(client.Dial(t.Context(), w.config.Client, must(deploy.Reasons()), quiet))
	t.Cleanup(dialled.Close)
	first, err := dialled.BlockAt(t.Context(), 1)
	for errors.Is(err, client.ErrNotFound) { // it is being made
		first, err = dialled.BlockAt(t.Context(), 1)
	}
	g := deploy.Devnet(uint64(must(first, err).Time.Unix()), epochSeconds, key(t, 1).ID(), key(t, 1).ID(), key(t, 9).ID(), w.reporters)
	w.config.Addresses = must(deploy.Run(t.Context(), dialled, must(client.NewWallet(key(t, 9))), g,
		deploy.Config{Addresses: filepath.Join(dir, "addresses.json"), Journal: filepath.Join(dir, "deployer.journal"), Pipelined: true}, quiet))
	ledger := must(account.Open(t.Context(), w.config.Client, w.config.Addresses, quiet))
	w.owner = must(ledger.Unlock(t.Context(), key(t, 1), filepath.Join(dir, "owner.journal"), nil))
	t.Cleanup(func() { _ = w.owner.Close() })
	return w
}

// pass lets time pass until an epoch begins.
func (w *world) pass(until uint64) {
	for must(w.owner.Epoch(w.t.Context())) < until {
		must(0, w.chain.Advance(w.t.Context(), epochSeconds/2*time.Second))
	}
}

// commit commits an epoch in which a node served so much, as reporters do.
func (w *world) commit(n, previous uint64, node, orchestrator drtc.NodeID, served econ.Bytes, root [32]byte) (account.EpochData, *epoch.Closed) {
	charge := epoch.Charge{Application: w.owner.ID(), Orchestrator: orchestrator, Bytes: served}
	closed := must(epoch.Close(epoch.Open{
		Epoch: n, Parameters: econ.DefaultParameters(), ParametersVersion: 1, High: 5_000_000,
		Supply: must(econ.WeiFromBig(hudl(1_000_000_000))), Beta: econ.InitialBeta, PreviousRoot: root,
		Leaves: []epoch.Leaf{{
			Node: node, Epoch: n, Previous: previous, ClientBytes: served, ProvenMbps: 500,
			Scores: econ.Scores{Availability: econ.One, History: econ.One / 2, Location: econ.One, Coverage: econ.One, Quality: econ.One},
		}},
		Charges: []epoch.Charge{charge},
	}))
	signers := slices.SortedFunc(slices.Values(w.reporters), func(x, y *identity.Key) int {
		a, b := x.ID(), y.ID()
		return bytes.Compare(a[:], b[:])
	})
	var signatures [][]byte
	for _, k := range signers {
		s := k.SignTyped(closed.Commit.Typed(epoch.Domain(w.chain.ChainID(), w.config.Addresses.Of("ProofOfResource"))))
		signatures = append(signatures, s[:])
	}
	c := closed.Commit
	input := bindings.NewProofOfResource().PackCommit(bindings.EpochCommit{
		Epoch: c.Epoch, Root: c.Root, LeafCount: c.LeafCount, TotalBytes: c.TotalBytes.Big(), RewardTotal: c.RewardTotal.Big(),
		MintTotal: c.MintTotal.Big(), ChargesHash: c.ChargesHash, ChargeCount: c.ChargeCount, DataHash: c.DataHash,
		PreviousRoot: c.PreviousRoot, ParametersVersion: c.ParametersVersion, RMax: c.Scale.Big(),
	}, []bindings.Charge{{Application: charge.Application, Orchestrator: common.Address(orchestrator), Bytes: served.Big()}}, signatures)
	w.send("ProofOfResource", input)
	must(0, w.chain.Advance(w.t.Context(), epochSeconds/4*time.Second))
	leaves, charges, err := epoch.Decode(closed.Data)
	return account.EpochData{Leaves: leaves, Charges: charges}, must(closed, err)
}

func (w *world) send(contract string, input []byte) {
	c := must(client.Dial(w.t.Context(), w.config.Client, must(deploy.Reasons()), quiet))
	defer c.Close()
	s := must(client.NewSender(c, must(client.NewWallet(key(w.t, 8))), filepath.Join(w.t.TempDir(), "journal")))
	w.t.Cleanup(func() { _ = s.Close() })
	to := w.config.Addresses.Of(contract)
	must(s.Send(w.t.Context(), client.Intent{ID: "once", To: &to, Data: input}))
}

// look has an Overview look once, and returns what it shows.
func (w *world) look(o *Overview) *View {
	must(0, o.look(w.t.Context()))
	s := o.Standing()
	if s.Problem != "" || s.View == nil || s.ReadAt.IsZero() {
		w.t.Fatalf("standing is %+v, want a view without a problem", s)
	}
	return s.View
}

// From an empty network to a paid epoch: what is shown is what the chain has, to
// whoever watched all along and to whoever comes late.
func TestOverview_showsWhatTheChainHas(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	watcher := must(Open(w.config, quiet))
	empty := w.look(watcher)
	if c := empty.Chain; c.LastEpoch != nil || c.EpochSeconds != epochSeconds || len(empty.Pools(drtc.NodeID{})) != 0 {
		t.Errorf("a new chain shows %+v and pools %v", c, empty.Pools(drtc.NodeID{}))
	}

	node, orchestrator := key(t, 31), drtc.NodeID{0: 41}
	must(w.owner.BuyKeys(ctx, must(w.owner.Sale(ctx, "EU")), 2, w.owner.ID()))
	must(w.owner.CreatePool(ctx, must(w.owner.Consent(node, w.owner.ID(), 1000, time.Now().Add(time.Hour)))))
	w.look(watcher)
	must(w.owner.Delegate(ctx, node.ID(), []uint64{1, 2}))
	must(w.owner.BuyCredits(ctx, w.owner.ID(), hudl(1000), big.NewInt(1)))
	must(w.owner.Authorise(ctx, orchestrator, big.NewInt(4_000_000), 1000))
	first := must(w.owner.Epoch(ctx)) + 1
	w.pass(first + 1)
	served := econ.NewWei(100 * econ.GB)
	data, closed := w.commit(first, epoch.None, node.ID(), orchestrator, served, [32]byte{})
	before := w.look(watcher)
	must(w.owner.ClaimRewards(ctx, node.ID(), []account.EpochData{data}))

	late := must(Open(w.config, quiet))
	for name, v := range map[string]*View{"who watched": w.look(watcher), "who came late": w.look(late)} {
		e, ok := v.Epoch(first)
		payout := closed.Payouts[0].Big()
		switch {
		case !ok || e.Status != account.Committed || *e.Root != account.Root(closed.Commit.Root) || e.Transaction == nil || e.CommittedAt == nil:
			t.Fatalf("%s sees epoch %d as %+v", name, first, e)
		case e.MintWei.Cmp(payout) != 0 || e.PaidWei.Cmp(payout) != 0 || e.TotalBytes.Cmp(served.Big()) != 0 || e.High8 != 5_000_000 || e.LeafCount != 1:
			t.Errorf("%s sees M %s, paid %s, bytes %s, price %d", name, e.MintWei, e.PaidWei, e.TotalBytes, e.High8)
		case e.Settlement == nil || e.Settlement.ConsumedCredits.Sign() == 0 || e.ScaleWei == nil || e.ClaimableFrom == nil:
			t.Errorf("%s sees settlement %+v, r_max %v, claimable from %v", name, e.Settlement, e.ScaleWei, e.ClaimableFrom)
		case len(e.Charges) != 1 || e.Charges[0].Orchestrator != orchestrator || e.Charges[0].Bytes.Cmp(served.Big()) != 0:
			t.Errorf("%s sees charges %+v", name, e.Charges)
		case !e.Begins.Equal(v.Chain.Genesis.Add(time.Duration(first*epochSeconds)*time.Second)) || e.Ends.Sub(e.Begins) != epochSeconds*time.Second:
			t.Errorf("%s sees it from %s to %s", name, e.Begins, e.Ends)
		}
		want := []drtc.NodeID{w.reporters[0].ID(), w.reporters[1].ID(), w.reporters[2].ID()}
		slices.SortFunc(want, compareIDs)
		if !slices.Equal(e.Signers, want) {
			t.Errorf("%s sees signers %v, want %v", name, e.Signers, want)
		}
		if v.Chain.Quorum != 3 || len(v.Chain.Committee) != 3 {
			t.Errorf("%s sees committee %v, of whom %d must sign", name, v.Chain.Committee, v.Chain.Quorum)
		}
		if v.Chain.LastEpoch == nil || *v.Chain.LastEpoch != first {
			t.Errorf("%s sees last epoch %v, want %d", name, v.Chain.LastEpoch, first)
		}
		list := v.Epochs(0, 10)
		if len(list) == 0 || list[0].Epoch < first || !slices.IsSortedFunc(list, func(a, b Epoch) int { return int(b.Epoch) - int(a.Epoch) }) {
			t.Errorf("%s lists epochs %v", name, list)
		}
		if older := v.Epochs(first, 10); slices.ContainsFunc(older, func(e Epoch) bool { return e.Epoch >= first }) {
			t.Errorf("%s lists %v before epoch %d", name, older, first)
		}
		pools := v.Pools(node.ID())
		if len(pools) != 1 || pools[0].Operator != w.owner.ID() || pools[0].Keys != 2 || pools[0].Counting != 2 || pools[0].CommissionBps != 1000 ||
			pools[0].PaidWei.Cmp(payout) != 0 || pools[0].LastEpoch == nil || *pools[0].LastEpoch != first || pools[0].ProvenMbps != 500 {
			t.Errorf("%s sees pool %+v", name, pools)
		}
		paid := v.Payouts(drtc.NodeID{})
		if len(paid) != 1 || len(paid[0].Epochs) != 1 || paid[0].Epochs[0].Epoch != first || paid[0].Epochs[0].Wei.Cmp(payout) != 0 {
			t.Errorf("%s sees payouts %+v", name, paid)
		}
		if got := v.Payouts(drtc.NodeID{0: 9}); len(got) != 0 {
			t.Errorf("%s sees payouts %+v of a stranger", name, got)
		}
	}
	if e, _ := before.Epoch(first); e.PaidWei.Sign() != 0 || len(before.Payouts(drtc.NodeID{})) != 0 || before.Pools(node.ID())[0].PaidWei.Sign() != 0 {
		t.Errorf("the view from before the claim now says that %s was paid", e.PaidWei)
	}
	text, err := json.Marshal(late.Standing().View.Epochs(0, 1))
	if err != nil || !strings.Contains(string(text), `"mint_wei":"`) {
		t.Errorf("as JSON an epoch is %s, %v", text, err)
	}
}

// A second look at the same block asks nothing but which block it is; when the chain
// is away what was read stands, with words that hold no address.
func TestOverview_standsWhileTheChainIsAway(t *testing.T) {
	w := newWorld(t)
	o := must(Open(w.config, quiet))
	v := w.look(o)
	if again := w.look(o); again != v {
		t.Error("the same block was read twice")
	}
	w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := o.look(ctx); err == nil {
		t.Fatal("read a chain that does not run")
	} else {
		o.fail(err)
	}
	s := o.Standing()
	if s.View != v || s.Problem != "the chain does not answer" {
		t.Errorf("standing is %+v, want the same view and a problem", s)
	}
}

func TestOverview_refusesAnotherChain(t *testing.T) {
	w := newWorld(t)
	c := w.config
	c.Addresses.Genesis = common.Hash{1}
	o := must(Open(c, quiet))
	err := o.look(t.Context())
	o.fail(err)
	if s := o.Standing(); !errors.Is(err, client.ErrWrongChain) || s.View != nil || s.Problem != "the endpoint is of another chain" {
		t.Errorf("got %v and %+v, want another chain", err, s)
	}
	if o.client != nil {
		t.Error("the connection to another chain is kept")
	}
}

func TestOverview_runEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	c := w.config
	c.PollEvery = time.Millisecond
	o := must(Open(c, quiet))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	for o.Standing().View == nil {
		select {
		case <-ended:
			t.Fatal("ended by itself")
		case <-t.Context().Done():
			t.Fatal("no view")
		default:
		}
	}
	cancel()
	<-ended
}

func TestFold_forgetsTheOldest(t *testing.T) {
	f := newFold()
	a, b := drtc.NodeID{1}, drtc.NodeID{2}
	for n := range uint64(10) {
		f.epoch(n)
		f.pay(a, n, big.NewInt(1))
	}
	f.pay(b, 3, big.NewInt(1))
	f.forget(2, 100)
	if len(f.epochs) != 8 || len(f.payouts[a]) != 8 || f.payouts[a][0].Epoch != 2 || f.paid != 9 {
		t.Errorf("before 2 is left: %d epochs, payouts %v, %d in all", len(f.epochs), f.payouts, f.paid)
	}
	f.forget(2, 4)
	if f.paid != 4 || f.payouts[a][0].Epoch != 6 || f.payouts[b] != nil {
		t.Errorf("beyond 4: payouts %v, %d in all", f.payouts, f.paid)
	}
}

func TestReadCommit_refusesWhatIsNone(t *testing.T) {
	declared := must(bindings.ProofOfResourceMetaData.ParseABI())
	for name, input := range map[string][]byte{
		"nothing": nil, "short": {1, 2, 3}, "unknown": {1, 2, 3, 4, 5}, "another method": bindings.NewProofOfResource().PackOpen(3),
		"cut short": declared.Methods["commit"].ID,
	} {
		if _, err := readCommit(declared, input); !errors.Is(err, errInput) {
			t.Errorf("%s: got %v, want errInput", name, err)
		}
	}
}

// Whatever a transaction's input is, reading it ends with a commit or an error.
func FuzzReadCommit(f *testing.F) {
	declared := must(bindings.ProofOfResourceMetaData.ParseABI())
	pack := bindings.NewProofOfResource()
	zero := bindings.EpochCommit{TotalBytes: new(big.Int), RewardTotal: new(big.Int), MintTotal: new(big.Int), RMax: new(big.Int)}
	f.Add(pack.PackCommit(zero, []bindings.Charge{{Bytes: big.NewInt(1)}}, [][]byte{make([]byte, 65), {1}}))
	f.Add(pack.PackReplace(zero, nil))
	f.Add(pack.PackOpen(1))
	f.Fuzz(func(t *testing.T, input []byte) {
		said, err := readCommit(declared, input)
		if err != nil {
			return
		}
		if n := len(said.signers(epochDomain{chainID: 1}, said.commit)); n > len(said.signatures) {
			t.Errorf("%d signers of %d signatures", n, len(said.signatures))
		}
	})
}

func TestConfig_validateNamesTheField(t *testing.T) {
	good := DefaultConfig()
	good.Client.URL = "http://127.0.0.1:1"
	good.Addresses = deploy.Addresses{ChainID: 1, Genesis: common.Hash{1}, Contracts: map[string]deploy.Contract{}}
	for _, name := range contracts {
		good.Addresses.Contracts[name] = deploy.Contract{Address: common.Address{1}}
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Config){
		"url":       func(c *Config) { c.Client.URL = "" },
		"Rewards":   func(c *Config) { c.Addresses.Contracts = map[string]deploy.Contract{} },
		"genesis":   func(c *Config) { c.Addresses.Genesis = common.Hash{} },
		"PollEvery": func(c *Config) { c.PollEvery = 0 },
		"Epochs":    func(c *Config) { c.Epochs = 0 },
		"History":   func(c *Config) { c.History = 0 },
		"MaxPools":  func(c *Config) { c.MaxPools = 0 },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) && want != "Rewards" {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
