package account

import (
	"fmt"
	"math/big"
	"strings"
)

// decimals of HUDL.
const decimals = 18

// maxAmount is above all HUDL there can be: 2^128 wei.
var maxAmount = new(big.Int).Lsh(big.NewInt(1), 128)

// ParseHUDL reads an amount in HUDL, as "1.5" or "1.5 HUDL", or exactly, as
// "1500000000000000000 wei". It is above zero, below 2^128 wei, and has at most 18
// digits after the point.
func ParseHUDL(text string) (*big.Int, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	digits := decimals
	switch strings.ToLower(strings.TrimSpace(unit)) {
	case "", "hudl":
	case "wei":
		digits = 0
	default:
		return nil, fmt.Errorf("want HUDL or wei after the number, got %.20q", unit)
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if len(whole) > 60 || len(fraction) > digits || !onlyDigits(whole) || !onlyDigits(fraction) || whole+fraction == "" {
		return nil, fmt.Errorf("want an amount such as 1.5 with at most %d digits after the point, or such as \"2500 wei\", got %.60q", decimals, text)
	}
	amount, _ := new(big.Int).SetString(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10)
	if amount.Sign() == 0 || amount.Cmp(maxAmount) >= 0 {
		return nil, fmt.Errorf("want more than 0 and less than 2^128 wei, got %.60q", text)
	}
	return amount, nil
}

func onlyDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// HUDL writes an amount of wei in HUDL, exactly.
func HUDL(wei *big.Int) string {
	if wei == nil {
		return "0"
	}
	text := fmt.Sprintf("%0*s", decimals+1, new(big.Int).Abs(wei).String())
	point := len(text) - decimals
	text = strings.TrimRight(strings.TrimRight(text[:point]+"."+text[point:], "0"), ".")
	if wei.Sign() < 0 {
		text = "-" + text
	}
	return text
}

// USD writes data credits, of which each is 10^-5 USD, in USD.
func USD(credits *big.Int) string {
	text := fmt.Sprintf("%06s", credits.String())
	return text[:len(text)-5] + "." + text[len(text)-5:]
}

// Amount is a number of wei or credits. As JSON it is a string of decimal digits,
// since a JSON number is read as a float64 by many.
type Amount struct{ *big.Int }

// MarshalJSON writes the digits in quotes.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.Int == nil {
		return []byte(`"0"`), nil
	}
	return []byte(`"` + a.String() + `"`), nil
}

// UnmarshalJSON reads up to 78 digits in quotes.
func (a *Amount) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || len(text) != len(b)-2 || len(text) > 78 || n.Sign() < 0 {
		return fmt.Errorf("account: amount: want decimal digits in quotes, got %.30q", b)
	}
	a.Int = n
	return nil
}
