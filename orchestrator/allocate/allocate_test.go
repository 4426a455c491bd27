package allocate_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

func drawID(t *rapid.T) (id drtc.NodeID) {
	binary.BigEndian.PutUint16(id[:], rapid.Uint16Range(1, 50).Draw(t, "id"))
	return id
}

func drawPlace(t *rapid.T) drtc.Place {
	return drtc.Place{
		Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"),
		Lon: rapid.Float64Range(-180, 180).Draw(t, "lon"),
	}
}

// drawCandidate draws values that are often equal, so that ties happen, and
// often break a rule.
func drawCandidate(t *rapid.T) allocate.Candidate {
	c := allocate.Candidate{
		ID:           drawID(t),
		Place:        drtc.Place{Lat: float64(rapid.IntRange(0, 2).Draw(t, "lat")), Lon: 10},
		Region:       rapid.SampledFrom(drtc.Regions()[:2]).Draw(t, "region"),
		Version:      rapid.SampledFrom([]string{"0.1.0", "0.2.0", "bad"}).Draw(t, "version"),
		Features:     rapid.SampledFrom([][]string{nil, {"av1"}}).Draw(t, "features"),
		CapacityMbps: rapid.SampledFrom([]float64{0, 100, 1000}).Draw(t, "capacity"),
		LoadMbps:     rapid.SampledFrom([]float64{0, 10, 99, 1000}).Draw(t, "load"),
		LoadFraction: rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "fraction"),
		MaxSessions:  rapid.SampledFrom([]int{0, 10}).Draw(t, "max sessions"),
		Sessions:     rapid.IntRange(0, 11).Draw(t, "sessions"),
		AgeOfRecord:  rapid.SampledFrom([]time.Duration{-time.Second, 0, time.Minute, time.Hour}).Draw(t, "age"),
		Reachable:    rapid.IntRange(0, 5).Draw(t, "reachable") > 0,
		Refuses:      rapid.SampledFrom([]string{"", "", "", "node is full"}).Draw(t, "refuses"),
		Owner:        rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "owner"),

		AudioCapacity: rapid.SampledFrom([]int{0, 0, 11}).Draw(t, "audio capacity"),

		PriceWeight: rapid.SampledFrom([]float64{0, 0.5, 3}).Draw(t, "price"),
	}
	if rapid.Bool().Draw(t, "measured") {
		v := rapid.SampledFrom([]float64{0, 0.5, 1, math.NaN()}).Draw(t, "score")
		c.Score = &v
	}
	if rapid.IntRange(0, 4).Draw(t, "quarantined") == 0 {
		c.QuarantinedUntil = start.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "until")) * time.Minute)
	}
	return c
}

type asked struct {
	now      time.Time
	snapshot allocate.Snapshot
	request  allocate.Request
	policy   allocate.Policy
}

