package allocate_test

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

var (
	tokyo     = drtc.Place{Lat: 35.7, Lon: 139.7}
	osaka     = drtc.Place{Lat: 34.7, Lon: 135.5}
	singapore = drtc.Place{Lat: 1.35, Lon: 103.8}
	frankfurt = drtc.Place{Lat: 50.1, Lon: 8.7}
	sydney    = drtc.Place{Lat: -33.9, Lon: 151.2}
)

// crowd is so many nodes of one place, numbered from first.
func crowd(first, count int, at drtc.Place, region drtc.Region, mbps float64, owner string) []allocate.Candidate {
	var nodes []allocate.Candidate
	for i := range count {
		c := allocate.Candidate{Place: at, Region: region, CapacityMbps: mbps, Owner: owner}
		binary.BigEndian.PutUint32(c.ID[:], uint32(first+i)) //nolint:gosec // small
		nodes = append(nodes, c)
	}
	return nodes
}

// among counts the nodes of a list that are some of these.
func among(list []drtc.NodeID, nodes []allocate.Candidate) (count int) {
	for _, c := range nodes {
		if slices.Contains(list, c.ID) {
			count++
		}
	}
	return count
}

// A thousand large nodes elsewhere leave the small ones near the members their
// place in the list.
func TestShortlist_isNearTheMembers(t *testing.T) {
	large := crowd(1, 1000, frankfurt, drtc.Europe, 10_000, "x")
	small := crowd(5001, 3, tokyo, drtc.Asia, 50, "y")
	other := crowd(6001, 40, osaka, drtc.Asia, 60, "y")
	nodes := slices.Concat(large, small, other)
	list := allocate.Shortlist(start, nodes, []allocate.Want{
		{Place: &frankfurt, Members: 500}, {Place: &tokyo, Members: 1},
	}, 32)
	if len(list) != 32 {
		t.Fatalf("got %d nodes, want 32", len(list))
	}
	if got := among(list, small); got != 3 {
		t.Errorf("%d of the 3 nodes in Tokyo are in the list, want all", got)
	}
	if got := among(list, large); got < 4 {
		t.Errorf("%d of the nodes in Frankfurt are in the list, want some", got)
	}
}

// Nobody is there yet: whoever comes finds a node in its region.
func TestShortlist_isSpreadWhenNobodyIsThere(t *testing.T) {
	large := crowd(1, 1000, frankfurt, drtc.Europe, 10_000, "x")
	small := slices.Concat(crowd(5001, 50, tokyo, drtc.Asia, 50, "y"), crowd(6001, 1, singapore, drtc.Asia, 10, "y"))
	last := crowd(7001, 1, sydney, drtc.Oceania, 1, "z")
	list := allocate.Shortlist(start, slices.Concat(large, small, last), nil, 32)
	if among(list, last) != 1 || among(list, small) < 10 || among(list, small[50:]) != 1 || among(list, large) < 10 {
		t.Errorf("the list has %d in Sydney, %d in Asia, of these %d in Singapore, and %d in Frankfurt: want some of each",
			among(list, last), among(list, small), among(list, small[50:]), among(list, large))
	}
}

func TestShortlist_keepsToTheTerms(t *testing.T) {
	near, far := crowd(1, 100, tokyo, drtc.Asia, 1000, "x"), crowd(5001, 2, sydney, drtc.Oceania, 1000, "mine")
	want := allocate.Want{Place: &tokyo, Members: 1, Terms: allocate.Terms{Owners: []string{"mine"}}}
	if list := allocate.Shortlist(start, slices.Concat(near, far), []allocate.Want{want}, 4); among(list, far) != 2 {
		t.Errorf("the list %v lacks nodes of the only owner that may be used", list)
	}
	want.Terms = allocate.Terms{Own: "mine"}
	if list := allocate.Shortlist(start, slices.Concat(near, far), []allocate.Want{want}, 4); list[0] != far[0].ID {
		t.Errorf("the list %v does not begin with an own node", list)
	}
}

