package plan_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The files in testdata read as follows; go test -rewrite renews their answers.
//
//	policy      sets fields of the policy, from the default on
//	nodes       adds nodes; a line is a name and fields such as place=52.5,13.4
//	join        adds members; a line is a name and fields; count=50 adds 50 of them
//	leave       takes members out
//	change      changes fields of members
//	lose, drain, quarantine says so of nodes
//	cost        says what was measured between two nodes
//	plan        plans, prints the plan, and lets everybody arrive (unless pending):
//	            the nodes count them
//	latencies   prints the time from each member to each other, against one node (all-on) for all
func TestMake_scenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := scenario{Input: plan.Input{Now: start, Room: "RM_a", Policy: plan.DefaultPolicy(), Nodes: allocate.Snapshot{At: start}}}
			datadriven.RunTest(t, path, s.run)
		})
	}
}

type scenario struct{ plan.Input }

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "policy":
		s.setPolicy(t, d)
	case "nodes":
		for name, fields := range lines(d.Input) {
			s.node(t, name, fields)
		}
	case "join":
		for name, fields := range lines(d.Input) {
			s.join(t, name, fields)
		}
	case "leave":
		for _, arg := range d.CmdArgs {
			s.Members = slices.DeleteFunc(s.Members, func(m plan.Member) bool { return matches(string(m.ID), arg.Key) })
		}
	case "change":
		for name, fields := range lines(d.Input) {
			for i := range s.Members {
				if matches(string(s.Members[i].ID), name) {
					set(t, &s.Members[i], fields)
				}
			}
		}
	case "lose", "drain":
		for _, arg := range d.CmdArgs {
			if d.Cmd == "lose" {
				s.Lost = append(s.Lost, named(arg.Key))
			} else {
				s.Draining = append(s.Draining, named(arg.Key))
			}
		}
	case "quarantine":
		for _, arg := range d.CmdArgs {
			for i := range s.Nodes.Nodes {
				if c := &s.Nodes.Nodes[i]; c.ID == named(arg.Key) {
					c.QuarantinedUntil = start.Add(time.Hour)
				}
			}
		}
	case "cost":
		for a, fields := range lines(d.Input) {
			c := plan.LinkCost{A: named(a), B: named(fields[0].name)}
			for _, f := range fields[1:] {
				switch f.name {
				case "rtt":
					c.RoundTrip = duration(t, f.value)
				case "loss":
					c.Loss = number(t, f.value)
				}
			}
			s.Costs = append(s.Costs, c)
		}
	case "plan":
		return s.plan(t, d.HasArg("pending"))
	case "latencies":
		return s.latencies(t, d)
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return ""
}

func (s *scenario) plan(t *testing.T, pending bool) string {
	p, err := plan.Make(s.Input)
	if err != nil {
		return err.Error() + "\n"
	}
	check(t, s.Input, p)
	s.Current = p
	if !pending {
		s.Input = settled(s.Input, p)
	}
	return text(p)
}

type field struct{ name, value string }

// lines yields the first word of each line and the fields after it.
func lines(input string) func(func(string, []field) bool) {
	return func(yield func(string, []field) bool) {
		for line := range strings.Lines(input) {
			words := strings.Fields(line)
			var fields []field
			for _, word := range words[1:] {
				name, value, _ := strings.Cut(word, "=")
				fields = append(fields, field{name, value})
			}
			if !yield(words[0], fields) {
				return
			}
		}
	}
}

// matches compares a name with a pattern whose final * stands for anything.
func matches(name, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return name == pattern
}

func (s *scenario) node(t *testing.T, name string, fields []field) {
	c := allocate.Candidate{ID: named(name), Reachable: true}
	s.Nodes.Nodes = slices.DeleteFunc(s.Nodes.Nodes, func(old allocate.Candidate) bool { return old.ID == c.ID })
	for _, f := range fields {
		of := func() (float64, float64) {
			used, total, _ := strings.Cut(f.value, "/")
			return number(t, used), number(t, total)
		}
		switch f.name {
		case "place":
			c.Place = place(t, f.value)
		case "region":
			c.Region = drtc.Region(f.value)
		case "owner":
			c.Owner = f.value
		case "mbps":
			c.LoadMbps, c.CapacityMbps = of()
		case "sessions":
			used, total := of()
			c.Sessions, c.MaxSessions = int(used), int(total)
		case "audio":
			c.AudioCapacity = int(number(t, f.value))
		case "load":
			c.LoadFraction = number(t, f.value)
		case "price":
			c.PriceWeight = number(t, f.value)
		case "score":
			v := number(t, f.value)
			c.Score = &v
		case "quarantined":
			c.QuarantinedUntil = start.Add(time.Hour)
		case "down":
			c.Reachable = false
		default:
			t.Fatalf("unknown field %s", f.name)
		}
	}
	s.Nodes.Nodes = append(s.Nodes.Nodes, c)
}

