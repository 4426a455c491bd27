package scenario

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/internal/netlink"
	"github.com/drtc-network/drtc/internal/netlink/shape"
	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/tally"
)

// CitiesConfig is the example of whitepaper 4.3.2: one participant in each of
// four cities.
type CitiesConfig struct {
	Program string // path of the drtc binary
	Dir     string // for configuration, keys and logs
	// Loss of packets between cities, each way, 0 to 1.
	Loss float64
	// Previous has the node in the last city speak the previous version of the
	// relay protocol.
	Previous bool
	Settle   time.Duration
	Length   time.Duration // of each of the two measurements
	Say      func(format string, args ...any)
	Seed     uint64
}

// city is where a participant and a node are.
type city struct {
	name   string
	person string
	region drtc.Region
	place  drtc.Place
}

var fourCities = []city{
	{"New York", "alice", drtc.NorthAmerica, drtc.Place{Lat: 40.71, Lon: -74.01}},
	{"Tokyo", "bob", drtc.Asia, drtc.Place{Lat: 35.68, Lon: 139.69}},
	{"Tallinn", "dan", drtc.Europe, drtc.Place{Lat: 59.44, Lon: 24.75}},
	{"Sydney", "eve", drtc.Oceania, drtc.Place{Lat: -33.87, Lon: 151.21}},
}

// access is the one-way delay between a home and its city's exchange.
const access = 5 * time.Millisecond

// apart is the one-way delay between two cities: light in fibre makes 200 km in
// a millisecond, and cables are half as long again as the shortest way. Public
// measurements are rather above this than below.
func apart(a, b city) time.Duration {
	const kmPerMs, detour = 200, 1.5
	return time.Duration(distanceKm(a.place, b.place) * detour / kmPerMs * float64(time.Millisecond))
}

// distanceKm is the length of the great circle between two places.
func distanceKm(a, b drtc.Place) float64 {
	const earthKm, rad = 6371, math.Pi / 180
	sinLat, sinLon := math.Sin((b.Lat-a.Lat)*rad/2), math.Sin((b.Lon-a.Lon)*rad/2)
	return 2 * earthKm * math.Asin(math.Sqrt(sinLat*sinLat+math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sinLon*sinLon))
}

// cityMedia is 100 kbit/s in 15 frames a second, a packet each, and a talker's
// audio.
var cityMedia = media{{FramesPerSecond: 15, VideoPackets: 15, VideoBytes: 800, KeyFrameEvery: 3 * time.Second, AudioPackets: 50, AudioBytes: 80}}

// CitiesResult is what a run found.
type CitiesResult struct {
	Rows    []CityPair `json:"rows"`
	Loss    float64    `json:"loss_between_cities"`
	Access  float64    `json:"access_ms"`
	Seconds float64    `json:"window_seconds"`
	// Homes are the nodes that carry the participants, in the order of the
	// cities, with cascading and without.
	Homes    [2][]string `json:"homes"`
	Load     Machine     `json:"machine"`
	Late     float64     `json:"links_late_p99_ms"` // how far the emulated links were behind
	Problems []string    `json:"problems"`
}

// CityPair is one way between two cities.
type CityPair struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Km      float64 `json:"km"`
	ApartMs float64 `json:"one_way_ms"` // from home to home by the direct way
	// Cascaded and Single are with a node in each city, and with one alone.
	Cascaded CityFigures `json:"cascaded"`
	Single   CityFigures `json:"single"`
}

// CityFigures are of one way, from the publisher's write to the viewer's read.
type CityFigures struct {
	P50       float64 `json:"p50_ms"`
	AudioP99  float64 `json:"audio_p99_ms"`
	VideoP99  float64 `json:"video_p99_ms"`
	AudioLost float64 `json:"audio_lost"` // share of packets that never came
	VideoLost float64 `json:"video_lost"` // after retransmission
}

