package engine_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
)

// mesh is nodes of one core each, in virtual time, and the trunks between them.
// What tells an upstream node which layers are wanted downstream is a call here.
type mesh struct {
	t       testing.TB
	now     time.Time
	nodes   []*network
	letters []letter // on their way, by the time at which they arrive
	hops    []*hop
	read    map[*network]int // events that were acted on
	checked time.Time
	seed    uint64
}

// letter is a datagram on a trunk, or something else that happens at its time.
type letter struct {
	due time.Time
	do  func()
}

const (
	trunkDelay   = 10 * time.Millisecond
	controlDelay = 15 * time.Millisecond
)

func newMesh(t testing.TB, nodes int, cfg engine.Config) *mesh {
	m := &mesh{t: t, now: time.Unix(1_700_000_000, 0), read: map[*network]int{}}
	for i := range nodes {
		cfg.Random = rand.New(rand.NewPCG(7, uint64(i))).Uint32
		m.nodes = append(m.nodes, &network{t: t, now: m.now, room: "room", core: engine.New(cfg), mesh: m})
	}
	return m
}

func (m *mesh) later(d time.Duration, do func()) {
	at := m.now.Add(d)
	i, _ := slices.BinarySearchFunc(m.letters, at, func(l letter, at time.Time) int {
		if l.due.After(at) {
			return 1
		}
		return -1
	})
	m.letters = slices.Insert(m.letters, i, letter{at, do})
}

// post takes a datagram of a node if it is for another.
func (m *mesh) post(n *network, d engine.Datagram) {
	if m == nil {
		return
	}
	for _, h := range m.hops {
		switch {
		case h.up == n && d.To == h.downAddr:
			h.down1(d.Payload)
		case h.down == n && d.To == h.upAddr:
			b := slices.Clone(d.Payload)
			if !h.cut {
				m.later(trunkDelay, func() { h.up.datagram(h.downAddr, b) })
			}
		}
	}
}

// pass lets time go by for all nodes.
func (m *mesh) pass(d time.Duration) {
	for _, n := range m.nodes {
		n.flush()
	}
	for end := m.now.Add(d); ; {
		m.act()
		at, n := end, (*network)(nil)
		if len(m.letters) > 0 && m.letters[0].due.Before(at) {
			at = m.letters[0].due
		}
		for _, o := range m.nodes {
			if next := o.core.NextTimeout(); !next.IsZero() && next.Before(at) {
				at, n = next, o
			}
		}
		m.set(at)
		switch {
		case n != nil:
			n.core.HandleTimeout(n.now, &n.batch)
			n.flush()
		case len(m.letters) > 0 && !m.letters[0].due.After(at) && at.Before(end):
			l := m.letters[0]
			m.letters = m.letters[1:]
			l.do()
		default:
			return
		}
	}
}

func (m *mesh) set(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
	for _, n := range m.nodes {
		n.now = m.now
	}
	if m.now.Sub(m.checked) > 2*time.Second {
		m.checked = m.now
		for _, n := range m.nodes {
			for _, c := range n.peers {
				c.check(true)
			}
		}
	}
}

// act does what the nodes' control planes do about new events.
func (m *mesh) act() {
	for _, n := range m.nodes {
		for ; m.read[n] < len(n.events); m.read[n]++ {
			for _, h := range m.hops {
				h.heard(n, n.events[m.read[n]])
			}
		}
	}
}

// hop is a trunk over which tracks go one way, from up to down.
type hop struct {
	m                *mesh
	up, down         *network
	upPeer, downPeer engine.PeerID // the relay peer in each core
	upAddr, downAddr netip.AddrPort
	tracks           map[drtc.TrackID]*onHop
	cut              bool
	rtp              []*rtp.Packet // as sent
	bytes            int
}

// onHop is a track on a hop.
type onHop struct {
	h       *hop
	id      drtc.TrackID
	group   string
	codec   engine.PayloadType
	ssrcs   []engine.SourceGroup
	demand  []int
	sent    map[int]bool // layers that are forwarded
	quality int
	spatial bool // all sizes in one stream
}

