package index

import (
	"bytes"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/node"
)

// What a node is taken to be until it was measured: it passes every minimum, so
// that new nodes can be found at all.
const (
	NeutralQuality      = 1.0
	NeutralAvailability = 1.0
)

// PlaceRefuted is the verdict that takes a node out of answers by distance.
const PlaceRefuted = "refuted"

// State is whether a node answers.
type State uint8

// The states. Only nodes that are Down are in no answer.
const (
	Unknown State = iota // nobody has heard it yet
	Up
	Suspect // silent, and not for long enough
	Down
)

// String returns the state in lower case.
func (s State) String() string { return [...]string{"unknown", "up", "suspect", "down"}[s] }

// Entry is one node in the answers. Exported fields may be set until the Entry
// is given to With.
type Entry struct {
	ID      drtc.NodeID
	Version envelope.Version
	// Body is what the node signed, shared with the record.
	Body []byte

	Quality      float64 // 0 to 1
	Availability float64 // 0 to 1
	State        State
	// PlaceVerdict is what round trips say about the declared place, "" when
	// nothing, and PlaceReasons why.
	PlaceVerdict string
	PlaceReasons []string

	// What queries ask for, out of Body.
	version  unique.Handle[string]
	features unique.Handle[string] // in order and lower case, "\n" around each
	place    drtc.Place
	cell     uint64 // leaf S2 cell of place
	issuedMs int64
	ttl      uint32 // seconds
	freeMbps uint32
	region   uint8 // 1 + its place in drtc.Regions, 0 for none
	placed   bool
	draining bool
}

// NewEntry is the entry of a node of which nothing was measured. It keeps the
// record's body.
func NewEntry(n node.Payload, e *envelope.Envelope) *Entry {
	entry := &Entry{
		ID: n.NodeID, Version: e.Version(), Body: e.Body,
		Quality: NeutralQuality, Availability: NeutralAvailability,
		version: unique.Make(n.Version), features: unique.Make(featureSet(n.Features)),
		issuedMs: e.IssuedAt.UnixMilli(), ttl: uint32(e.TTL / time.Second),
		freeMbps: n.FreeMbps(), region: regionCode(n.Region), draining: n.Draining,
	}
	if entry.place, entry.placed = n.Place(); entry.placed {
		entry.cell = cellOf(entry.place)
	}
	return entry
}

// IssuedAt is when the node signed, in UTC.
func (e *Entry) IssuedAt() time.Time { return time.UnixMilli(e.issuedMs).UTC() }

// ExpiresAt is the end of the record's life as the node declared it, in UTC.
func (e *Entry) ExpiresAt() time.Time {
	return e.IssuedAt().Add(time.Duration(e.ttl) * time.Second)
}

// Region is the declared region, "" for none.
func (e *Entry) Region() drtc.Region {
	if e.region == 0 {
		return ""
	}
	return drtc.Regions()[e.region-1]
}

// Place is the declared place; ok is false for a node that declares none. A
// refuted one is a place too.
func (e *Entry) Place() (place drtc.Place, ok bool) { return e.place, e.placed }

func (e *Entry) before(o *Entry) bool { return bytes.Compare(e.ID[:], o.ID[:]) < 0 }

// somewhere: e has a place to measure distances from.
func (e *Entry) somewhere() bool { return e.placed && e.PlaceVerdict != PlaceRefuted }

// row is an Entry with what queries ask for beside it: a query that nobody
// matches reads memory from one end to the other and not all over the place.
type row struct {
	entry        *Entry
	version      unique.Handle[string]
	features     unique.Handle[string]
	quality      float64
	availability float64
	freeMbps     uint32
	region       uint8
	down         bool
	draining     bool
}

func newRow(e *Entry) row {
	return row{
		entry: e, version: e.version, features: e.features, quality: e.Quality, availability: e.Availability,
		freeMbps: e.freeMbps, region: e.region, down: e.State == Down, draining: e.draining,
	}
}

func regionCode(r drtc.Region) uint8 { return uint8(1 + slices.Index(drtc.Regions(), r)) }

// featureSet is equal for equal sets of features.
func featureSet(features []string) string {
	if len(features) == 0 {
		return ""
	}
	set := make([]string, len(features))
	for i, f := range features {
		set[i] = strings.ToLower(f)
	}
	slices.Sort(set)
	return "\n" + strings.Join(set, "\n") + "\n"
}