// Cities runs the scenario twice.
func Cities(ctx context.Context, cfg CitiesConfig) (*CitiesResult, error) {
	r := &CitiesResult{Loss: cfg.Loss, Access: ms(access)}
	for i, from := range fourCities {
		for k, to := range fourCities {
			if i != k {
				r.Rows = append(r.Rows, CityPair{From: from.name, To: to.name, Km: distanceKm(from.place, to.place), ApartMs: ms(apart(from, to) + 2*access)})
			}
		}
	}
	for single, nodes := range []int{len(fourCities), 1} {
		cfg.Say("measuring with %d nodes", nodes)
		if err := cfg.measure(ctx, nodes, single, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// world is the hosts of a run: a home and a node in each city, and the
// Orchestrator with the Registry in the first.
func (c CitiesConfig) world() (netlink.Config, []string) {
	type spot struct {
		name string
		city int
	}
	var spots []spot
	for i, at := range fourCities {
		spots = append(spots, spot{at.person, i}, spot{"node in " + at.name, i})
	}
	spots = append(spots, spot{"center", 0})
	config := netlink.Config{Seed: c.Seed}
	var names []string
	for _, s := range spots {
		link := shape.Settings{}
		if s.name == fourCities[s.city].person {
			link.Delay = access
		}
		config.Hosts = append(config.Hosts, netlink.HostConfig{Name: s.name, Up: link, Down: link})
		names = append(names, s.name)
		for _, o := range spots {
			if s.city != o.city {
				long := shape.Settings{Delay: apart(fourCities[s.city], fourCities[o.city]), Loss: shape.Loss{Probability: c.Loss}}
				config.Paths = append(config.Paths, netlink.PathConfig{From: s.name, To: o.name, Settings: long})
			}
		}
	}
	return config, names
}

// measure runs the network with that many nodes and fills one half of the table.
func (c CitiesConfig) measure(ctx context.Context, nodes, single int, r *CitiesResult) error {
	config, _ := c.world()
	world, err := netlink.New(config)
	if err != nil {
		return err
	}
	defer func() { _ = world.Close() }() // packets on the way are nobody's any more
	var sites []Site
	for i, at := range fourCities[:nodes] {
		s := Site{Name: fmt.Sprintf("node-%d", i+1), Region: at.region, Place: at.place, MaxSessions: 100, Host: world.Host("node in " + at.name)}
		if c.Previous && i == len(fourCities)-1 {
			s.RelayVersion = 1
		}
		sites = append(sites, s)
	}
	bed, err := Start(ctx, BedConfig{
		Program: c.Program, Dir: fmt.Sprintf("%s/%d", c.Dir, nodes), Sites: sites, Region: drtc.NorthAmerica, NeedMbps: 1,
		Plan: map[string]any{"strategy": "proximity"}, Host: world.Host("center"),
	})
	if err != nil {
		return err
	}
	defer bed.Stop()
	call := &call{cfg: c, world: world, bed: bed}
	defer call.leave()
	if err := call.join(ctx); err != nil {
		return err
	}
	return call.measure(ctx, single, r)
}

const citiesRoom = "cities"

// call is the four in their room.
type call struct {
	cfg       CitiesConfig
	world     *netlink.Net
	bed       *Bed
	open      atomic.Uint32
	talkers   []*talker
	listeners []*listener
	stop      context.CancelFunc
	sending   sync.WaitGroup
	sessions  []*client.Session
	sockets   []net.PacketConn
}

func (c *call) join(ctx context.Context) error {
	media, stop := context.WithCancel(ctx)
	c.stop = stop
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for i, at := range fourCities {
		host := c.world.Host(at.person)
		socket, err := host.ListenPacket(ctx, "udp4", host.Addr4().String()+":0")
		if err != nil {
			return err
		}
		c.sockets = append(c.sockets, socket)
		api, err := client.NewAPI(client.Options{NACK: true, RTX: true, TWCC: true, Layers: true, Socket: socket})
		if err != nil {
			return err
		}
		t, err := newTalker(i, at.person, cityMedia, &c.open)
		if err != nil {
			return err
		}
		l := newListener(at.person, client.High)
		c.talkers, c.listeners = append(c.talkers, t), append(c.listeners, l)
		c.sending.Go(func() { t.run(media) })
		door := &client.Signal{
			API: api, Base: c.bed.url, Room: citiesRoom, HTTP: &http.Client{Transport: &http.Transport{DialContext: host.DialContext}},
			Sign: func(identity string, _ bool) (string, error) { return c.bed.sign(citiesRoom, identity) },
		}
		session, err := door.Join(ctx, client.Participant{
			Name: at.person, Place: fmt.Sprintf("%v,%v", at.place.Lat, at.place.Lon), Publish: t.publisher(), Play: l.subscriber(), Quality: l.quality,
		})
		if err != nil {
			return fmt.Errorf("scenario: %s in %s: %w", at.person, at.name, err)
		}
		c.sessions = append(c.sessions, session)
	}
	return c.awaitMedia(ctx)
}

// awaitMedia waits until everybody sees and hears everybody.
func (c *call) awaitMedia(ctx context.Context) error {
	for {
		missing := ""
		c.each(func(from, to int) {
			for _, i := range c.listeners[to].wanted(c.talkers[from]) {
				if !c.listeners[to].plays(c.talkers[from].stream(i)) {
					missing = fmt.Sprintf("%s gets stream %d of %s", fourCities[to].person, i, fourCities[from].person)
				}
			}
		})
		if missing == "" {
			return nil
		}
		if !pause(ctx, 5*pollEvery) {
			return fmt.Errorf("scenario: waiting until %s: %w", missing, ctx.Err())
		}
	}
}

// each calls f for each way between two cities, in the order of the rows.
func (c *call) each(f func(from, to int)) {
	for from := range fourCities {
		for to := range fourCities {
			if from != to {
				f(from, to)
			}
		}
	}
}

func (c *call) measure(ctx context.Context, single int, r *CitiesResult) error {
	pause(ctx, c.cfg.Settle)
	load := beginLoad()
	begun := time.Now()
	c.open.Store(window)
	pause(ctx, c.cfg.Length)
	c.open.Store(0)
	r.Seconds, r.Load = time.Since(begun).Seconds(), load.end()
	const late = time.Second // a repetition of a repetition on the longest way
	if !pause(ctx, late) {
		return ctx.Err()
	}
	row := 0
	c.each(func(from, to int) {
		figures := c.figures(from, to)
		if single == 1 {
			r.Rows[row].Single = figures
		} else {
			r.Rows[row].Cascaded = figures
		}
		row++
	})
	for _, at := range fourCities {
		node, err := c.bed.node(ctx, citiesRoom, at.person)
		if err != nil {
			return err
		}
		home := fourCities[node].name
		r.Homes[single] = append(r.Homes[single], home)
		if single == 0 && home != at.name {
			r.Problems = append(r.Problems, fmt.Sprintf("%s in %s is on the node in %s", at.person, at.name, home))
		}
	}
	r.Late = max(r.Late, ms(c.world.Lateness(0.99)))
	r.judge(single)
	return nil
}

func (c *call) figures(from, to int) CityFigures {
	t, l := c.talkers[from], c.listeners[to]
	var audio, video, both tally.Histogram
	l.stream(t.stream(microphone)).MergeDelay(&audio)
	l.stream(t.stream(0)).MergeDelay(&video)
	both.Merge(&audio)
	both.Merge(&video)
	lost := func(stream int) float64 {
		sent, got := t.sent[stream].Load(), l.stream(t.stream(stream)).Counts().Unique
		if sent == 0 {
			return 0
		}
		return max(0, 1-float64(got)/float64(sent))
	}
	return CityFigures{P50: ms(both.Quantile(.5)), AudioP99: ms(audio.Quantile(.99)), VideoP99: ms(video.Quantile(.99)), AudioLost: lost(microphone), VideoLost: lost(0)}
}

// judge says what is not as it should be.
func (r *CitiesResult) judge(single int) {
	// A node more on the way, and a busy machine.
	const slack = 25 // ms
	for _, row := range r.Rows {
		figures := row.Cascaded
		if single == 1 {
			figures = row.Single
		}
		if figures.P50 == 0 || figures.AudioLost > 0.5 || figures.VideoLost > 0.5 {
			r.Problems = append(r.Problems, fmt.Sprintf("little of %s comes to %s: %+v", row.From, row.To, figures))
		}
		if single == 0 && figures.P50 > row.ApartMs+slack {
			r.Problems = append(r.Problems, fmt.Sprintf("from %s to %s takes %.0f ms with cascading, the way itself takes %.0f", row.From, row.To, figures.P50, row.ApartMs))
		}
		if direct := row.From == fourCities[0].name || row.To == fourCities[0].name; single == 1 && !direct && row.Cascaded.P50 >= row.Single.P50 {
			r.Problems = append(r.Problems, fmt.Sprintf("from %s to %s takes %.0f ms with cascading and %.0f without", row.From, row.To, row.Cascaded.P50, row.Single.P50))
		}
	}
}

// leave ends all sessions.
func (c *call) leave() {
	if c.stop != nil {
		c.stop()
	}
	c.sending.Wait()
	for _, s := range c.sessions {
		_ = s.Close() // nothing can be done about it
	}
	var err error
	for _, s := range c.sockets {
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		c.cfg.Say("closing sockets: %v", err)
	}
}
