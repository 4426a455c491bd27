package engine_test

import (
	"encoding/binary"
	"errors"
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

// plainKeys is a Protection that hides nothing: a 4-byte tag stands for
// authenticity, and an RTCP packet carries its index before the tag.
type plainKeys struct {
	tag   uint32
	index map[uint32]uint32 // per SSRC that sends RTCP
	seen  map[uint64]bool   // ssrc and sequence number: the replay list
}

var errForged = errors.New("forged or replayed")

func newKeys(tag uint32) *plainKeys {
	return &plainKeys{tag: tag, seen: map[uint64]bool{}, index: map[uint32]uint32{}}
}

func (k *plainKeys) open(dst, b []byte) ([]byte, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b[len(b)-4:]) != k.tag {
		return nil, errForged
	}
	return append(dst, b[:len(b)-4]...), nil
}

func (k *plainKeys) OpenRTP(dst, b []byte) ([]byte, error) {
	plain, err := k.open(dst, b)
	if err != nil || len(plain) < 12 {
		return nil, errForged
	}
	id := uint64(binary.BigEndian.Uint32(plain[8:]))<<16 | uint64(binary.BigEndian.Uint16(plain[2:]))
	if k.seen[id] {
		return nil, errForged
	}
	k.seen[id] = true
	return plain, nil
}

func (k *plainKeys) OpenRTCP(dst, b []byte) ([]byte, uint32, error) {
	plain, err := k.open(dst, b)
	if err != nil || len(plain) < 12 {
		return nil, 0, errForged
	}
	n := len(plain) - 4
	index := binary.BigEndian.Uint32(plain[n:])
	id := 1<<63 | uint64(binary.BigEndian.Uint32(plain[4:]))<<31 | uint64(index)
	if k.seen[id] {
		return nil, 0, errForged
	}
	k.seen[id] = true
	return plain[:n], index, nil
}

func (k *plainKeys) SealRTP(packet []byte, _ int, _ uint64) ([]byte, error) {
	return binary.BigEndian.AppendUint32(packet, k.tag), nil
}

func (k *plainKeys) Warm() uint64 { return 0 }

func (k *plainKeys) SealRTCP(dst, plain []byte) ([]byte, error) {
	ssrc := binary.BigEndian.Uint32(plain[4:])
	k.index[ssrc]++
	out := binary.BigEndian.AppendUint32(append(dst, plain...), k.index[ssrc])
	return binary.BigEndian.AppendUint32(out, k.tag), nil
}

// network is a core and the clients around it, in virtual time.
type network struct {
	t      testing.TB
	core   *engine.Core
	now    time.Time
	batch  engine.Batch
	events []engine.Event
	peers  []*client
	room   drtc.RoomID
	node   *node // to which the core belongs, nil if it is alone
	mesh   *mesh // of nodes with one core each, nil if there are no others
}

func newNetwork(t testing.TB) *network { return newNetworkOf(t, engine.Config{}) }

func newNetworkOf(t testing.TB, cfg engine.Config) *network {
	cfg.Random = rand.New(rand.NewPCG(1, 2)).Uint32
	return &network{t: t, now: time.Unix(1_700_000_000, 0), room: "room", core: engine.New(cfg)}
}

// client is a browser on one transport.
type client struct {
	n       *network
	id      engine.PeerID
	addr    netip.AddrPort
	keys    *plainKeys // what the client seals with; the node opens with the same
	checks  byte
	rtp     []*rtp.Packet
	rtcp    []rtcp.Packet
	replies []stun.Message
	raw     int
}

const pwd = "passwordpasswordpassword"

func ufrag(id engine.PeerID) string { return "user" + string(rune('a'+id)) }

// join opens a peer and its transport.
func (n *network) join(id engine.PeerID) *client {
	n.t.Helper()
	c := n.open(id)
	c.check(true)
	n.must(n.core.Protect(n.now, id, newKeys(uint32(id)), &n.batch))
	n.flush()
	return c
}

func (n *network) open(id engine.PeerID) *client {
	n.t.Helper()
	return n.openAs(engine.PeerConfig{ID: id, Room: n.room})
}

