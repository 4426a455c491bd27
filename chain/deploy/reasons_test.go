package deploy

import (
	"errors"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
)

// Names of errors of ours have the contract's in front.
func TestHints_sayWhatToDoAboutEveryErrorOfOurs(t *testing.T) {
	abis, err := ABIs()
	if err != nil {
		t.Fatal(err)
	}
	known, hints := make(map[string]bool), client.Hints()
	for _, a := range abis {
		for _, e := range a.Errors {
			known[e.Name] = true
			if strings.Contains(e.Name, "_") && hints[e.Name] == "" {
				t.Errorf("%s has no hint", e.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(hints)) {
		if !known[name] {
			t.Errorf("a hint is for %s, which no contract declares", name)
		}
	}
}

// The contract's own words reach who sends, before anything is sent.
func TestReasons_ofARealContract(t *testing.T) {
	p := newPlace(t)
	a, err := p.run(t, p.genesis(t))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := client.NewWallet(key(t, 9))
	if err != nil {
		t.Fatal(err)
	}
	sender, err := client.NewSender(p.client, stranger, filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	hudl := a.Of("HUDL")
	_, err = sender.Send(t.Context(), client.Intent{ID: "a", To: &hudl, Data: bindings.NewHUDL().PackTransfer(common.Address{0: 0xab}, big.NewInt(7))})
	var revert *client.Revert
	if !errors.As(err, &revert) {
		t.Fatalf("got %v, want a refusal of the contract", err)
	}
	want := []client.Argument{{Name: "sender", Value: stranger.Address().Hex()}, {Name: "balance", Value: "0"}, {Name: "needed", Value: "7"}}
	if revert.Name != "ERC20InsufficientBalance" || !slices.Equal(revert.Args, want) || !strings.Contains(revert.Error(), "too little HUDL") {
		t.Errorf("got %s: %v", revert.Name, revert)
	}
	if ids := sender.Pending(); len(ids) != 0 {
		t.Errorf("pending: %q, want nothing", ids)
	}
}
