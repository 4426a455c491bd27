package plan_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

func TestMake_namesWhatIsOutOfRange(t *testing.T) {
	nowhere := drtc.Place{Lat: 91}
	for _, test := range []struct {
		want  string
		spoil func(*plan.Input)
	}{
		{"Strategy", func(in *plan.Input) { in.Policy.Strategy = 9 }},
		{"MinOwners", func(in *plan.Input) { in.Policy.MinOwners = -1 }},
		{"MaxPriceWeight", func(in *plan.Input) { in.Policy.MaxPriceWeight = math.NaN() }},
		{"Gain", func(in *plan.Input) { in.Policy.Gain = -time.Second }},
		{"Fill", func(in *plan.Input) { in.Policy.Fill = 0 }},
		{"RegionNodes", func(in *plan.Input) { in.Policy.RegionNodes = 0 }},
		{"Degree", func(in *plan.Input) { in.Policy.Degree = 2 }},
		{"AudioLimit", func(in *plan.Input) { in.Policy.AudioLimit = -1 }},
		{"MaxMoves", func(in *plan.Input) { in.Policy.MaxMoves = -1 }},
		{"Regions", func(in *plan.Input) { in.Policy.Regions = []drtc.Region{"MARS"} }},
		{"Allocate", func(in *plan.Input) { in.Policy.Allocate.Step = 0 }},
		{"Room", func(in *plan.Input) { in.Room = "" }},
		{"Members[0].ID", func(in *plan.Input) { in.Members[0].ID = "" }},
		{"Members[0].Place", func(in *plan.Input) { in.Members[0].Place = &nowhere }},
		{"Members[0].NeedMbps", func(in *plan.Input) { in.Members[0].NeedMbps = math.Inf(1) }},
		{"listed twice", func(in *plan.Input) { in.Members = append(in.Members, in.Members[0]) }},
		{"Costs[0]", func(in *plan.Input) { in.Costs = []plan.LinkCost{{Loss: 2}} }},
	} {
		in := world(3, 2, 1)
		test.spoil(&in)
		if _, err := plan.Make(in); err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "plan: ") {
			t.Errorf("got %v, want an error that names %s", err, test.want)
		}
	}
}

func TestStrategy_textThereAndBack(t *testing.T) {
	for _, s := range []plan.Strategy{plan.Adaptive, plan.Proximity, plan.Regional, plan.FanOut} {
		b, err := s.MarshalText()
		var back plan.Strategy
		if err2 := back.UnmarshalText(b); err != nil || err2 != nil || back != s {
			t.Errorf("%v becomes %q becomes %v (%v, %v)", s, b, back, err, err2)
		}
	}
	var s plan.Strategy
	if err := s.UnmarshalText([]byte("star")); err == nil {
		t.Errorf("star is %v, want an error", s)
	}
}

// Members in many places are planned by cells, and no worse than some hundred
// kilometres.
func TestMake_manyPlacesBecomeCells(t *testing.T) {
	in := world(100, 6000, 10)
	p := made(t, in)
	check(t, in, p)
	places := map[drtc.NodeID]drtc.Place{}
	for _, c := range in.Nodes.Nodes {
		places[c.ID] = c.Place
	}
	far := 0
	for _, m := range in.Members {
		best := math.Inf(1)
		for _, place := range places {
			best = min(best, roundTripMs(*m.Place, place))
		}
		if roundTripMs(*m.Place, places[p.Homes[m.ID]]) > best+gainMs(in)+10 {
			far++
		}
	}
	if far > 0 { // there is room for all near them
		t.Errorf("%d of %d members are more than the gain and 10 ms further than they need to be", far, len(in.Members))
	}
}
