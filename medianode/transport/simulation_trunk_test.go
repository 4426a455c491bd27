package transport_test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
	"github.com/drtc-network/drtc/medianode/transport"
)

// end is one end of a trunk, as the core at the other end sees it: who sends to
// its address sends to its core.
type end struct {
	*world
	core  *seatOfCore
	id    engine.PeerID // of the other end's node in this core
	addr  netip.AddrPort
	far   *end
	tap   *srtp.Context // opens all that is sent to this end, as it is sent
	moves int
	h     *hop
}

// hop is a trunk between two nodes, over which tracks go down.
type hop struct {
	*world
	up, down *end
	cut      bool // nothing goes through
	tracks   map[drtc.TrackID]*carriedTrack
	sent     map[uint32][]mark // media packets by SSRC, as sent for the first time
}

// carriedTrack is a track on a hop.
type carriedTrack struct {
	h      *hop
	id     drtc.TrackID
	home   engine.CoreID
	codec  engine.PayloadType
	ssrcs  []engine.SourceGroup
	demand []int
	sent   map[int]bool
}

var repairedOpus = engine.PayloadType{Number: 111, RTXNumber: 112, Mime: "audio/opus", ClockRate: 48000}

// link opens a trunk. The upper end is its initiator.
func (w *world) link(up, down *seatOfCore, number byte) *hop {
	h := &hop{world: w, tracks: map[drtc.TrackID]*carriedTrack{}, sent: map[uint32][]mark{}}
	random := func(n int) []byte {
		k := make([]byte, n)
		for i := range k {
			k[i] = byte(w.random.Uint32())
		}
		return k
	}
	keys := srtp.SessionKeys{LocalMasterKey: random(16), LocalMasterSalt: random(12), RemoteMasterKey: random(16), RemoteMasterSalt: random(12)}
	h.up = &end{world: w, core: up, id: 200 + engine.PeerID(number), h: h}
	h.down = &end{world: w, core: down, id: 100 + engine.PeerID(number), h: h}
	h.up.far, h.down.far = h.down, h.up
	for i, e := range []*end{h.up, h.down} {
		e.place(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, number, byte(i)}), 7000))
	}
	near, away := engine.ICE{Ufrag: "up" + string('a'+rune(number)), Pwd: password}, engine.ICE{Ufrag: "down" + string('a'+rune(number)), Pwd: password + "2"}
	w.must(down.AddPeer(w.now, engine.PeerConfig{ID: h.down.id, Relay: true, Local: away, Remote: near}))
	w.must(up.AddPeer(w.now, engine.PeerConfig{ID: h.up.id, Relay: true, Local: near, Remote: away, Check: []netip.AddrPort{h.down.addr}}))
	for !up.Address(h.up.id).IsValid() || !down.Address(h.down.id).IsValid() {
		w.pass(10 * time.Millisecond)
	}
	swapped := srtp.SessionKeys{
		LocalMasterKey: keys.RemoteMasterKey, LocalMasterSalt: keys.RemoteMasterSalt,
		RemoteMasterKey: keys.LocalMasterKey, RemoteMasterSalt: keys.LocalMasterSalt,
	}
	h.up.protect(keys)
	h.down.protect(swapped)
	return h
}

// protect lends the core its keys for the other end.
func (e *end) protect(keys srtp.SessionKeys) {
	protection, err := transport.ProtectionOf(srtp.Config{Profile: gcm, Keys: keys})
	e.must(err)
	e.tap, err = srtp.CreateContext(keys.RemoteMasterKey, keys.RemoteMasterSalt, gcm, srtp.SRTPReplayProtection(1024), srtp.SRTCPReplayProtection(1024))
	e.must(err)
	e.must(e.core.Protect(e.now, e.id, protection, &e.core.batch))
	e.flush(e.core)
}

// place gives the end an address; what goes to the old one is lost.
func (e *end) place(addr netip.AddrPort) {
	delete(e.byAddr, e.addr)
	e.addr = addr
	e.byAddr[addr] = e
}

// move is a NAT that forgets the end's port.
func (e *end) move() {
	e.moves++
	e.place(netip.AddrPortFrom(e.addr.Addr(), 7000+uint16(e.moves)))
}

