package orchestrator_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/policy"
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

// tokenFrom is a token of somebody who is at a place.
func tokenFrom(t *testing.T, identity, room, place string) string {
	t.Helper()
	tok, err := signal.Token(testKey, testSecret, signal.Grants{
		Identity: identity, Room: room, Attributes: map[string]string{"drtc.place": place},
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return tok
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
		p.token = tokenFrom(t, name, "r", place)
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

// A small node that would take many by its sessions is not filled with voices
// beyond what its cores carry: the nearest node is left for one that carries them.
func TestNodes_audioRoomsGoByAudioCapacity(t *testing.T) {
	n := newNetwork(t, 2, func(c *orchestrator.Config) {
		c.Applications = []policy.Application{{Name: testKey, Policy: "audio"}}
		c.Plan.Standby = false
	})
	small, large := n.nodes[0], n.nodes[1]
	n.discovery.mu.Lock()
	n.discovery.nodes[0].Cores, n.discovery.nodes[1].Cores = 1, 16
	n.discovery.nodes[1].Place = &drtc.Place{Lat: 59.4, Lon: 24.8}
	n.discovery.mu.Unlock()
	came := 0
	join := func() string { // to a room of its own
		came++
		name := fmt.Sprint("ann", came)
		p := n.newPerson(name, name)
		p.token = tokenFrom(t, name, name, "50,8")
		p.connect(joinRequest(""))
		return p.expect("join").GetJoin().GetServerInfo().GetNodeId()
	}
	if got := join(); got != small.id.String() {
		t.Errorf("the first is on %s, want the near node, %s", got, small.id)
	}
	for _, node := range n.nodes {
		node.mu.Lock()
		node.others, node.most = 500, 5000
		node.mu.Unlock()
	}
	eventually(t, "who comes is on the node with more cores", func() bool { return join() == large.id.String() })
}
