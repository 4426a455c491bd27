package econ

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/holiman/uint256"
)

// ErrDomain is wrapped by every refusal of an argument that no rule is stated
// for. The text names the argument and its range.
var ErrDomain = errors.New("econ: outside the domain")

// Wad is a score: the value times 10^18, 0 to One.
type Wad uint64

// One is the wad of 1.
const One Wad = 1e18

// Float is the value of w.
func (w Wad) Float() float64 { return float64(w) / float64(One) }

// Valid returns an error that names the score unless w is at most One.
func (w Wad) Valid(name string) error {
	if w > One {
		return fmt.Errorf("%w: %s is %d, want 0 to %d", ErrDomain, name, uint64(w), uint64(One))
	}
	return nil
}

// Bps is a ratio in basis points, 10^4 to one.
type Bps uint32

// Whole is the ratio 1 in basis points.
const Whole Bps = 10_000

// Float is the value of b.
func (b Bps) Float() float64 { return float64(b) / float64(Whole) }

// Wei is an unsigned integer of up to 256 bits, nearly always an amount of HUDL
// in units of 10^-18. Its zero value is 0. It is comparable with ==.
type Wei struct{ n uint256.Int }

// NewWei is n wei.
func NewWei(n uint64) Wei { return Wei{*uint256.NewInt(n)} }

// MaxAmount is the bound that amounts from outside are held to: 2^200.
func MaxAmount() Wei { return power2(200) }

func power2(bits uint) Wei {
	var w Wei
	w.n.Lsh(uint256.NewInt(1), bits)
	return w
}

// ParseWei reads a decimal integer without sign. Leading zeros are refused.
func ParseWei(s string) (Wei, error) {
	if s == "" || len(s) > 78 || s[0] == '+' || len(s) > 1 && s[0] == '0' {
		return Wei{}, fmt.Errorf("econ: amount %.80q: want a decimal integer of wei without sign or leading zeros", s)
	}
	var w Wei
	if err := w.n.SetFromDecimal(s); err != nil {
		return Wei{}, fmt.Errorf("econ: amount %q: want a decimal integer of wei: %w", s, err)
	}
	return w, nil
}

// WeiFromBig is b, which is left alone. Negative values and those past 256 bits
// are refused.
func WeiFromBig(b *big.Int) (Wei, error) {
	if b == nil || b.Sign() < 0 || b.BitLen() > 256 {
		return Wei{}, fmt.Errorf("%w: amount %v, want 0 to 2^256-1", ErrDomain, b)
	}
	var w Wei
	w.n.SetFromBig(b)
	return w, nil
}

// WeiFromFloat is f rounded down, 0 for a negative f or NaN, at most MaxAmount.
// It is for simulation: decisions are floats, ledgers are not.
func WeiFromFloat(f float64) Wei {
	if !(f >= 1) {
		return Wei{}
	}
	if f >= 0x1p200 {
		return MaxAmount()
	}
	fraction, exponent := math.Frexp(f) // f = fraction * 2^exponent
	const bits = 53
	mantissa := uint64(fraction * (1 << bits))
	w := NewWei(mantissa)
	if exponent >= bits {
		w.n.Lsh(&w.n, uint(exponent-bits))
	} else {
		w.n.Rsh(&w.n, uint(bits-exponent))
	}
	return w
}

// Valid returns an error that names the amount unless w is at most MaxAmount.
func (w Wei) Valid(name string) error {
	if w.Cmp(MaxAmount()) > 0 {
		return fmt.Errorf("%w: %s is %s, want at most 2^200", ErrDomain, name, w)
	}
	return nil
}

// Big is a new big.Int of w.
func (w Wei) Big() *big.Int { return w.n.ToBig() }

// Float is w in wei, rounded to the nearest float64 or its neighbour.
func (w Wei) Float() float64 { return w.n.Float64() }

// String is w in decimal, in wei.
func (w Wei) String() string { return w.n.Dec() }

// MarshalText writes w as String does.
func (w Wei) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what ParseWei reads.
func (w *Wei) UnmarshalText(text []byte) error {
	v, err := ParseWei(string(text))
	if err == nil {
		*w = v
	}
	return err
}

// low is the lowest 64 bits of w.
func (w Wei) low() uint64 { return w.n.Uint64() }

// IsZero reports whether w is 0.
func (w Wei) IsZero() bool { return w.n.IsZero() }

// Cmp is -1, 0 or 1 for w less than, equal to or greater than v.
func (w Wei) Cmp(v Wei) int { return w.n.Cmp(&v.n) }

// Add is w + v.
func (w Wei) Add(v Wei) Wei {
	var sum Wei
	if _, overflow := sum.n.AddOverflow(&w.n, &v.n); overflow {
		panic("econ: a sum of amounts passed 256 bits")
	}
	return sum
}

// Sub is w - v. It panics when v is greater.
func (w Wei) Sub(v Wei) Wei {
	var rest Wei
	if _, overflow := rest.n.SubOverflow(&w.n, &v.n); overflow {
		panic("econ: " + w.String() + " wei are less than " + v.String())
	}
	return rest
}

// Less is max(0, w - v).
func (w Wei) Less(v Wei) Wei {
	if w.Cmp(v) <= 0 {
		return Wei{}
	}
	return w.Sub(v)
}

// MulDiv is floor(w*a/b), the product in 512 bits.
func (w Wei) MulDiv(a, b Wei) Wei {
	var q Wei
	if b.IsZero() {
		panic("econ: division of an amount by zero")
	}
	if w.n.BitLen()+a.n.BitLen() <= 256 { // nearly always; a third of the time
		q.n.Mul(&w.n, &a.n)
		q.n.Div(&q.n, &b.n)
		return q
	}
	if _, overflow := q.n.MulDivOverflow(&w.n, &a.n, &b.n); overflow {
		panic("econ: a product of amounts passed 256 bits")
	}
	return q
}

// MulDivUp is ceil(w*a/b), the product in 512 bits.
func (w Wei) MulDivUp(a, b Wei) Wei {
	q := w.MulDiv(a, b)
	var rest Wei
	if rest.n.MulMod(&w.n, &a.n, &b.n); rest.IsZero() {
		return q
	}
	return q.Add(NewWei(1))
}

// Share is floor(w*ratio/10^4).
func (w Wei) Share(ratio Bps) Wei { return w.MulDiv(NewWei(uint64(ratio)), NewWei(uint64(Whole))) }

// Times is floor(w*score/10^18).
func (w Wei) Times(score Wad) Wei { return w.MulDiv(NewWei(uint64(score)), NewWei(uint64(One))) }

// Min is the smaller of w and v.
func (w Wei) Min(v Wei) Wei {
	if v.Cmp(w) < 0 {
		return v
	}
	return w
}

// Max is the greater of w and v.
func (w Wei) Max(v Wei) Wei {
	if v.Cmp(w) > 0 {
		return v
	}
	return w
}

// Sum adds amounts.
func Sum(amounts []Wei) Wei {
	var total Wei
	for _, a := range amounts {
		total = total.Add(a)
	}
	return total
}

// Bytes32 is w in 32 bytes, big endian.
func (w Wei) Bytes32() [32]byte { return w.n.Bytes32() }

// WeiFromBytes32 is the number in 32 bytes, big endian.
func WeiFromBytes32(b [32]byte) Wei {
	var w Wei
	w.n.SetBytes32(b[:])
	return w
}
