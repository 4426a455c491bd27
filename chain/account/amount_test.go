package account_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/chain/account"
)

func TestParseHUDL(t *testing.T) {
	for text, want := range map[string]string{
		"1":                      "1000000000000000000",
		"1.5":                    "1500000000000000000",
		" 0.25 HUDL ":            "250000000000000000",
		".5":                     "500000000000000000",
		"12 hudl":                "12000000000000000000",
		"2500 wei":               "2500",
		"0.000000000000000001":   "1",
		"340282366920938463463.": "340282366920938463463000000000000000000", // the last below 2^128
	} {
		got, err := account.ParseHUDL(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: got %v (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "0", "0 wei", "-1", "1e18", "0x10", "1,5", "1.5 wei", "1 USD", "1.0000000000000000001", "1 2", "9999999999999999999999999"} {
		if got, err := account.ParseHUDL(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestParseCredits(t *testing.T) {
	for text, want := range map[string]string{
		"5000": "5000", "5000 credits": "5000", "0.05 USD": "5000", " 5 usd ": "500000", "0.00001 USD": "1",
	} {
		if got, err := account.ParseCredits(text); err != nil || got.String() != want {
			t.Errorf("%q: got %v (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "1.5", "0.000001 USD", "5 EUR", "-1", "1e3", "170141183460469231731687303715884105728"} {
		if got, err := account.ParseCredits(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestStable_amounts(t *testing.T) {
	coin := account.Stable{Symbol: "USDX", Decimals: 6}
	units, err := coin.Parse("12.5")
	if err != nil || units.Int64() != 12_500_000 {
		t.Fatalf("got %v (%v), want 12,500,000 units", units, err)
	}
	if got := coin.Text(units); got != "12.5 USDX" {
		t.Errorf("written %q, want 12.5 USDX", got)
	}
	if got := coin.Quote(units); got.Int64() != 1_250_000 {
		t.Errorf("buys %s credits, want 1,250,000", got)
	}
	if got := coin.Quote(big.NewInt(9)); got.Sign() != 0 {
		t.Errorf("9 units buy %s credits, want none: a credit costs 10", got)
	}
	for _, text := range []string{"", "0", "1.1234567", "-1", "1 USDX"} {
		if got, err := coin.Parse(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

// What is read as a number is written back as the same number.
func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"1", "1.5", ".5", "5.", "", ".", "0", "00012.3400", "1e5", "-1", "+1", "0x1", "1..2", "١"} {
		f.Add(seed, 5)
	}
	f.Fuzz(func(t *testing.T, text string, digits int) {
		if digits < 0 || digits > 40 {
			return
		}
		n, ok := account.ParseDecimal(text, digits)
		if !ok {
			return
		}
		written := account.Decimal(n, digits)
		if back, ok := account.ParseDecimal(written, digits); !ok || back.Cmp(n) != 0 {
			t.Errorf("%q is %s units of %d digits, written %q, and that is %v", text, n, digits, written, back)
		}
	})
}

func FuzzAmount_UnmarshalJSON(f *testing.F) {
	for _, seed := range []string{`"5"`, `5`, `"`, `""`, `"-5"`, `"1e3"`, `"00"`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a, again account.Amount
		if a.UnmarshalJSON(b) != nil {
			return
		}
		text, err := a.MarshalJSON()
		if err == nil {
			err = again.UnmarshalJSON(text)
		}
		if err != nil || again.Cmp(a.Int) != 0 || a.Sign() < 0 {
			t.Errorf("%s is read as %v and written %s (%v)", b, a, text, err)
		}
	})
}

func TestHUDL_isReadBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wei := new(big.Int).SetUint64(rapid.Uint64Min(1).Draw(t, "wei"))
		wei.Mul(wei, new(big.Int).SetUint64(rapid.Uint64Min(1).Draw(t, "times")))
		if wei.BitLen() > 127 {
			wei.Rsh(wei, 1)
		}
		back, err := account.ParseHUDL(account.HUDL(wei))
		if err != nil || back.Cmp(wei) != 0 {
			t.Fatalf("%s wei is written %q and read as %v (%v)", wei, account.HUDL(wei), back, err)
		}
	})
}

func TestAmount_isTextInJSON(t *testing.T) {
	big128 := new(big.Int).Lsh(big.NewInt(1), 128)
	text, err := json.Marshal(account.Amount{Int: big128})
	if err != nil || string(text) != `"340282366920938463463374607431768211456"` {
		t.Errorf("got %s (%v)", text, err)
	}
	var back account.Amount
	if err := json.Unmarshal(text, &back); err != nil || back.Cmp(big128) != 0 {
		t.Errorf("read back %v (%v)", back, err)
	}
	for _, bad := range []string{`5`, `"-5"`, `"0x5"`, `""`, `null1`, `"1e3"`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s: got %s, want an error", bad, back)
		}
	}
}

func TestUSD(t *testing.T) {
	for credits, want := range map[int64]string{0: "0.00000", 1: "0.00001", 100_000: "1.00000", 123_456_789: "1234.56789"} {
		if got := account.USD(big.NewInt(credits)); got != want {
			t.Errorf("%d credits: got %s, want %s", credits, got, want)
		}
	}
}