func (s *scenario) join(t *testing.T, name string, fields []field) {
	count := 1
	fields = slices.DeleteFunc(fields, func(f field) bool {
		if f.name == "count" {
			count = int(number(t, f.value))
		}
		return f.name == "count"
	})
	for i := range count {
		m := plan.Member{ID: drtc.ParticipantID(name)}
		if count > 1 {
			m.ID = drtc.ParticipantID(fmt.Sprintf("%s%03d", name, i))
		}
		set(t, &m, fields)
		s.Members = append(s.Members, m)
	}
}

func set(t *testing.T, m *plan.Member, fields []field) {
	for _, f := range fields {
		switch f.name {
		case "place":
			p := place(t, f.value)
			m.Place = &p
		case "region":
			m.Region = drtc.Region(f.value)
		case "publishes":
			m.Publishes = f.value != "no"
		case "audio":
			m.AudioOnly = true
		case "need":
			m.NeedMbps = number(t, f.value)
		case "exclude":
			m.Exclude = append(m.Exclude, named(f.value))
		case "pin":
			m.Pin = named(f.value)
		case "home":
			m.Home = named(f.value)
		default:
			t.Fatalf("unknown field %s", f.name)
		}
	}
}

func (s *scenario) setPolicy(t *testing.T, d *datadriven.TestData) {
	s.Policy = plan.DefaultPolicy()
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "strategy":
			v, err := plan.ParseStrategy(value)
			if err != nil {
				t.Fatal(err)
			}
			s.Policy.Strategy = v
		case "regions":
			for _, v := range arg.Vals {
				s.Policy.Regions = append(s.Policy.Regions, drtc.Region(v))
			}
		case "owners":
			s.Policy.Owners = arg.Vals
		case "exclude-owners":
			s.Policy.ExcludeOwners = arg.Vals
		case "min-owners":
			s.Policy.MinOwners = int(number(t, value))
		case "own":
			s.Policy.Own = value
		case "max-price":
			s.Policy.MaxPriceWeight = number(t, value)
		case "gain":
			s.Policy.Gain = duration(t, value)
		case "degree":
			s.Policy.Degree = int(number(t, value))
		case "no-standby":
			s.Policy.Standby = false
		case "max-moves":
			s.Policy.MaxMoves = int(number(t, value))
		case "region-nodes":
			s.Policy.RegionNodes = int(number(t, value))
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
}

// text prints a plan by names: who is where, what is linked, and the way of each
// origin's streams as a tree.
func text(p plan.Plan) string {
	var b strings.Builder
	at := map[drtc.NodeID][]string{}
	for m, home := range p.Homes {
		at[home] = append(at[home], string(m))
	}
	for _, home := range sortedIDs(maps.Keys(at)) {
		fmt.Fprintf(&b, "%s: %s", word(home), few(at[home]))
		if s, ok := p.Standby[home]; ok {
			fmt.Fprintf(&b, "; standby %s", word(s))
		}
		b.WriteByte('\n')
	}
	if len(p.Links) > 0 {
		b.WriteString("links:")
		for _, l := range p.Links {
			fmt.Fprintf(&b, " %s-%s", word(l.A), word(l.B))
		}
		b.WriteByte('\n')
	}
	trees := map[drtc.NodeID]map[drtc.NodeID][]drtc.NodeID{}
	for _, r := range p.Routes {
		if trees[r.Origin] == nil {
			trees[r.Origin] = map[drtc.NodeID][]drtc.NodeID{}
		}
		trees[r.Origin][r.Via] = append(trees[r.Origin][r.Via], r.Node)
	}
	for _, origin := range sortedIDs(maps.Keys(trees)) {
		fmt.Fprintf(&b, "from %s\n", tree(trees[origin], origin))
	}
	refused := map[string][]string{}
	for m, err := range p.Refused {
		refused[err.Error()] = append(refused[err.Error()], string(m))
	}
	for _, why := range slices.Sorted(maps.Keys(refused)) {
		fmt.Fprintf(&b, "refused %s: %s\n", few(refused[why]), words(why))
	}
	for _, r := range p.Reasons {
		fmt.Fprintf(&b, "%s", r.Topic)
		if !r.Node.IsZero() {
			fmt.Fprintf(&b, " %s", word(r.Node))
		}
		fmt.Fprintf(&b, ": %s\n", r.Text)
	}
	return b.String()
}

