package account

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/econ"
)

// Quote is how many credits an amount of HUDL buys now.
type Quote struct {
	Wei     Amount `json:"wei"`
	Price8  uint64 `json:"price8"` // USD x 10^8 per HUDL: the lower of spot and average
	Credits Amount `json:"credits"`
}

// Quote for an amount of wei (spec/economics.md E16).
func (l *Ledger) Quote(ctx context.Context, wei *big.Int) (Quote, error) {
	price, err := l.lowPrice(ctx)
	if err != nil {
		return Quote{}, err
	}
	amount, err := econ.WeiFromBig(wei)
	if err == nil {
		err = amount.Valid("amount")
	}
	if err != nil {
		return Quote{}, fmt.Errorf("account: %w", err)
	}
	return Quote{Amount{wei}, uint64(price), Amount{econ.CreditsFor(amount, price).Big()}}, nil
}

func (l *Ledger) lowPrice(ctx context.Context) (econ.Price, error) {
	b := bindings.NewPriceOracle()
	low, err := read(ctx, l, "PriceOracle", b.PackLow(), b.UnpackLow)
	if err != nil {
		return 0, err
	}
	if !low.IsUint64() || low.Sign() == 0 {
		return 0, fmt.Errorf("account: the oracle's price is %s, want USD x 10^8 above 0", low)
	}
	return econ.Price(low.Uint64()), nil
}

// Stable is the coin that stands for US dollars and that credits may be bought with
// instead of HUDL.
type Stable struct {
	Token drtc.NodeID `json:"token"`
	// Symbol is what the token says of itself; it is a stranger's text.
	Symbol   string `json:"symbol"`
	Decimals uint8  `json:"decimals"`
}

// ErrNoStable says that the network sells credits for HUDL alone.
var ErrNoStable = errors.New("account: stablecoins are not taken here: buy with HUDL")

// maxDecimals bounds those of a token: 10^38 of its units pass 2^126.
const maxDecimals = 38

// Stable is the coin that the contract's buyer takes, else ErrNoStable.
func (l *Ledger) Stable(ctx context.Context) (Stable, error) {
	credits, buyer, token := bindings.NewDataCredits(), bindings.NewInventoryBuyer(), bindings.NewHUDL() // any ERC-20 has these calls
	at, err := read(ctx, l, "DataCredits", credits.PackBuyer(), credits.UnpackBuyer)
	if err != nil {
		return Stable{}, err
	}
	if at == (common.Address{}) {
		return Stable{}, ErrNoStable
	}
	coin, err := readAt(ctx, l, at, buyer.PackStable(), buyer.UnpackStable)
	if err != nil {
		return Stable{}, err
	}
	s := Stable{Token: drtc.NodeID(coin)}
	if s.Symbol, err = readAt(ctx, l, coin, token.PackSymbol(), token.UnpackSymbol); err != nil {
		return Stable{}, err
	}
	if s.Decimals, err = readAt(ctx, l, coin, token.PackDecimals(), token.UnpackDecimals); err == nil && s.Decimals > maxDecimals {
		err = fmt.Errorf("account: the stablecoin %s has %d decimals, want at most %d", s.Token, s.Decimals, maxDecimals)
	}
	return s, err
}

// Parse reads an amount of the coin, as "12.5".
func (s Stable) Parse(text string) (*big.Int, error) {
	units, ok := ParseDecimal(text, int(s.Decimals))
	if !ok || units.Sign() == 0 || units.Cmp(maxAmount) >= 0 {
		return nil, fmt.Errorf("want an amount of %s such as 12.5 with at most %d digits after the point, got %.60q", s.Symbol, s.Decimals, text)
	}
	return units, nil
}

// Text writes an amount of the coin, with its symbol.
func (s Stable) Text(units *big.Int) string { return Decimal(units, int(s.Decimals)) + " " + s.Symbol }

// Quote is how many credits units of the coin buy where one of it is taken for one
// USD, rounded down; a buyer may give less.
func (s Stable) Quote(units *big.Int) *big.Int {
	const creditsOfUSD = 100_000
	credits := new(big.Int).Mul(units, big.NewInt(creditsOfUSD))
	return credits.Div(credits, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s.Decimals)), nil))
}

// affordableIn fails when the account has fewer units of a coin.
func (a *Account) affordableIn(ctx context.Context, coin Stable, units *big.Int) error {
	b := bindings.NewHUDL()
	has, err := readAt(ctx, a.Ledger, common.Address(coin.Token), b.PackBalanceOf(common.Address(a.id)), b.UnpackBalanceOf)
	if err == nil && has.Cmp(units) < 0 {
		err = fmt.Errorf("%w: it costs %s, %s has %s", ErrTooLittle, coin.Text(units), a.id, coin.Text(has))
	}
	return err
}
