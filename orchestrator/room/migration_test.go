package room

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// quiet lets everything come to rest and checks what must hold then.
func (n *network) quiet() {
	n.chance = nil
	n.run(2 * time.Second)
	for _, id := range n.ids() {
		n.thaw(id)
		n.restart(id)
	}
	n.run(60 * time.Second)
	r := n.room
	for _, c := range n.people {
		m := r.byID(c.id)
		switch {
		case c.gone || c.silent:
			continue
		case m == nil || m.phase != present:
			n.fail("%s is not in the room at the end", c.name)
			return
		case m.move != nil || m.next != nil:
			n.fail("%s is still on its way: %+v", c.name, m.move)
		}
		f := n.nodes[m.Node]
		s := f.sessions[m.Session]
		if s == nil || !s.connected {
			n.fail("%s has no transport on node %d, session %s", c.name, m.Node[0], m.Session)
			return
		}
		n.checkTracks(c, m, s)
	}
	if len(r.retired) > 0 {
		n.fail("%d old sessions go on", len(r.retired))
	}
	n.checkSessions()
	n.checkLinks()
}

// checkTracks: a client is subscribed to exactly what others publish, on the
// sections that it knows.
func (n *network) checkTracks(c *fakeClient, m *member, s *fakeSession) {
	if m.watch != nil {
		return
	}
	want := map[drtc.TrackID]bool{}
	for _, o := range n.room.state.Members {
		for _, t := range o.Tracks {
			if o != m && t.Live {
				want[t.ID] = true
			}
		}
	}
	if !maps.Equal(s.subs, want) {
		n.fail("%s is subscribed to %v, want %v", c.name, s.subs, want)
	}
	known := maps.Clone(c.mids) // of tracks that ended both learn with the next offer
	maps.DeleteFunc(known, func(_ string, id drtc.TrackID) bool { return !want[id] })
	has := maps.Clone(s.mids)
	maps.DeleteFunc(has, func(_ string, id drtc.TrackID) bool { return !want[id] })
	if !maps.Equal(known, has) {
		n.fail("%s knows the sections %v, the node has %v", c.name, known, has)
	}
	for id := range want {
		if !n.nodes[m.Node].has(id) {
			n.fail("%s is not on node %d", id, m.Node[0])
		}
	}
	for _, id := range c.tracks {
		if !s.tracks[drtc.TrackID(id)] {
			n.fail("%s of %s is not on its node", id, c.name)
		}
	}
}

// checkSessions: nodes have the sessions of the members and no other.
func (n *network) checkSessions() {
	want := map[string]bool{}
	for _, m := range n.room.state.Members {
		want[fmt.Sprint(m.Node[0], m.Session)] = true
	}
	for id, f := range n.nodes {
		for s := range f.sessions {
			if !want[fmt.Sprint(id[0], s)] {
				n.fail("node %d still has the session %s", id[0], s)
			}
		}
		if f.opened != f.ended+len(f.sessions) {
			n.fail("node %d opened %d sessions, ended %d and has %d", id[0], f.opened, f.ended, len(f.sessions))
		}
	}
}

// checkLinks: the links are those of the plan, connected at both ends, and every
// node has its routes.
func (n *network) checkLinks() {
	p := n.room.state.Plan
	var got []plan.Link
	for _, l := range n.room.Links() {
		if !l.Open || !l.Connected {
			n.fail("link %s is not up", l.ID)
		}
		got = append(got, plan.Link{A: l.A, B: l.B})
	}
	if !slices.Equal(got, p.Links) {
		n.fail("links are %v, want %v", got, p.Links)
	}
	for id, f := range n.nodes {
		for link := range f.links {
			if !slices.ContainsFunc(n.room.Links(), func(l Link) bool { return l.ID == link }) {
				n.fail("node %d still has an end of %s", id[0], link)
			}
		}
	}
	for _, route := range p.Routes {
		f := n.nodes[route.Node]
		if end := f.links[f.routes[route.Origin]]; end == nil || end.peer != route.Via {
			n.fail("node %d gets the tracks of %d not over %d", route.Node[0], route.Origin[0], route.Via[0])
		}
	}
}

