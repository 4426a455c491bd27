package orchestrator

import (
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// Connections are held to some of the nodes alone (Config.MaxNodes). Where members
// are decides to which; who comes from a new place waits a moment for those.

// spot is where members are: a place by whole degrees, or a region.
type spot struct {
	placed   bool
	lat, lon int
	region   drtc.Region
}

func spotOf(m plan.Member, region drtc.Region) spot {
	if m.Place != nil && m.Place.Valid() {
		return spot{placed: true, lat: int(m.Place.Lat), lon: int(m.Place.Lon)}
	}
	if m.Region != "" {
		region = m.Region
	}
	return spot{region: region}
}

func (s spot) want(terms allocate.Terms, members int) allocate.Want {
	w := allocate.Want{Region: s.region, Terms: terms, Members: members}
	if s.placed {
		w.Place = &drtc.Place{Lat: float64(s.lat), Lon: float64(s.lon)}
	}
	return w
}

// lookAround has nodes connected near the members of a room. Members whom one of
// them may suit best are taken out of in until it is up, or was given up; it
// reports whether there are such.
func (a *actor) lookAround(in *plan.Input) (wait bool) {
	terms := in.Policy.Terms()
	spots, fresh := map[spot]int{}, false
	for _, m := range in.Members {
		s := spotOf(m, in.Region)
		fresh = fresh || a.spots[s] == 0
		spots[s]++
	}
	wants := make([]allocate.Want, 0, len(spots))
	for s, members := range spots {
		wants = append(wants, s.want(terms, members))
	}
	a.spots = spots
	a.o.routes.want(a, wants)
	if fresh {
		a.o.reconnect()
	}
	return a.holdBack(in)
}

// holdBack takes those members out of in who have no home yet and would get one on
// a node that is not up yet and may be soon.
func (a *actor) holdBack(in *plan.Input) bool {
	isNew := func(m plan.Member) bool { return m.Home.IsZero() && in.Current.Homes[m.ID].IsZero() && m.Pin.IsZero() }
	coming := a.o.comingUp(in.Now)
	if len(coming) == 0 || !slices.ContainsFunc(in.Members, isNew) {
		return false
	}
	soon := *in
	soon.Nodes.Nodes = slices.Clone(in.Nodes.Nodes)
	for i := range soon.Nodes.Nodes {
		if c := &soon.Nodes.Nodes[i]; coming[c.ID] {
			c.Reachable = true
		}
	}
	p, err := plan.Make(soon)
	if err != nil {
		return false // as the one to come, which says so
	}
	before := len(in.Members)
	in.Members = slices.DeleteFunc(in.Members, func(m plan.Member) bool { return isNew(m) && coming[p.Homes[m.ID]] })
	return len(in.Members) < before
}
