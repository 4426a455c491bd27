package index

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"

	"github.com/drtc-network/drtc"
)

// position is the sort key of an answer.
type position struct {
	chord2 float64 // 0 without Query.Near
	id     drtc.NodeID
}

func (p *position) compare(chord2 float64, id *drtc.NodeID) int {
	return cmp.Or(cmp.Compare(p.chord2, chord2), bytes.Compare(p.id[:], id[:]))
}

// ErrCursor is returned by ParseCursor.
var ErrCursor = errors.New("index: cursor: not one that a Registry gave out; ask again without it")

// Cursor is the sort key of the last node of a page. It holds no state of the
// Snapshot, so it stays good while nodes come and go, on any Registry, for the
// same Query.
type Cursor struct{ position }

// IsZero reports whether c is the start (or, in an answer, the end).
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String is the opaque text of c, empty for the zero Cursor.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	b := binary.BigEndian.AppendUint64(nil, math.Float64bits(c.chord2))
	return base64.RawURLEncoding.EncodeToString(append(b, c.id[:]...))
}

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	var c Cursor
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 8+len(c.id) {
		return Cursor{}, ErrCursor
	}
	c.chord2 = math.Float64frombits(binary.BigEndian.Uint64(b))
	copy(c.id[:], b[8:])
	if !(c.chord2 >= 0 && c.chord2 <= 4) || math.Signbit(c.chord2) || c.id.IsZero() ||
		c.String() != s { // base64 passes over line ends
		return Cursor{}, ErrCursor
	}
	return c, nil
}
