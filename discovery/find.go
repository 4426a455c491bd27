package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
)

// Query is which nodes are wanted. The zero value wants all.
type Query struct {
	// Registries are the base URLs of those who are asked.
	Registries []string
	// Network is the name that records must carry; empty is the one that most of
	// the Registries name.
	Network string

	Region drtc.Region
	// Near puts the nearest first and leaves out nodes without a place; RadiusKm
	// bounds the distance, 0 for no bound.
	Near     *drtc.Place
	RadiusKm float64
	// MinBandwidthMbps is capacity less load, at least.
	MinBandwidthMbps uint32
	// MinQuality is 0 to 1. It is the Registries' word, which nobody else signs.
	MinQuality float64
	Features   []string // all of them
	Version    string   // exactly
	Limit      int      // of nodes, 1 to 500

	// Timeout bounds one request, default 5 s.
	Timeout time.Duration
	// Transport carries the requests; nil is the network.
	Transport http.RoundTripper
}

// Answer is what was found.
type Answer struct {
	Network string
	Nodes   []Found
	// Asked tells of each Registry, in the order of Query.Registries.
	Asked []Asked
}

// Found is one node. Its VouchedBy are those who listed it.
type Found struct {
	Node
	DistanceKm float64 // from Query.Near
	// Opinions are what Registries say about it, in the order of VouchedBy.
	Opinions []Opinion
}

// Opinion is what one Registry says about a node on its own authority. What it
// does not say is empty.
type Opinion struct {
	Registry     string   `json:"registry"`
	Quality      *float64 `json:"quality,omitempty"`
	State        string   `json:"state,omitempty"`
	Availability *float64 `json:"availability,omitempty"`
	// PlaceVerdict is what it makes of the declared place, with its reasons.
	PlaceVerdict string   `json:"placeVerdict,omitempty"`
	PlaceReasons []string `json:"placeReasons,omitempty"`
}

// Asked is one Registry's part in an Answer.
type Asked struct {
	URL string
	ID  drtc.NodeID // as it says; zero when it gave no answer
	// Refused is how many of its records could not be believed.
	Refused int
	// Err says why its word does not count.
	Err error
}

// maxFound bounds the nodes of all answers together.
const maxFound = 2 * pageLimit

// Find asks several Registries one question and believes none: each node is
// proven by its own signature, fits the query by its own record, and is listed
// by at least half of those who answer. The error says that none did.
func Find(ctx context.Context, q Query) (Answer, error) {
	if err := q.Validate(); err != nil {
		return Answer{}, err
	}
	f := newFinding(q)
	defer f.way.close()
	f.each(func(i int) { f.network(ctx, i) })
	f.agree()
	f.each(func(i int) { f.list(ctx, i) })
	ids := f.listed()
	f.each(func(i int) { f.prove(ctx, i, ids) })
	for i := range f.asked {
		if f.asked[i].Err == nil {
			return f.answer(time.Now()), nil
		}
	}
	var all []error
	for _, a := range f.asked {
		all = append(all, fmt.Errorf("%s: %w", a.URL, a.Err))
	}
	return Answer{Asked: f.asked}, fmt.Errorf("discovery: no Registry answers: %w", errors.Join(all...))
}

// Validate names the field that is out of range.
func (q Query) Validate() error {
	if len(q.Registries) == 0 {
		return errors.New("discovery: Registries is empty: give at least one URL")
	}
	if err := checkURLs(q.Registries); err != nil {
		return err
	}
	switch {
	case q.Near != nil && !q.Near.Valid():
		return fmt.Errorf("discovery: Near: %w", drtc.ErrPlace)
	case q.RadiusKm < 0 || math.IsNaN(q.RadiusKm):
		return fmt.Errorf("discovery: RadiusKm must be at least 0, is %v", q.RadiusKm)
	case q.RadiusKm > 0 && q.Near == nil:
		return errors.New("discovery: RadiusKm needs Near")
	case !(q.MinQuality >= 0 && q.MinQuality <= 1):
		return fmt.Errorf("discovery: MinQuality must be 0 to 1, is %v", q.MinQuality)
	case q.Limit < 1 || q.Limit > pageLimit:
		return fmt.Errorf("discovery: Limit must be 1 to %d, is %d", pageLimit, q.Limit)
	}
	return nil
}

