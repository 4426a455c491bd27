package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/tally"
)

// FanOutConfig is one publisher for many viewers over a tree of nodes.
type FanOutConfig struct {
	Program string // path of the drtc binary
	Dir     string // for configuration, keys and logs
	Nodes   int
	Degree  int // links that a node may have
	Viewers int
	// Previous is how many of the nodes speak the previous version of the relay
	// protocol.
	Previous int
	Ramp     float64       // joins per second
	Settle   time.Duration // after the last join
	Length   time.Duration // of the measurement
	// Hop is the most that a hop may add to the 99th percentile of the delay, and
	// that a packet may be in a node that got it from another one; 0 asks for
	// nothing. It says something of the nodes only on a machine that is
	// at most half busy: above, it is not judged.
	Hop time.Duration
	Say func(format string, args ...any)
}

// fanOutMedia is what two shared cores carry to hundreds of viewers: 32, 64 and
// 150 kbit/s. Each frame is one packet.
var fanOutMedia = media{
	{FramesPerSecond: 10, VideoPackets: 10, VideoBytes: 388, KeyFrameEvery: 3 * time.Second, AudioPackets: 17, AudioBytes: 80},
	{FramesPerSecond: 10, VideoPackets: 10, VideoBytes: 788, KeyFrameEvery: 3 * time.Second, AudioPackets: 17, AudioBytes: 80},
	{FramesPerSecond: 15, VideoPackets: 15, VideoBytes: 1188, KeyFrameEvery: 3 * time.Second, AudioPackets: 17, AudioBytes: 80},
}

// FanOutResult is what a run found.
type FanOutResult struct {
	Nodes   int          `json:"nodes"`
	Levels  int          `json:"levels"`
	Links   int          `json:"links"`
	Degree  int          `json:"degree"` // the most links of a node
	Viewers int          `json:"viewers"`
	Rows    []FanOutNode `json:"rows"`
	// Layers crossed all links together, which carry each of a publisher's
	// streams once when that is Streams times Links.
	Layers  int `json:"layers_on_links"`
	Streams int `json:"streams"`
	// Copies is what the links carried, acknowledged and without repetitions, in
	// parts of what the publisher sent: 1 is each packet once.
	Copies   float64   `json:"copies_on_a_link"`
	Bits     []int     `json:"layer_bits_per_second"`
	Seconds  float64   `json:"window_seconds"`
	Expected uint64    `json:"packets_expected"`
	Received uint64    `json:"packets_received"`
	Depths   []AtDepth `json:"depths"`
	Load     Machine   `json:"machine"`
	Problems []string  `json:"problems"`
	// NotJudged is what the machine was too busy for, in words.
	NotJudged string `json:"not_judged,omitempty"`
}

// FanOutNode is what one node did.
type FanOutNode struct {
	Name         string `json:"name"`
	Level        int    `json:"level"` // 1 is the publisher's
	Links        int    `json:"links"`
	Viewers      int    `json:"viewers"`
	LayersOut    int    `json:"layers_sent_to_nodes"`
	LayersWanted int    `json:"layers_wanted_by_nodes"` // by what the viewers there and below watch
	RelayVersion int    `json:"relay_max_version"`
}

// AtDepth sums the viewers whose node is so many links from the publisher's.
type AtDepth struct {
	Hops     int     `json:"hops"`
	Viewers  int     `json:"viewers"`
	Expected uint64  `json:"packets_expected"`
	Received uint64  `json:"packets_received"`
	P50      float64 `json:"delay_p50_ms"`
	P99      float64 `json:"delay_p99_ms"`
	// InNodeP50 and InNodeP99 are of the time that packets spent in the nodes so
	// far from the publisher's, from the kernel's receive to the return of the call
	// that sent them: read off buckets that double.
	InNodeP50 float64 `json:"in_node_p50_ms"`
	InNodeP99 float64 `json:"in_node_p99_ms"`
}

// fanOut is a run.
type fanOut struct {
	cfg     FanOutConfig
	bed     *Bed
	open    atomic.Uint32
	talker  *talker
	home    int // the publisher's node
	viewers []*listener

	mu       sync.Mutex // guards what follows
	sessions []*client.Session
	problems []string
}

const fanOutRoom = "fanout"

