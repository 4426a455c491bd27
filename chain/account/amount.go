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
	amount, ok := ParseDecimal(number, digits)
	if !ok {
		return nil, fmt.Errorf("want an amount such as 1.5 with at most %d digits after the point, or such as \"2500 wei\", got %.60q", decimals, text)
	}
	if amount.Sign() == 0 || amount.Cmp(maxAmount) >= 0 {
		return nil, fmt.Errorf("want more than 0 and less than 2^128 wei, got %.60q", text)
	}
	return amount, nil
}

// ParseDecimal reads a number without sign or exponent, as "12" or "12.5", that has
// at most so many digits after the point, in units of the last of them. It has at
// most 60 digits before the point.
func ParseDecimal(text string, digits int) (*big.Int, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(whole) > 60 || len(fraction) > digits || !onlyDigits(whole) || !onlyDigits(fraction) || whole+fraction == "" {
		return nil, false
	}
	return new(big.Int).SetString(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10)
}

func onlyDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// HUDL writes an amount of wei in HUDL, exactly.
func HUDL(wei *big.Int) string { return Decimal(wei, decimals) }

// Decimal writes a number of units of which 10^digits are one, exactly; 0 for nil.
func Decimal(units *big.Int, digits int) string {
	if units == nil {
		return "0"
	}
	text := fmt.Sprintf("%0*s", digits+1, new(big.Int).Abs(units).String())
	point := len(text) - digits
	if fraction := strings.TrimRight(text[point:], "0"); fraction != "" {
		text = text[:point] + "." + fraction
	} else {
		text = text[:point]
	}
	if units.Sign() < 0 {
		text = "-" + text
	}
	return text
}

// USD writes data credits, of which each is 10^-5 USD, in USD.
func USD(credits *big.Int) string {
	text := fmt.Sprintf("%06s", credits.String())
	return text[:len(text)-5] + "." + text[len(text)-5:]
}

// creditsDigits are those after the point of a USD, of which the last is a credit.
const creditsDigits = 5

// ParseCredits reads an amount of credits, as "5000", or what they are worth, as
// "0.05 USD". It is above zero and below 2^127.
func ParseCredits(text string) (*big.Int, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	digits := 0
	switch strings.ToLower(strings.TrimSpace(unit)) {
	case "", "credits":
	case "usd":
		digits = creditsDigits
	default:
		return nil, fmt.Errorf("want credits or USD after the number, got %.20q", unit)
	}
	credits, ok := ParseDecimal(number, digits)
	if !ok || credits.Sign() == 0 || credits.BitLen() > 127 {
		return nil, fmt.Errorf("want a whole number of credits above 0, or what they are worth, such as \"0.05 USD\", got %.60q", text)
	}
	return credits, nil
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
