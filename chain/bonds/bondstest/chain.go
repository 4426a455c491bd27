// Package bondstest is a chain with the contracts and some bonds on it, in the
// test's own process, for tests of what goes by bonds (whitepaper section 5.5).
//
// The contract in one sentence: every change is in a block when the method returns,
// and a chain that was stopped comes back where it was, at the same address.
//
// All bonds are owned by the deployer. Blocks come with transactions; the newest is
// safe, and finalized is the last whose number is a multiple of 32. Methods fail
// the test; a Chain belongs to one goroutine.
package bondstest

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/bonds"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/chain/devchain"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// Members are who is bonded from the beginning; the Registries report.
type Members struct {
	Registries, Orchestrators, Nodes []*identity.Key
}

// Chain is a chain that runs until the test ends.
type Chain struct {
	t      testing.TB
	config devchain.Config
	chain  *devchain.Chain
	stop   func()

	client *client.Client
	sender *client.Sender
	record deploy.Addresses
	file   string
	sent   int
}

// Key is the one that belongs to a number.
func Key(t testing.TB, n byte) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.NewChaCha8([32]byte{n}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// New runs a chain and deploys.
func New(t testing.TB, m Members) *Chain {
	t.Helper()
	deployer := Key(t, 255)
	wallet, err := client.NewWallet(deployer)
	if err != nil {
		t.Fatal(err)
	}
	c := &Chain{t: t, config: devchain.DefaultConfig(), file: filepath.Join(t.TempDir(), "addresses.json")}
	c.config.Dir, c.config.Listen, c.config.BlockTime = t.TempDir(), "127.0.0.1:0", 0
	c.config.Funded = []devchain.Account{{Address: wallet.Address(), Ether: 1000}}
	c.Start()
	t.Cleanup(func() { c.Stop() })
	c.config.Listen = strings.TrimPrefix(c.chain.URL(), "http://")

	reasons, err := deploy.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	config, quiet := client.DefaultConfig(), slog.New(slog.DiscardHandler)
	config.URL, config.PollEvery = c.URL(), 5*time.Millisecond
	if c.client, err = client.Dial(t.Context(), config, reasons, quiet); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	g := deploy.Devnet(1_700_000_000, 10, drtc.NodeID{0: 0xaa}, drtc.NodeID{0: 0xbb}, deployer.ID(), m.Registries)
	g = g.Bond(deployer.ID(), m.Orchestrators, m.Nodes)
	c.record, err = deploy.Run(t.Context(), c.client, wallet, g,
		deploy.Config{Addresses: c.file, Journal: filepath.Join(t.TempDir(), "journal"), Pipelined: true}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if c.sender, err = client.NewSender(c.client, wallet, filepath.Join(t.TempDir(), "journal")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.sender.Close() })
	return c
}

// URL is where JSON-RPC is, also while the chain is stopped.
func (c *Chain) URL() string { return c.chain.URL() }

// Addresses is the file that deploying wrote.
func (c *Chain) Addresses() string { return c.file }

// Stop ends the chain; twice is once.
func (c *Chain) Stop() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// Start runs a chain that was stopped.
func (c *Chain) Start() {
	c.t.Helper()
	chain, err := devchain.New(c.config, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- chain.Run(ctx) }()
	c.chain, c.stop = chain, func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	}
}

// Bond places the smallest bond for a key.
func (c *Chain) Bond(kind bonds.Kind, key *identity.Key) {
	c.t.Helper()
	deadline := uint64(1) << 40
	consent, err := deploy.Consent(key, uint8(kind), c.record.Of("Bonds"), c.sender.Address(), c.client.ChainID().Uint64(), deadline)
	if err != nil {
		c.t.Fatal(err)
	}
	least := new(big.Int).Mul(big.NewInt(1000), big.NewInt(1e18))
	c.send(bindings.NewBonds().PackBond(uint8(kind), common.Address(key.ID()), least, new(big.Int).SetUint64(deadline), consent))
}

// Unbond starts to take a bond back.
func (c *Chain) Unbond(kind bonds.Kind, id drtc.NodeID) {
	c.t.Helper()
	c.send(bindings.NewBonds().PackStartUnbonding(uint8(kind), common.Address(id)))
}

// Raise revokes the records of lower generations.
func (c *Chain) Raise(kind bonds.Kind, id drtc.NodeID, generation uint64) {
	c.t.Helper()
	c.send(bindings.NewBonds().PackRaiseGeneration(uint8(kind), common.Address(id), generation))
}

// Forfeit proves that an Orchestrator signed two receipts of one sequence.
func (c *Chain) Forfeit(orchestrator *identity.Key) {
	c.t.Helper()
	domain := epoch.ReceiptDomain(c.client.ChainID().Uint64(), c.record.Of("DataCredits"))
	var receipts [2]bindings.Receipt
	var signatures [2][]byte
	for i := range receipts {
		r := epoch.Receipt{Application: [20]byte{1}, Orchestrator: orchestrator.ID(), Node: drtc.NodeID{2}, Epoch: 3, Sequence: 4, ClientBytes: econ.NewWei(uint64(i))}
		typed, err := r.Typed(domain)
		if err != nil {
			c.t.Fatal(err)
		}
		signature := orchestrator.SignTyped(typed)
		signatures[i] = signature[:]
		receipts[i] = bindings.Receipt{
			Application: r.Application, Orchestrator: common.Address(r.Orchestrator), Node: common.Address(r.Node), Epoch: r.Epoch, Sequence: r.Sequence,
			ClientBytes: big.NewInt(int64(i)), RelayBytes: new(big.Int),
		}
	}
	c.send(bindings.NewBonds().PackForfeitForReceipts(receipts[0], signatures[0], receipts[1], signatures[1]))
}

// Finalize adds blocks until all that there are now are finalized.
func (c *Chain) Finalize() {
	c.t.Helper()
	for range 32 {
		c.Advance()
	}
}

// Advance adds an empty block.
func (c *Chain) Advance() {
	c.t.Helper()
	if err := c.chain.Advance(c.t.Context(), time.Second); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Chain) send(data []byte) {
	c.t.Helper()
	c.sent++
	at := c.record.Of("Bonds")
	if _, err := c.sender.Send(c.t.Context(), client.Intent{ID: fmt.Sprint("test ", c.sent), To: &at, Data: data}); err != nil {
		c.t.Fatal(err)
	}
}