// Whatever happens to nodes and connections, nobody hears of it but those who
// must resume, and at the end everything is as the plan says.
func TestRoom_outlivesItsNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n *network
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(n.trace, "\n"))
		}
		n = newNetwork(fail, rapid.IntRange(3, 6).Draw(t, "nodes"))
		n.shape = rapid.SampledFrom([]string{"mesh", "star", "chain"}).Draw(t, "shape")
		n.keep = true
		n.chance = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for i, name := range []string{"ann", "bob", "cid", "dan", "eve"}[:rapid.IntRange(2, 5).Draw(t, "people")] {
			tracks := []string{"TR_" + name + "1", "TR_" + name + "2"}
			n.join(name, byte(i%len(n.nodes)+1), rapid.IntRange(0, 5).Draw(t, "resumes") > 0, tracks[:i%3]...)
		}
		if rapid.Bool().Draw(t, "spectator") {
			c := &fakeClient{n: n, name: "web", watches: true}
			n.people["web"] = c
			c.join(0)
		}
		n.run(5 * time.Second)
		names := slices.Sorted(maps.Keys(n.people))
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			id := drtc.NodeID{byte(rapid.IntRange(1, len(n.nodes)).Draw(t, "node"))}
			who := n.people[rapid.SampledFrom(names).Draw(t, "who")]
			switch what := rapid.SampledFrom([]string{"kill", "freeze", "thaw", "restart", "drain", "undrain", "cut", "leave", "deaf", "nothing", "close", "restore"}).Draw(t, "what"); what {
			case "kill", "freeze":
				if n.up() > 2 {
					map[string]func(drtc.NodeID){"kill": n.kill, "freeze": n.freeze}[what](id)
				}
			case "thaw":
				n.thaw(id)
			case "restart":
				n.restart(id)
			case "drain":
				if n.up() > 2 {
					n.drain(id, false)
				}
			case "undrain":
				n.drain(id, true)
			case "cut":
				who.cut()
			case "leave":
				if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					who.leave()
				}
			case "deaf":
				who.deaf = rapid.IntRange(0, 3).Draw(t, "really") == 0 || who.deaf
			case "close":
				n.closeSession(who)
			case "restore":
				n.restoreRoom(t)
			}
			n.run(time.Duration(rapid.IntRange(0, 4000).Draw(t, "wait")) * time.Millisecond)
		}
		for _, id := range n.ids() {
			n.drain(id, true)
		}
		n.quiet()
	})
}

// up counts the nodes that take sessions.
func (n *network) up() (count int) {
	for _, f := range n.nodes {
		if !f.down && !f.frozen && !f.draining {
			count++
		}
	}
	return count
}

// closeSession has a node end a client's session.
func (n *network) closeSession(c *fakeClient) {
	m := n.room.byID(c.id)
	if m == nil || m.phase != present || m.move != nil || m.next != nil || c.watches || !n.alive(m.Node) {
		return
	}
	f := n.nodes[m.Node]
	if f.sessions[m.Session] != nil {
		c.ended++
		f.emit(SessionChanged{Session: m.Session, Closed: true, Reason: "drill"})
		f.end(m.Session)
	}
}

// restoreRoom has the Orchestrator start again from what it saved.
func (n *network) restoreRoom(t *rapid.T) {
	saved, err := n.room.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if n.room, err = Restore(DefaultConfig(), saved, n.now); err != nil {
		t.Fatal(err)
	}
	n.life++
	for _, name := range slices.Sorted(maps.Keys(n.people)) {
		c := n.people[name]
		m := n.room.byID(c.id)
		switch {
		case c.gone:
		case m == nil: // a spectator, or not in the room yet
			c.conn = 0
			n.in(10*n.delay(), func() {
				if c.conn == 0 {
					c.join(0)
				}
			})
		case !c.silent:
			c.conn, c.away = 0, true
			n.in(10*n.delay(), func() {
				if c.conn == 0 {
					c.resume()
				}
			})
		}
	}
	life := n.life
	for _, id := range n.ids() {
		n.in(20*n.delay(), func() {
			if n.life == life && n.alive(id) {
				n.sync(id)
			} else if n.life == life {
				n.nodes[id].lostAt = n.now // heard of when it is back
			}
		})
	}
}