// FanOut runs the scenario.
func FanOut(ctx context.Context, cfg FanOutConfig) (*FanOutResult, error) {
	ctx, stop := context.WithCancel(ctx)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer stop()
	// A node takes 7 in 10 of what it holds before another is opened.
	const fill = 0.7
	sessions := 1 + int(math.Ceil(float64(cfg.Viewers+1)/float64(cfg.Nodes)/fill))
	var sites []Site
	for i := range cfg.Nodes {
		s := Site{Name: fmt.Sprintf("node-%d", i+1), Region: drtc.Europe, Place: drtc.Place{Lat: 50, Lon: 8}, MaxSessions: sessions}
		if i < cfg.Previous {
			s.RelayVersion = 1
		}
		sites = append(sites, s)
	}
	bed, err := Start(ctx, BedConfig{
		Program: cfg.Program, Dir: cfg.Dir, Sites: sites, Region: drtc.Europe, NeedMbps: 0.3,
		Plan: map[string]any{"strategy": "fanout", "degree": cfg.Degree, "fill": fill, "standby": false, "max_moves": 0},
	})
	if err != nil {
		return nil, err
	}
	defer bed.Stop()
	f := &fanOut{cfg: cfg, bed: bed}
	if f.talker, err = newTalker(0, "streamer", fanOutMedia, &f.open); err != nil {
		return nil, err
	}
	api, err := client.NewAPI(client.Options{NACK: true, RTX: true, TWCC: true, Layers: true, Interfaces: client.LoopbackInterfaces("127.0.0.1")})
	if err != nil {
		return nil, err
	}
	door := &client.Signal{API: api, Base: bed.url, Room: fanOutRoom, Sign: func(identity string, publishes bool) (string, error) {
		if publishes {
			return bed.sign(fanOutRoom, identity)
		}
		return bed.sign(fanOutRoom, identity, "!canPublish", "hidden")
	}}
	defer f.leave()
	sending.Go(func() { f.talker.run(ctx) })
	if err := f.publish(ctx, door); err != nil {
		return nil, err
	}
	if err := f.join(ctx, door); err != nil {
		return nil, err
	}
	return f.measure(ctx)
}

func (f *fanOut) publish(ctx context.Context, door *client.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	session, err := door.Join(ctx, client.Participant{Name: "streamer", Publish: f.talker.publisher()})
	if err != nil {
		return err
	}
	f.keep(session)
	f.home, err = f.bed.node(ctx, fanOutRoom, "streamer")
	return err
}

// qualityOf has one in twenty viewers look closer and one in twenty closest: of
// each kind there is one on every node.
func qualityOf(viewer, perNode int) client.Quality {
	every := min(20, max(3, perNode))
	switch viewer % every {
	case 0:
		return client.Medium
	case 1:
		return client.High
	}
	return client.Low
}

// join has the viewers join and waits until each gets what it wants.
func (f *fanOut) join(ctx context.Context, door *client.Signal) error {
	begun := time.Now()
	var joining sync.WaitGroup
	for i := range f.cfg.Viewers {
		l := newListener(fmt.Sprintf("viewer-%d", i), qualityOf(i, f.cfg.Viewers/f.cfg.Nodes/2))
		f.viewers = append(f.viewers, l)
		next := begun.Add(time.Duration(float64(i) / f.cfg.Ramp * float64(time.Second)))
		if !pause(ctx, time.Until(next)) {
			break
		}
		joining.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, readyWithin)
			defer cancel()
			session, err := door.Join(ctx, client.Participant{Name: l.name, Play: l.subscriber(), Quality: l.quality})
			if err != nil {
				f.problem("%s could not join: %v", l.name, err)
				return
			}
			f.keep(session)
		})
		if (i+1)%100 == 0 {
			f.cfg.Say("%d viewers asked to join", i+1)
		}
	}
	joining.Wait()
	// Everybody gets something now or soon; Settle is for layers to find their way.
	pause(ctx, f.cfg.Settle)
	for _, l := range f.viewers {
		var err error
		if l.node, err = f.bed.node(ctx, fanOutRoom, l.name); err != nil {
			f.problem("%s has no node: %v", l.name, err)
		}
	}
	return ctx.Err()
}

func (f *fanOut) keep(s *client.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = append(f.sessions, s)
}

func (f *fanOut) problem(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, fmt.Sprintf(format, args...))
}

// leave closes all sessions, some at a time.
func (f *fanOut) leave() {
	var leaving sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, s := range f.sessions {
		slots <- struct{}{}
		leaving.Go(func() {
			_ = s.Close() // nothing can be done about it
			<-slots
		})
	}
	leaving.Wait()
}

