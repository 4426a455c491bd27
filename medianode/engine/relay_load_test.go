package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// crowded is a node with a relay peer that publishes many cameras.
type crowded struct {
	*network
	relay *client
	count int
}

func newCrowded(t testing.TB, count int) *crowded {
	n := newNetwork(t)
	c := &crowded{network: n, count: count, relay: n.openAs(engine.PeerConfig{ID: 1, Relay: true})}
	c.relay.check(true)
	n.must(n.core.Protect(n.now, 1, newKeys(1), &n.batch))
	for i := range count {
		c.publish(i)
	}
	n.flush()
	return c
}

func trackNumber(i int) drtc.TrackID { return drtc.TrackID(fmt.Sprintf("TR_%d", i)) }

// sources are the SSRCs of a camera's three layers.
func sources(i int) (all []engine.SourceGroup) {
	for l := range uint32(3) {
		ssrc := uint32(1_000_000+i*10) + 2*l
		all = append(all, engine.SourceGroup{SSRC: ssrc, RTX: ssrc + 1})
	}
	return all
}

func (c *crowded) publish(i int) {
	c.must(c.core.AddReceive(c.now, 1, engine.ReceiveSection{
		Mid: string(trackNumber(i)), Codecs: []engine.PayloadType{vp8}, RIDs: []string{"q", "h", "f"}, SSRCs: sources(i), Active: true,
	}))
	c.must(c.core.Publish(c.now, 1, engine.TrackConfig{ID: trackNumber(i), Mid: string(trackNumber(i)), Video: true, Room: "room", Layers: cameraSizes}))
}

func (c *crowded) packet(i int, seq uint16) *rtp.Packet {
	return &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: vp8.Number, SSRC: sources(i)[2].SSRC, SequenceNumber: seq, Timestamp: uint32(seq) * 3000, Marker: true},
		Payload: []byte{0x10, 0, byte(i), byte(i >> 8), byte(seq)},
	}
}

// Thousands of tracks of one relay peer: each is found at once, comes and goes
// at a price that is its own, and leaves nothing.
func TestRelay_thousandsOfTracks(t *testing.T) {
	const count = 3000
	c := newCrowded(t, count)
	v := c.join(2)
	v.subscribeTo(trackNumber(count - 1))
	c.relay.send(c.packet(count-1, 100))
	c.relay.send(c.packet(count-1, 101))
	if len(v.rtp) != 2 {
		t.Fatalf("the viewer of the last track got %d packets, want 2", len(v.rtp))
	}
	unknown := c.packet(0, 1)
	unknown.SSRC = 5
	before := c.core.Counters().Unknown
	c.relay.send(unknown)
	if got := c.core.Counters().Unknown - before; got != 1 {
		t.Errorf("a packet of no track was not refused: %d", got)
	}
	for i := range count - 1 {
		c.must(c.core.RemoveReceive(c.now, 1, string(trackNumber(i))))
	}
	for i := range count - 1 { // the SSRCs are free again
		c.publish(i)
	}
	c.core.RemovePeer(c.now, 1)
	if n := c.core.Peers(); n != 1 {
		t.Errorf("%d peers are left, want the viewer", n)
	}
}

func (c *client) subscribeTo(track drtc.TrackID) {
	n := c.n
	n.must(n.core.Subscribe(n.now, c.id, engine.SubscribeConfig{Track: track, SSRC: 5000, RTX: 5001}))
	n.must(n.core.SetSend(n.now, c.id, []engine.SendSection{{Track: track, Mid: "0", Codec: vp8, Active: true}}))
}