func tree(children map[drtc.NodeID][]drtc.NodeID, at drtc.NodeID) string {
	if len(children[at]) == 0 {
		return word(at)
	}
	var texts []string
	for _, child := range children[at] {
		texts = append(texts, tree(children, child))
	}
	return word(at) + " > (" + strings.Join(texts, " ") + ")"
}

func few(names []string) string {
	slices.Sort(names)
	if len(names) > 6 {
		return fmt.Sprintf("%d members, %s to %s", len(names), names[0], names[len(names)-1])
	}
	return strings.Join(names, " ")
}

// latencies compares, for every two members, the way over their homes with the
// way over one node for all. Light goes through fibre at
// 200 km/ms, by a way that is half as long again as the direct one.
func (s *scenario) latencies(t *testing.T, d *datadriven.TestData) string {
	var name string
	d.ScanArgs(t, "all-on", &name)
	central := named(name)
	oneWay := func(a, b drtc.Place) float64 { return a.DistanceKm(b) * 1.5 / 200 }
	places := map[drtc.NodeID]drtc.Place{}
	for _, c := range s.Nodes.Nodes {
		places[c.ID] = c.Place
	}
	via := map[[2]drtc.NodeID]drtc.NodeID{}
	for _, r := range s.Current.Routes {
		via[[2]drtc.NodeID{r.Origin, r.Node}] = r.Via
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %-10s %s\n", "", "cascaded", "all on "+word(central))
	var access [2]float64
	for _, from := range s.Members {
		access[0] = max(access[0], oneWay(*from.Place, places[s.Current.Homes[from.ID]]))
		access[1] = max(access[1], oneWay(*from.Place, places[central]))
		for _, to := range s.Members {
			if from.ID == to.ID {
				continue
			}
			origin, node := s.Current.Homes[from.ID], s.Current.Homes[to.ID]
			ms := oneWay(*from.Place, places[origin]) + oneWay(*to.Place, places[node])
			for ; node != origin; node = via[[2]drtc.NodeID{origin, node}] {
				ms += oneWay(places[node], places[via[[2]drtc.NodeID{origin, node}]])
			}
			fmt.Fprintf(&b, "%-16s %3.0f ms     %3.0f ms\n", from.ID+" > "+to.ID, ms, oneWay(*from.Place, places[central])+oneWay(*to.Place, places[central]))
		}
	}
	fmt.Fprintf(&b, "%-16s %3.0f ms     %3.0f ms\n", "worst first mile", access[0], access[1])
	return b.String()
}

// named is a node id that holds its name, so that a test can print it.
func named(name string) (id drtc.NodeID) {
	copy(id[:], name)
	return id
}

func word(id drtc.NodeID) string { return strings.TrimRight(string(id[:]), "\x00") }

// words puts the names back into a text with ids.
func words(text string) string {
	for {
		i := strings.Index(text, "0x")
		if i < 0 || len(text) < i+42 {
			return text
		}
		id, err := drtc.ParseNodeID(text[i : i+42])
		if err != nil {
			return text
		}
		text = text[:i] + word(id) + text[i+42:]
	}
}

func sortedIDs(ids func(func(drtc.NodeID) bool)) []drtc.NodeID {
	return slices.SortedFunc(ids, func(a, b drtc.NodeID) int { return cmp.Compare(string(a[:]), string(b[:])) })
}

func number(t *testing.T, s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func duration(t *testing.T, s string) time.Duration {
	v, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func place(t *testing.T, s string) drtc.Place {
	p, err := drtc.ParsePlace(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// check holds a plan against what a plan promises, without the planner's code.
func check(t errorer, in plan.Input, p plan.Plan) {
	t.Helper()
	for _, problem := range problems(in, p) {
		t.Errorf("%s", problem)
	}
}

type errorer interface {
	Helper()
	Errorf(string, ...any)
}

func isNoNode(err error) bool { return errors.Is(err, allocate.ErrNoNode) }