// parameters of /getMediaNodes.
func (q Query) parameters() string {
	v := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	set := func(name, value string, given bool) {
		if given {
			v.Set(name, value)
		}
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	set("region", string(q.Region), q.Region != "")
	if q.Near != nil {
		v.Set("lat", number(q.Near.Lat))
		v.Set("lon", number(q.Near.Lon))
	}
	set("radiusKm", number(q.RadiusKm), q.RadiusKm > 0)
	set("minBandwidthMbps", strconv.FormatUint(uint64(q.MinBandwidthMbps), 10), q.MinBandwidthMbps > 0)
	set("minQos", number(q.MinQuality), q.MinQuality > 0)
	set("version", q.Version, q.Version != "")
	set("feature", strings.Join(q.Features, ","), len(q.Features) > 0)
	return v.Encode()
}

// fits holds a node to the query by what it signed itself.
func (q Query) fits(n *Node) bool {
	free := n.CapacityMbps - min(n.LoadMbps, n.CapacityMbps)
	switch {
	case n.Draining, q.Region != "" && n.Region != q.Region, q.Version != "" && n.Version != q.Version, free < q.MinBandwidthMbps:
		return false
	case q.Near != nil && n.Place == nil, q.RadiusKm > 0 && q.Near.DistanceKm(*n.Place) > q.RadiusKm:
		return false
	}
	return !slices.ContainsFunc(q.Features, func(f string) bool { return !slices.Contains(n.Features, f) })
}

// finding is a Find under way.
type finding struct {
	query    Query
	way      carriers
	clients  []*client
	networks []string
	asked    []Asked
	opinions []map[drtc.NodeID]Opinion // what each Registry listed

	mu   sync.Mutex // guards view
	view *view
}

func newFinding(q Query) *finding {
	c := Config{Timeout: cmp.Or(q.Timeout, 5*time.Second), Transport: q.Transport}
	n := len(q.Registries)
	f := &finding{
		query: q, way: newCarriers(c, false), networks: make([]string, n), asked: make([]Asked, n),
		opinions: make([]map[drtc.NodeID]Opinion, n),
	}
	for i, r := range q.Registries {
		base, _ := baseURL(r)
		f.clients = append(f.clients, newClient(f.way.questions, base))
		f.asked[i].URL = base
	}
	return f
}

// each does something with every Registry that has not failed, all at once.
func (f *finding) each(do func(i int)) {
	var calls sync.WaitGroup
	for i := range f.clients {
		if f.asked[i].Err == nil {
			calls.Go(func() { do(i) })
		}
	}
	calls.Wait()
}

func (f *finding) network(ctx context.Context, i int) {
	var health struct {
		Network string `json:"network"`
	}
	_, f.asked[i].Err = f.clients[i].get(ctx, f.clients[i].base+"/healthz", "", &health)
	f.networks[i] = health.Network
}

// agree settles the network, and leaves out Registries of others.
func (f *finding) agree() {
	network := f.query.Network
	if network == "" {
		votes := map[string]int{}
		for i, name := range f.networks { // the first of equals
			if f.asked[i].Err != nil {
				continue
			}
			votes[name]++
		}
		for _, name := range f.networks {
			if votes[name] > votes[network] {
				network = name
			}
		}
	}
	for i, name := range f.networks {
		if f.asked[i].Err == nil && name != network {
			f.asked[i].Err = fmt.Errorf("%w: is a Registry of network %.40q, not %q", errAnswer, name, network)
		}
	}
	f.view = newView(Config{Network: network, MaxNodes: maxFound})
}

func (f *finding) list(ctx context.Context, i int) {
	var body struct {
		Registry drtc.NodeID `json:"registry"`
		Nodes    []struct {
			NodeID       drtc.NodeID `json:"nodeId"`
			Quality      *float64    `json:"quality"`
			State        string      `json:"state"`
			Availability *float64    `json:"availability"`
			PlaceVerdict string      `json:"placeVerdict"`
			PlaceReasons []string    `json:"placeReasons"`
		} `json:"nodes"`
	}
	a := &f.asked[i]
	if _, a.Err = f.clients[i].get(ctx, a.URL+"/getMediaNodes?"+f.query.parameters(), "", &body); a.Err != nil {
		return
	}
	a.ID = body.Registry
	f.opinions[i] = map[drtc.NodeID]Opinion{}
	for _, n := range body.Nodes[:min(len(body.Nodes), f.query.Limit)] {
		f.opinions[i][n.NodeID] = Opinion{
			Registry: a.URL, Quality: n.Quality, State: n.State, Availability: n.Availability,
			PlaceVerdict: n.PlaceVerdict, PlaceReasons: n.PlaceReasons,
		}
	}
}

// listed is every node that anybody listed.
func (f *finding) listed() []drtc.NodeID {
	var ids []drtc.NodeID
	for _, listed := range f.opinions {
		for id := range listed {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), maxFound)]
}

// prove gets one Registry's records of all of them: one that does not list a
// node may hold the proof that it left.
func (f *finding) prove(ctx context.Context, i int, ids []drtc.NodeID) {
	for rest := ids; len(rest) > 0; {
		page := rest[:min(len(rest), maxIDs)]
		rest = rest[len(page):]
		records, err := f.clients[i].records(ctx, "", page)
		if err != nil {
			f.asked[i].Err = err
			return
		}
		f.mu.Lock()
		for _, r := range records {
			_, err := f.view.add(time.Now(), r.NodeID, r.Record)
			if err != nil && !errors.Is(err, errExpired) { // which is the truth about some
				f.asked[i].Refused++
			}
		}
		f.mu.Unlock()
	}
}

// answer merges what those said who answered to the end.
func (f *finding) answer(now time.Time) Answer {
	var counts []string
	for i, a := range f.asked {
		if a.Err != nil {
			continue
		}
		counts = append(counts, a.URL)
		all := make([]listed, 0, len(f.opinions[i]))
		for id := range f.opinions[i] {
			all = append(all, listed{id: id})
		}
		f.view.listedBy(a.URL, now, all, false)
	}
	f.view.ask(counts)
	found := []Found{}
	for _, n := range f.view.nodes(now) {
		if f.query.fits(&n) {
			found = append(found, f.found(n))
		}
	}
	slices.SortFunc(found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.DistanceKm, b.DistanceKm), compareIDs(a.ID, b.ID))
	})
	return Answer{Network: f.view.network, Nodes: found[:min(len(found), f.query.Limit)], Asked: f.asked}
}

func (f *finding) found(n Node) Found {
	found := Found{Node: n}
	if f.query.Near != nil {
		found.DistanceKm = f.query.Near.DistanceKm(*n.Place)
	}
	for _, registry := range n.VouchedBy {
		i := slices.IndexFunc(f.asked, func(a Asked) bool { return a.URL == registry })
		found.Opinions = append(found.Opinions, f.opinions[i][n.ID])
	}
	return found
}