// send implements receiver.
func (e *end) send(payload []byte) {
	d, from := slices.Clone(payload), e.far.addr
	checks := stun.Is(d)
	if !checks {
		control := d[1] >= 192 && d[1] <= 223
		if err := decrypt(e.tap, d, control, func(plain []byte) {
			if !control {
				e.h.count(plain)
			}
		}); err != nil {
			e.t.Fatalf("trunk: %s as sent: %v", describe(d, control), err)
		}
	}
	if e.h.cut {
		return
	}
	e.carry(func(before int) {
		if before > 0 && !checks {
			e.duplicates++
		}
		e.core.HandleDatagram(e.now, from, d, &e.core.batch)
		e.flush(e.core)
	})
}

// count notes a media packet that is sent for the first time.
func (h *hop) count(plain []byte) {
	p := &rtp.Packet{}
	h.must(p.Unmarshal(plain))
	if m, ok := readMark(p.Payload); ok && m.Codec == p.PayloadType {
		h.sent[p.SSRC] = append(h.sent[p.SSRC], m)
	}
}

// publish makes a track of the upper node, published there in a core, one of the
// lower.
func (h *hop) publish(id drtc.TrackID, home engine.CoreID, codec engine.PayloadType, sizes []engine.LayerSize) {
	t := &carriedTrack{h: h, id: id, home: home, codec: codec, sent: map[int]bool{}}
	var rids []string
	for l := range max(len(sizes), 1) {
		ssrc := h.random.Uint32() | 1<<31
		t.ssrcs = append(t.ssrcs, engine.SourceGroup{SSRC: ssrc, RTX: ssrc ^ 1})
		if len(sizes) > 0 {
			rids = append(rids, sizes[l].RID)
		}
	}
	h.tracks[id] = t
	h.must(h.down.core.AddReceive(h.now, h.down.id, engine.ReceiveSection{
		Mid: string(id), Codecs: []engine.PayloadType{vp8, h264, repairedOpus}, RIDs: rids, SSRCs: t.ssrcs, Active: true,
		Extensions: engine.ExtensionIDs{TransportCC: extensions.TransportCC},
	}))
	h.must(h.down.core.Publish(h.now, h.down.id, engine.TrackConfig{ID: id, Mid: string(id), Video: codec.Number != opus.Number, Room: "room", Layers: sizes}))
	h.flush(h.down.core)
}

// told acts on an event of one of the ends: what a control plane does.
func (h *hop) told(c *seatOfCore, e engine.Event) {
	switch e := e.(type) {
	case engine.LayerDemand:
		if t := h.tracks[e.Track]; c == h.down.core && e.Peer == h.down.id {
			t.demand = e.Layers
			h.message(t.apply)
		}
	case engine.TrackLive:
		t := h.tracks[e.Track]
		if t == nil || c.node != h.up.core.node || c.id != t.home || e.Mime == t.codec.Mime {
			return
		}
		for _, codec := range []engine.PayloadType{vp8, h264} {
			if codec.Mime == e.Mime {
				t.codec = codec
			}
		}
		h.after(time.Millisecond, func() {
			for l := range t.sent {
				t.forward(l)
			}
		})
	}
}

// message has something done when a message has come up the trunk, which is
// reliable: as long as the trunk is cut it waits.
func (h *hop) message(do func()) {
	h.after(h.net.delay+h.net.jitter, func() {
		if h.cut {
			h.message(do)
			return
		}
		do()
	})
}

// apply forwards the layers that are wanted.
func (t *carriedTrack) apply() {
	for l := range t.ssrcs {
		switch wanted := slices.Contains(t.demand, l); {
		case wanted && !t.sent[l]:
			t.sent[l] = true
			t.forward(l)
		case !wanted && t.sent[l]:
			delete(t.sent, l)
			t.h.must(t.h.up.core.StopRelayLayer(t.h.now, t.h.up.id, t.id, l))
			t.h.flush(t.h.up.core)
		}
	}
}

func (t *carriedTrack) forward(layer int) {
	t.h.must(t.h.up.core.RelayLayer(t.h.now, t.h.up.id, engine.RelayConfig{
		Track: t.id, Layer: layer, Home: t.home, Room: "room", Application: "app",
		SSRC: t.ssrcs[layer].SSRC, RTX: t.ssrcs[layer].RTX, Codec: t.codec,
		Extensions: engine.ExtensionIDs{TransportCC: extensions.TransportCC},
	}))
	t.h.flush(t.h.up.core)
}
