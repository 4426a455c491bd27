package score

import (
	"math/bits"
	"strconv"
)

// Cell is a cell of level 6 of the S2 grid by its id: 24,576 on the earth, of
// about 20,800 square kilometres each. Which cell a place is in is found in
// integers, so that it is the same on all machines; the ids are those of S2.
type Cell uint64

// Level of a Cell in the S2 grid.
const Level = 6

const (
	side     = 1 << Level // cells along the edge of a face
	faceBits = 3
	// lowest is the bit that ends the id of a cell of Level.
	lowest = 1 << (64 - faceBits - 2*Level - 1)
	// unit is the scale in which the borders of cells are whole numbers.
	unit = 3 * side * side / 4
)

// Valid reports whether c is the id of a cell of Level.
func (c Cell) Valid() bool { return c>>61 < 6 && c&(2*lowest-1) == lowest }

// String is the id in hexadecimal without the zeros at its end, which is S2's
// token.
func (c Cell) String() string {
	if c == 0 {
		return "X"
	}
	s := strconv.FormatUint(uint64(c)>>(bits.TrailingZeros64(uint64(c))/4*4), 16)
	for len(s) < 16-bits.TrailingZeros64(uint64(c))/4 {
		s = "0" + s
	}
	return s
}

// CellOf is the cell that p is in (spec K15).
func CellOf(p Place) Cell {
	face, u, v, w := p.direction().face()
	return cellAt(face, step(u, w), step(v, w))
}

// face is the side of the cube that d goes through, with the coordinates along
// it and the one, above zero, toward it: S2's u is u/w and v is v/w.
func (d direction) face() (face int, u, v, w int64) {
	x, y, z := magnitude(d.x), magnitude(d.y), magnitude(d.z)
	switch {
	case x > y && x > z && d.x > 0:
		return 0, d.y, d.z, d.x
	case x > y && x > z:
		return 3, -d.z, -d.y, -d.x
	case x <= y && y > z && d.y > 0:
		return 1, -d.x, d.z, d.y
	case x <= y && y > z:
		return 4, -d.z, d.x, -d.y
	case d.z > 0:
		return 2, -d.x, -d.y, d.z
	default:
		return 5, d.y, d.x, -d.z
	}
}

// step is the column, 0 to side-1, of u/w between -1 and 1 under S2's quadratic
// projection: the greatest whose lower border is not above it.
func step(u, w int64) int {
	low, high := 0, side // border(low) <= u/w < border(high)
	for high-low > 1 {
		middle := (low + high) / 2
		if reaches(u, w, border(2*middle)) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// border is where half a column, 0 to 2 side, begins along the face, times 4 unit.
func border(half int) int64 {
	fromMiddle := int64(half - side)
	if fromMiddle < 0 {
		return -border1(-fromMiddle)
	}
	return border1(fromMiddle)
}

// border1 is (4s^2-1)/3 times 4 unit for s = 1/2 + half/(2 side).
func border1(half int64) int64 { return (half+side)*(half+side) - side*side }

// reaches reports whether u/w >= b/(4 unit), exactly.
func reaches(u, w, b int64) bool {
	left, right := product(u, 4*unit), product(b, w)
	return left.compare(right) >= 0
}

// wide is a signed number of 128 bits.
type wide struct {
	negative bool
	hi, lo   uint64
}

func product(a, b int64) wide {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	return wide{(a < 0) != (b < 0) && hi|lo != 0, hi, lo}
}

func (a wide) compare(b wide) int {
	switch {
	case a == b:
		return 0
	case a.negative != b.negative:
		if a.negative {
			return -1
		}
		return 1
	}
	less := a.hi < b.hi || a.hi == b.hi && a.lo < b.lo
	if less != a.negative {
		return -1
	}
	return 1
}

// The Hilbert curve of S2: place along the curve of a quarter, by orientation
// and quarter, and what a place along the curve does to the orientation.
func quarter(orientation, ij int) int {
	return [4][4]int{{0, 1, 3, 2}, {0, 3, 1, 2}, {2, 3, 1, 0}, {2, 1, 3, 0}}[orientation][ij]
}

func turn(orientation, along int) int { return orientation ^ [4]int{1, 0, 0, 3}[along] }

func cellAt(face, i, j int) Cell {
	id, orientation := uint64(face), face&1
	for k := Level - 1; k >= 0; k-- {
		along := quarter(orientation, i>>k&1<<1|j>>k&1)
		id = id<<2 | uint64(along)
		orientation = turn(orientation, along)
	}
	return Cell((id<<1 | 1) * lowest)
}

// middle is the direction of the centre of a valid cell.
func (c Cell) middle() direction {
	face, i, j := c.place()
	u, v, w := border(2*i+1), border(2*j+1), int64(4*unit)
	scale := int64(root(uint64(u*u + v*v + w*w))) // their length times 2^16
	u, v, w = divide(u, scale), divide(v, scale), divide(w, scale)
	switch face {
	case 0:
		return direction{w, u, v}
	case 1:
		return direction{-u, w, v}
	case 2:
		return direction{-u, -v, w}
	case 3:
		return direction{-w, -v, -u}
	case 4:
		return direction{v, -w, -u}
	default:
		return direction{v, u, -w}
	}
}

// divide is a 2^76 / scale, truncated: a fixed-point number when scale is a
// length times 2^16.
func divide(a, scale int64) int64 {
	m := magnitude(a)
	const shift = fixedBits + 16
	q, _ := bits.Div64(m<<(shift-64), 0, uint64(scale))
	if a < 0 {
		return -int64(q)
	}
	return int64(q)
}

// root is floor(sqrt(n) 2^16) for n below 2^32.
func root(n uint64) uint64 {
	n <<= 32
	var r uint64
	for b := uint64(1) << 31; b > 0; b >>= 1 {
		if (r+b)*(r+b) <= n {
			r += b
		}
	}
	return r
}

// place undoes cellAt.
func (c Cell) place() (face, i, j int) {
	face = int(c >> 61)
	orientation := face & 1
	for k := Level - 1; k >= 0; k-- {
		along := int(c>>(49+2*k)) & 3
		ij := 0
		for quarter(orientation, ij) != along {
			ij++
		}
		i, j = i<<1|ij>>1, j<<1|ij&1
		orientation = turn(orientation, along)
	}
	return face, i, j
}