var audio = engine.PayloadType{Number: 111, RTXNumber: 112, Mime: "audio/opus", ClockRate: 48000}

// relayCodecs are the same on all trunks.
var relayCodecs = []engine.PayloadType{vp8, h264, vp9, av1, audio}

var relayExtensions = engine.ExtensionIDs{TransportCC: 5, AudioLevel: extLevel, DependencyDescriptor: extDependency, Mixed: true}

// link opens a trunk, whose initiator is up.
func (m *mesh) link(up, down *network) *hop {
	m.t.Helper()
	k := len(m.hops)
	h := &hop{m: m, up: up, down: down, upPeer: engine.PeerID(100 + 2*k), downPeer: engine.PeerID(101 + 2*k), tracks: map[drtc.TrackID]*onHop{}}
	h.upAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(k), 1}), 7000)
	h.downAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(k), 2}), 7000)
	m.hops = append(m.hops, h)
	a, b := engine.ICE{Ufrag: ufrag(h.upPeer), Pwd: pwd + "a"}, engine.ICE{Ufrag: ufrag(h.downPeer), Pwd: pwd + "b"}
	m.must(down.core.AddPeer(m.now, engine.PeerConfig{ID: h.downPeer, Relay: true, Local: b, Remote: a}))
	m.must(up.core.AddPeer(m.now, engine.PeerConfig{ID: h.upPeer, Relay: true, Local: a, Remote: b, Check: []netip.AddrPort{h.downAddr}}))
	m.pass(50 * time.Millisecond)
	m.must(up.core.Protect(m.now, h.upPeer, newKeys(uint32(k)), &up.batch))
	m.must(down.core.Protect(m.now, h.downPeer, newKeys(uint32(k)), &down.batch))
	m.pass(50 * time.Millisecond)
	return h
}

func (m *mesh) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// down1 takes a datagram of the upper node over the trunk.
func (h *hop) down1(payload []byte) {
	b := slices.Clone(payload)
	if h.bytes += len(b); !stun.Is(b) && (b[1] < 192 || b[1] > 223) {
		p := &rtp.Packet{}
		h.m.must(p.Unmarshal(b[:len(b)-4]))
		h.rtp = append(h.rtp, p)
	}
	if !h.cut {
		h.m.later(trunkDelay, func() { h.down.datagram(h.upAddr, b) })
	}
}

// carry publishes a track of the upper node in the lower one. Nothing is sent as
// long as nobody wants it.
func (h *hop) carry(cfg engine.TrackConfig, codec engine.PayloadType, layers int) *onHop {
	h.m.t.Helper()
	h.m.seed++
	t := &onHop{h: h, id: cfg.ID, codec: codec, sent: map[int]bool{}, spatial: layers == 1 && len(cfg.Layers) > 1}
	var rids []string
	for l := range layers {
		ssrc := uint32(0x1000_0000 + h.m.seed<<8 + uint64(l)<<1)
		t.ssrcs = append(t.ssrcs, engine.SourceGroup{SSRC: ssrc, RTX: ssrc + 1})
		if layers > 1 {
			rids = append(rids, string("qhf"[l]))
		}
	}
	h.tracks[t.id] = t
	h.m.must(h.down.core.AddReceive(h.m.now, h.downPeer, engine.ReceiveSection{
		Mid: string(t.id), Codecs: relayCodecs, Extensions: relayExtensions, RIDs: rids, SSRCs: t.ssrcs, Active: true,
	}))
	cfg.Mid, cfg.Room = string(t.id), "room"
	h.m.must(h.down.core.Publish(h.m.now, h.downPeer, cfg))
	h.down.flush()
	return t
}

var cameraSizes = []engine.LayerSize{
	{RID: "q", Width: 160, Height: 90}, {RID: "h", Width: 320, Height: 180}, {RID: "f", Width: 640, Height: 360},
}

