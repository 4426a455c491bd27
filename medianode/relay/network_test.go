package relay_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/medianode/relay"
)

// frame is what travels between two simulated nodes: a control message of one
// incarnation of their trunk.
type frame struct {
	trunk int // both ends of a trunk have the same; older ones are thrown away
	b     []byte
}

// station is a node with one room: a Trunk to each neighbour, an Exchange, and
// in place of the engine a table of what it would do.
type station struct {
	t    *testing.T
	net  *town
	port *netsim.Port[frame]
	id   drtc.NodeID
	ex   *relay.Exchange

	trunks map[int]*relay.Trunk // by neighbour
	lives  map[int]int
	names  map[relay.Link]relay.Name
	ends   map[relay.Link]int // neighbour

	local     map[drtc.TrackID]bool
	published map[drtc.TrackID]relay.Publish
	viewers   map[drtc.TrackID]uint8
	forwarded map[relay.Link]map[drtc.TrackID]uint8
	told      map[drtc.TrackID]uint8
	ssrc      *sources
}

// sources counts the SSRCs that are in use.
type sources struct {
	t     *testing.T
	last  uint32
	taken map[uint32]bool
}

func (s *sources) Take(_ relay.Link, video bool) (ssrc, rtx uint32) {
	s.last += 2
	s.taken[s.last] = true
	if video {
		rtx = s.last + 1
	}
	return s.last, rtx
}

func (s *sources) Give(_ relay.Link, ssrc, _ uint32) {
	if !s.taken[ssrc] {
		s.t.Errorf("SSRC %d is given back and was not taken", ssrc)
	}
	delete(s.taken, ssrc)
}

func (s *station) Start(time.Time)        {}
func (s *station) Timeout(time.Time, int) {}

func (s *station) Receive(now time.Time, from int, f frame) {
	trunk := s.trunks[from]
	if trunk == nil || f.trunk != s.lives[from] {
		return
	}
	a, err := trunk.Receive(now, f.b)
	if err != nil {
		s.t.Fatalf("an honest node broke the protocol: %v", err)
	}
	l := relay.Link(a.Name.Link)
	switch {
	case a.Up:
		s.ex.LinkUp(l, s.net.stations[from].id, trunk.Version())
	case a.Down:
		s.closeLink(l)
	case a.Message != nil:
		if _, err := s.ex.Receive(l, a.Message); err != nil {
			s.t.Fatalf("an honest node broke the protocol: %v", err)
		}
	}
	s.act()
}

func (s *station) send(to int, b []byte) {
	if b != nil {
		s.port.SendReliable(to, frame{s.lives[to], b})
	}
}

func (s *station) openLink(l relay.Link, to int, instance relay.Instance) {
	name := relay.Name{Link: string(l), Instance: instance}
	b, up, err := s.trunks[to].Open(name, "room")
	if err != nil {
		s.t.Fatal(err)
	}
	s.names[l], s.ends[l] = name, to
	s.forwarded[l] = map[drtc.TrackID]uint8{}
	s.send(to, b)
	if up {
		s.ex.LinkUp(l, s.net.stations[to].id, s.trunks[to].Version())
	}
	s.act()
}

func (s *station) closeLink(l relay.Link) {
	name, ok := s.names[l]
	if !ok {
		return
	}
	s.send(s.ends[l], s.trunks[s.ends[l]].Close(name, "test"))
	s.lost(l)
}

// lost is the end of a link without a word to the other end.
func (s *station) lost(l relay.Link) {
	s.ex.LinkDown(l)
	s.act()
	delete(s.names, l)
	delete(s.ends, l)
	delete(s.forwarded, l)
}

// act does what the Exchange decides, and tells it of the demand that follows,
// as the engine would.
func (s *station) act() {
	for again := true; again; {
		again = false
		for _, o := range s.ex.Take() {
			again = true
			s.do(o)
		}
		for id := range s.published {
			want := s.viewers[id]
			for _, tracks := range s.forwarded {
				want |= tracks[id]
			}
			if want != s.told[id] {
				s.told[id] = want
				s.ex.Demand(id, want)
			}
		}
	}
}