func (f *fanOut) measure(ctx context.Context) (*FanOutResult, error) {
	r := &FanOutResult{Nodes: f.cfg.Nodes, Viewers: f.cfg.Viewers, Streams: streams}
	for i := range fanOutMedia {
		r.Bits = append(r.Bits, fanOutMedia.bits(i))
	}
	load := beginLoad()
	before, err := f.pages(ctx)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	f.open.Store(window)
	pause(ctx, f.cfg.Length)
	f.open.Store(0)
	r.Seconds, r.Load = time.Since(begun).Seconds(), load.end()
	// Packets that are late, and receiver reports for what is metered.
	const late = 4 * time.Second
	pause(ctx, late)
	after, err := f.pages(ctx)
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	depths, above, err := f.tree()
	if err != nil {
		return nil, err
	}
	f.rows(r, after, depths, f.wanted(above))
	f.listen(r, depths)
	inNodes(r, before, after, depths)
	f.judge(r, before, after, time.Since(begun))
	r.Problems = f.problems
	return r, nil
}

// pages reads the metrics of all nodes.
func (f *fanOut) pages(ctx context.Context) (pages []map[string]float64, err error) {
	for i := range f.bed.nodes {
		page, err := f.bed.metrics(ctx, i)
		if err != nil {
			return nil, err
		}
		pages = append(pages, page)
	}
	return pages, nil
}

// plannedLink is one in the Orchestrator's log.
var plannedLink = regexp.MustCompile(`A:(0x[0-9a-f]{40}) B:(0x[0-9a-f]{40})`)

// tree is where each node is, by what the Orchestrator planned last: how many
// links from the publisher's, -1 if it is not in the plan, and below which node,
// -1 for the publisher's.
func (f *fanOut) tree() (depths, above []int, err error) {
	log, err := f.bed.orchestratorLog()
	if err != nil {
		return nil, nil, fmt.Errorf("scenario: %w", err)
	}
	peers := map[string][]string{}
	if at := strings.LastIndex(log, "msg=plan "); at >= 0 {
		line, _, _ := strings.Cut(log[at:], " routes=")
		for _, link := range plannedLink.FindAllStringSubmatch(line, -1) {
			a, b := link[1], link[2]
			peers[a], peers[b] = append(peers[a], b), append(peers[b], a)
		}
	}
	depth, parent := map[string]int{f.bed.nodes[f.home].ID.String(): 0}, map[string]string{}
	for queue := []string{f.bed.nodes[f.home].ID.String()}; len(queue) > 0; queue = queue[1:] {
		for _, peer := range peers[queue[0]] {
			if _, seen := depth[peer]; !seen {
				depth[peer], parent[peer] = depth[queue[0]]+1, queue[0]
				queue = append(queue, peer)
			}
		}
	}
	for _, n := range f.bed.nodes {
		d, ok := depth[n.ID.String()]
		if !ok {
			d = -1
		}
		depths = append(depths, d)
		above = append(above, slices.IndexFunc(f.bed.nodes, func(o devnet.Node) bool { return o.ID.String() == parent[n.ID.String()] }))
	}
	return depths, above, nil
}

// wanted is how many layers each node sends to those below it: of each of them
// what its viewers watch, and those below it in turn, once.
func (f *fanOut) wanted(above []int) []int {
	behind := make([]map[int]bool, len(above)) // what is watched on a node and below it
	for i := range behind {
		behind[i] = map[int]bool{}
	}
	for _, l := range f.viewers {
		for at := l.node; at >= 0; at = above[at] {
			for _, stream := range l.wanted(f.talker) {
				behind[at][stream] = true
			}
		}
	}
	out := make([]int, len(above))
	for i, parent := range above {
		if parent >= 0 {
			out[parent] += len(behind[i])
		}
	}
	return out
}

func (f *fanOut) rows(r *FanOutResult, pages []map[string]float64, depths, wanted []int) {
	for i, s := range f.bed.cfg.Sites {
		row := FanOutNode{Name: s.Name, Level: depths[i] + 1, Links: int(pages[i]["relay_links_count"]), LayersOut: int(pages[i]["relay_layers_count"]), LayersWanted: wanted[i], RelayVersion: s.RelayVersion}
		if row.RelayVersion == 0 {
			row.RelayVersion = 2
		}
		for _, l := range f.viewers {
			if l.node == i {
				row.Viewers++
			}
		}
		r.Rows = append(r.Rows, row)
		r.Levels, r.Degree = max(r.Levels, row.Level), max(r.Degree, row.Links)
		r.Links += row.Links
		r.Layers += row.LayersOut
	}
	r.Links /= 2
	slices.SortStableFunc(r.Rows, func(a, b FanOutNode) int { return a.Level - b.Level })
}

