package econ

import (
	"math/big"

	"github.com/holiman/uint256"
)

// The constants of E10: a rational approximation of order (6, 7) of the
// exponential on (-ln2/2, ln2/2) in a base of 2^96, and the scale that turns its
// quotient into a wad.
var (
	expLn2   = decimal("54916777467707473351141471128") // ln 2
	expY0    = decimal("1346386616545796478920950773328")
	expY1    = decimal("57155421227552351082224309758442")
	expP0    = decimal("94201549194550492254356042504812")
	expP1    = decimal("28719021644029726153956944680412240")
	expP2    = shifted("4385272521454847904659076985693276", 96)
	expQ0    = decimal("2855989394907223263936484059900")
	expQ1    = decimal("50020603652535783019961831881945")
	expQ2    = decimal("533845033583426703283633433725380")
	expQ3    = decimal("3604857256930695427073651918091429")
	expQ4    = decimal("14423608567350463180887372962807573")
	expQ5    = decimal("26449188498355588339934803723976023")
	expScale = decimal("3822833074963236453042738258902158003155416615667")
	expFive  = uint256.NewInt(3_814_697_265_625) // 5^18
	expHalf  = shifted("1", 95)
	expLeast = decimal("41446531673892822313")  // below its negative the result is 0
	expMost  = decimal("135305999368893231589") // from here on it leaves 255 bits
)

func decimal(s string) *uint256.Int { return uint256.MustFromDecimal(s) }

func shifted(s string, bits uint) *uint256.Int { return new(uint256.Int).Lsh(decimal(s), bits) }

// ExpWad is e^x for a signed wad x, as a wad: rounded down from an approximation
// that is at most 1 wei off for x < 0 and 9.5 in 10^19 for x > 0 (spec E10). x is
// at most 135305999368893231588.
func ExpWad(x *big.Int) (Wei, error) {
	if limit := expMost.ToBig(); x.Cmp(limit) >= 0 || x.BitLen() > 254 {
		if x.Sign() < 0 {
			return Wei{}, nil
		}
		return Wei{}, ErrDomain
	}
	n, _ := uint256.FromBig(x) // two's complement
	return expWad(n), nil
}

// expWad is ExpWad for x in two's complement, within the domain. Every step is a
// signed one that cannot leave 256 bits there.
func expWad(wad *uint256.Int) Wei {
	var least uint256.Int
	if least.Neg(expLeast); !wad.Sgt(&least) {
		return Wei{}
	}
	var x, n, y, p, q, t uint256.Int
	x.SDiv(x.Lsh(wad, 78), expFive)

	// x = n ln 2 + what is left, between -ln 2 / 2 and ln 2 / 2.
	n.SDiv(n.Lsh(&x, 96), expLn2)
	n.SRsh(n.Add(&n, expHalf), 96)
	x.Sub(&x, t.Mul(&n, expLn2))

	y.Add(&x, expY0)
	y.Add(scaled(&y, &x), expY1)
	p.Sub(p.Add(&y, &x), expP0)
	p.Add(scaled(&p, &y), expP1)
	p.Add(p.Mul(&p, &x), expP2)

	q.Sub(&x, expQ0)
	q.Add(scaled(&q, &x), expQ1)
	q.Sub(scaled(&q, &x), expQ2)
	q.Add(scaled(&q, &x), expQ3)
	q.Sub(scaled(&q, &x), expQ4)
	q.Add(scaled(&q, &x), expQ5)

	var r Wei
	r.n.Mul(r.n.SDiv(&p, &q), expScale)
	shift := t.Sub(uint256.NewInt(195), &n).Uint64()
	r.n.Rsh(&r.n, uint(shift))
	return r
}

// scaled makes a the product of a and b over 2^96, rounded down.
func scaled(a, b *uint256.Int) *uint256.Int { return a.SRsh(a.Mul(a, b), 96) }