func (s *station) do(o relay.Output) {
	switch o := o.(type) {
	case relay.Send:
		if name, ok := s.names[o.Link]; ok {
			s.send(s.ends[o.Link], s.trunks[s.ends[o.Link]].Encode(name, o.Message))
		}
	case relay.Publish:
		if _, ok := s.published[o.Track]; ok || s.local[o.Track] {
			s.t.Errorf("%s is published twice on %s", o.Track, s.id.Short())
		}
		if slices.Contains(o.Path, s.id) {
			s.t.Errorf("%s came back to %s by %v", o.Track, s.id.Short(), o.Path)
		}
		s.published[o.Track] = o
	case relay.Update:
		p, ok := s.published[o.Track]
		if !ok || p.Link != o.Link || slices.Contains(o.Path, s.id) {
			s.t.Errorf("%s: update of %s over %s by %v, published over %q", s.id.Short(), o.Track, o.Link, o.Path, p.Link)
		}
		s.published[o.Track] = relay.Publish(o)
	case relay.Unpublish:
		if _, ok := s.published[o.Track]; !ok {
			s.t.Errorf("%s is unpublished on %s and was not published", o.Track, s.id.Short())
		}
		delete(s.published, o.Track)
		delete(s.told, o.Track)
		s.drop(o.Track)
	case relay.Forward:
		if _, ok := s.published[o.Track]; !ok && !s.local[o.Track] {
			s.t.Errorf("%s is forwarded by %s, which doesn't have it", o.Track, s.id.Short())
		}
		s.forwarded[o.Link][o.Track] |= 1 << o.Index
	case relay.Stop:
		if s.forwarded[o.Link][o.Track] &^= 1 << o.Index; s.forwarded[o.Link][o.Track] == 0 {
			delete(s.forwarded[o.Link], o.Track)
		}
	}
}

// wanted are the streams of a track that are wanted here and behind.
func (s *station) wanted(id drtc.TrackID) uint8 {
	streams := len(s.published[id].Streams)
	if streams == 1 { // of which the demand tells spatial layers
		return min(s.told[id], 1)
	}
	return s.told[id] & (1<<streams - 1)
}

// drop is what the engine does when a track ends.
func (s *station) drop(id drtc.TrackID) {
	for _, tracks := range s.forwarded {
		delete(tracks, id)
	}
}

func (s *station) publish(id drtc.TrackID, layers int, mime relay.Mime, muted bool) {
	s.local[id] = true
	a := relay.Announcement{Video: true, Mime: mime, Muted: muted, Codecs: []relay.Codec{{Mime: relay.VP8}}}
	for i := range layers {
		a.Streams = append(a.Streams, relay.Stream{RID: string('a' + rune(i))})
	}
	s.ex.SetLocal(id, a)
	s.act()
}

func (s *station) unpublish(id drtc.TrackID, ended bool) {
	delete(s.local, id)
	s.drop(id)
	s.ex.RemoveLocal(id, ended)
	s.act()
}

// town is the whole network with what an Orchestrator has ordered.
type town struct {
	t        *testing.T
	net      *netsim.Network[frame]
	stations []*station
	links    map[relay.Link][2]int
	life     int
	orders   uint64
	random   *rand.Rand
}

func newTown(t *testing.T, seed uint64, nodes int) *town {
	w := &town{
		t: t, links: map[relay.Link][2]int{}, random: rand.New(rand.NewPCG(seed, 1)),
		net: netsim.New(netsim.Config[frame]{Seed: seed, Link: netsim.Link{
			Delay: netsim.Uniform(time.Millisecond, 300*time.Millisecond), Loss: 0.05,
		}}),
	}
	for i := range nodes {
		w.net.Add(func(p *netsim.Port[frame]) netsim.Node[frame] {
			s := &station{
				t: t, net: w, port: p, id: drtc.NodeID{0: byte(i + 1)}, trunks: map[int]*relay.Trunk{}, lives: map[int]int{},
				names: map[relay.Link]relay.Name{}, ends: map[relay.Link]int{}, local: map[drtc.TrackID]bool{},
				published: map[drtc.TrackID]relay.Publish{}, viewers: map[drtc.TrackID]uint8{},
				forwarded: map[relay.Link]map[drtc.TrackID]uint8{}, told: map[drtc.TrackID]uint8{}, ssrc: &sources{t: t, taken: map[uint32]bool{}},
			}
			s.ex = relay.New(relay.Config{Self: s.id, Sources: s.ssrc})
			w.stations = append(w.stations, s)
			return s
		})
	}
	w.run(0)
	return w
}

func (w *town) run(d time.Duration) {
	w.t.Helper()
	if err := w.net.Run(w.net.Elapsed() + d); err != nil {
		w.t.Fatalf("%v\n%s", err, w.net.Report())
	}
}

