package orchestrator_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// elsewhere adds a thousand large nodes to what the Orchestrator knows, all of them
// in Frankfurt and all over the south of Asia; nobody answers there.
func (d *fixedDiscovery) elsewhere(like discovery.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range 1000 {
		n := like
		binary.BigEndian.PutUint32(n.ID[:], uint32(i+1)) //nolint:gosec // small
		if i%2 == 0 {
			n.Place, n.Region = &drtc.Place{Lat: float64(i % 30), Lon: 60 + float64(i%47)}, drtc.Asia
		}
		n.URL, n.CapacityMbps = fmt.Sprintf("https://127.0.0.1:1/%d", i), 100_000
		d.nodes = append(d.nodes, n)
	}
}

// A room whose members are in Tokyo gets the small node there, however many large
// ones there are elsewhere; so does who comes to a room that is in Frankfurt.
func TestNodes_areThoseNearTheMembers(t *testing.T) {
	n := newNetwork(t, 2, func(c *orchestrator.Config) { c.MaxNodes = 4 })
	frankfurt, tokyo := n.nodes[0], n.nodes[1]
	n.discovery.mu.Lock()
	n.discovery.nodes[1].Place, n.discovery.nodes[1].Region = &drtc.Place{Lat: 35.7, Lon: 139.7}, drtc.Asia
	n.discovery.nodes[0].CapacityMbps, n.discovery.nodes[1].CapacityMbps = 200_000, 50
	n.discovery.mu.Unlock()
	n.discovery.elsewhere(frankfurt.record())
	n.discovery.changed <- struct{}{}
	joinFrom := func(name, place string) string {
		t.Helper()
		p := n.newPerson(name, "r")
		var err error
		p.token, err = signal.Token(testKey, testSecret, signal.Grants{
			Identity: name, Room: "r", Attributes: map[string]string{"drtc.place": place},
		}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		p.connect(joinRequest(""))
		return p.expect("join").GetJoin().GetServerInfo().GetNodeId()
	}
	if got := joinFrom("ann", "50.1,8.7"); got != frankfurt.id.String() {
		t.Errorf("ann of Frankfurt is on %s, want the node there, %s", got, frankfurt.id)
	}
	if got := joinFrom("ken", "35.6,139.8"); got != tokyo.id.String() {
		t.Errorf("ken of Tokyo is on %s, want the node there, %s", got, tokyo.id)
	}
}
