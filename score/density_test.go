package score

import (
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

func at(t *testing.T, lat, lon float64) Place {
	t.Helper()
	p, ok := PlaceAt(drtc.Place{Lat: lat, Lon: lon})
	if !ok {
		t.Fatalf("%v, %v is no place", lat, lon)
	}
	return p
}

// placed puts node i somewhere, with a good result, so that it counts.
func (n *network) placed(i int, p Place, probes ...Probe) {
	n.in.Nodes[i].Place, n.in.Nodes[i].HasPlace, n.in.Nodes[i].Probes = p, true, probes
	n.tested(i, false, 95*percent)
}

// Two nodes in Frankfurt, one in Nairobi, one that cannot be where it says.
func TestAdvance_placesAndDemand(t *testing.T) {
	frankfurt, nairobi, tokyo, paris := at(t, 50.11, 8.68), at(t, -1.29, 36.82), at(t, 35.68, 139.69), at(t, 48.86, 2.35)
	n := newNetwork(t, 7)
	n.placed(0, frankfurt, Probe{nodeID(100), paris, 9_000}, Probe{nodeID(101), tokyo, 240_000})
	n.placed(1, frankfurt)
	n.placed(2, nairobi, Probe{nodeID(100), paris, 2_000}) // one disc refutes nobody
	n.placed(3, tokyo, Probe{nodeID(100), paris, 9_000}, Probe{nodeID(101), frankfurt, 5_000}, Probe{nodeID(102), tokyo, 1_000})
	n.tested(4, false, 95*percent) // declares no place
	n.in.Nodes[5].Place, n.in.Nodes[5].HasPlace = nairobi, true
	n.placed(6, nairobi)
	n.in.Nodes[6].Delegated = false // neither 5, without results, nor 6 counts

	demand := func(i int, p Place, bytes uint64, roundTrip uint32) {
		n.in.Demands = append(n.in.Demands, Demand{nodeID(i), CellOf(p), bytes, roundTrip})
	}
	demand(0, frankfurt, 600, 15_000)
	demand(1, frankfurt, 400, 15_000)
	demand(2, nairobi, 250, 20_000)
	demand(1, nairobi, 1_000_000, 15_000) // nobody is so far away in 15 ms
	demand(2, frankfurt, 1_000_000, 0)    // and without a round trip nothing is known
	demand(3, paris, 1_000_000, 100_000)  // nor from a place that is not
	n.close()

	for i, want := range []struct {
		place              Finding
		location, coverage econ.Wad
	}{
		{Unrefuted, econ.One, econ.One / 2},
		{Unrefuted, econ.One, econ.One / 2},
		{Unrefuted, econ.One / 4, econ.One},
		{Refuted, 0, 0},
		{Unplaced, 0, 0},
		{Unrefuted, econ.One / 4, econ.One / 2}, // beside the one that counts
		{Unrefuted, econ.One / 4, econ.One / 2},
	} {
		got := n.score(i)
		if got.Place != want.place || got.Location != want.location || got.Coverage != want.coverage {
			t.Errorf("node %d: %s, location %d, coverage %d, want %s, %d, %d", i, got.Place, got.Location, got.Coverage, want.place, want.location, want.coverage)
		}
		if (got.Cell != 0) != (want.place == Unrefuted) {
			t.Errorf("node %d is in cell %s and %s", i, got.Cell, got.Place)
		}
	}
}

// Twenty identities in one place share what one would have.
func TestAdvance_identitiesOnOneHost(t *testing.T) {
	n := newNetwork(t, 21)
	for i := range 20 {
		n.placed(i, at(t, 50.11, 8.68))
	}
	n.placed(20, at(t, -1.29, 36.82))
	n.close()
	if got := n.score(3).Coverage; got != econ.One/20 {
		t.Errorf("coverage of one of twenty is %d, want a twentieth", got)
	}
	if got := n.score(20).Coverage; got != econ.One {
		t.Errorf("coverage of the one elsewhere is %d, want one", got)
	}
}

func TestAdvance_history(t *testing.T) {
	n := newNetwork(t, 5)
	supply := func(i int, application byte, bytes uint64) {
		n.in.Supplies = append(n.in.Supplies, Supply{[20]byte{application}, nodeID(i), bytes})
	}
	for i := range 4 {
		n.tested(i, false, 95*percent)
	}
	supply(0, 1, 100)
	supply(1, 1, 200)
	supply(2, 1, 300)
	supply(4, 1, 900) // no test in the window: it is not ranked
	n.close()
	// Ranks of 300, 200, 100 and 0 bytes: 7/8, 5/8, 3/8 and 1/8 over the floor of 1/2.
	for i, want := range []econ.Wad{econ.One / 2, econ.One / 8 * 5, econ.One / 8 * 7, econ.One / 2, econ.One / 2} {
		if got := n.score(i); got.History != want || got.Counted != (i < 4) {
			t.Errorf("node %d, counted %t, has history %d, want %d", i, got.Counted, got.History, want)
		}
	}
	n.close()
	if got := n.score(2).Supplied; got != 300-300/32 {
		t.Errorf("after an epoch %d bytes are left of 300", got)
	}
}

// Of what one application has at one node no more counts than of all but the
// greatest twentieth.
func TestAdvance_historyIsNotBoughtAtOnce(t *testing.T) {
	n := newNetwork(t, 40)
	for i := range 40 {
		n.in.Supplies = append(n.in.Supplies, Supply{[20]byte{1}, nodeID(i), uint64(1000 + i)})
	}
	n.in.Supplies = append(n.in.Supplies, Supply{[20]byte{2}, nodeID(0), 1 << 60})
	n.close()
	// The 95th percentile of 41 is the 39th from below: 1038.
	if got := n.score(0).Supplied; got != 1000+1038 {
		t.Errorf("%d bytes count, want 2038", got)
	}
}

func TestAdvance_availability(t *testing.T) {
	n := newNetwork(t, 3)
	n.in.Registries = 4
	says := func(registry, node int, up, life uint32) {
		n.in.Uptimes = append(n.in.Uptimes, Uptime{nodeID(100 + registry), nodeID(node), up, life})
	}
	says(0, 0, 900, 1000)
	says(1, 0, 800, 1000)
	says(2, 0, 0, 1001)
	says(0, 1, 1000, 1000)
	says(1, 1, 1000, 1000) // two of four are no majority
	n.close()
	for i, want := range []econ.Wad{80 * percent, 0, 0} {
		if got := n.score(i).Availability; got != want {
			t.Errorf("node %d has availability %d, want %d", i, got, want)
		}
	}
	n.in.Registries = 1
	says(0, 0, 1000, 1000)
	n.close()
	if got := n.score(0); got.Availability != 90*percent || got.Life != 2000 {
		t.Errorf("after two epochs availability is %d over %d s, want 0.9 over 2000", got.Availability, got.Life)
	}
}
