package account_test

import (
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
	"github.com/drtc-network/drtc/identity"
)

// sellForCoin puts the contracts on the chain once more, with a coin that is taken for
// credits and of which the account of key 1 has all. Only a vote lets a coin be
// taken; here the deployer does it and so keeps its rights.
func (n *network) sellForCoin(t *testing.T) {
	t.Helper()
	wallet := must(client.NewWallet(key(t, 7)))
	sender, err := client.NewSender(n.observer, wallet, filepath.Join(n.dir, "coin.journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sender.Close() })

	owner := key(t, 1).ID()
	g := deploy.Devnet(uint64(time.Now().Unix()), epochSeconds, owner, owner, key(t, 7).ID(), []*identity.Key{key(t, 21)})
	steps := deploy.Plan(g, n.chain.ChainID(), wallet.Address())
	last := len(steps) - 1
	if steps[last].Name != "deployer leaves the contracts" {
		t.Fatalf("the last step is %q", steps[last].Name)
	}
	coin := bindings.NewHUDL() // it is an ERC-20
	steps = slices.Concat(steps[:last], []deploy.Step{
		{Name: "Coin", Artefact: "HUDL", Input: func(b deploy.Book) []byte {
			return coin.PackConstructor(b["Reserve"], []bindings.IHUDLAllocation{{Holder: common.Address(owner), Amount: hudl(1000)}})
		}},
		{Name: "Buyer", Artefact: "InventoryBuyer", Input: func(b deploy.Book) []byte {
			return bindings.NewInventoryBuyer().PackConstructor(b["Coin"], 18, b["HUDL"], b["PriceOracle"], b["DataCredits"], b["AccessManager"])
		}},
		{Name: "the buyer is taken", Target: "DataCredits", Input: func(b deploy.Book) []byte { return bindings.NewDataCredits().PackSetBuyer(b["Buyer"]) }},
	})
	book := make(deploy.Book)
	for nonce, s := range steps {
		if s.Artefact != "" {
			book[s.Name] = crypto.CreateAddress(wallet.Address(), uint64(nonce))
		}
	}
	contracts := make(map[string]deploy.Contract)
	for name, at := range book {
		contracts[name] = deploy.Contract{Address: at}
	}
	for _, s := range steps {
		i := client.Intent{ID: s.Name, Data: s.Input(book), Gas: 600_000}
		if s.Artefact == "" {
			target := book[s.Target]
			i.To = &target
		} else {
			i.Data, i.Gas = append(must(deploy.LoadArtefact(s.Artefact)).Bytecode, i.Data...), 9_000_000
		}
		if err := sender.Submit(t.Context(), i); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
	}
	if err := sender.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.addresses.Contracts = contracts
}

func creditsForCoin(t *testing.T, shared *network) {
	n := *shared // its contracts become others
	ctx := t.Context()
	without := must(account.Open(ctx, n.config, n.addresses, quiet))
	t.Cleanup(without.Close)
	if _, err := without.Stable(ctx); !errors.Is(err, account.ErrNoStable) {
		t.Errorf("where none is taken: got %v, want ErrNoStable", err)
	}
	n.sellForCoin(t)
	a, poor := n.unlock(t, 1), n.unlock(t, 2)
	coin := must(a.Stable(ctx))
	if coin.Decimals != 18 || coin.Symbol == "" || common.Address(coin.Token) != n.addresses.Of("Coin") {
		t.Fatalf("the coin is %+v, want the one that was deployed", coin)
	}
	units := must(coin.Parse("2.5"))
	least := coin.Quote(units)
	if _, err := poor.BuyCreditsWithStable(ctx, poor.ID(), coin, units, least); !errors.Is(err, account.ErrTooLittle) {
		t.Errorf("without any: got %v, want ErrTooLittle", err)
	}
	_, err := a.BuyCreditsWithStable(ctx, a.ID(), coin, units, least)
	var refused *client.Revert
	if !errors.As(err, &refused) || refused.Name != "HUDLBuyer_Inventory" || !strings.Contains(err.Error(), "not enough HUDL for sale") {
		t.Errorf("without HUDL for sale: got %v, want HUDLBuyer_Inventory and what to do", err)
	}
	must(a.GiveHUDL(ctx, [20]byte(n.addresses.Of("Buyer")), hudl(1000)))
	bought := must(a.BuyCreditsWithStable(ctx, poor.ID(), coin, units, least))
	if bought.Credits.Cmp(big.NewInt(250_000)) != 0 || bought.Wei.Cmp(hudl(50)) != 0 {
		t.Errorf("bought %s credits with %s wei in escrow, want 250,000 for 2.5 USD and 50 HUDL", bought.Credits, bought.Wei)
	}
	if has := must(a.Credits(ctx, poor.ID(), nil)); has.Credits.Cmp(bought.Credits.Int) != 0 {
		t.Errorf("the application has %s credits, want %s", has.Credits, bought.Credits)
	}
}

func quoteIsWhatAPurchaseGives(t *testing.T, n *network) {
	ctx := t.Context()
	a := n.unlock(t, 1)
	wei := must(account.ParseHUDL("1.234567890123456789"))
	quote := must(a.Quote(ctx, wei))
	bought := must(a.BuyCredits(ctx, a.ID(), wei, quote.Credits.Int))
	if bought.Credits.Cmp(quote.Credits.Int) != 0 || bought.Wei.Cmp(wei) != 0 {
		t.Errorf("bought %s credits for %s wei, want %s for %s", bought.Credits, bought.Wei, quote.Credits, wei)
	}
	if _, err := a.Quote(ctx, new(big.Int).Lsh(big.NewInt(1), 201)); err == nil || !strings.Contains(err.Error(), "amount") {
		t.Errorf("beyond all amounts: got %v, want an error that names it", err)
	}
}
