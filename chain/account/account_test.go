package account_test

import (
	"bytes"
	"context"
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

// network is a chain with the contracts; its time passes when it is told to.
type network struct {
	chain     *devchain.Chain
	config    client.Config
	addresses deploy.Addresses
	reporters []*identity.Key
	dir       string
	observer  *client.Client
}

var quiet = slog.New(slog.DiscardHandler)

func key(t *testing.T, seed byte) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newNetwork gives all HUDL to the account of key 1. Keys 1 to 9 have coins for gas.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{dir: t.TempDir(), reporters: []*identity.Key{key(t, 21), key(t, 22), key(t, 23)}}
	c := devchain.DefaultConfig()
	c.Dir, c.Listen, c.BlockTime = filepath.Join(n.dir, "chain"), "127.0.0.1:0", 0
	for seed := byte(1); seed < 10; seed++ {
		c.Funded = append(c.Funded, devchain.Account{Address: common.Address(key(t, seed).ID()), Ether: 10})
	}
	var err error
	if n.chain, err = devchain.New(c, quiet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.chain.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })

	reasons, err := deploy.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	n.config = client.DefaultConfig()
	n.config.URL, n.config.PollEvery = n.chain.URL(), 5*time.Millisecond
	dialled, err := client.Dial(t.Context(), n.config, reasons, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dialled.Close)
	n.observer = dialled
	first, err := dialled.BlockAt(t.Context(), 1)
	for errors.Is(err, client.ErrNotFound) { // it is being made
		first, err = dialled.BlockAt(t.Context(), 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	wallet, err := client.NewWallet(key(t, 9))
	if err != nil {
		t.Fatal(err)
	}
	g := deploy.Devnet(uint64(first.Time.Unix()), epochSeconds, key(t, 1).ID(), key(t, 1).ID(), key(t, 9).ID(), n.reporters)
	n.addresses, err = deploy.Run(t.Context(), dialled, wallet, g,
		deploy.Config{Addresses: filepath.Join(n.dir, "addresses.json"), Journal: filepath.Join(n.dir, "deployer.journal"), Pipelined: true}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *network) unlock(t *testing.T, seed byte) *account.Account {
	t.Helper()
	l, err := account.Open(t.Context(), n.config, n.addresses, quiet)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Unlock(t.Context(), key(t, seed), filepath.Join(n.dir, string('a'+rune(seed))+".journal"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// pass lets time pass until an epoch begins.
func (n *network) pass(t *testing.T, a *account.Account, until uint64) {
	t.Helper()
	for {
		now, err := a.Epoch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if now >= until {
			return
		}
		n.advance(t, epochSeconds/2)
	}
}

func (n *network) advance(t *testing.T, seconds int) {
	t.Helper()
	if err := n.chain.Advance(t.Context(), time.Duration(seconds)*time.Second); err != nil {
		t.Fatal(err)
	}
}

// must is what a call gave; it ends the test when the call failed.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func hudl(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

// served commits an epoch in which a node served an application so many bytes, as
// reporters do, and returns what they publish.
func (n *network) served(t *testing.T, number, previous uint64, node, application, orchestrator drtc.NodeID, served econ.Bytes, root [32]byte) (account.EpochData, *epoch.Closed) {
	t.Helper()
	closed := closeEpoch(t, number, previous, node, root, epoch.Charge{Application: application, Orchestrator: orchestrator, Bytes: served})
	leaves, charges, err := epoch.Decode(closed.Data)
	if err != nil {
		t.Fatal(err)
	}
	n.commit(t, closed, charges)
	n.advance(t, epochSeconds/4)
	return account.EpochData{Leaves: leaves, Charges: charges}, closed
}

// closeEpoch is the end of an epoch in which one node served what the charges say.
func closeEpoch(t *testing.T, number, previous uint64, node drtc.NodeID, root [32]byte, charges ...epoch.Charge) *epoch.Closed {
	t.Helper()
	var served econ.Bytes
	for _, c := range charges {
		served = served.Add(c.Bytes)
	}
	leaf := epoch.Leaf{
		Node: node, Epoch: number, Previous: previous, ClientBytes: served, ProvenMbps: 500,
		Scores: econ.Scores{Availability: econ.One, History: econ.One / 2, Location: econ.One, Coverage: econ.One, Quality: econ.One},
	}
	closed, err := epoch.Close(epoch.Open{
		Epoch: number, Parameters: econ.DefaultParameters(), ParametersVersion: 1, High: 5_000_000,
		Supply: must(econ.WeiFromBig(hudl(1_000_000_000))), Beta: econ.InitialBeta, PreviousRoot: root,
		Leaves: []epoch.Leaf{leaf}, Charges: charges,
	})
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// commit sends an epoch's commit with all signatures and some of its charges.
func (n *network) commit(t *testing.T, closed *epoch.Closed, charges []epoch.Charge) {
	t.Helper()
	ids := slices.SortedFunc(slices.Values(n.reporters), func(x, y *identity.Key) int {
		a, b := x.ID(), y.ID()
		return bytes.Compare(a[:], b[:])
	})
	var signatures [][]byte
	for _, k := range ids {
		signature := k.SignTyped(closed.Commit.Typed(epoch.Domain(n.chain.ChainID(), n.addresses.Of("ProofOfResource"))))
		signatures = append(signatures, signature[:])
	}
	c := closed.Commit
	n.send(t, 8, "ProofOfResource", bindings.NewProofOfResource().PackCommit(bindings.EpochCommit{
		Epoch: c.Epoch, Root: c.Root, LeafCount: c.LeafCount, TotalBytes: c.TotalBytes.Big(), RewardTotal: c.RewardTotal.Big(),
		MintTotal: c.MintTotal.Big(), ChargesHash: c.ChargesHash, ChargeCount: c.ChargeCount, DataHash: c.DataHash,
		PreviousRoot: c.PreviousRoot, ParametersVersion: c.ParametersVersion, RMax: c.Scale.Big(),
	}, chargesOf(charges), signatures))
}

func chargesOf(charges []epoch.Charge) []bindings.Charge {
	out := make([]bindings.Charge, len(charges))
	for i, c := range charges {
		out[i] = bindings.Charge{Application: c.Application, Orchestrator: common.Address(c.Orchestrator), Bytes: c.Bytes.Big()}
	}
	return out
}

// send is for what has no method: it is nobody's business but reporters'.
func (n *network) send(t *testing.T, seed byte, contract string, input []byte) {
	t.Helper()
	reasons, err := deploy.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), n.config, reasons, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wallet, err := client.NewWallet(key(t, seed))
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.NewSender(c, wallet, filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	to := n.addresses.Of(contract)
	if _, err := s.Send(t.Context(), client.Intent{ID: "once", To: &to, Data: input}); err != nil {
		t.Fatal(err)
	}
}

// From a bought key to HUDL in the owner's hands.
func TestAccount_earnsWhatItsKeysEarn(t *testing.T) {
	n := newNetwork(t)
	ctx := t.Context()
	treasury, operator := n.unlock(t, 1), n.unlock(t, 2)
	node, owner := key(t, 31), treasury
	orchestrator := drtc.NodeID{0: 41}

	sale := must(owner.Sale(ctx, "EU"))
	bought := must(owner.BuyKeys(ctx, sale, 2, owner.ID()))
	if !slices.Equal(bought.IDs, []uint64{1, 2}) || bought.CostWei.Cmp(hudl(200)) != 0 {
		t.Fatalf("bought %v for %s, want keys 1 and 2 for 200 HUDL", bought.IDs, bought.CostWei)
	}
	consent := must(operator.Consent(node, operator.ID(), 1000, time.Now().Add(time.Hour)))
	must(operator.CreatePool(ctx, consent))
	must(owner.Delegate(ctx, node.ID(), []uint64{1, 2}))
	must(treasury.BuyCredits(ctx, treasury.ID(), hudl(1000), big.NewInt(1)))
	must(treasury.Authorise(ctx, orchestrator, big.NewInt(4_000_000), 1000))

	delegated := must(owner.Epoch(ctx)) // they count from the next
	n.pass(t, owner, delegated+2)
	served := econ.NewWei(100 * econ.GB)
	data, closed := n.served(t, delegated+1, epoch.None, node.ID(), treasury.ID(), orchestrator, served, [32]byte{})

	claimed := must(operator.ClaimRewards(ctx, node.ID(), []account.EpochData{data}))
	payout := closed.Payouts[0].Big()
	if claimed.Wei.Cmp(payout) != 0 || payout.Sign() == 0 {
		t.Errorf("the pool got %s wei, want %s", claimed.Wei, payout)
	}
	if _, err := operator.ClaimRewards(ctx, node.ID(), []account.EpochData{data}); err == nil || !strings.Contains(err.Error(), "not paid yet") {
		t.Errorf("claimed again: %v, want that none is left", err)
	}
	commission := new(big.Int).Div(payout, big.NewInt(10))
	share := new(big.Int).Sub(payout, commission)
	share.Sub(share, new(big.Int).Mod(share, big.NewInt(2))) // of two keys
	if got := must(owner.Owed(ctx, node.ID(), owner.ID())); got.Cmp(share) != 0 {
		t.Errorf("the pool owes the owner %s, want %s", got, share)
	}
	paid := must(owner.ClaimOwed(ctx, owner.ID(), []drtc.NodeID{node.ID()}))
	if paid.Wei.Cmp(share) != 0 {
		t.Errorf("the owner is paid %s, want %s", paid.Wei, share)
	}

	record := must(owner.EpochRecord(ctx, delegated+1))
	if record.Status != account.Committed || record.Root != account.Root(closed.Commit.Root) || record.MintWei.Cmp(payout) != 0 ||
		record.PaidWei.Cmp(payout) != 0 || record.High8 != 5_000_000 || record.Settlement == nil || record.ClaimableFrom == nil {
		t.Errorf("the epoch's record is %+v", record)
	}
	if s := record.Totals; s == nil || s.Leaves != 1 || s.Charges != 1 || s.Bytes.Cmp(served.Big()) != 0 || s.RewardWei.Cmp(payout) != 0 {
		t.Errorf("the epoch's totals are %+v, want one leaf and one charge of %s bytes", s, served)
	}
	if p := record.Parameters; p == nil || p.DCPerGB != 5000 || p.WeightsBps.Coverage != 2500 {
		t.Errorf("the epoch's parameters are %+v, want those of the devnet", p)
	}
	if latest := must(owner.LatestEpoch(ctx)); latest != delegated+1 {
		t.Errorf("the latest epoch is %d, want %d", latest, delegated+1)
	}
	if ever := must(owner.Authorised(ctx, treasury.ID())); !slices.Equal(ever, []drtc.NodeID{orchestrator}) {
		t.Errorf("authorised were %v, want %v alone", ever, orchestrator)
	}
	credits := must(owner.Credits(ctx, treasury.ID(), []drtc.NodeID{orchestrator}))
	if credits.Credits.Cmp(big.NewInt(5_000_000-500_000)) != 0 || credits.Authorisations[0].Credits.Cmp(big.NewInt(3_500_000)) != 0 {
		t.Errorf("of 5,000,000 credits there are %s, and %s to use, want 500,000 less in both", credits.Credits, credits.Authorisations[0].Credits)
	}

	before := must(owner.Balances(ctx, owner.ID()))
	_, redemption, err := owner.Redeem(ctx, paid.Wei.Int)
	if err != nil {
		t.Fatal(err)
	}
	if open := must(owner.Redemptions(ctx, owner.ID())); len(open) != 1 || open[0].Wei.Cmp(share) != 0 {
		t.Errorf("redemptions are %v, want one of %s", open, share)
	}
	if _, err := owner.Withdraw(ctx, redemption.ID); err == nil || !strings.Contains(err.Error(), "VeHUDL_StillLocked") {
		t.Errorf("withdrawn at once: %v, want VeHUDL_StillLocked", err)
	}
	n.advance(t, 60)
	must(owner.Withdraw(ctx, redemption.ID))
	after := must(owner.Balances(ctx, owner.ID()))
	if got := new(big.Int).Sub(after.HUDL.Int, before.HUDL.Int); got.Cmp(share) != 0 || after.VeHUDL.Sign() != 0 {
		t.Errorf("the owner has %s HUDL more and %s veHUDL, want %s and none", got, after.VeHUDL, share)
	}
}

// A stranger's files can neither skip an epoch nor pass for another's.
func TestClaimRewards_namesWhatIsWrong(t *testing.T) {
	n := newNetwork(t)
	ctx := t.Context()
	a := n.unlock(t, 1)
	node, orchestrator := key(t, 31), drtc.NodeID{0: 41}
	must(a.CreatePool(ctx, must(a.Consent(node, a.ID(), 1000, time.Now().Add(time.Hour)))))
	must(a.BuyCredits(ctx, a.ID(), hudl(1000), big.NewInt(1)))
	must(a.Authorise(ctx, orchestrator, big.NewInt(4_000_000), 1000))
	first := must(a.Epoch(ctx)) + 1
	n.pass(t, a, first+1)
	served := econ.NewWei(econ.GB)
	one, closed := n.served(t, first, epoch.None, node.ID(), a.ID(), orchestrator, served, [32]byte{})
	n.pass(t, a, first+2)
	two, _ := n.served(t, first+1, first, node.ID(), a.ID(), orchestrator, served, closed.Commit.Root)

	forged := account.EpochData{Leaves: slices.Clone(one.Leaves)}
	forged.Leaves[0].ClientBytes = econ.NewWei(1000 * econ.GB)
	for _, c := range []struct {
		name string
		node drtc.NodeID
		data []account.EpochData
		want string
	}{
		{"the later alone", node.ID(), []account.EpochData{two}, "give those between too"},
		{"a forged leaf", node.ID(), []account.EpochData{forged}, "the chain has 0x"},
		{"another node", drtc.NodeID{0: 9}, []account.EpochData{one}, "not paid yet: of node 0x09"},
		{"nothing", node.ID(), nil, "not paid yet"},
	} {
		if _, err := a.ClaimRewards(ctx, c.node, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	must(a.ClaimRewards(ctx, node.ID(), []account.EpochData{two, one})) // in any order
}

// To put the contracts on a chain takes longer than what these try with them.
func TestAccount_onOneNetwork(t *testing.T) {
	n := newNetwork(t)
	for name, try := range map[string]func(*testing.T, *network){
		"Open refuses another chain":       openRefusesAnotherChain,
		"a quote is what a purchase gives": quoteIsWhatAPurchaseGives,
		"it tells what it spends":          tellsWhatItSpends,
		"it has too little":                hasTooLittle,
		"credits are bought with a coin":   creditsForCoin,
	} {
		t.Run(name, func(t *testing.T) { try(t, n) })
	}
}

func openRefusesAnotherChain(t *testing.T, n *network) {
	other := n.addresses
	other.Genesis = common.Hash{1}
	if _, err := account.Open(t.Context(), n.config, other, quiet); !errors.Is(err, account.ErrOtherChain) {
		t.Errorf("another genesis: got %v, want ErrOtherChain", err)
	}
	config := n.config
	config.ChainID = 1
	if _, err := account.Open(t.Context(), config, n.addresses, quiet); !errors.Is(err, account.ErrOtherChain) {
		t.Errorf("another chain id: got %v, want ErrOtherChain", err)
	}
	if _, err := account.Open(t.Context(), n.config, deploy.Addresses{}, quiet); err == nil || !strings.Contains(err.Error(), "HUDL is missing") {
		t.Errorf("no addresses: got %v, want HUDL named", err)
	}
}
