package allocate_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The files in testdata read as follows; go test -rewrite renews their answers.
//
//	nodes        replaces the snapshot; a line is a name and fields such as place=52.5,13.4
//	policy       sets fields of the policy, from the default on
//	decide       asks; the answer is the choice, its reasons and every rejection
func TestDecide_scenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := scenario{policy: allocate.DefaultPolicy(), snapshot: allocate.Snapshot{At: start}}
			datadriven.RunTest(t, path, s.run)
		})
	}
}

type scenario struct {
	policy   allocate.Policy
	snapshot allocate.Snapshot
	names    []string
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "nodes":
		return s.nodes(t, d.Input)
	case "policy":
		return s.setPolicy(t, d)
	case "decide":
		return s.decide(t, d)
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

// named is a node id that holds its name, so that a test can print it.
func named(name string) (id drtc.NodeID) {
	copy(id[:], name)
	return id
}

// named puts the names back into a text with ids.
func (s *scenario) named(text string) string {
	for _, name := range s.names {
		text = strings.ReplaceAll(text, named(name).String(), name)
	}
	return text
}

func (s *scenario) nodes(t *testing.T, input string) string {
	s.snapshot.Nodes, s.names = nil, nil
	for line := range strings.Lines(input) {
		fields := strings.Fields(line)
		c := allocate.Candidate{ID: named(fields[0]), Reachable: true}
		for _, field := range fields[1:] {
			name, value, _ := strings.Cut(field, "=")
			setCandidate(t, &c, name, value)
		}
		s.snapshot.Nodes = append(s.snapshot.Nodes, c)
		s.names = append(s.names, fields[0])
	}
	return ""
}

func setCandidate(t *testing.T, c *allocate.Candidate, name, value string) {
	of := func() (float64, float64) {
		used, total, _ := strings.Cut(value, "/")
		return number(t, used), number(t, total)
	}
	switch name {
	case "place":
		c.Place = place(t, value)
	case "region":
		c.Region = drtc.Region(value)
	case "version":
		c.Version = value
	case "features":
		c.Features = strings.Split(value, ",")
	case "mbps":
		c.LoadMbps, c.CapacityMbps = of()
	case "sessions":
		used, total := of()
		c.Sessions, c.MaxSessions = int(used), int(total)
	case "audio":
		c.AudioCapacity = int(number(t, value))
	case "refuses":
		c.Refuses = strings.ReplaceAll(value, "_", " ")
	case "load":
		c.LoadFraction = number(t, value)
	case "age":
		c.AgeOfRecord = duration(t, value)
	case "down":
		c.Reachable = false
	case "score":
		v := number(t, value)
		c.Score = &v
	case "history":
		v := number(t, value)
		c.History = &v
	case "quarantined":
		c.QuarantinedUntil = start.Add(duration(t, value))
	case "owner":
		c.Owner = value
	case "price":
		c.PriceWeight = number(t, value)
	default:
		t.Fatalf("unknown field %s", name)
	}
}

func (s *scenario) setPolicy(t *testing.T, d *datadriven.TestData) string {
	s.policy = allocate.DefaultPolicy()
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "min-version":
			s.policy.MinVersion = value
		case "max-age":
			s.policy.MaxAge = duration(t, value)
		case "max-load":
			s.policy.MaxLoad = number(t, value)
		case "half-distance":
			s.policy.HalfDistanceKm = number(t, value)
		case "load-only":
			s.policy.Weights = allocate.Weights{Load: 1}
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	return ""
}

func (s *scenario) decide(t *testing.T, d *datadriven.TestData) string {
	r := allocate.Request{Room: "RM_a"}
	now := start
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "room":
			r.Room = drtc.RoomID(value)
		case "place":
			p := place(t, value)
			r.Place = &p
		case "accuracy":
			r.AccuracyKm = number(t, value)
		case "region":
			r.Region = drtc.Region(value)
		case "region-only":
			r.RegionOnly = true
		case "need":
			r.NeedMbps = number(t, value)
		case "features":
			r.Features = arg.Vals
		case "pin":
			r.Pin = named(value)
		case "room-nodes":
			for _, v := range arg.Vals {
				r.RoomNodes = append(r.RoomNodes, named(v))
			}
		case "exclude":
			for _, v := range arg.Vals {
				r.Exclude = append(r.Exclude, named(v))
			}
		case "avoid-owners":
			r.AvoidOwners = arg.Vals
		case "audio":
			r.AudioOnly = true
		case "regions":
			for _, v := range arg.Vals {
				r.Regions = append(r.Regions, drtc.Region(v))
			}
		case "owners":
			r.Owners = arg.Vals
		case "exclude-owners":
			r.ExcludeOwners = arg.Vals
		case "own":
			r.Own = value
		case "max-price":
			r.MaxPriceWeight = number(t, value)
		case "after":
			now = start.Add(duration(t, value))
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	decision, err := allocate.Decide(now, s.snapshot, r, s.policy)
	if err != nil {
		if !errors.Is(err, allocate.ErrNoNode) {
			d.Fatalf(t, "%v", err)
		}
		return s.named(strings.ReplaceAll(err.Error(), "; ", ";\n  ")) + "\n"
	}
	return s.named(text(decision))
}

func text(d allocate.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s scores %.3f:", d.Node, d.Score)
	for _, r := range d.Reasons {
		fmt.Fprintf(&b, " %s %.2f x %.2f", r.Part, r.Value, r.Weight)
	}
	b.WriteByte('\n')
	for _, r := range d.Rejected {
		fmt.Fprintf(&b, "  not %s\n", r)
	}
	return b.String()
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