// Where there are others, tests that went badly cost a node its place in the list,
// and quarantine before all.
func TestShortlist_leavesOutWhomTestsSpeakAgainst(t *testing.T) {
	low, fair := 0.5, 0.9
	near := crowd(1, 12, tokyo, drtc.Asia, 1000, "x")
	for i := range near {
		near[i].Score = &fair
	}
	caught, released := &near[0], &near[1]
	caught.QuarantinedUntil, released.QuarantinedUntil = start.Add(time.Hour), start
	for i := 2; i < 6; i++ {
		near[i].Score = &low
	}
	for _, wants := range [][]allocate.Want{nil, {{Place: &tokyo, Members: 1}}} {
		list := allocate.Shortlist(start, near, wants, 4)
		if among(list, near[2:6]) > 0 || among(list, near[:1]) > 0 || among(list, near[1:2]) != 1 {
			t.Errorf("with %d wants the list has %d suspects, %d in quarantine and %d released, want 0, 0 and 1",
				len(wants), among(list, near[2:6]), among(list, near[:1]), among(list, near[1:2]))
		}
		if list = allocate.Shortlist(start, near, wants, 11); among(list, near[:1]) > 0 {
			t.Errorf("with %d wants the one in quarantine is not the last", len(wants))
		}
	}
}

// Who stands by is of another owner, so one is in the list.
func TestShortlist_hasAnotherOwner(t *testing.T) {
	near, far := crowd(1, 10, tokyo, drtc.Asia, 1000, "x"), crowd(5001, 1, osaka, drtc.Asia, 1, "y")
	list := allocate.Shortlist(start, slices.Concat(near, far), []allocate.Want{{Place: &tokyo, Members: 1}}, 4)
	if among(list, far) != 1 {
		t.Errorf("the list %v has nodes of one owner alone", list)
	}
}

func TestShortlist_isBoundedAndTheSameInAnyOrder(t *testing.T) {
	places := []drtc.Place{tokyo, osaka, frankfurt, sydney}
	rapid.Check(t, func(t *rapid.T) {
		var nodes []allocate.Candidate
		for n := range rapid.IntRange(0, 60).Draw(t, "nodes") {
			nodes = append(nodes, crowd(n+1, 1, rapid.SampledFrom(places).Draw(t, "place"), rapid.SampledFrom(drtc.Regions()).Draw(t, "region"),
				float64(rapid.IntRange(0, 3).Draw(t, "mbps")), rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "owner"))...)
		}
		var wants []allocate.Want
		for range rapid.IntRange(0, 8).Draw(t, "wants") {
			w := allocate.Want{Members: rapid.IntRange(1, 3).Draw(t, "members"), Region: rapid.SampledFrom(drtc.Regions()).Draw(t, "their region")}
			if rapid.Bool().Draw(t, "placed") {
				at := rapid.SampledFrom(places).Draw(t, "their place")
				w.Place = &at
			}
			wants = append(wants, w)
		}
		most := rapid.IntRange(0, 40).Draw(t, "most")
		list := allocate.Shortlist(start, nodes, wants, most)
		if want := min(most, len(nodes)); len(list) != want || len(slices.Compact(slices.SortedFunc(slices.Values(list), func(a, b drtc.NodeID) int {
			return slices.Compare(a[:], b[:])
		}))) != want {
			t.Fatalf("got %d nodes, want %d different ones", len(list), want)
		}
		again := allocate.Shortlist(start, rapid.Permutation(nodes).Draw(t, "nodes permuted"), rapid.Permutation(wants).Draw(t, "wants permuted"), most)
		if !reflect.DeepEqual(list, again) {
			t.Fatalf("got %v and in another order %v", list, again)
		}
	})
}

func BenchmarkShortlist_1000Nodes64Places(b *testing.B) {
	var nodes []allocate.Candidate
	var wants []allocate.Want
	for i := range 1000 {
		at := drtc.Place{Lat: float64(i%120) - 60, Lon: float64(i*7%360) - 180}
		nodes = append(nodes, crowd(i+1, 1, at, drtc.Regions()[i%7], float64(i%10), "x")...)
		if i%16 == 0 {
			wants = append(wants, allocate.Want{Place: &at, Members: 1})
		}
	}
	for b.Loop() {
		allocate.Shortlist(start, nodes, wants, 32)
	}
}