// sync tells the room what a node has. What no room knows the owner ends.
func (n *network) sync(id drtc.NodeID) {
	f := n.nodes[id]
	known := map[drtc.SessionID]bool{}
	for _, s := range n.room.Sessions() {
		known[s.Session] = true
	}
	for _, s := range slices.Sorted(maps.Keys(f.sessions)) {
		if !known[s] {
			f.end(s)
		}
	}
	f.lostAt = time.Time{}
	n.tell(NodeSynced{Node: id, Sessions: slices.Sorted(maps.Keys(f.sessions))})
	n.settleTracks()
}

// Two nodes that do not reach each other any more get each other's tracks by a
// third, though nobody comes or goes; when they do again, nothing holds against
// them.
func TestRoom_goesAroundACut(t *testing.T) {
	n := newNetwork(t.Fatalf, 3)
	for i, name := range []string{"ann", "ben", "cem"} {
		n.join(name, byte(i+1), true, "cam-"+name)
	}
	n.run(5 * time.Second)
	one, two, three := drtc.NodeID{1}, drtc.NodeID{2}, drtc.NodeID{3}
	direct := plan.Link{A: one, B: two}
	has := func(node, origin drtc.NodeID) bool {
		return slices.Contains(slices.Collect(maps.Values(n.nodes[node].tracks)), origin)
	}
	if !has(two, one) || !slices.Contains(n.room.Plan().Links, direct) {
		t.Fatalf("node 2 has %v by links %v before the cut", n.nodes[two].tracks, n.room.Plan().Links)
	}
	n.cut(one, two)
	n.run(3 * time.Second)
	if has(two, one) {
		t.Fatal("node 2 has tracks of node 1 just after the cut")
	}
	n.run(20 * time.Second)
	if !has(two, one) || !has(one, two) {
		t.Errorf("23 s after the cut node 1 has %v and node 2 %v, want each other's", n.nodes[one].tracks, n.nodes[two].tracks)
	}
	if got := n.nodes[two].routes[one]; n.nodes[two].links[got] == nil || n.nodes[two].links[got].peer != three {
		t.Errorf("node 2 gets tracks of node 1 over link %q, want one with node 3", got)
	}
	clear(n.cuts)
	n.run(2 * time.Minute)
	n.join("dan", 1, true)
	n.run(10 * time.Second)
	if !slices.Contains(n.room.Plan().Links, direct) || !has(two, one) {
		t.Errorf("long after the cut the links are %v, want the direct one again", n.room.Plan().Links)
	}
}

// The traces: every line of a file is something that happens to a network in
// which everything takes a millisecond, what follows ---- is told to nodes and
// clients from then on.
//
//	nodes N [SHAPE] | join ann NODE [TRACK …] | watch web NODE | run 3s | quiet
//	kill N | freeze N | thaw N | restart N | drain N | deaf ann | leave ann
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "testdata/traces", func(t *testing.T, path string) {
		var n *network
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			for line := range strings.Lines(d.Input) {
				f := strings.Fields(line)
				if f[0] == "nodes" {
					count := 0
					_, _ = fmt.Sscan(f[1], &count)
					n = newNetwork(t.Fatalf, count)
					n.keep = true
					continue
				}
				n.line(t, f)
			}
			out := n.trace
			n.trace = nil
			if d.Cmd == "quietly" || len(out) == 0 {
				return ""
			}
			return strings.Join(out, "\n") + "\n"
		})
	})
}

func (n *network) line(t *testing.T, f []string) {
	arg := ""
	if len(f) > 1 {
		arg = f[1]
	}
	switch f[0] {
	case "join":
		n.join(arg, nodeID(f[2])[0], true, f[3:]...)
	case "watch":
		c := &fakeClient{n: n, name: arg, watches: true}
		n.people[arg] = c
		c.join(nodeID(f[2])[0])
	case "run":
		d, err := time.ParseDuration(arg)
		if err != nil {
			t.Fatal(err)
		}
		n.run(d)
	case "kill":
		n.kill(nodeID(arg))
	case "freeze":
		n.freeze(nodeID(arg))
	case "thaw":
		n.thaw(nodeID(arg))
	case "restart":
		n.restart(nodeID(arg))
	case "drain":
		n.drain(nodeID(arg), false)
	case "deaf":
		n.people[arg].deaf = true
	case "leave":
		n.people[arg].leave()
	case "quiet":
		n.quiet()
	default:
		t.Fatalf("unknown line: %v", f)
	}
}
