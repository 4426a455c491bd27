package main

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/account"
	"github.com/drtc-network/drtc/chain/client"
)

// table is what print writes, in columns.
func table(t *testing.T, print func(io.Writer)) string {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	print(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sameText(t *testing.T, got, want string) {
	t.Helper()
	if got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got\n%swant%s", got, want)
	}
}

func wei(text string) account.Amount {
	n, err := account.ParseHUDL(text)
	if err != nil {
		panic(err)
	}
	return account.Amount{Int: n}
}

func units(n int64) account.Amount { return account.Amount{Int: big.NewInt(n)} }

func TestReadBps(t *testing.T) {
	for text, want := range map[string]uint16{"0": 0, "12.5": 1250, "12.5%": 1250, "12.5 %": 1250, "0.01": 1, "100": 10_000, "100.00": 10_000} {
		if got, err := readBps(text); err != nil || got != want {
			t.Errorf("%q: got %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "-1", "100.01", "1.234", "1/2", "1e1", "0x10", "ten", "1e999999"} {
		if got, err := readBps(text); err == nil || !strings.Contains(err.Error(), "percent: want") {
			t.Errorf("%q: got %d (%v), want an error that names the field", text, got, err)
		}
	}
}

func TestReadIDs(t *testing.T) {
	for text, want := range map[string][]uint64{
		"3": {3}, "2 5 3": {2, 5, 3}, "3-5": {3, 4, 5}, "7-7": {7}, "1-2 9": {1, 2, 9},
		"18446744073709551615": {1<<64 - 1}, "18446744073709551614-18446744073709551615": {1<<64 - 2, 1<<64 - 1},
	} {
		if got, err := readIDs(strings.Fields(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v (%v), want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"0": "number of a key", "one": "number of a key", "-3": "number of a key", "3-": "number of a key", "5-3": "number of a key",
		"3 3": "named twice", "1-4 2": "named twice", "1-101": "at most 100", "1-100 101": "at most 100", "1-18446744073709551615": "at most 100",
	} {
		if got, err := readIDs(strings.Fields(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v (%v), want %q", text, got, err, want)
		}
	}
}

func TestExplained_saysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{client.ErrNotSettled, "give the same command again to wait on"},
		{client.ErrWrongChain, "of one network"},
		{account.ErrOtherChain, "of one network"},
		{client.ErrUnavailable, "is it running"},
	} {
		err := explained(fmt.Errorf("key: %w", c.err))
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %v with %q", err, c.err, c.want)
		}
	}
	if err := explained(errors.New("other")); err == nil || err.Error() != "other" {
		t.Errorf("what says enough is changed to %v", err)
	}
	if err := explained(nil); err != nil {
		t.Errorf("nothing is changed to %v", err)
	}
}

func TestPrintHoldings(t *testing.T) {
	node, owed := drtc.NodeID{0: 0xaa}, wei("1.5")
	h := holdings{Balances: account.Balances{Account: drtc.NodeID{0: 1}, HUDL: wei("12.25"), VeHUDL: units(0), Gas: wei("0.5")}}
	sameText(t, table(t, func(w io.Writer) { printHoldings(w, h, 7) }), `
account  0x0100000000000000000000000000000000000000
HUDL     12.25
veHUDL   0
for gas  0.5
keys     none
`)
	h.Redemptions = []account.Redemption{{ID: 3, Wei: wei("2"), ReadyAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}}
	h.Keys = []keyState{
		{Key: account.Key{ID: 1, Region: "EU", Node: &node, Since: 5}, OwedWei: &owed},
		{Key: account.Key{ID: 2, Region: "EU", Node: &node, Since: 7}, OwedWei: &owed},
		{Key: account.Key{ID: 30, Region: "NAM", FreeFrom: 9}},
		{Key: account.Key{ID: 31, Region: "NAM", FreeFrom: 7}},
	}
	sameText(t, table(t, func(w io.Writer) { printHoldings(w, h, 7) }), `
account       0x0100000000000000000000000000000000000000
HUDL          12.25
veHUDL        0
for gas       0.5
redemption 3  2 HUDL, from 2026-02-03 04:05:06 UTC on: drtc key withdraw 3

KEY  REGION  DELEGATED TO                                COUNTS               ITS POOL OWES
1    EU      0xaa00000000000000000000000000000000000000  yes                  1.5 HUDL
2    EU      0xaa00000000000000000000000000000000000000  from epoch 8         1.5 HUDL
30   NAM     -                                           rests until epoch 9  -
31   NAM     -                                           -                    -
`)
}

func TestPrintPool(t *testing.T) {
	last := uint64(17)
	p := account.Pool{
		Node: drtc.NodeID{0: 1}, Address: drtc.NodeID{0: 2}, Operator: drtc.NodeID{0: 3}, CommissionBps: 1250, NextCommissionBps: 2000,
		Keys: 3, Counting: 2, Most: 50, ProvenMbps: 500, LastEpoch: &last, PerKeyWei: wei("0.75"),
	}
	sameText(t, table(t, func(w io.Writer) { printPool(w, p) }), `
node             0x0100000000000000000000000000000000000000
pool             0x0200000000000000000000000000000000000000
operator         0x0300000000000000000000000000000000000000
commission       12.5 %, soon 20 %
keys             3 of at most 50, 2 count in this epoch
earned per key   0.75 HUDL
last epoch paid  17
proven           500 Mbit/s
`)
	fresh := account.Pool{CommissionBps: 5, NextCommissionBps: 5, PerKeyWei: units(0)}
	text := table(t, func(w io.Writer) { printPool(w, fresh) })
	for _, want := range []string{"commission       0.05 %\n", "last epoch paid  none\n", "proven           unknown\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("of a fresh pool: got\n%swant %q", text, want)
		}
	}
}

func TestPrintOffer(t *testing.T) {
	hudl, coin := wei("10"), units(2_500_000)
	for want, o := range map[string]offer{
		"10 HUDL        buy 50000 credits, worth 0.50000 USD\nprice of HUDL  0.05 USD, the lower of spot and average\n": {
			Wei: &hudl, Price8: 5_000_000, Gives: units(50_000)},
		// What a token says of itself cannot move the cursor.
		"2.5 US?[2JD  buy 250000 credits, worth 2.50000 USD\n": {
			Coin: &account.Stable{Symbol: "US\x1b[2JD", Decimals: 6}, Units: &coin, Gives: units(250_000)},
	} {
		if got := table(t, func(w io.Writer) { printOffer(w, o) }); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestPurchase_acceptsALittleLess(t *testing.T) {
	o := offer{Gives: units(50_001)}
	if got, err := (purchase{}).fewest(o); err != nil || got.Int64() != 49_500 {
		t.Errorf("by default: got %v (%v), want 49,500", got, err)
	}
	if got, err := (purchase{least: "0.5 USD"}).fewest(o); err != nil || got.Int64() != 50_000 {
		t.Errorf("as was said: got %v (%v), want 50,000", got, err)
	}
	if _, err := (purchase{least: "most"}).fewest(o); err == nil || !strings.Contains(err.Error(), "--least: ") {
		t.Errorf("nonsense: got %v, want an error that names --least", err)
	}
}

func TestPrintEpoch(t *testing.T) {
	begins := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	committed, window := begins.Add(25*time.Hour), begins.Add(31*time.Hour)
	e := account.EpochRecord{Epoch: 8, Begins: begins, Ends: begins.Add(24 * time.Hour), Status: account.NotOpened}
	sameText(t, table(t, func(w io.Writer) { printEpoch(w, e, begins) }), `
epoch   8, 2026-02-03 00:00:00 UTC to 2026-02-04 00:00:00 UTC
status  none
`)
	e.Status, e.Low8, e.High8, e.ScaleWei = account.Charging, 5_000_000, 5_100_000, wei("0.88")
	e.Root, e.MintWei, e.PaidWei, e.CommittedAt, e.Cut = account.Root{0: 0xab}, wei("3"), wei("0.5"), &committed, true
	e.Totals = &account.Totals{Leaves: 2, Bytes: units(5_500_000_000), Charges: 40, RewardWei: wei("4")}
	e.ParametersVersion, e.Parameters = 1, &account.Parameters{
		DCPerGB: 5000, RelayWeightBps: 10_000, KappaBps: 9000, AlphaBps: 10_000, WeightsBps: account.Scores{Availability: 4000, History: 1500, Location: 2000, Coverage: 2500},
		K: wei("10"), MinQuality: 2e17, MidQuality: 5e17, Tau: 1e17, LowestMint: units(54_255_245_176_771), HighestMint: units(382_982_750_338_958),
	}
	sameText(t, table(t, func(w io.Writer) { printEpoch(w, e, begins) }), `
epoch          8, 2026-02-03 00:00:00 UTC to 2026-02-04 00:00:00 UTC
status         charging
price of HUDL  0.05 USD at the lowest, 0.051 at the highest
r_max          0.88 HUDL per GB
root           0xab00000000000000000000000000000000000000000000000000000000000000
leaves         2, for 5.5 GB
charges        40, not all came yet
rewards (M0)   4 HUDL
minted (M)     3 HUDL, cut to the cap on net mint
claimed of it  0.5 HUDL
committed      2026-02-04 01:00:00 UTC
parameters     version 1
  a GB         5000 credits; a byte between nodes counts 100 %
  pay          at most 90 % of its price (kappa), of which 100 % is minted (alpha)
  scores       availability 40 %, history 15 %, location 20 %, coverage 25 %
  quality      nothing below 0.2, half at about 0.6, steepness 10
  net mint     0.0054255245176771 to 0.0382982750338958 % of the supply
`)
	e.Status, e.ClaimableFrom, e.Parameters = account.Committed, &window, nil
	e.Settlement = &account.Settlement{
		ConsumedCredits: units(27_500), ReceivedWei: wei("5.5"), BurnWei: wei("1"), FillerWei: wei("2"), SupplyWei: wei("1000"), BetaBps: 6000,
	}
	text := table(t, func(w io.Writer) { printEpoch(w, e, committed) })
	for _, want := range []string{
		"charges           40, all came\n", "credits consumed  27500, worth 0.27500 USD\n", "received (Q)      5.5 HUDL\n", "burned (B)        1 HUDL\n",
		"filled up (Y)     2 HUDL\n", "next beta         60 %\n", "challenge window  open until 2026-02-04 07:00:00 UTC, then it may be claimed\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("committed: got\n%swant %q", text, want)
		}
	}
	if text := table(t, func(w io.Writer) { printEpoch(w, e, window) }); !strings.Contains(text, "challenge window  over: it may be claimed\n") {
		t.Errorf("after the window: got\n%s", text)
	}
}
