package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/examples/economy/ledger"
)

// wanted is what contracts refuse in every story, and how often.
func wanted() map[string]int {
	return map[string]int{
		// a forged root, and signatures used again: for another epoch, for another chain
		"Committee_NotReporter": 3, "Committee_TooFewSignatures": 1, "Committee_SignersNotAscending": 1,
		"ProofOfResource_EpochOrder": 1, "DataCredits_NotApplicationsSignature": 1,
		// more than the cap, more than the price allows
		"ProofOfResource_MintTotal": 1, "ProofOfResource_RMaxTooHigh": 1,
		"ProofOfResource_WindowOpen": 1, "Rewards_EpochSkipped": 1, "Rewards_BadProof": 1, "Rewards_EpochPaid": 1,
		"MediaNodeKey_NotOwner": 2, "MediaNodeKey_Unbonding": 2, "PoolManager_NotNodesConsent": 1,
		"VeHUDL_NotTransferable": 1, "VeHUDL_StillLocked": 1,
		"AccessManagedUnauthorized": 1, "GovernorInsufficientProposerVotes": 1, "TimelockUnexpectedOperationState": 1,
	}
}

// Whatever nodes did, every balance on the chain is the model's: tell fails where one
// is not. Here it is held that there was something to compare.
func TestTell_theChainHasWhatTheModelSays(t *testing.T) {
	for _, seed := range []uint64{1, 2, uint64(time.Now().UnixNano())} {
		var story bytes.Buffer
		r, err := tell(t.Context(), seed, &story)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, story.String())
		}
		refused := make(map[string]int)
		for _, refusal := range r.Refusals {
			refused[refusal.Error]++
		}
		if !maps.Equal(refused, wanted()) {
			t.Errorf("seed %d: refused: got %v, want %v", seed, refused, wanted())
		}
		checkEpochs(t, r)
		if s := r.SoldKey; !s.ClaimedLate || s.BeforeSale.IsZero() || !s.SinceSale.IsZero() {
			t.Errorf("seed %d: the sold key earned %s for its seller before the sale (claimed after it: %t) and %s since, want some, true and 0",
				seed, s.BeforeSale, s.ClaimedLate, s.SinceSale)
		}
		if want := 5 + 7; r.Reimbursed != want { // commits and claims
			t.Errorf("seed %d: gas of %d transactions was given back, want %d", seed, r.Reimbursed, want)
		}
		for _, book := range []string{
			"HUDL", "veHUDL", "veHUDL being redeemed", "HUDL behind credits", "credits, DC", "authorised, DC", "keys", "keys that counted",
			"owed by the pool of node 1", "owed by the pool of node 3", "Reserve", "supply",
		} {
			if !slices.ContainsFunc(r.Balances, func(b Balance) bool { return b.Book == book }) {
				t.Errorf("seed %d: in the book %q everything is 0", seed, book)
			}
		}
		if !strings.Contains(story.String(), "payouts are cut") {
			t.Errorf("seed %d: the story does not tell of the cut:\n%s", seed, story.String())
		}
	}
}

// checkEpochs wants five, the fourth of them cut and partly paid by an Orchestrator.
func checkEpochs(t *testing.T, r Result) {
	t.Helper()
	if len(r.Epochs) != 5 {
		t.Fatalf("seed %d: %d epochs were committed, want 5", r.Seed, len(r.Epochs))
	}
	for i, e := range r.Epochs {
		if e.Number != uint64(i) || e.Mint.IsZero() || e.Burn.IsZero() || e.Burn.Cmp(e.Mint) > 0 {
			t.Errorf("seed %d: epoch %d minted %s and burned %s, want more minted than burned, and both", r.Seed, e.Number, e.Mint, e.Burn)
		}
		// In the fifth the token is still as cheap, so what was served may be too much too.
		if want := i == 3; e.Cut != want && i < 4 || e.Cut != (e.Mint.Cmp(e.Reward) < 0) {
			t.Errorf("seed %d: epoch %d: cut is %t with %s paid of %s, want %t", r.Seed, i, e.Cut, e.Mint, e.Reward, want)
		}
	}
	if r.Epochs[3].UnpaidByApplications.IsZero() {
		t.Errorf("seed %d: the application's authorisation was enough in epoch 3", r.Seed)
	}
}

// A seed is a story: the same books each time, and --json prints them.
func TestRun_oneSeedHasOneResult(t *testing.T) {
	seed := rand.Uint64()
	want, err := tell(t.Context(), seed, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	if status := run(t.Context(), []string{"--json", "--seed", econ.NewWei(seed).String()}, &out, &problems); status != 0 {
		t.Fatalf("status %d: %s", status, problems.String())
	}
	var got Result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Result{&want, &got} {
		for i := range r.Refusals {
			r.Refusals[i].Text = "" // some tell the time
		}
		// What gas cost depends on how many blocks the deployment took.
		r.Balances = slices.DeleteFunc(r.Balances, func(b Balance) bool { return b.Of == "the chain's coin" })
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("seed %d: got %+v, want %+v", seed, got, want)
	}
}

func TestRun_arguments(t *testing.T) {
	for args, want := range map[string]int{"--help": 0, "--seed=x": 2, "--what": 2} {
		var out, problems bytes.Buffer
		if got := run(t.Context(), []string{args}, &out, &problems); got != want || problems.Len() == 0 {
			t.Errorf("%s: status %d and %q, want %d and an explanation", args, got, problems.String(), want)
		}
	}
}

// What breaks a story is its error; a mistake in the program is not swallowed.
func TestCaught_onlyWhatBrokeTheStory(t *testing.T) {
	want := errors.New("refused")
	if err := caught(func() { new(story).fail(want) }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if err := caught(func() {}); err != nil {
		t.Errorf("nothing broke: got %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a division by zero was swallowed")
		}
	}()
	_ = caught(func() { econ.NewWei(1).MulDiv(econ.NewWei(1), econ.Wei{}) })
}

// A difference of one wei is found, and so is an account that only one side knows.
func TestCompare_namesEveryDifference(t *testing.T) {
	line := func(of string) ledger.Entry { return ledger.Entry{Book: "HUDL", Of: of} }
	chain := books{line("a"): econ.NewWei(7), line("b"): econ.NewWei(5), line("c"): econ.NewWei(1), line("nothing"): {}}
	model := books{line("a"): econ.NewWei(7), line("b"): econ.NewWei(6), line("d"): econ.NewWei(2)}
	same, err := compare(chain, model)
	if want := []Balance{{"HUDL", "a", econ.NewWei(7)}}; !reflect.DeepEqual(same, want) {
		t.Errorf("the same: got %v, want %v", same, want)
	}
	for _, difference := range []string{
		"3 of 5", "HUDL, b: the chain has 5, the model 6", "HUDL, c: the chain has 1, the model 0", "HUDL, d: the chain has 0, the model 2",
	} {
		if err == nil || !strings.Contains(err.Error(), difference) {
			t.Errorf("got %v, want it to say %q", err, difference)
		}
	}
}

func TestShort_cutsOff(t *testing.T) {
	for wei, want := range map[string]string{
		"0": "0.0000", "99999999999999": "0.0000", "100000000000000": "0.0001", "1999999999999999999": "1.9999", "12000000000000000000": "12.0000",
	} {
		w, err := econ.ParseWei(wei)
		if err != nil {
			t.Fatal(err)
		}
		if got := short(w); got != want {
			t.Errorf("short(%s) = %s, want %s", wei, got, want)
		}
	}
}
