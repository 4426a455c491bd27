package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
)

// defaultRegistry is where a Registry of this machine listens unless told.
const defaultRegistry = "http://127.0.0.1:7900"

func newRegistryNodes() *cobra.Command {
	q := discovery.Query{Limit: 20, Timeout: 5 * time.Second}
	var near, region string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "Ask several Registries which Media Nodes there are",
		Long: `Asks several Registries which Media Nodes there are, verifies the signature of
each node on what it says of itself, and prints those that at least half of the
Registries that answered list, the nearest first. What a Registry says on its own
authority (state, availability, what it makes of the place) is what most say.`,
		Example: "  drtc registry nodes --registry https://a.example,https://b.example --near 50.11,8.68",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := readNear(&q, near, region); err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			if err := q.Validate(); err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			answer, err := discovery.Find(cmd.Context(), q)
			if err != nil {
				return err
			}
			complain(cmd.ErrOrStderr(), answer)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), nodesJSON(answer, q.Near != nil))
			}
			return printNodes(cmd.OutOrStdout(), answer, q.Near != nil)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&q.Registries, "registry", []string{defaultRegistry}, "base URLs of Registries, comma-separated")
	f.StringVar(&q.Network, "network", "", "name that records must carry (default: the one that most of the Registries name)")
	f.StringVar(&near, "near", "", "LAT,LON in decimal degrees: nearest first")
	f.Float64Var(&q.RadiusKm, "radius-km", 0, "greatest distance from --near; 0 for any")
	f.StringVar(&region, "region", "", "NAM, SAM, EU, AFR, MEA, ASI or OCE")
	f.StringSliceVar(&q.Features, "feature", nil, "features that a node must have, comma-separated")
	f.StringVar(&q.Version, "version", "", "software version, exactly")
	f.Uint32Var(&q.MinBandwidthMbps, "min-bandwidth", 0, "Mbit/s that are free, at least")
	f.Float64Var(&q.MinQuality, "min-qos", 0, "quality, 0 to 1, at least, as Registries say")
	f.IntVar(&q.Limit, "limit", q.Limit, "nodes at most")
	f.DurationVar(&q.Timeout, "timeout", q.Timeout, "how long one request may take")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readNear(q *discovery.Query, near, region string) error {
	if near != "" {
		place, err := drtc.ParsePlace(near)
		if err != nil {
			return fmt.Errorf("--near: %w", err)
		}
		q.Near = &place
	}
	if region != "" {
		var err error
		if q.Region, err = drtc.ParseRegion(region); err != nil {
			return fmt.Errorf("--region: %w", err)
		}
	}
	return nil
}

// complain tells of Registries whose word did not count, or whose records were
// not all good.
func complain(w io.Writer, a discovery.Answer) {
	for _, r := range a.Asked {
		switch {
		case r.Err != nil:
			fmt.Fprintf(w, "drtc: %s does not count: %v\n", r.URL, r.Err)
		case r.Refused > 0:
			fmt.Fprintf(w, "drtc: %s gave %d records that cannot be believed\n", r.URL, r.Refused)
		}
	}
}

func printNodes(w io.Writer, a discovery.Answer, near bool) error {
	answered := 0
	for _, r := range a.Asked {
		if r.Err == nil {
			answered++
		}
	}
	if len(a.Nodes) == 0 {
		_, err := fmt.Fprintf(w, "No Media Node of network %s fits; asked %d of %d Registries.\n", a.Network, answered, len(a.Asked))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tPLACE\tKM\tMBIT/S\tSESSIONS\tSTATE\tAVAILABILITY\tLOCATION\tVOUCHED BY\tVERSION")
	for _, n := range a.Nodes {
		distance := "-"
		if near {
			distance = fmt.Sprintf("%.0f", n.DistanceKm)
		}
		o := summarize(n.Opinions)
		fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%d/%d\t%s\t%s\t%s\t%d of %d\t%s\n", n.ID.Short(), placeOf(n.Node), distance,
			n.LoadMbps, n.CapacityMbps, n.Sessions, n.MaxSessions, o.state, o.availability, o.location, len(n.VouchedBy), answered, printable(n.Version))
	}
	return t.Flush()
}