func draw(t *rapid.T) asked {
	q := asked{policy: allocate.DefaultPolicy()}
	q.snapshot.At = start
	q.snapshot.Nodes = rapid.SliceOfN(rapid.Custom(drawCandidate), 0, 12).Draw(t, "nodes")
	q.now = start.Add(rapid.SampledFrom([]time.Duration{-time.Second, 0, 5 * time.Second, 14*time.Minute + time.Second}).Draw(t, "later"))
	q.policy.MinVersion = rapid.SampledFrom([]string{"", "0.1.0", "0.1.5"}).Draw(t, "min version")
	q.request = allocate.Request{
		Room:       drtc.RoomID(rapid.SampledFrom([]string{"RM_a", "RM_b"}).Draw(t, "room")),
		Region:     rapid.SampledFrom([]drtc.Region{"", drtc.NorthAmerica}).Draw(t, "client region"),
		NeedMbps:   rapid.SampledFrom([]float64{0, 5}).Draw(t, "need"),
		AccuracyKm: rapid.SampledFrom([]float64{0, 100}).Draw(t, "accuracy"),
		Features:   rapid.SampledFrom([][]string{nil, {"av1"}}).Draw(t, "needed"),
	}
	if rapid.Bool().Draw(t, "has place") {
		p := drawPlace(t)
		q.request.Place = &p
	}
	if rapid.IntRange(0, 5).Draw(t, "has pin") == 0 {
		q.request.Pin = drawID(t)
	}
	q.request.RegionOnly = q.request.Region != "" && rapid.IntRange(0, 5).Draw(t, "region only") == 0
	q.request.RoomNodes = rapid.SliceOfN(rapid.Custom(drawID), 0, 2).Draw(t, "room nodes")
	q.request.Exclude = rapid.SliceOfN(rapid.Custom(drawID), 0, 3).Draw(t, "exclude")
	q.request.AudioOnly = rapid.IntRange(0, 3).Draw(t, "audio only") == 0
	q.request.Terms = allocate.Terms{
		Regions:        rapid.SampledFrom([][]drtc.Region{nil, nil, nil, {drtc.NorthAmerica}}).Draw(t, "regions"),
		Owners:         rapid.SampledFrom([][]string{nil, nil, nil, {"x", "z"}}).Draw(t, "owners"),
		ExcludeOwners:  rapid.SampledFrom([][]string{nil, nil, nil, {"y"}}).Draw(t, "excluded owners"),
		Own:            rapid.SampledFrom([]string{"", "", "y"}).Draw(t, "own"),
		MaxPriceWeight: rapid.SampledFrom([]float64{0, 0, 0.9, 1}).Draw(t, "price cap"),
	}
	q.request.AvoidOwners = rapid.SampledFrom([][]string{nil, nil, {"x"}}).Draw(t, "avoid")
	return q
}

func (q asked) decide(t *rapid.T) (allocate.Decision, *allocate.Refusal) {
	d, err := allocate.Decide(q.now, q.snapshot, q.request, q.policy)
	var refusal *allocate.Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	return d, refusal
}

func TestDecide_orderOfCandidatesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		d, refusal := q.decide(t)
		q.snapshot.Nodes = rapid.Permutation(q.snapshot.Nodes).Draw(t, "permuted")
		again, refusalAgain := q.decide(t)
		if !reflect.DeepEqual(d, again) || !reflect.DeepEqual(refusal, refusalAgain) {
			t.Errorf("got %v, %v and in another order %v, %v", d, refusal, again, refusalAgain)
		}
	})
}

// The rules again, written without regard to speed, order or text.
func TestDecide_neverChoosesWhatARuleForbids(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		r := q.request
		allowed := func(c allocate.Candidate) bool {
			twice := 0
			for _, other := range q.snapshot.Nodes {
				if other.ID == c.ID {
					twice++
				}
			}
			switch {
			case twice > 1, !c.Reachable, slices.Contains(r.Exclude, c.ID):
			case r.Pin != (drtc.NodeID{}) && r.Pin != c.ID:
			case c.QuarantinedUntil.After(q.now):
			case c.AgeOfRecord == time.Hour, q.now.Sub(start) > 14*time.Minute && c.AgeOfRecord == time.Minute:
			case slices.Contains(r.AvoidOwners, c.Owner):
			case q.policy.MinVersion != "" && c.Version == "bad", q.policy.MinVersion == "0.1.5" && c.Version == "0.1.0":
			case r.RegionOnly && c.Region != r.Region:
			case r.Regions != nil && c.Region != drtc.NorthAmerica:
			case r.Owners != nil && c.Owner != "x", r.ExcludeOwners != nil && c.Owner == "y":
			case r.MaxPriceWeight == 0.9 && c.PriceWeight != 0.5, r.MaxPriceWeight == 1 && c.PriceWeight == 3:
			case len(r.Features) > len(c.Features):
			case r.AudioOnly && c.AudioCapacity == 11 && c.Sessions >= 11:
			case !(r.AudioOnly && c.AudioCapacity == 11) && c.MaxSessions == 10 && c.Sessions >= 10:
			case c.CapacityMbps > 0 && c.LoadMbps+r.NeedMbps > 0.9*c.CapacityMbps:
			case c.LoadFraction == 1, c.Refuses != "":
			case c.Score != nil && math.IsNaN(*c.Score):
			default:
				return true
			}
			return false
		}
		d, refusal := q.decide(t)
		var want, got []drtc.NodeID
		for _, c := range q.snapshot.Nodes {
			if allowed(c) {
				want = append(want, c.ID)
			}
		}
		rejected := d.Rejected
		if refusal != nil {
			rejected = refusal.Rejected
		} else {
			got = append(got, d.Node)
		}
		for _, r := range rejected {
			if r.Cause == allocate.Outscored {
				got = append(got, r.Node)
			}
		}
		order := func(a, b drtc.NodeID) int { return slices.Compare(a[:], b[:]) }
		slices.SortFunc(want, order)
		slices.SortFunc(got, order)
		if !slices.Equal(got, want) {
			t.Errorf("in the choice were %v, want %v", got, want)
		}
		if all := len(rejected) + len(got[:min(1, len(got))]); all != len(q.snapshot.Nodes) {
			t.Errorf("%d of %d candidates are accounted for", all, len(q.snapshot.Nodes))
		}
	})
}

