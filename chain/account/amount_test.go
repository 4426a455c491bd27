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