// trunk makes the association of two nodes anew: all links on it are gone.
func (w *town) trunk(a, b int) {
	w.life++
	for l, ends := range w.links {
		if ends == [2]int{a, b} {
			delete(w.links, l)
			w.stations[a].lost(l)
			w.stations[b].lost(l)
		}
	}
	version := uint8(1 + w.random.IntN(2))
	for _, ends := range [][2]int{{a, b}, {b, a}} {
		s, peer := w.stations[ends[0]], w.stations[ends[1]]
		s.trunks[ends[1]], s.lives[ends[1]] = relay.NewTrunk(w.net.Now(), s.id, peer.id, version), w.life
		s.send(ends[1], s.trunks[ends[1]].Hello())
	}
}

// order opens the link of two nodes, whatever was before.
func (w *town) order(a, b int) relay.Link {
	l := relay.Link(fmt.Sprintf("%d-%d", a, b))
	w.orders++
	w.links[l] = [2]int{a, b}
	w.stations[a].closeLink(l)
	w.stations[a].openLink(l, b, relay.Instance{w.orders, w.orders})
	w.stations[b].closeLink(l)
	w.stations[b].openLink(l, a, relay.Instance{w.orders, w.orders})
	return l
}

// linkBetween is the name of the link of two nodes.
func linkBetween(a, b int) relay.Link { return relay.Link(fmt.Sprintf("%d-%d", min(a, b), max(a, b))) }

// quiet checks what must hold when all orders have been carried out: parents[o]
// says from whom each node gets the tracks of origin o.
func (w *town) quiet(parents []map[int]int) {
	w.t.Helper()
	origin := map[drtc.TrackID]int{}
	for i, s := range w.stations {
		for id := range s.local {
			origin[id] = i
		}
	}
	for id, o := range origin {
		for i, s := range w.stations {
			if i == o {
				continue
			}
			p, available := s.published[id]
			via, wanted := w.route(parents[o], o, i)
			switch {
			case wanted != available:
				w.t.Errorf("%s of node %d on node %d: available %t, want %t", id, o, i, available, wanted)
			case wanted && p.Link != linkBetween(i, via):
				w.t.Errorf("%s on node %d comes over %s, want from node %d", id, i, p.Link, via)
			}
		}
	}
	for i, s := range w.stations {
		for id := range s.published {
			if _, ok := origin[id]; !ok {
				w.t.Errorf("node %d still has %s, which nobody publishes", i, id)
			}
		}
		for l, tracks := range s.forwarded {
			for id, bits := range tracks {
				far := w.stations[s.ends[l]]
				if got := far.wanted(id); got != bits || far.published[id].Link != l {
					w.t.Errorf("node %d sends layers %b of %s over %s; wanted there: %b over %q", i, bits, id, l, got, far.published[id].Link)
				}
			}
		}
		for id, p := range s.published {
			if want := s.wanted(id); want != 0 {
				if got := w.stations[s.ends[p.Link]].forwarded[p.Link][id]; got != want {
					w.t.Errorf("node %d wants layers %b of %s over %s and gets %b", i, want, id, p.Link, got)
				}
			}
		}
	}
}

// route follows the parents of a node to the origin; false if that takes too
// long or ends elsewhere.
func (w *town) route(parents map[int]int, origin, node int) (via int, ok bool) {
	via, ok = parents[node]
	for at, hops := node, 0; at != origin; hops++ {
		next, known := parents[at]
		if _, linked := w.links[linkBetween(at, next)]; !known || !linked || hops >= relay.MaxPath-1 {
			return 0, false
		}
		at = next
	}
	return via, ok
}

func (w *town) setRoutes(parents []map[int]int) {
	for i, s := range w.stations {
		routes := map[drtc.NodeID]relay.Link{}
		for o, of := range parents {
			if via, ok := of[i]; ok && o != i {
				routes[w.stations[o].id] = linkBetween(i, via)
			}
		}
		s.ex.SetRoutes(routes)
		s.act()
	}
}

// randomRoutes are trees of random shape over the links there are, or, when
// wild, anything at all: circles too.
func (w *town) randomRoutes(wild bool) []map[int]int {
	n := len(w.stations)
	parents := make([]map[int]int, n)
	for o := range parents {
		parents[o] = map[int]int{}
		if wild {
			for i := range n {
				if via := w.random.IntN(n); via != i {
					parents[o][i] = via
				}
			}
			continue
		}
		for reached := []int{o}; len(reached) > 0; {
			k := w.random.IntN(len(reached))
			at := reached[k]
			reached = slices.Delete(reached, k, k+1)
			for _, l := range slices.Sorted(maps.Keys(w.links)) {
				ends := w.links[l]
				for _, pair := range [][2]int{ends, {ends[1], ends[0]}} {
					if _, has := parents[o][pair[1]]; pair[0] == at && !has && pair[1] != o {
						parents[o][pair[1]] = at
						reached = append(reached, pair[1])
					}
				}
			}
		}
	}
	return parents
}