func TestDecide_othersComeAndGoWithoutMovingAnybody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		d, refusal := q.decide(t)
		if refusal != nil || len(d.Rejected) == 0 {
			return
		}
		gone := rapid.SampledFrom(d.Rejected).Draw(t, "gone").Node
		q.snapshot.Nodes = slices.DeleteFunc(slices.Clone(q.snapshot.Nodes), func(c allocate.Candidate) bool { return c.ID == gone })
		after, refusal := q.decide(t)
		if refusal != nil || after.Node != d.Node || after.Score != d.Score || !slices.Equal(after.Reasons, d.Reasons) {
			t.Errorf("without %v, which was not chosen: got %v, %v, want %v", gone, after, refusal, d)
		}
	})
}

func TestDecide_aBetterNodeDoesNotLose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		d, refusal := q.decide(t)
		if refusal != nil {
			return
		}
		i := slices.IndexFunc(q.snapshot.Nodes, func(c allocate.Candidate) bool { return c.ID == d.Node })
		q.snapshot.Nodes = slices.Clone(q.snapshot.Nodes)
		c := &q.snapshot.Nodes[i]
		best := 1.0
		switch rapid.SampledFrom([]string{"nearer", "idler", "tested", "cheaper"}).Draw(t, "improve") {
		case "nearer":
			if q.request.Place != nil {
				c.Place = *q.request.Place
			}
		case "idler":
			c.LoadMbps, c.LoadFraction, c.Sessions = 0, 0, 0
		case "tested":
			c.Score, c.History = &best, &best
		case "cheaper":
			c.PriceWeight = 1e-9
		}
		after, refusal := q.decide(t)
		if refusal != nil || after.Node != d.Node || after.Score < d.Score-1e-9 {
			t.Errorf("after it became better: got %v, %v, want %v", after, refusal, d)
		}
	})
}

func TestDecide_scoreIsTheSumOfItsReasons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, refusal := draw(t).decide(t)
		if refusal != nil {
			return
		}
		var sum, weights float64
		for _, r := range d.Reasons {
			if r.Value < 0 || r.Value > 1 {
				t.Errorf("%s is %v", r.Part, r.Value)
			}
			sum += r.Value * r.Weight
			weights += r.Weight
		}
		if math.Abs(sum-d.Score) > 1e-9 || math.Abs(weights-1) > 1e-9 || d.Score < 0 || d.Score > 1+1e-9 {
			t.Errorf("score %v, reasons %v", d.Score, d.Reasons)
		}
	})
}

func TestDecide_ownNodesGoFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		d, refusal := q.decide(t)
		if refusal != nil || q.request.Own == "" {
			return
		}
		owner := map[drtc.NodeID]string{}
		for _, c := range q.snapshot.Nodes {
			owner[c.ID] = c.Owner
		}
		for _, r := range d.Rejected {
			if r.Cause == allocate.Outscored && owner[r.Node] == q.request.Own && owner[d.Node] != q.request.Own {
				t.Errorf("%v of %q was chosen before %v of %q", d.Node, owner[d.Node], r.Node, q.request.Own)
			}
		}
	})
}