func placeOf(n discovery.Node) string {
	name := printable(n.PlaceName)
	if n.PlaceName == "" && n.Place != nil {
		name = n.Place.String()
	}
	if n.Region != "" {
		name += " (" + string(n.Region) + ")"
	}
	return name
}

// summary is what most Registries say, or "-".
type summary struct{ state, availability, location string }

func summarize(opinions []discovery.Opinion) summary {
	states, places := map[string]int{}, map[string]int{}
	var available []float64
	for _, o := range opinions {
		states[o.State]++
		places[o.PlaceVerdict]++
		if o.Availability != nil {
			available = append(available, *o.Availability)
		}
	}
	s := summary{state: most(states), availability: "-", location: most(places)}
	if len(available) > 0 {
		slices.Sort(available)
		s.availability = fmt.Sprintf("%.1f %%", 100*available[(len(available)-1)/2])
	}
	return s
}

// most returns the text with the highest count, the first of equals, "-" when
// there is none.
func most(counts map[string]int) string {
	delete(counts, "")
	texts := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	if len(texts) == 0 {
		return "-"
	}
	return printable(texts[0])
}

// printable is text from a stranger as a terminal may show it.
func printable(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), 256)])
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

type nodeJSON struct {
	NodeID         drtc.NodeID         `json:"nodeId"`
	Region         drtc.Region         `json:"region,omitempty"`
	Place          *drtc.Place         `json:"place,omitempty"`
	PlaceName      string              `json:"placeName,omitempty"`
	DistanceKm     *float64            `json:"distanceKm,omitempty"`
	URL            string              `json:"url"`
	MediaAddresses []string            `json:"mediaAddresses"`
	Version        string              `json:"version"`
	CapacityMbps   uint32              `json:"capacityMbps"`
	LoadMbps       uint32              `json:"loadMbps"`
	Sessions       uint32              `json:"sessions"`
	MaxSessions    uint32              `json:"maxSessions"`
	Features       []string            `json:"features"`
	Generation     uint64              `json:"generation,string"`
	Seq            uint64              `json:"seq,string"`
	IssuedAt       time.Time           `json:"issuedAt"`
	ExpiresAt      time.Time           `json:"expiresAt"`
	VouchedBy      []string            `json:"vouchedBy"`
	Opinions       []discovery.Opinion `json:"opinions"`
}

type askedJSON struct {
	URL     string       `json:"url"`
	ID      *drtc.NodeID `json:"id,omitempty"`
	Refused int          `json:"refused"`
	Error   string       `json:"error,omitempty"`
}

// nodesJSON is an answer as --json prints it.
func nodesJSON(a discovery.Answer, near bool) any {
	out := struct {
		Network    string      `json:"network"`
		Registries []askedJSON `json:"registries"`
		Nodes      []nodeJSON  `json:"nodes"`
	}{a.Network, []askedJSON{}, []nodeJSON{}}
	for _, r := range a.Asked {
		asked := askedJSON{URL: r.URL, Refused: r.Refused}
		if !r.ID.IsZero() {
			asked.ID = &r.ID
		}
		if r.Err != nil {
			asked.Error = r.Err.Error()
		}
		out.Registries = append(out.Registries, asked)
	}
	for _, n := range a.Nodes {
		j := nodeJSON{
			NodeID: n.ID, Region: n.Region, Place: n.Place, PlaceName: n.PlaceName, URL: n.URL, MediaAddresses: n.MediaAddresses,
			Version: n.Version, CapacityMbps: n.CapacityMbps, LoadMbps: n.LoadMbps, Sessions: n.Sessions, MaxSessions: n.MaxSessions,
			Features: n.Features, Generation: n.Record.Generation, Seq: n.Record.Seq, IssuedAt: n.IssuedAt, ExpiresAt: n.ExpiresAt,
			VouchedBy: n.VouchedBy, Opinions: n.Opinions,
		}
		if near {
			j.DistanceKm = &n.DistanceKm
		}
		out.Nodes = append(out.Nodes, j)
	}
	return out
}
