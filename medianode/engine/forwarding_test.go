package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
)

func TestCore_forwardingAllocatesNothing(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	cam.frame(true)
	for id := engine.PeerID(2); id < 12; id++ {
		n.join(id).watch("TR_v", 640, 360)
	}
	for range 40 {
		cam.frame(true)
	}
	seq := cam.seq[2]
	keys := &constantKeys{tag: 1}
	n.must(n.core.Protect(n.now, 1, keys, &n.batch))
	for id := engine.PeerID(2); id < 12; id++ {
		n.must(n.core.Protect(n.now, id, &constantKeys{tag: uint32(id)}, &n.batch))
	}
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.Number, SSRC: 1002, Marker: true}, Payload: make([]byte, 1100)}
	p.Payload[0], p.Payload[1] = 0x10, 0
	raw, _ := p.Marshal()
	sealed, _ := keys.SealRTP(nil, raw)
	before := n.core.Counters().Forwarded
	got := testing.AllocsPerRun(500, func() {
		sealed[2], sealed[3] = byte(seq>>8), byte(seq)
		seq++
		n.core.HandleDatagram(n.now, cam.addr, sealed, &n.batch)
		n.batch.Reset()
	})
	if forwarded := n.core.Counters().Forwarded - before; forwarded < 5000 {
		t.Fatalf("forwarded %d packets, want 5000: the test measures nothing", forwarded)
	}
	if got > 0.05 { // the ring's arena may still double once
		t.Errorf("got %.2f allocations per packet to 10 subscribers, want 0", got)
	}
}

// constantKeys is plainKeys without the replay list, which allocates.
type constantKeys struct{ tag uint32 }

func (k *constantKeys) OpenRTP(dst, b []byte) ([]byte, error) {
	return append(dst, b[:len(b)-4]...), nil
}
func (k *constantKeys) OpenRTCP(dst, b []byte) ([]byte, uint32, error) {
	return append(dst, b[:len(b)-4]...), 0, nil
}
func (k *constantKeys) SealRTP(dst, b []byte) ([]byte, error) {
	return append(append(dst, b...), 0, 0, 0, byte(k.tag)), nil
}
func (k *constantKeys) SealRTCP(dst, b []byte) ([]byte, error) {
	return append(append(dst, b...), 0, 0, 0, 0, 0, 0, 0, byte(k.tag)), nil
}

func FuzzCore_HandleDatagram(f *testing.F) {
	n := newNetwork(f)
	f.Add(stun.AppendBindingRequest(nil, [12]byte{1}, ufrag(1)+":peer", pwd, stun.RequestOptions{}), uint8(1))
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.Number, SSRC: 1002}, Payload: []byte{0x90, 0x80, 0x81, 1}}
	n.must(p.SetExtension(extMid, []byte("v")))
	n.must(p.SetExtension(extRID, []byte("f")))
	raw, _ := p.Marshal()
	f.Add(append(raw, 0, 0, 0, 1), uint8(1))
	rtx := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.RTXNumber, SSRC: 1502}, Payload: []byte{0, 200, 0x10, 0}}
	raw, _ = rtx.Marshal()
	f.Add(append(raw, 0, 0, 0, 1), uint8(1))
	nack, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}}})
	f.Add(append(nack, 0, 0, 0, 2), uint8(2))
	feedback, report := messages(f, 5000)
	f.Add(feedback, uint8(1))
	f.Add(report, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, from uint8) {
		n := newNetwork(t)
		cam := n.join(1).camera("TR_v")
		n.must(n.core.Protect(n.now, 1, &constantKeys{tag: 1}, &n.batch))
		viewer := n.join(2)
		n.must(n.core.Protect(n.now, 2, &constantKeys{tag: 2}, &n.batch))
		cam.frame(true)
		viewer.watch("TR_v", 640, 360)
		cam.frame(true)
		for range 3 {
			if len(b) >= 12 { // the keys cut four bytes off
				n.core.HandleDatagram(n.now, n.peers[int(from)%2].addr, b, &n.batch)
			}
			n.core.HandleDatagram(n.now, netip.MustParseAddrPort("192.0.2.1:1"), b, &n.batch)
			n.batch.Reset()
			n.pass(50 * time.Millisecond)
		}
	})
}

// BenchmarkCore_forward is one packet to 50 subscribers without ciphers: the
// cost of rewriting and bookkeeping alone, per packet sent.
func BenchmarkCore_forward(b *testing.B) {
	const subscribers = 50
	n := newNetwork(b)
	cam := n.join(1).camera("TR_v")
	cam.frame(true)
	for id := engine.PeerID(2); id < 2+subscribers; id++ {
		n.join(id).watch("TR_v", 640, 360)
		n.must(n.core.Protect(n.now, id, &constantKeys{tag: uint32(id)}, &n.batch))
	}
	n.must(n.core.Protect(n.now, 1, &constantKeys{tag: 1}, &n.batch))
	for range 40 {
		cam.frame(true)
	}
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: vp8.Number, SSRC: 1002, Marker: true}, Payload: make([]byte, 1100)}
	p.Payload[0] = 0x10
	raw, err := p.Marshal()
	n.must(err)
	sealed, _ := (&constantKeys{tag: 1}).SealRTP(nil, raw)
	seq := cam.seq[2]
	b.ReportAllocs()
	for i := 0; i < b.N; i += subscribers {
		sealed[2], sealed[3] = byte(seq>>8), byte(seq)
		seq++
		n.core.HandleDatagram(n.now, cam.addr, sealed, &n.batch)
		n.batch.Reset()
	}
}