// A node can't take another track's SSRC, name one twice, or publish without end.
func TestRelay_sectionsAreChecked(t *testing.T) {
	c := newCrowded(t, 1)
	section := func(mid string, ssrcs ...engine.SourceGroup) error {
		if err := c.core.AddReceive(c.now, 1, engine.ReceiveSection{Mid: mid, Codecs: []engine.PayloadType{vp8}, SSRCs: ssrcs, Active: true}); err != nil {
			return err
		}
		return c.core.Publish(c.now, 1, engine.TrackConfig{ID: drtc.TrackID("TR_" + mid), Mid: mid, Video: true, Room: "room"})
	}
	for name, ssrcs := range map[string][]engine.SourceGroup{
		"of another track": {{SSRC: sources(0)[0].SSRC, RTX: 77}},
		"RTX of another":   {{SSRC: 78, RTX: sources(0)[0].RTX}},
		"twice":            {{SSRC: 79, RTX: 79}},
		"in two layers":    {{SSRC: 80, RTX: 81}, {SSRC: 80, RTX: 82}},
		"zero":             {{SSRC: 0, RTX: 83}},
	} {
		if err := section(name, ssrcs...); !errors.Is(err, engine.ErrSSRC) {
			t.Errorf("%s: got %v, want ErrSSRC", name, err)
		}
	}
	if err := section("fine", engine.SourceGroup{SSRC: 90, RTX: 91}); err != nil {
		t.Errorf("got %v", err)
	}
	if err := c.core.AddReceive(c.now, 1, engine.ReceiveSection{Mid: "fine", SSRCs: sources(0)[:1], Active: true}); !errors.Is(err, engine.ErrSSRC) {
		t.Errorf("a track took another's SSRC: %v", err)
	}
	if err := c.core.AddReceive(c.now, 1, engine.ReceiveSection{
		Mid: "fine", Codecs: []engine.PayloadType{vp8}, SSRCs: []engine.SourceGroup{{SSRC: 92, RTX: 93}}, Active: true,
	}); err != nil {
		t.Errorf("new SSRCs of a track: %v", err)
	}
	viewer := c.join(2)
	viewer.subscribeTo("TR_fine")
	p := c.packet(0, 9)
	for _, ssrc := range []uint32{90, 92} {
		p.SSRC = ssrc
		c.relay.send(p)
	}
	if len(viewer.rtp) != 1 {
		t.Errorf("the viewer got %d packets, want that of the new SSRC", len(viewer.rtp))
	}
	if err := c.core.AddReceive(c.now, 2, engine.ReceiveSection{Mid: "x"}); !errors.Is(err, engine.ErrRelay) {
		t.Errorf("a client's section: got %v, want ErrRelay", err)
	}
	// SetReceive lists all: what it leaves out is gone unless it has a track.
	c.must(c.core.SetReceive(c.now, 1, []engine.ReceiveSection{{Mid: "only", Codecs: []engine.PayloadType{vp8}, SSRCs: []engine.SourceGroup{{SSRC: 100}}, Active: true}}))
	if err := c.core.Publish(c.now, 1, engine.TrackConfig{ID: "TR_only", Mid: "only", Video: true, Room: "room"}); err != nil {
		t.Errorf("got %v", err)
	}
	if err := c.core.Publish(c.now, 1, engine.TrackConfig{ID: "TR_x", Mid: "twice", Video: true, Room: "room"}); !errors.Is(err, engine.ErrSection) {
		t.Errorf("a section that is gone: got %v", err)
	}
}

// A core that leaves out video takes it from its own viewers first: what goes to
// another node is seen by many.
func TestRelay_isShedLast(t *testing.T) {
	c := newChain(t, 2, engine.Config{})
	for i := range 8 {
		c.nodes[0].join(engine.PeerID(40+i)).watch("TR_v", 640, 360)
	}
	c.viewers[1].watch("TR_v", 640, 360)
	c.frames(150)
	home := c.nodes[0]
	lag := func(d time.Duration) engine.Overload {
		home.core.ObserveLag(c.now, d)
		c.frames(1)
		told, _ := last[engine.Overload](home)
		return told
	}
	// Eight viewers and two relay layers of one rate: four fifths of that are the
	// viewers.
	for range 100 {
		if told := lag(200 * time.Millisecond); told.Paused >= 8 {
			break
		}
	}
	for _, v := range home.peers {
		v.rtp = nil
	}
	c.viewers[1].rtp = nil
	told := lag(200 * time.Millisecond)
	c.pass(50 * time.Millisecond)
	if told.Paused != 8 {
		t.Fatalf("%+v, want 8 of 10 left out", told)
	}
	for _, v := range home.peers {
		if v.id >= 40 && len(v.rtp) > 0 {
			t.Errorf("viewer %d of this node is served", v.id)
		}
	}
	if len(c.viewers[1].rtp) == 0 {
		t.Error("nothing goes to the other node")
	}
}

