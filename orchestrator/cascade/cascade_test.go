package cascade

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

var start = time.Unix(1_000_000, 0)

func id(n int) drtc.NodeID { return drtc.NodeID{byte(n)} }

func link(a, b int) plan.Link { return plan.Link{A: id(a), B: id(b)} }

func route(origin, node, via int) plan.Route {
	return plan.Route{Origin: id(origin), Node: id(node), Via: id(via)}
}

// texts makes lines of orders.
func texts(orders []Order) (out []string) {
	for _, o := range orders {
		text := fmt.Sprintf("%d %s %s", o.Node[0], o.Link, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", o.Do), "cascade.")))
		if r, ok := o.Do.(SetRoutes); ok {
			text = fmt.Sprintf("%d routes", o.Node[0])
			for _, x := range r.Routes {
				text += fmt.Sprintf(" %d:%s", x.Origin[0], x.Link)
			}
		}
		out = append(out, text)
	}
	return out
}

func expect(t *testing.T, when string, c *Cascade, want ...string) {
	t.Helper()
	if got := texts(c.Orders()); !slices.Equal(got, want) {
		t.Errorf("%s: orders are\n\t%s\nwant\n\t%s", when, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// bring opens and connects a link.
func bring(c *Cascade, now time.Time, link LinkID, a, b int) {
	for _, n := range []int{a, b} {
		c.Prepared(now, id(n), link, []byte{byte(n)}, nil, "")
	}
	for _, n := range []int{a, b} {
		c.Opened(now, id(n), link, "")
		c.Changed(now, id(n), link, true, false)
	}
}

func TestCascade_bringsALinkUpAndRoutesOverIt(t *testing.T) {
	c := New("L")
	c.Want(start, []plan.Link{link(1, 2)}, []plan.Route{route(1, 2, 1)}, 3)
	expect(t, "wanted", c, "1 L-1 prepare", "2 L-1 prepare")
	c.Prepared(start, id(1), "L-1", []byte("one"), []byte("s1"), "")
	expect(t, "one end prepared", c)
	c.Prepared(start, id(2), "L-1", []byte("two"), []byte("s2"), "")
	orders := c.Orders()
	if got, want := orders[0].Do.(Open), (Open{Peer: id(2), Description: []byte("two"), Signature: []byte("s2"), AudioLimit: 3}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("node 1 is to open %v, want %v", got, want)
	}
	c.Changed(start, id(2), "L-1", true, false) // an event may overtake the answer
	c.Opened(start, id(2), "L-1", "")
	expect(t, "open at node 2", c, "2 routes 1:L-1")
	if c.Ready(id(2)) {
		t.Error("node 2 is ready before it has answered")
	}
	c.RoutesSet(start, id(2), "")
	c.Opened(start, id(1), "L-1", "")
	c.Changed(start, id(1), "L-1", true, false)
	expect(t, "open", c)
	if !c.Settled() {
		t.Error("not settled, want it to be")
	}
}

// An attempt that fails is closed at both ends, and the next one has a fresh id
// after a longer and longer wait.
func TestCascade_triesAgainWithAFreshID(t *testing.T) {
	c := New("L")
	c.Want(start, []plan.Link{link(1, 2)}, nil, 0)
	now := start
	var waits []time.Duration
	for n := 1; n <= 8; n++ {
		name := LinkID(fmt.Sprint("L-", n))
		expect(t, "attempt", c, fmt.Sprintf("1 %s prepare", name), fmt.Sprintf("2 %s prepare", name))
		c.Prepared(now, id(1), name, nil, nil, "not now")
		expect(t, "failed", c, fmt.Sprintf("1 %s close", name), fmt.Sprintf("2 %s close", name))
		waits = append(waits, c.NextTimeout().Sub(now))
		now = c.NextTimeout()
		c.HandleTimeout(now)
	}
	want := []time.Duration{200, 400, 800, 1600, 3200, 6400, 10_000, 10_000}
	for i := range want {
		if want[i] *= time.Millisecond; waits[i] != want[i] {
			t.Errorf("wait %d is %v, want %v", i, waits[i], want[i])
		}
	}
	if got := c.Failing(); !slices.Equal(got, []plan.Link{link(1, 2)}) {
		t.Errorf("failing pairs are %v, want the one", got)
	}
}

func TestCascade_givesUpAnAttemptThatHangs(t *testing.T) {
	c := New("L")
	c.Want(start, []plan.Link{link(1, 2)}, nil, 0)
	c.Orders()
	c.HandleTimeout(start.Add(openWithin))
	expect(t, "never prepared", c, "1 L-1 close", "2 L-1 close")
	c.HandleTimeout(c.NextTimeout())
	c.Orders()
	now := c.NextTimeout()
	bring(c, now.Add(-openWithin), "L-2", 1, 2)
	c.Orders()
	c.Changed(now, id(1), "L-2", false, false)
	c.HandleTimeout(now.Add(silentFor))
	expect(t, "silent", c, "1 L-2 close", "2 L-2 close")
}

// A route moves to another link when that works, and the old link goes after a
// calm time.
func TestCascade_changesRoutesBeforeItClosesLinks(t *testing.T) {
	c := New("L")
	c.Want(start, []plan.Link{link(1, 2)}, []plan.Route{route(1, 2, 1)}, 0)
	bring(c, start, "L-1", 1, 2)
	c.RoutesSet(start, id(2), "")
	c.Orders()
	c.Want(start, []plan.Link{link(1, 3), link(2, 3)}, []plan.Route{route(1, 3, 1), route(1, 2, 3)}, 0)
	expect(t, "another way wanted", c, "1 L-2 prepare", "3 L-2 prepare", "2 L-3 prepare", "3 L-3 prepare")
	bring(c, start, "L-2", 1, 3)
	for _, n := range []int{2, 3} {
		c.Prepared(start, id(n), "L-3", nil, nil, "")
	}
	c.Opened(start, id(2), "L-3", "")
	c.Opened(start, id(3), "L-3", "")
	expect(t, "open", c, "1 L-2 open", "3 L-2 open", "3 routes 1:L-2", "2 L-3 open", "3 L-3 open")
	c.Changed(start, id(2), "L-3", true, false)
	expect(t, "connected", c, "2 routes 1:L-3")
	c.RoutesSet(start, id(2), "")
	c.HandleTimeout(start.Add(calm))
	expect(t, "calm", c, "1 L-1 close", "2 L-1 close")
}

// What a lost node has is closed when it is back, and it gets its routes again.
func TestCascade_cleansUpWhereItWasLost(t *testing.T) {
	c := New("L")
	want := func() { c.Want(start, []plan.Link{link(1, 2)}, []plan.Route{route(1, 2, 1)}, 0) }
	want()
	bring(c, start, "L-1", 1, 2)
	c.RoutesSet(start, id(2), "")
	c.Orders()
	c.Lost(start, id(2))
	expect(t, "lost", c, "1 L-1 close")
	want()
	expect(t, "still wanted", c)
	if !c.Settled() {
		t.Error("waits for the routes of a lost node")
	}
	c.Back(start, id(2))
	expect(t, "back", c, "2 L-1 close", "1 L-2 prepare", "2 L-2 prepare", "2 routes")
}

func TestCascade_claims(t *testing.T) {
	c := New("L")
	c.Want(start, []plan.Link{link(1, 2), link(1, 3)}, nil, 0)
	bring(c, start, "L-1", 1, 2)
	bring(c, start, "L-2", 1, 3)
	c.Orders()
	c = Restore("L", c.State(), start)
	c.Want(start, []plan.Link{link(1, 2), link(1, 3)}, nil, 0)
	expect(t, "restored", c)
	c.Claiming(id(1))
	c.Claimed(start, id(1), []LinkID{"L-1", "L-9"})
	expect(t, "claimed", c, "1 L-9 close", "1 L-2 close", "3 L-2 close")
	c.HandleTimeout(c.NextTimeout())
	expect(t, "anew", c, "1 L-rv prepare", "3 L-rv prepare")
}

func TestCascade_closesAll(t *testing.T) {
	c := New("L")
	c.Want(start, []plan.Link{link(1, 2)}, []plan.Route{route(1, 2, 1)}, 0)
	bring(c, start, "L-1", 1, 2)
	c.RoutesSet(start, id(2), "")
	c.Orders()
	c.CloseAll(start)
	expect(t, "closed", c, "1 L-1 close", "2 L-1 close", "2 routes")
	c.RoutesSet(start, id(2), "")
	if got := c.Nodes(); len(got) > 0 {
		t.Errorf("nodes %v are left, want none", got)
	}
}

// Whatever nodes answer in whatever order: ids are never used twice, every
// attempt that is given up is closed at both ends, and nothing is said to a lost
// node.
func TestCascade_rulesHoldForAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := New("L"), start
		lost := map[int]bool{}
		ends := map[string]bool{} // link and node: prepared and not closed
		used := map[LinkID]bool{}
		var ids []LinkID
		do := func() {
			for _, o := range c.Orders() {
				end := fmt.Sprint(o.Link, " ", o.Node[0])
				if lost[int(o.Node[0])] {
					t.Fatalf("%T for the lost node %d", o.Do, o.Node[0])
				}
				switch o.Do.(type) {
				case Prepare:
					if ends[end] {
						t.Fatalf("%s is prepared twice", end)
					}
					if ends[end] = true; !slices.Contains(ids, o.Link) {
						if used[o.Link] {
							t.Fatalf("%s is used twice", o.Link)
						}
						used[o.Link] = true
						ids = append(ids, o.Link)
					}
				case Close:
					delete(ends, end)
				}
			}
		}
		node := func() int { return rapid.IntRange(1, 4).Draw(t, "node") }
		some := func() LinkID {
			if len(ids) == 0 {
				return "L-0"
			}
			return rapid.SampledFrom(ids).Draw(t, "link")
		}
		failed := func() string { return rapid.SampledFrom([]string{"", "", "", "no"}).Draw(t, "err") }
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				var links []plan.Link
				var routes []plan.Route
				for _, l := range []plan.Link{link(1, 2), link(1, 3), link(2, 3), link(3, 4)} {
					if rapid.Bool().Draw(t, "wanted") {
						links = append(links, l)
						routes = append(routes, plan.Route{Origin: l.A, Node: l.B, Via: l.A})
					}
				}
				c.Want(now, links, routes, 0)
			case 1, 2, 3:
				c.Prepared(now, id(node()), some(), nil, nil, failed())
			case 4, 5:
				c.Opened(now, id(node()), some(), failed())
			case 6:
				c.Changed(now, id(node()), some(), rapid.Bool().Draw(t, "up"), rapid.IntRange(0, 4).Draw(t, "closed") == 0)
			case 7:
				c.RoutesSet(now, id(node()), failed())
			case 8:
				if n := node(); lost[n] {
					delete(lost, n)
					c.Back(now, id(n))
				} else {
					do()
					lost[n] = true
					c.Lost(now, id(n))
				}
			case 9:
				now = now.Add(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond)
				c.HandleTimeout(now)
			}
			do()
		}
		for n := range lost {
			delete(lost, n)
			c.Back(now, id(n))
			do()
		}
		c.CloseAll(now)
		do()
		if len(ends) > 0 {
			t.Fatalf("ends are left: %v", ends)
		}
	})
}
