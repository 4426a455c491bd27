package liveness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
)

// Bounds of a page. A page of MaxSightings takes at most 3,900 bytes.
const (
	MaxSightings = 100
	MaxDepth     = 64
	// MaxRTT is what a sighting can say of a round trip; a longer one is written
	// as this.
	MaxRTT = (1<<21 - 1) * time.Microsecond
)

// ErrPage is returned for a body or a subject of kind "liveness" that breaks
// spec LIV-3 to LIV-5; the text names the field.
var ErrPage = errors.New("liveness: page")

// pageTag begins the subject of every page. An identity is 20 bytes of a hash,
// so one that begins with these 11 would cost 2^88 tries.
const pageTag = "drtc/alive/"

// Page names the page of a Registry that holds the nodes whose ids begin with
// the depth (0 to MaxDepth) highest bits of prefix, as the subject of its record:
//
//	+-------------------------+-------+---------------------------+
//	| "drtc/alive/", 11 bytes | depth | prefix, 8 bytes, the bits |
//	|                         | 1 byte| below depth are zero      |
//	+-------------------------+-------+---------------------------+
//
// It is never zero and never an identity's (spec LIV-3). The bits of prefix
// below depth are ignored.
func Page(depth int, prefix uint64) drtc.NodeID {
	var id drtc.NodeID
	n := copy(id[:], pageTag)
	id[n] = byte(depth)
	binary.BigEndian.PutUint64(id[n+1:], prefix&mask(depth))
	return id
}

// ParsePage reads the subject of a page; ok is false for anything else.
func ParsePage(id drtc.NodeID) (depth int, prefix uint64, ok bool) {
	n := len(pageTag)
	depth, prefix = int(id[n]), binary.BigEndian.Uint64(id[n+1:])
	if string(id[:n]) != pageTag || depth > MaxDepth || prefix&^mask(depth) != 0 {
		return 0, 0, false
	}
	return depth, prefix, true
}

// mask has the depth highest bits set.
func mask(depth int) uint64 { return ^(math.MaxUint64 >> uint(depth)) }

// prefixOf is the part of an id that places it on a page.
func prefixOf(id drtc.NodeID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// Sighting is what one Registry says about one node.
type Sighting struct {
	Node drtc.NodeID
	// Down is the vote: the node does not answer.
	Down bool
	// AnsweredAt is when it last answered a dial or began a keepalive, in whole
	// milliseconds; the zero time for never.
	AnsweredAt time.Time
	// RTTMin and RTTMedian are round trips of the last dials, in whole
	// microseconds up to MaxRTT. Both are zero when there was none that says
	// something about distance, and when Down.
	RTTMin, RTTMedian time.Duration
}

// Field numbers of drtc.registry.v1.LivenessBody and Sighting.
const (
	fieldSightings  = 1
	fieldNode       = 1
	fieldDown       = 2
	fieldAnsweredAt = 3
	fieldRTTMin     = 4
	fieldRTTMedian  = 5
)

// AppendSightings appends the canonical body of a page to b.
func AppendSightings(b []byte, sightings []Sighting) []byte {
	var one []byte
	for i := range sightings {
		one = sightings[i].append(one[:0])
		b = protowire.AppendTag(b, fieldSightings, protowire.BytesType)
		b = protowire.AppendBytes(b, one)
	}
	return b
}

func (s *Sighting) append(b []byte) []byte {
	b = protowire.AppendTag(b, fieldNode, protowire.BytesType)
	b = protowire.AppendBytes(b, s.Node[:])
	varint := func(field protowire.Number, v uint64) {
		if v != 0 {
			b = protowire.AppendTag(b, field, protowire.VarintType)
			b = protowire.AppendVarint(b, v)
		}
	}
	varint(fieldDown, protowire.EncodeBool(s.Down))
	if !s.AnsweredAt.IsZero() {
		varint(fieldAnsweredAt, uint64(s.AnsweredAt.UnixMilli()))
	}
	varint(fieldRTTMin, uint64(s.RTTMin.Microseconds()))
	varint(fieldRTTMedian, uint64(s.RTTMedian.Microseconds()))
	return b
}

// ParseSightings reads the canonical body of a page; another spelling is
// refused. The error wraps ErrPage. Whether the sightings belong on the page is
// CheckPage's to say.
func ParseSightings(body []byte) ([]Sighting, error) {
	var sightings []Sighting
	for rest := body; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 || number != fieldSightings || kind != protowire.BytesType {
			return nil, fmt.Errorf("%w: body: want sightings only", ErrPage)
		}
		one, m := protowire.ConsumeBytes(rest[n:])
		if m < 0 {
			return nil, fmt.Errorf("%w: body: cut short", ErrPage)
		}
		if len(sightings) == MaxSightings {
			return nil, fmt.Errorf("%w: sightings: want at most %d", ErrPage, MaxSightings)
		}
		s, err := parseSighting(one)
		if err != nil {
			return nil, err
		}
		sightings = append(sightings, s)
		rest = rest[n+m:]
	}
	if !bytes.Equal(AppendSightings(make([]byte, 0, len(body)), sightings), body) {
		return nil, fmt.Errorf("%w: body: want each field once, in ascending order, in its shortest form", ErrPage)
	}
	return sightings, nil
}

