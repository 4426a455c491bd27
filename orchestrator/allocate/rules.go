package allocate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/drtc-network/drtc"
)

// Cause is why a candidate fell out.
type Cause string

// The causes. All but Outscored are hard rules, asked in this order; a
// candidate that breaks several has the first.
const (
	Invalid     Cause = "invalid"     // its values are out of range, or it is listed twice
	NotPinned   Cause = "not pinned"  // the request names another node
	Excluded    Cause = "excluded"    // the request rules it out
	Unreachable Cause = "unreachable" // its control stream is down
	Stale       Cause = "stale"       // its record is too old
	Quarantined Cause = "quarantined" // it failed its tests
	OwnerTaken  Cause = "owner taken" // the request rules its owner out
	OldVersion  Cause = "old version" // its software is too old
	WrongOwner  Cause = "wrong owner" // the application does not want its owner
	WrongRegion Cause = "wrong region"
	TooDear     Cause = "too dear"   // its price is above what the application pays
	NoFeature   Cause = "no feature" // it lacks what the client needs
	Full        Cause = "full"       // no bandwidth, session or load is left, or it says so
	Outscored   Cause = "outscored"  // another was better
)

// Rejection is a candidate that was not chosen.
type Rejection struct {
	Node   drtc.NodeID
	Cause  Cause
	Detail string // the values that decided
}

// String is one line for a log or a person.
func (r Rejection) String() string {
	return fmt.Sprintf("%s %s (%s)", r.Node, r.Cause, r.Detail)
}

// drop returns the first rule that c breaks, or no cause.
func (q *question) drop(c *Candidate) (Cause, string) {
	if cause, detail := q.rule(c); cause != "" {
		return cause, detail
	}
	return q.full(c)
}

// rule asks everything but whether c has room.
func (q *question) rule(c *Candidate) (Cause, string) {
	if detail := q.invalid(c); detail != "" {
		return Invalid, detail
	}
	age := max(0, c.AgeOfRecord) + q.sinceSnapshot
	switch {
	case !q.Pin.IsZero() && c.ID != q.Pin:
		return NotPinned, "the room lives on " + q.Pin.String()
	case slices.Contains(q.Exclude, c.ID):
		return Excluded, "by the request"
	case !c.Reachable:
		return Unreachable, "no control stream"
	case age > q.MaxAge:
		return Stale, fmt.Sprintf("record is %v old, at most %v", age, q.MaxAge)
	case q.now.Before(c.QuarantinedUntil):
		return Quarantined, fmt.Sprintf("for %v", c.QuarantinedUntil.Sub(q.now))
	case c.Owner != "" && slices.Contains(q.AvoidOwners, c.Owner):
		return OwnerTaken, fmt.Sprintf("%.60q", c.Owner)
	case !atLeast(c.Version, q.MinVersion):
		return OldVersion, fmt.Sprintf("%.40q, at least %s", c.Version, q.MinVersion)
	case q.RegionOnly && c.Region != q.Region:
		return WrongRegion, fmt.Sprintf("%.20q, want %s", c.Region, q.Region)
	}
	if cause, detail := q.unwanted(c); cause != "" {
		return cause, detail
	}
	for _, f := range q.Features {
		if !slices.Contains(c.Features, f) {
			return NoFeature, fmt.Sprintf("%.40q", f)
		}
	}
	return "", ""
}

// unwanted returns the first of the application's terms that c does not meet, or
// no cause.
func (t Terms) unwanted(c *Candidate) (Cause, string) {
	switch {
	case c.Owner != "" && slices.Contains(t.ExcludeOwners, c.Owner):
		return WrongOwner, fmt.Sprintf("%.60q is excluded", c.Owner)
	case len(t.Owners) > 0 && (c.Owner == "" || !slices.Contains(t.Owners, c.Owner)):
		return WrongOwner, fmt.Sprintf("%.60q is not one of %d", c.Owner, len(t.Owners))
	case len(t.Regions) > 0 && !slices.Contains(t.Regions, c.Region):
		return WrongRegion, fmt.Sprintf("%.20q, want one of %v", c.Region, t.Regions)
	case t.MaxPriceWeight > 0 && c.price() > t.MaxPriceWeight:
		return TooDear, fmt.Sprintf("%g times the usual price, at most %g", c.price(), t.MaxPriceWeight)
	}
	return "", ""
}

func (q *question) full(c *Candidate) (Cause, string) {
	most := c.sessions(q.AudioOnly)
	switch {
	case c.Refuses != "":
		return Full, fmt.Sprintf("it says: %.200s", c.Refuses)
	case most > 0 && c.Sessions >= most:
		return Full, fmt.Sprintf("%d of %d sessions", c.Sessions, most)
	case c.CapacityMbps > 0 && c.LoadMbps+q.NeedMbps > c.CapacityMbps*q.MaxLoad:
		return Full, fmt.Sprintf("%g of %g Mbit/s in use, %g more wanted, at most %g", c.LoadMbps, c.CapacityMbps, q.NeedMbps, c.CapacityMbps*q.MaxLoad)
	case c.LoadFraction > q.MaxLoad:
		return Full, fmt.Sprintf("reports a load of %.2f, at most %.2f", c.LoadFraction, q.MaxLoad)
	}
	return "", ""
}

// sessions is how many c may have, 0 any number.
func (c *Candidate) sessions(audioOnly bool) int {
	if audioOnly && c.AudioCapacity > 0 {
		return c.AudioCapacity
	}
	return c.MaxSessions
}

// price is a multiple of the usual one.
func (c *Candidate) price() float64 {
	if c.PriceWeight == 0 {
		return 1
	}
	return c.PriceWeight
}

// invalid keeps numbers that would make comparison meaningless out of scores.
func (q *question) invalid(c *Candidate) string {
	amount := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	switch {
	case c.ID.IsZero():
		return "zero id"
	case q.listed[c.ID] > 1:
		return fmt.Sprintf("listed %d times", q.listed[c.ID])
	case !c.Place.Valid():
		return fmt.Sprintf("place %v", c.Place)
	case !amount(c.CapacityMbps) || !amount(c.LoadMbps):
		return fmt.Sprintf("%v of %v Mbit/s", c.LoadMbps, c.CapacityMbps)
	case !fraction(c.LoadFraction):
		return fmt.Sprintf("load fraction %v", c.LoadFraction)
	case c.Sessions < 0 || c.MaxSessions < 0:
		return fmt.Sprintf("%d of %d sessions", c.Sessions, c.MaxSessions)
	case c.AudioCapacity < 0:
		return fmt.Sprintf("audio capacity %d", c.AudioCapacity)
	case c.Score != nil && !fraction(*c.Score):
		return fmt.Sprintf("score %v", *c.Score)
	case c.History != nil && !fraction(*c.History):
		return fmt.Sprintf("history %v", *c.History)
	case !amount(c.PriceWeight):
		return fmt.Sprintf("price weight %v", c.PriceWeight)
	}
	return ""
}

// atLeast compares major, minor and patch. A version that cannot be read is
// older than every other.
func atLeast(version, least string) bool {
	if least == "" {
		return true
	}
	have, ok := parseVersion(version)
	want, _ := parseVersion(least)
	return ok && slices.Compare(have[:], want[:]) >= 0
}

// parseVersion reads major.minor.patch; what follows - or + is not looked at.
func parseVersion(s string) (v [3]uint64, ok bool) {
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) != len(v) {
		return v, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