// listen sums what viewers got.
func (f *fanOut) listen(r *FanOutResult, depths []int) {
	at := make([]AtDepth, r.Levels)
	delays := make([]tally.Histogram, r.Levels)
	for _, l := range f.viewers {
		d := max(0, depths[l.node])
		got, want := l.account(f.talker, &delays[d])
		at[d].Viewers++
		at[d].Received += got
		at[d].Expected += want
		r.Received += got
		r.Expected += want
		if got != want {
			f.problem("%s on %s got %d packets of %d", l.name, f.bed.cfg.Sites[l.node].Name, got, want)
		}
		if l.failed.Load() {
			f.problem("%s lost its connection", l.name)
		}
	}
	for d := range at {
		at[d].Hops, at[d].P50, at[d].P99 = d, ms(delays[d].Quantile(.5)), ms(delays[d].Quantile(.99))
	}
	r.Depths = at
}

// inNodes fills in how long packets were in the nodes of each depth.
func inNodes(r *FanOutResult, before, after []map[string]float64, depths []int) {
	for d := range r.Depths {
		grown := map[float64]float64{}
		for i, page := range after {
			if depths[i] != d {
				continue
			}
			for name, count := range page {
				text, found := strings.CutPrefix(name, `forward_delay_seconds_bucket{le="`)
				if edge, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64); found && err == nil {
					grown[edge] += count - before[i][name]
				}
			}
		}
		r.Depths[d].InNodeP50, r.Depths[d].InNodeP99 = 1000*quantile(grown, .5), 1000*quantile(grown, .99)
	}
}

// quantile reads one off cumulative counts by upper edge, as if what is between
// two edges were spread evenly.
func quantile(counts map[float64]float64, q float64) float64 {
	edges := slices.Sorted(maps.Keys(counts))
	if len(edges) == 0 {
		return 0
	}
	rank := q * counts[edges[len(edges)-1]]
	low, below := 0.0, 0.0
	for _, edge := range edges {
		if count := counts[edge]; count >= rank && count > below {
			if math.IsInf(edge, 1) {
				return low
			}
			return low + (edge-low)*(rank-below)/(count-below)
		}
		low, below = edge, counts[edge]
	}
	return low
}

// judge says what is not as it should be.
func (f *fanOut) judge(r *FanOutResult, before, after []map[string]float64, took time.Duration) {
	if r.Degree > f.cfg.Degree {
		f.problem("a node has %d links, want at most %d", r.Degree, f.cfg.Degree)
	}
	spanned := 0
	for _, row := range r.Rows {
		if row.Level > 0 {
			spanned++
		}
		if row.Level > 0 && row.LayersOut != row.LayersWanted {
			f.problem("%s sends %d layers over %d links, want the %d that are watched behind them, each once a link", row.Name, row.LayersOut, row.Links, row.LayersWanted)
		}
	}
	if r.Links != spanned-1 {
		f.problem("%d nodes have %d links, want a tree", spanned, r.Links)
	}
	const half = 0.5
	if f.cfg.Hop > 0 && r.Load.Busy > half {
		r.NotJudged = fmt.Sprintf("what a hop adds to the delay: the machine was %.0f %% busy, which delays everybody", 100*r.Load.Busy)
		f.cfg.Hop = 0
	}
	for d := 1; d < len(r.Depths); d++ {
		here, before := r.Depths[d], r.Depths[d-1]
		if f.cfg.Hop > 0 && here.Viewers > 0 && here.P99-before.P99 > ms(f.cfg.Hop) {
			f.problem("hop %d adds %.2f ms to the 99th percentile of the delay, want at most %v", d, here.P99-before.P99, f.cfg.Hop)
		}
		if f.cfg.Hop > 0 && here.InNodeP99 > ms(f.cfg.Hop) {
			f.problem("99 %% of packets were in a node of hop %d for up to %.2f ms, want at most %v", d, here.InNodeP99, f.cfg.Hop)
		}
	}
	var relayed float64
	for i := range after {
		relayed += after[i]["relay_bytes_total"] - before[i]["relay_bytes_total"]
	}
	// Between both readings the publisher sent as evenly as in the window.
	sent := float64(f.talker.bytes.Load()) * took.Seconds() / r.Seconds
	if r.Links > 0 && sent > 0 {
		r.Copies = relayed / float64(r.Links) / sent
	}
	if r.Copies < 0.9 || r.Copies > 1.1 {
		f.problem("a link carried %.2f of what the publisher sent, want 1", r.Copies)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
