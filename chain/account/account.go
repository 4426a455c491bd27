package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/identity"
)

// ErrOtherChain says that the addresses are those of contracts of another chain.
var ErrOtherChain = errors.New("account: the addresses are of another chain")

// Ledger reads the contracts of one network.
type Ledger struct {
	client    *client.Client
	addresses deploy.Addresses
}

// Open connects to the chain whose contracts addresses names. It fails with
// ErrOtherChain when the endpoint's is another one.
func Open(ctx context.Context, c client.Config, addresses deploy.Addresses, log *slog.Logger) (*Ledger, error) {
	for _, name := range []string{"HUDL", "VeHUDL", "MediaNodeKey", "PoolManager", "Parameters", "PriceOracle", "DataCredits", "ProofOfResource", "Rewards"} {
		if addresses.Of(name) == (common.Address{}) {
			return nil, fmt.Errorf("account: addresses: %s is missing: take the file that \"drtc chain deploy\" or the network's operator wrote", name)
		}
	}
	if c.ChainID == 0 {
		c.ChainID = addresses.ChainID
	}
	if c.ChainID != addresses.ChainID {
		return nil, fmt.Errorf("%w: they are of chain %d, wanted is %d", ErrOtherChain, addresses.ChainID, c.ChainID)
	}
	reasons, err := deploy.Reasons()
	if err != nil {
		return nil, err
	}
	opened, err := client.Dial(ctx, c, reasons, log)
	if err != nil {
		return nil, err
	}
	first, err := opened.BlockAt(ctx, 0)
	if err == nil && first.Hash != addresses.Genesis {
		err = fmt.Errorf("%w: theirs begins with %s, the endpoint's with %s", ErrOtherChain, addresses.Genesis, first.Hash)
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	return &Ledger{opened, addresses}, nil
}

// Close ends idle connections.
func (l *Ledger) Close() { l.client.Close() }

// read asks one contract as of the newest block.
func read[T any](ctx context.Context, l *Ledger, contract string, input []byte, unpack func([]byte) (T, error)) (T, error) {
	return readAt(ctx, l, l.addresses.Of(contract), input, unpack)
}

func readAt[T any](ctx context.Context, l *Ledger, at common.Address, input []byte, unpack func([]byte) (T, error)) (T, error) {
	return client.Read(ctx, l.client, at, input, client.Newest, unpack)
}

// Epoch is the one that runs now.
func (l *Ledger) Epoch(ctx context.Context) (uint64, error) {
	b := bindings.NewParameters()
	return read(ctx, l, "Parameters", b.PackCurrentEpoch(), b.UnpackCurrentEpoch)
}

// Balances are what an account has.
type Balances struct {
	Account drtc.NodeID `json:"account"`
	// HUDL and VeHUDL are in wei, Gas is in wei of the chain's own coin.
	HUDL   Amount `json:"hudl_wei"`
	VeHUDL Amount `json:"vehudl_wei"`
	Gas    Amount `json:"gas_wei"`
}

// Balances of an account.
func (l *Ledger) Balances(ctx context.Context, of drtc.NodeID) (Balances, error) {
	b := Balances{Account: of}
	hudl, ve := bindings.NewHUDL(), bindings.NewVeHUDL()
	var err error
	if b.HUDL.Int, err = read(ctx, l, "HUDL", hudl.PackBalanceOf(common.Address(of)), hudl.UnpackBalanceOf); err != nil {
		return b, err
	}
	if b.VeHUDL.Int, err = read(ctx, l, "VeHUDL", ve.PackBalanceOf(common.Address(of)), ve.UnpackBalanceOf); err != nil {
		return b, err
	}
	b.Gas.Int, err = l.client.Balance(ctx, common.Address(of))
	return b, err
}

// Account is a Ledger with a key: it changes what is read.
type Account struct {
	*Ledger
	id     drtc.NodeID
	sender *client.Sender
	now    func() time.Time
	tell   func(Spending)
	// resumed are the receipts of what an earlier process left under way, by the
	// name of the act.
	resumed  map[string]*types.Receipt
	finished []Finished
}

// Unlock gives a ledger the key of an account. journal is the file that belongs to
// the key; what an earlier process left under way is waited for. tell hears of
// what an act spends before it is sent; it may be nil.
func (l *Ledger) Unlock(ctx context.Context, key *identity.Key, journal string, tell func(Spending)) (*Account, error) {
	wallet, err := client.NewWallet(key)
	if err != nil {
		return nil, err
	}
	sender, err := client.NewSender(l.client, wallet, journal)
	if err != nil {
		return nil, err
	}
	a := &Account{Ledger: l, id: key.ID(), sender: sender, now: time.Now, tell: tell, resumed: make(map[string]*types.Receipt)}
	if err := a.resume(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("account: what was under way: %w", err), sender.Close())
	}
	return a, nil
}

// ID is the account's address.
func (a *Account) ID() drtc.NodeID { return a.id }

// Close closes the journal and the ledger.
func (a *Account) Close() error {
	a.Ledger.Close()
	return a.sender.Close()
}

// allow lets a contract take so much HUDL (or another token) from the account.
func (a *Account) allow(ctx context.Context, token, spender common.Address, amount *big.Int) error {
	b := bindings.NewHUDL() // any ERC-20 has these calls
	allowed, err := readAt(ctx, a.Ledger, token, b.PackAllowance(common.Address(a.id), spender), b.UnpackAllowance)
	if err != nil {
		return err
	}
	if allowed.Cmp(amount) >= 0 {
		return nil
	}
	_, err = a.send(ctx, client.Intent{ID: a.fresh("approve"), To: &token, Data: b.PackApprove(spender, amount)}, call{})
	return err
}

// affordable fails when the account has less HUDL than something costs.
func (a *Account) affordable(ctx context.Context, cost *big.Int) error {
	has, err := a.Balances(ctx, a.id)
	if err != nil {
		return err
	}
	if has.HUDL.Cmp(cost) < 0 {
		return fmt.Errorf("%w: it costs %s HUDL, %s has %s HUDL", ErrTooLittle, HUDL(cost), a.id, HUDL(has.HUDL.Int))
	}
	return nil
}

// ErrTooLittle says that the account has less than something costs. Nothing was sent.
var ErrTooLittle = errors.New("account: too little to pay with")
