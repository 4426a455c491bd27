package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/meter"
)

// inbound is a receiver's statistics of one stream as a browser keeps them
// (RTCInboundRtpStreamStats), by the formulas of RFC 3550 appendix A.3.
type inbound struct {
	ssrc, rtx     uint32
	base, highest uint32 // extended
	received      uint32
	// bytesReceived is payload; headerBytesReceived is headers and padding. Both
	// include what was sent again.
	bytesReceived, headerBytesReceived uint64
	retransmitted, padding             uint64
	least, most                        uint64 // size of a packet
}

func (r *inbound) take(p *rtp.Packet) {
	header := uint64(p.Header.MarshalSize())
	r.bytesReceived += uint64(len(p.Payload))
	r.headerBytesReceived += header + uint64(p.PaddingSize)
	if p.SSRC == r.rtx {
		r.retransmitted += header + uint64(len(p.Payload)) + uint64(p.PaddingSize)
		return
	}
	r.padding += uint64(p.PaddingSize)
	size := header + uint64(len(p.Payload))
	if r.received == 0 {
		r.base, r.highest, r.least = uint32(p.SequenceNumber), uint32(p.SequenceNumber), size
	}
	r.received++
	if ahead := p.SequenceNumber - uint16(r.highest); ahead < 1<<15 {
		r.highest += uint32(ahead)
	}
	r.least, r.most = min(r.least, size), max(r.most, size)
}

// lost is the cumulative count of its receiver reports.
func (r *inbound) lost() uint32 { return r.highest - r.base + 1 - r.received }

// clientBytes is what design decision 12 makes of the statistics.
func (r *inbound) clientBytes() uint64 {
	return r.bytesReceived + r.headerBytesReceived - r.retransmitted - r.padding
}

func (r *inbound) report() *rtcp.ReceiverReport {
	return &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{
		SSRC: r.ssrc, LastSequenceNumber: r.highest, TotalLost: r.lost() & 0xffffff,
	}}}
}

// Whatever is sent, padded, lost and sent again: what is paid is what the
// receiver counted, to the byte while nothing is lost, and otherwise off by no
// more than what the lost packets can differ in size from the mean.
func TestCore_paysWhatTheReceiverCounted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, cam, viewer := watched(t)
		r := &inbound{ssrc: 5000, rtx: 5001}
		var lost, sent uint64
		loss := rapid.IntRange(0, 3).Draw(rt, "lost of ten")
		read := func() {
			came := viewer.rtp
			viewer.rtp = nil
			for _, p := range came {
				size := uint64(p.Header.MarshalSize() + len(p.Payload))
				if p.SSRC == r.ssrc {
					sent += size
				}
				if r.received > 0 && rapid.IntRange(0, 9).Draw(rt, "fate") < loss {
					if p.SSRC == r.ssrc {
						lost++
						r.least, r.most = min(r.least, size), max(r.most, size)
						viewer.control(&rtcp.TransportLayerNack{MediaSSRC: r.ssrc, Nacks: []rtcp.NackPair{{PacketID: p.SequenceNumber}}})
					}
					continue
				}
				r.take(p)
			}
		}
		read()
		stamp := uint32(9000)
		for range rapid.IntRange(1, 30).Draw(rt, "frames") {
			sizes := rapid.SliceOfN(rapid.IntRange(20, 1200), 1, 6).Draw(rt, "sizes")
			stamp += 3000
			for i, size := range sizes {
				if rapid.IntRange(0, 19).Draw(rt, "upstream") == 0 {
					cam.seq[2]++ // lost on its way to the node
					continue
				}
				cam.piece(stamp, size, i == 0, i == len(sizes)-1)
			}
			n.pass(33 * time.Millisecond)
			for len(viewer.rtp) > 0 { // a NACK brings more
				read()
			}
			if rapid.Bool().Draw(rt, "report") {
				viewer.control(r.report())
			}
		}
		viewer.control(r.report())
		got, _ := n.core.Usage(2)
		want := r.clientBytes()
		if got.ClientSent != sent {
			rt.Errorf("got %d bytes sent, want %d", got.ClientSent, sent)
		}
		off := lost * (r.most - r.least)
		if got.Client > want+off || got.Client+off < want {
			rt.Errorf("got %d bytes paid, the receiver counted %d: off by %d at most with %d packets lost", got.Client, want, off, lost)
		}
	})
}

// Usage is handed over once, of sessions that go on and of those that ended.
func TestCore_usageOutlivesItsSession(t *testing.T) {
	n := newNetwork(t)
	for id, application := range map[engine.PeerID]string{2: "shop", 3: "shop", 4: "school"} {
		n.must(n.core.AddPeer(n.now, engine.PeerConfig{
			ID: id, Room: "room", Application: application, Local: engine.ICE{Ufrag: ufrag(id), Pwd: pwd},
		}))
		n.core.CountData(id, int(id)*100)
	}
	n.must(n.core.AddPeer(n.now, engine.PeerConfig{
		ID: 5, Room: "room", Application: "shop", Receiver: meter.Relay, Local: engine.ICE{Ufrag: ufrag(5), Pwd: pwd},
	}))
	n.core.CountData(5, 7)
	n.core.RemovePeer(n.now, 3)
	n.core.RemovePeer(n.now, 4)
	take := func() map[string]meter.Counters {
		got := map[string]meter.Counters{}
		n.core.TakeUsage(func(application string, counted meter.Counters) {
			sum := got[application]
			sum.Add(counted)
			got[application] = sum
		})
		return got
	}
	got := take()
	want := map[string]meter.Counters{
		"shop": {ClientSent: 500, Client: 500, RelaySent: 7, Relay: 7}, "school": {ClientSent: 400, Client: 400},
	}
	for application, counted := range want {
		if got[application] != counted {
			t.Errorf("%s: got %+v, want %+v", application, got[application], counted)
		}
	}
	n.core.CountData(2, 1)
	if got := take(); len(got) != 1 || got["shop"].Client != 1 {
		t.Errorf("got %+v the second time, want the one byte that is new", got)
	}
	if f, _ := n.core.Figures(5); f.RelayBytes != 7 || f.ClientBytes != 0 {
		t.Errorf("got figures %+v of a relay, want 7 relay bytes", f)
	}
}