// openAs opens a peer with what its config says of it.
func (n *network) openAs(cfg engine.PeerConfig) *client {
	n.t.Helper()
	id := cfg.ID
	cfg.Session, cfg.Local = drtc.SessionID(ufrag(id)), engine.ICE{Ufrag: ufrag(id), Pwd: pwd}
	n.must(n.core.AddPeer(n.now, cfg))
	c := &client{n: n, id: id, keys: newKeys(uint32(id)), addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(id >> 8), byte(id)}), 5000)}
	n.peers = append(n.peers, c)
	return c
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// flush hands the batch to the clients and drains the events.
func (n *network) flush() {
	n.node.collect(n)
	for _, d := range n.batch.Datagrams() {
		for _, c := range n.peers {
			if c.addr == d.To {
				c.take(d.Payload)
			}
		}
		n.mesh.post(n, d)
	}
	n.batch.Reset()
	for {
		e, ok := n.core.Poll()
		if !ok {
			return
		}
		n.events = append(n.events, e)
	}
}

// pass lets time go by in the steps that the core asks for.
func (n *network) pass(d time.Duration) {
	if n.node != nil {
		n.node.pass(d)
		return
	}
	if n.mesh != nil {
		n.mesh.pass(d)
		return
	}
	end := n.now.Add(d)
	for {
		next := n.core.NextTimeout()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(n.now) {
			n.now = next
		}
		n.core.HandleTimeout(n.now, &n.batch)
		n.flush()
	}
	n.now = end
}

func (n *network) datagram(from netip.AddrPort, b []byte) {
	n.core.HandleDatagram(n.now, from, b, &n.batch)
	n.flush()
}

func (c *client) take(b []byte) {
	c.raw++
	switch {
	case stun.Is(b):
		m, err := stun.Parse(b)
		if err != nil {
			c.n.t.Fatalf("node sent a bad STUN message: %v", err)
		}
		c.replies = append(c.replies, m)
	case b[1] >= 192 && b[1] <= 223:
		packets, err := rtcp.Unmarshal(b[:len(b)-8])
		if err != nil {
			c.n.t.Fatalf("node sent bad RTCP: %v", err)
		}
		c.rtcp = append(c.rtcp, packets...)
	default:
		p := &rtp.Packet{}
		if err := p.Unmarshal(slices.Clone(b[:len(b)-4])); err != nil {
			c.n.t.Fatalf("node sent bad RTP: %v", err)
		}
		c.rtp = append(c.rtp, p)
	}
}

// check sends a connectivity check.
func (c *client) check(nominate bool) {
	c.checks++
	c.n.datagram(c.addr, stun.AppendBindingRequest(nil, [12]byte{c.checks, byte(c.id)}, ufrag(c.id)+":peer", pwd, stun.RequestOptions{
		Priority: 1, UseCandidate: nominate, Controlling: true, TieBreaker: 1,
	}))
}

func (c *client) send(p *rtp.Packet) {
	raw, err := p.Marshal()
	c.n.must(err)
	sealed, _ := c.keys.SealRTP(raw, 0, 0)
	c.n.datagram(c.addr, sealed)
}

func (c *client) control(packets ...rtcp.Packet) {
	raw, err := rtcp.Marshal(packets)
	c.n.must(err)
	sealed, _ := c.keys.SealRTCP(nil, raw)
	c.n.datagram(c.addr, sealed)
}

// count is the number of control packets of a type that the client was sent.
func count[T rtcp.Packet](c *client) (n int) {
	for _, p := range c.rtcp {
		if _, ok := p.(T); ok {
			n++
		}
	}
	return n
}

// last is the newest event of a type.
func last[T engine.Event](n *network) (found T, ok bool) {
	for _, e := range n.events {
		if v, is := e.(T); is {
			found, ok = v, true
		}
	}
	return found, ok
}

var vp8 = engine.PayloadType{Number: 96, RTXNumber: 97, Mime: "video/VP8", ClockRate: 90000}
var opus = engine.PayloadType{Number: 111, Mime: "audio/opus", ClockRate: 48000}