// Rooms spread evenly over equal nodes, and only the rooms of a node that goes
// away move.
func TestDecide_roomsSpreadOverEqualNodes(t *testing.T) {
	const nodes, rooms = 10, 10_000
	var s allocate.Snapshot
	s.At = start
	for i := range nodes {
		s.Nodes = append(s.Nodes, allocate.Candidate{ID: named(fmt.Sprint("node", i)), Reachable: true})
	}
	without := allocate.Snapshot{At: start, Nodes: s.Nodes[1:]}
	carries := map[drtc.NodeID]int{}
	for i := range rooms {
		r := allocate.Request{Room: drtc.RoomID(fmt.Sprint("RM_", i))}
		before, err := allocate.Decide(start, s, r, allocate.DefaultPolicy())
		if err != nil {
			t.Fatal(err)
		}
		after, err := allocate.Decide(start, without, r, allocate.DefaultPolicy())
		if err != nil {
			t.Fatal(err)
		}
		if before.Node != s.Nodes[0].ID && after.Node != before.Node {
			t.Fatalf("room %d moved from %v to %v though its node stayed", i, before.Node, after.Node)
		}
		carries[before.Node]++
	}
	for _, c := range s.Nodes {
		// Six standard deviations of a binomial distribution.
		if n := carries[c.ID]; math.Abs(float64(n)-rooms/nodes) > 180 {
			t.Errorf("%v carries %d rooms, want about %d", c.ID, n, rooms/nodes)
		}
	}
}

func TestDecide_namesTheFieldOutOfRange(t *testing.T) {
	nan := math.NaN()
	for field, spoil := range map[string]func(*allocate.Request, *allocate.Policy){
		"request: Room:":            func(r *allocate.Request, _ *allocate.Policy) { r.Room = "" },
		"request: Place:":           func(r *allocate.Request, _ *allocate.Policy) { r.Place = &drtc.Place{Lat: nan} },
		"request: AccuracyKm:":      func(r *allocate.Request, _ *allocate.Policy) { r.AccuracyKm = nan },
		"request: NeedMbps:":        func(r *allocate.Request, _ *allocate.Policy) { r.NeedMbps = -1 },
		"request: RegionOnly:":      func(r *allocate.Request, _ *allocate.Policy) { r.RegionOnly = true },
		"policy: Weights.Load:":     func(_ *allocate.Request, p *allocate.Policy) { p.Weights.Load = nan },
		"policy: Weights.Affinity:": func(_ *allocate.Request, p *allocate.Policy) { p.Weights.Affinity = -1 },
		"policy: Weights:":          func(_ *allocate.Request, p *allocate.Policy) { p.Weights = allocate.Weights{} },
		"policy: HalfDistanceKm:":   func(_ *allocate.Request, p *allocate.Policy) { p.HalfDistanceKm = 0 },
		"policy: Step:":             func(_ *allocate.Request, p *allocate.Policy) { p.Step = 0 },
		"policy: Unmeasured:":       func(_ *allocate.Request, p *allocate.Policy) { p.Unmeasured = 2 },
		"policy: MaxLoad:":          func(_ *allocate.Request, p *allocate.Policy) { p.MaxLoad = 1.1 },
		"policy: MaxAge:":           func(_ *allocate.Request, p *allocate.Policy) { p.MaxAge = 0 },
		"policy: MinVersion:":       func(_ *allocate.Request, p *allocate.Policy) { p.MinVersion = "1.0" },
	} {
		r, p := allocate.Request{Room: "RM_a"}, allocate.DefaultPolicy()
		spoil(&r, &p)
		_, err := allocate.Decide(start, allocate.Snapshot{At: start}, r, p)
		if err == nil || errors.Is(err, allocate.ErrNoNode) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s got %v, want an error that names it", field, err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{10, 1000} {
		s := allocate.Snapshot{At: start}
		for i := range n {
			s.Nodes = append(s.Nodes, allocate.Candidate{
				ID: named(fmt.Sprint("node", i)), Reachable: i%4 > 0, CapacityMbps: 1000, LoadMbps: rng.Float64() * 900,
				Place: drtc.Place{Lat: rng.Float64()*120 - 60, Lon: rng.Float64()*360 - 180},
			})
		}
		r := allocate.Request{Room: "RM_a", Place: &drtc.Place{Lat: 52, Lon: 13}, NeedMbps: 5}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := allocate.Decide(start, s, r, allocate.DefaultPolicy()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
