package engine_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/twcc"
)

// messages are what a subscriber sends back: transport feedback on ten packets,
// and once a second a receiver report.
func messages(t testing.TB, ssrc uint32) (feedback, report []byte) {
	r := twcc.New()
	for i := range 10 {
		r.Record(time.Unix(0, int64(i)*5_000_000), uint16(i))
	}
	feedback = r.Feedback(nil, 1, ssrc)
	report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{
		{SSRC: ssrc, LastSequenceNumber: 70_000}, {SSRC: ssrc + 1},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return append(feedback, 0, 0, 0, 1), append(report, 0, 0, 0, 1)
}

// audience is a network in which client 1 publishes a camera and the others
// see it; without ciphers.
func audience(t testing.TB, cfg engine.Config, viewers int) *network {
	n := newNetworkOf(t, cfg)
	cam := n.join(1).camera("TR_v")
	cam.frame(true)
	for id := range engine.PeerID(viewers) {
		n.join(2+id).watch("TR_v", 640, 360)
		n.must(n.core.Protect(n.now, 2+id, &constantKeys{tag: uint32(2 + id)}, &n.batch))
	}
	cam.frame(true)
	return n
}

// answer sends transport feedback on all media packets since the last time,
// without those that lost says.
func (c *client) answer(r *twcc.Recorder, from int, lost func(int) bool) {
	for i, p := range c.rtp[from:] {
		if !lost(from + i) {
			r.Record(c.n.now, binary.BigEndian.Uint16(p.GetExtension(5)))
		}
	}
	for r.Pending() > 0 {
		sealed, _ := c.keys.SealRTCP(nil, r.Feedback(nil, 1, 5000))
		c.n.datagram(c.addr, sealed)
	}
}

func TestCore_figuresFollowTransportFeedback(t *testing.T) {
	n, cam, viewer := watched(t)
	r, told := twcc.New(), 0
	for i := range 240 { // 8 s, so that two reports are out
		cam.frame(true)
		if i%2 == 1 {
			viewer.answer(r, told, func(i int) bool { return i%10 == 0 })
			told = len(viewer.rtp)
			// Its reception reports say something else.
			viewer.control(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 5000, FractionLost: 128}}})
		}
	}
	f, _ := n.core.Figures(2)
	if f.DownlinkLoss < 0.08 || f.DownlinkLoss > 0.12 {
		t.Errorf("loss: got %.3f, want about 0.1", f.DownlinkLoss)
	}
	bytes := 0
	for _, p := range viewer.rtp {
		bytes += p.MarshalSize()
	}
	want := float64(bytes) * 8 / 8 * 0.9
	if got := float64(f.DownlinkRate); got < 0.85*want || got > 1.15*want {
		t.Errorf("rate: got %.0f bit/s, want about %.0f", got, want)
	}
	// Without feedback the reception reports decide.
	for range 360 {
		cam.frame(true)
		viewer.control(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 5000, FractionLost: 128}}})
	}
	if f, _ = n.core.Figures(2); f.DownlinkLoss != 0.5 || f.DownlinkRate != 0 {
		t.Errorf("without feedback: got loss %.3f, rate %d, want 0.5 and 0", f.DownlinkLoss, f.DownlinkRate)
	}
}

// Receiver reports leave each second, figures every five: what was lost in any of
// these seconds counts.
func TestCore_uplinkLossIsOfTheWholeInterval(t *testing.T) {
	n := newNetwork(t)
	cam := n.join(1).camera("TR_v")
	cam.off = [3]bool{false, true, true}
	report := func() engine.Figures {
		r, _ := last[engine.PeerReport](n)
		return r.Figures
	}
	for range 65 { // the first report comes after 2 s
		cam.frame(true)
	}
	if got := report(); got.UplinkLoss != 0 || !got.Connected {
		t.Fatalf("before any loss: got %+v, want none and connected", got)
	}
	for i := range 110 { // 4 s in which every fourth packet is lost, then a good one
		cam.packet(0, true, true, i%4 != 0)
		n.pass(33 * time.Millisecond)
	}
	for range 40 {
		cam.frame(true)
	}
	if got := report().UplinkLoss; got < 0.1 || got > 0.25 {
		t.Errorf("got %.3f, want about four fifths of 0.25", got)
	}
}

// A NACK names up to 17 packets per entry, over the end of the numbers too.
func TestCore_readsEveryNumberOfANACK(t *testing.T) {
	_, cam, viewer := watched(t)
	for range 20 {
		cam.frame(false)
	}
	first := viewer.rtp[2].SequenceNumber
	viewer.rtp = nil
	viewer.control(&rtcp.TransportLayerNack{MediaSSRC: 5000, Nacks: []rtcp.NackPair{{PacketID: first, LostPackets: 0x8005}}})
	want := []uint16{first, first + 1, first + 3, first + 16}
	if len(viewer.rtp) != len(want) {
		t.Fatalf("got %d packets again, want %d", len(viewer.rtp), len(want))
	}
	for i, p := range viewer.rtp {
		if got := binary.BigEndian.Uint16(p.Payload); got != want[i] {
			t.Errorf("packet %d: got %d, want %d", i, got, want[i])
		}
	}
}

func TestCore_feedbackAllocatesNothing(t *testing.T) {
	n := audience(t, engine.Config{}, 10)
	feedback, report := messages(t, 5000)
	before := n.core.Counters().Malformed
	if got := testing.AllocsPerRun(200, func() {
		for _, c := range n.peers[1:] {
			n.core.HandleDatagram(n.now, c.addr, feedback, &n.batch)
			n.core.HandleDatagram(n.now, c.addr, report, &n.batch)
		}
		n.batch.Reset()
	}); got != 0 {
		t.Errorf("got %.2f allocations for what 10 subscribers report, want 0", got)
	}
	if got := n.core.Counters().Malformed; got != before {
		t.Errorf("%d were malformed: the test measures nothing", got-before)
	}
}

// BenchmarkCore_transportFeedback is a second of what 200 subscribers report:
// 4,000 transport feedbacks and 200 receiver reports.
func BenchmarkCore_transportFeedback(b *testing.B) {
	n := audience(b, engine.Config{}, 200)
	feedback, report := messages(b, 5000)
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range n.peers[1:] {
			for k := range 20 {
				binary.BigEndian.PutUint16(feedback[12:], uint16(k*10))
				n.core.HandleDatagram(n.now, c.addr, feedback, &n.batch)
			}
			n.core.HandleDatagram(n.now, c.addr, report, &n.batch)
		}
		n.batch.Reset()
	}
}

// BenchmarkCore_idle is one second of 1,000 subscribers of a camera that sends
// nothing: sender and receiver reports, figures, and what is looked at in every
// tick. One core has 1e9 ns for it.
func BenchmarkCore_idle(b *testing.B) {
	const forever = 1000 * time.Hour
	n := audience(b, engine.Config{ConsentTimeout: forever, DisconnectAfter: forever}, 1000)
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			n.now = n.now.Add(10 * time.Millisecond)
			n.core.HandleTimeout(n.now, &n.batch)
			n.batch.Reset()
			for _, ok := n.core.Poll(); ok; _, ok = n.core.Poll() {
				continue
			}
		}
	}
}