func parseSighting(b []byte) (s Sighting, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return s, fmt.Errorf("%w: sighting: cut short", ErrPage)
		}
		var v uint64
		var id []byte
		m := -1
		switch {
		case number == fieldNode && kind == protowire.BytesType:
			id, m = protowire.ConsumeBytes(b[n:])
		case number != fieldNode && kind == protowire.VarintType:
			v, m = protowire.ConsumeVarint(b[n:])
		}
		if m < 0 {
			return s, fmt.Errorf("%w: sighting: field %d is unknown or cut short", ErrPage, number)
		}
		b = b[n+m:]
		var ok bool
		switch number {
		case fieldNode:
			ok = copy(s.Node[:], id) == len(id) && len(id) == len(s.Node)
		case fieldDown:
			s.Down, ok = v == 1, v == 1
		case fieldAnsweredAt:
			s.AnsweredAt, ok = time.UnixMilli(int64(v)).UTC(), v > 0 && v < 1<<53
		case fieldRTTMin:
			s.RTTMin, ok = time.Duration(v)*time.Microsecond, v <= uint64(MaxRTT.Microseconds())
		case fieldRTTMedian:
			s.RTTMedian, ok = time.Duration(v)*time.Microsecond, v <= uint64(MaxRTT.Microseconds())
		}
		if !ok {
			return s, fmt.Errorf("%w: sighting: field %d is out of range", ErrPage, number)
		}
	}
	return s, nil
}

// CheckPage holds sightings to the page that subject names (spec LIV-4, LIV-5).
// The error wraps ErrPage.
func CheckPage(subject drtc.NodeID, sightings []Sighting) error {
	depth, prefix, ok := ParsePage(subject)
	if !ok {
		return fmt.Errorf("%w: subject: %s names no page", ErrPage, subject)
	}
	if len(sightings) > MaxSightings {
		return fmt.Errorf("%w: sightings: want at most %d, got %d", ErrPage, MaxSightings, len(sightings))
	}
	for i, s := range sightings {
		switch {
		case i > 0 && bytes.Compare(sightings[i-1].Node[:], s.Node[:]) >= 0:
			return fmt.Errorf("%w: sightings: want each node once, in ascending order, got %s after %s", ErrPage, s.Node, sightings[i-1].Node)
		case s.Node.IsZero():
			return fmt.Errorf("%w: node: is zero", ErrPage)
		case prefixOf(s.Node)&mask(depth) != prefix:
			return fmt.Errorf("%w: node: %s does not belong on the page of %d bits %016x", ErrPage, s.Node, depth, prefix)
		case s.RTTMin < 0 || s.RTTMin > s.RTTMedian || s.RTTMedian > MaxRTT || s.RTTMin == 0 != (s.RTTMedian == 0):
			return fmt.Errorf("%w: rtt_min_us: want 0 < rtt_min_us <= rtt_median_us <= %d or both 0, got %d and %d",
				ErrPage, MaxRTT.Microseconds(), s.RTTMin.Microseconds(), s.RTTMedian.Microseconds())
		case s.Down && s.RTTMin != 0:
			return fmt.Errorf("%w: rtt_min_us: want none of a node that is down", ErrPage)
		case !s.Down && s.AnsweredAt.IsZero():
			return fmt.Errorf("%w: answered_at_ms: is missing: a node that never answered is left out or down", ErrPage)
		}
	}
	return nil
}

// Check is the rule of kind "liveness" about a record: the subject names a page,
// the body is its canonical form, no answer is later than the record; no body at
// all in a tombstone. The error wraps ErrPage.
func Check(e *envelope.Envelope) error {
	if e.IsTombstone() {
		if _, _, ok := ParsePage(e.Subject); !ok || len(e.Body) != 0 {
			return fmt.Errorf("%w: want a page's subject and no body in a tombstone", ErrPage)
		}
		return nil
	}
	sightings, err := ParseSightings(e.Body)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(sightings, func(s Sighting) bool { return s.AnsweredAt.After(e.IssuedAt) }) {
		return fmt.Errorf("%w: answered_at_ms: is later than the record's issued_at_ms", ErrPage)
	}
	return CheckPage(e.Subject, sightings)
}