const (
	extMid, extRID, extTWCC, extLevel = 1, 2, 3, 4
)

var ids = engine.ExtensionIDs{Mid: extMid, RID: extRID, TransportCC: extTWCC, AudioLevel: extLevel}

// camera publishes a simulcast camera of three layers on mid "v".
func (c *client) camera(track drtc.TrackID) *camera {
	n := c.n
	n.must(n.core.SetReceive(n.now, c.id, []engine.ReceiveSection{
		{Mid: "v", Codecs: []engine.PayloadType{vp8}, Extensions: ids, RIDs: []string{"q", "h", "f"}, Active: true},
		{Mid: "a", Codecs: []engine.PayloadType{opus}, Extensions: ids, Active: true},
	}))
	n.must(n.core.Publish(n.now, c.id, engine.TrackConfig{ID: track, Mid: "v", Video: true, Layers: []engine.LayerSize{
		{RID: "q", Width: 160, Height: 90}, {RID: "h", Width: 320, Height: 180}, {RID: "f", Width: 640, Height: 360},
	}}))
	return &camera{client: c, seq: [3]uint16{65530, 100, 200}, twcc: 1, ssrc: 1000}
}

type camera struct {
	*client
	seq  [3]uint16
	twcc uint16
	// off holds layers that the publisher does not send.
	off [3]bool
	// ssrc is that of the lowest layer; the others follow.
	ssrc uint32
}

// frame sends one frame of two packets on every layer that is on.
func (c *camera) frame(key bool) {
	for l := range 3 {
		if !c.off[l] {
			c.packet(l, key, false, true)
			c.packet(l, false, true, true)
		}
	}
	c.n.pass(33 * time.Millisecond)
}

// packet sends one packet of a layer; arrives false loses it on the way.
func (c *camera) packet(l int, key, marker, arrives bool) {
	if p := c.next(l, key, marker); arrives {
		c.send(p)
	}
}

// next makes the next packet of a layer.
func (c *camera) next(l int, key, marker bool) *rtp.Packet {
	first := byte(0x10)
	frame := byte(1)
	if key {
		frame = 0
	}
	if marker { // the second packet does not start a partition
		first, frame = 0, 7
	}
	p := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, PayloadType: vp8.Number, SequenceNumber: c.seq[l], SSRC: c.ssrc + uint32(l), Marker: marker,
			Timestamp: uint32(c.n.now.UnixMilli()*90) + uint32(l)*777,
		},
		Payload: []byte{first, frame, byte(l), byte(c.seq[l]), byte(c.seq[l] >> 8)},
	}
	c.n.must(p.SetExtension(extMid, []byte("v")))
	c.n.must(p.SetExtension(extRID, []byte{"qhf"[l]}))
	c.n.must(p.SetExtension(extTWCC, binary.BigEndian.AppendUint16(nil, c.twcc)))
	c.twcc++
	c.seq[l]++
	return p
}

// watch subscribes to a track with a picture of the size given.
func (c *client) watch(track drtc.TrackID, width, height uint32) uint32 {
	n := c.n
	const ssrc, rtx = 5000, 5001
	n.must(n.core.Subscribe(n.now, c.id, engine.SubscribeConfig{Track: track, SSRC: ssrc, RTX: rtx, Settings: engine.Settings{Width: width, Height: height}}))
	n.must(n.core.SetSend(n.now, c.id, []engine.SendSection{{Track: track, Mid: "0", Codec: vp8, Extensions: engine.ExtensionIDs{TransportCC: 5}, Active: true}}))
	return ssrc
}

// layers lists the layers of the media packets that the client was sent, each
// run once.
func (c *client) layers() (out []byte) {
	for _, p := range c.rtp {
		if l := p.Payload[2]; len(out) == 0 || out[len(out)-1] != l {
			out = append(out, l)
		}
	}
	return out
}

// watched is a network in which client 2 sees the highest layer of the camera of
// client 1.
func watched(t testing.TB) (*network, *camera, *client) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	viewer := n.join(2)
	cam.frame(true)
	viewer.watch("TR_v", 640, 360)
	cam.frame(true)
	return n, cam, viewer
}