// camera carries TR_v, a simulcast camera.
func (h *hop) camera() *onHop {
	h.m.t.Helper()
	return h.carry(engine.TrackConfig{ID: "TR_v", Video: true, Layers: cameraSizes}, vp8, 3)
}

// heard acts on an event of one of the ends.
func (h *hop) heard(n *network, e engine.Event) {
	switch e := e.(type) {
	case engine.LayerDemand:
		if t := h.tracks[e.Track]; n == h.down && e.Peer == h.downPeer && t != nil {
			h.m.later(controlDelay, func() { t.want(e.Layers) })
		}
	case engine.TrackLive:
		if t := h.tracks[e.Track]; n == h.up && t != nil && e.Mime != t.codec.Mime && codecNamed(e.Mime).Number != 0 {
			t.codec = codecNamed(e.Mime)
			for l := range t.sent {
				t.forward(l)
			}
		}
	}
}

func codecNamed(mime string) engine.PayloadType {
	for _, c := range relayCodecs {
		if c.Mime == mime {
			return c
		}
	}
	return engine.PayloadType{}
}

// want has the upper node forward the layers that the lower one asks for.
func (t *onHop) want(layers []int) {
	t.demand = layers
	if t.spatial {
		if t.quality = len(layers); t.quality > 0 {
			layers = []int{0}
		}
	}
	for l := range t.ssrcs {
		switch wanted := slices.Contains(layers, l); {
		case wanted:
			t.sent[l] = true
			t.forward(l)
		case t.sent[l]:
			delete(t.sent, l)
			t.h.m.must(t.h.up.core.StopRelayLayer(t.h.m.now, t.h.upPeer, t.id, l))
			t.h.up.flush()
		}
	}
}

func (t *onHop) forward(layer int) {
	t.h.m.must(t.h.up.core.RelayLayer(t.h.m.now, t.h.upPeer, engine.RelayConfig{
		Track: t.id, Layer: layer, Quality: t.quality, Room: "room", Application: "app", AudioGroup: t.group,
		SSRC: t.ssrcs[layer].SSRC, RTX: t.ssrcs[layer].RTX, Codec: t.codec, Extensions: relayExtensions,
	}))
	t.h.up.flush()
}

// of is what went over the hop of one layer of a track, without what was sent
// again.
func (t *onHop) of(layer int) (all []*rtp.Packet) {
	for _, p := range t.h.rtp {
		if p.SSRC == t.ssrcs[layer].SSRC {
			all = append(all, p)
		}
	}
	return all
}

// counts is how many packets went over the hop of each layer.
func (t *onHop) counts() (n []int) {
	for l := range t.ssrcs {
		n = append(n, len(t.of(l)))
	}
	return n
}

// chain is a camera on the first of some nodes in a row, and a viewer on each.
type chain struct {
	*mesh
	hops    []*hop
	tracks  []*onHop
	cam     *camera
	viewers []*client
}

func newChain(t testing.TB, nodes int, cfg engine.Config) *chain {
	t.Helper()
	c := &chain{mesh: newMesh(t, nodes, cfg)}
	c.cam = c.nodes[0].join(1).camera("TR_v")
	for i := 1; i < nodes; i++ {
		h := c.link(c.nodes[i-1], c.nodes[i])
		c.hops = append(c.hops, h)
		c.tracks = append(c.tracks, h.camera())
	}
	for i := range nodes {
		c.viewers = append(c.viewers, c.nodes[i].join(engine.PeerID(2+i)))
	}
	c.cam.frame(true)
	return c
}

// frames sends so many frames; the camera answers requests for key frames.
func (c *chain) frames(count int) {
	for range count {
		key := len(c.cam.rtcp) > 0 && c.cam.asked()
		c.cam.frame(key)
	}
}

// asked reports whether a key frame was asked for since the last call.
func (c *camera) asked() (yes bool) {
	yes = count[*rtcp.PictureLossIndication](c.client) > 0
	c.rtcp = nil
	return yes
}