// whatever does one random thing.
func (w *town) whatever() {
	n := len(w.stations)
	i := w.random.IntN(n)
	s := w.stations[i]
	id := drtc.TrackID(fmt.Sprintf("TR_%d", w.random.IntN(2*n)))
	a, b := w.random.IntN(n), w.random.IntN(n)
	a, b = min(a, b), max(a, b)
	switch w.random.IntN(8) {
	case 0, 1: // a track has one home, except while its client moves
		for _, other := range w.stations {
			if other.local[id] && w.random.IntN(3) > 0 {
				other.unpublish(id, false)
			}
		}
		s.publish(id, 1+w.random.IntN(3), relay.Mime(3*w.random.IntN(2)), w.random.IntN(2) == 0)
	case 2:
		if s.local[id] {
			s.unpublish(id, w.random.IntN(2) == 0)
		}
	case 3, 4:
		s.viewers[id] = uint8(w.random.IntN(8))
		s.act()
	case 5:
		if a != b {
			w.order(a, b)
		}
	case 6:
		if a != b {
			if w.random.IntN(2) == 0 {
				w.trunk(a, b)
				return
			}
			delete(w.links, linkBetween(a, b))
			w.stations[a].closeLink(linkBetween(a, b))
			w.stations[b].closeLink(linkBetween(a, b))
		}
	case 7:
		w.setRoutes(w.randomRoutes(w.random.IntN(2) == 0))
	}
}

// However the orders come, cross and fail: when it has grown quiet every track
// is exactly where the routes say, each layer that is wanted crosses each link
// once, and nothing is left of what is over.
func TestExchange_convergesOverRandomNetworks(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newTown(t, seed, 2+int(seed%6))
			n := len(w.stations)
			for a := range n {
				for b := a + 1; b < n; b++ {
					w.trunk(a, b)
					if w.random.IntN(2) == 0 {
						w.order(a, b)
					}
				}
			}
			for range 120 {
				w.whatever()
				w.run(time.Duration(w.random.IntN(200)) * time.Millisecond)
			}
			// One home for each track, and a plan that makes sense.
			seen := map[drtc.TrackID]bool{}
			for _, s := range w.stations {
				for id := range maps.Clone(s.local) {
					if seen[id] {
						s.unpublish(id, false)
					}
					seen[id] = true
				}
			}
			plan := w.randomRoutes(false)
			w.setRoutes(plan)
			w.run(time.Minute)
			w.quiet(plan)
			w.vanish()
			if t.Failed() {
				t.Logf("seed %d\n%s", seed, w.net.Report())
			}
		})
	}
}

// Routes that go in circles deliver nothing and carry nothing.
func TestExchange_circlesOfRoutesCarryNothing(t *testing.T) {
	for seed := range uint64(60) {
		w := newTown(t, seed, 3+int(seed%4))
		n := len(w.stations)
		for a := range n {
			for b := a + 1; b < n; b++ {
				w.trunk(a, b)
				w.order(a, b)
			}
		}
		for i, s := range w.stations {
			s.publish(drtc.TrackID(fmt.Sprintf("TR_%d", i)), 2, relay.VP8, false)
			for o := range n {
				s.viewers[drtc.TrackID(fmt.Sprintf("TR_%d", o))] = 3
			}
		}
		for range 6 {
			wild := w.randomRoutes(true)
			w.setRoutes(wild)
			w.run(time.Minute)
			w.quiet(wild)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// vanish ends everything and checks that nothing is left.
func (w *town) vanish() {
	for _, s := range w.stations {
		for id := range maps.Clone(s.local) {
			s.unpublish(id, true)
		}
	}
	w.run(time.Minute)
	for i, s := range w.stations {
		if len(s.published) > 0 {
			w.t.Errorf("node %d still has %v", i, s.published)
		}
		for l, tracks := range s.forwarded {
			if len(tracks) > 0 {
				w.t.Errorf("node %d still sends %v over %s", i, tracks, l)
			}
		}
		s.ex.SetRoutes(nil)
		for l := range maps.Clone(s.names) {
			s.lost(l)
		}
		if !s.ex.Empty() || s.ex.Tracks() != 0 || len(s.ssrc.taken) != 0 {
			w.t.Errorf("node %d remembers %d tracks and %d SSRCs", i, s.ex.Tracks(), len(s.ssrc.taken))
		}
	}
}
