package gate

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	demo "github.com/drtc-network/drtc/examples/chain"
)

const chainID = demo.ID

// world is a real chain in this process, behind a JSON-RPC address of its own.
type world struct {
	*demo.Chain
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := demo.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &world{c, t}
}

// deploy puts a contract on the chain.
func (w *world) deploy(name string, args ...any) (Address, *demo.Contract) {
	w.t.Helper()
	c, err := w.Deploy(name, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return Address(c.Address), c
}

// mint gives somebody tokens.
func (w *world) mint(c *demo.Contract, to Address, numbers ...*big.Int) {
	w.t.Helper()
	if err := c.Mint(common.Address(to), numbers...); err != nil {
		w.t.Fatal(err)
	}
}

// wallet is a user's key, in the hands of a foreign implementation.
type wallet struct{ demo.Wallet }

func newWallet(t *testing.T) wallet {
	w, err := demo.NewWallet()
	if err != nil {
		t.Fatal(err)
	}
	return wallet{w}
}

func (w wallet) address() Address { return Address(w.Address()) }

func (w wallet) sign(t *testing.T, message string) []byte {
	s, err := w.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