// A node between two others takes packets of a layer, of a scalable stream and of
// limited voices, and sends them on, without an allocation.
func TestRelay_forwardingAllocatesNothing(t *testing.T) {
	n := newNetwork(t)
	up := n.openAs(engine.PeerConfig{ID: 1, Relay: true})
	up.check(true)
	var nodes []*client
	for id := engine.PeerID(2); id < 6; id++ {
		c := n.openAs(engine.PeerConfig{ID: id, Relay: true})
		c.check(true)
		nodes = append(nodes, c)
	}
	section := func(mid string, codec engine.PayloadType, ssrc uint32, cfg engine.TrackConfig) {
		n.must(n.core.AddReceive(n.now, 1, engine.ReceiveSection{
			Mid: mid, Codecs: []engine.PayloadType{codec}, SSRCs: []engine.SourceGroup{{SSRC: ssrc, RTX: ssrc + 1}}, Active: true,
			Extensions: engine.ExtensionIDs{TransportCC: extTWCC, AudioLevel: extLevel},
		}))
		cfg.ID, cfg.Mid, cfg.Room = drtc.TrackID("TR_"+mid), mid, "room"
		n.must(n.core.Publish(n.now, 1, cfg))
		for _, c := range nodes {
			n.must(n.core.RelayLayer(n.now, c.id, engine.RelayConfig{
				Track: cfg.ID, Room: "room", SSRC: ssrc, RTX: ssrc + 1, Codec: codec, AudioGroup: "link",
				Extensions: engine.ExtensionIDs{TransportCC: extTWCC, AudioLevel: extLevel},
			}))
		}
	}
	section("v", vp8, 1000, engine.TrackConfig{Video: true})
	section("a", audio, 2000, engine.TrackConfig{})
	for _, c := range append(nodes, up) {
		n.must(n.core.SetAudioLimit(n.now, c.id, "link", 1))
		n.must(n.core.Protect(n.now, c.id, &constantKeys{tag: uint32(c.id)}, &n.batch))
	}
	n.batch.Reset()
	keys := &constantKeys{tag: 1}
	packet := func(ssrc uint32, codec engine.PayloadType, payload []byte) []byte {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: codec.Number, SSRC: ssrc, Marker: true}, Payload: payload}
		n.must(p.SetExtension(extTWCC, []byte{0, 0}))
		n.must(p.SetExtension(extLevel, []byte{30}))
		raw, err := p.Marshal()
		n.must(err)
		sealed, _ := keys.SealRTP(raw, 0, 0)
		return sealed
	}
	picture, voice := packet(1000, vp8, append([]byte{0x10, 0}, make([]byte, 1000)...)), packet(2000, audio, make([]byte, 80))
	seq := uint16(1)
	next := func() {
		for _, b := range [][]byte{picture, voice} {
			b[2], b[3] = byte(seq>>8), byte(seq)
			n.core.HandleDatagram(n.now, up.addr, b, &n.batch)
		}
		seq++
		n.batch.Reset()
	}
	for range 2000 {
		next()
	}
	before := n.core.Counters().Forwarded
	got := testing.AllocsPerRun(500, next)
	if forwarded := n.core.Counters().Forwarded - before; forwarded < 4000 {
		t.Fatalf("forwarded %d packets, want 4000: the test measures nothing", forwarded)
	}
	if got > 0.05 { // the ring's arena may still double once
		t.Errorf("got %.2f allocations for two packets to 4 nodes, want 0", got)
	}
}

// BenchmarkRelay_tick is what a core does in a second for tracks of other nodes
// that nobody here looks at, all but nothing.
func BenchmarkRelay_tick(b *testing.B) {
	for _, count := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			c := newCrowded(b, count)
			b.ReportAllocs()
			for b.Loop() {
				c.pass(time.Second)
				c.events = c.events[:0]
			}
		})
	}
}
