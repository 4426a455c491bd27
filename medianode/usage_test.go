package medianode_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode"
)

// counted is what a stock client received of media: header and payload bytes
// of the streams that are no retransmissions, without padding.
type counted struct {
	interceptor.NoOp
	mu             sync.Mutex
	bytes, padding uint64
	packets        int
}

// NewInterceptor implements interceptor.Factory.
func (c *counted) NewInterceptor(string) (interceptor.Interceptor, error) { return c, nil }

// BindRemoteStream implements interceptor.Interceptor.
func (c *counted) BindRemoteStream(info *interceptor.StreamInfo, reader interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := reader.Read(b, a)
		if err != nil || strings.HasSuffix(info.MimeType, "/rtx") {
			return n, a, err
		}
		var p rtp.Packet
		if p.Unmarshal(b[:n]) == nil {
			c.mu.Lock()
			c.bytes += uint64(p.Header.MarshalSize() + len(p.Payload))
			c.padding += uint64(p.PaddingSize)
			c.packets++
			c.mu.Unlock()
		}
		return n, a, err
	})
}

func (c *counted) sum() (bytes, padding uint64, packets int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes, c.padding, c.packets
}

// scrape returns the value of one line of the node's metrics, empty if there is
// none.
func scrape(t *testing.T, url, line string) string {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(body)) {
		if value, found := strings.CutPrefix(text, line+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// What the node meters is what a stock client received and reported, to the
// byte: in the session's figures, and by application for longer than that.
func TestNode_metersWhatAStockClientReceived(t *testing.T) {
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) { testNode_metersWhatAStockClientReceived(t, setup) })
	}
}

func testNode_metersWhatAStockClientReceived(t *testing.T, setup func(*medianode.Config)) {
	n := startNode(t, setup)
	o := newOrchestrator(t, n)
	events := o.events(t.Context())
	media := &counted{}
	reports, err := report.NewReceiverInterceptor(report.ReceiverInterval(200 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	interceptors := &interceptor.Registry{}
	interceptors.Add(media)
	interceptors.Add(reports)
	alice, bob := o.join("alice", everything()), o.joinWith("bob", everything(), webrtc.WithInterceptorRegistry(interceptors))

	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.AddTrack(video); err != nil {
		t.Fatal(err)
	}
	alice.negotiate(&medianodev1.Publication{Track: "TR_cam", Cid: "cam", Kind: medianodev1.Kind_KIND_VIDEO})
	if _, err := bob.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	bob.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := r.ReadRTP(); err != nil {
				return
			}
		}
	})
	bob.negotiate()
	frames := 0
	frame := func() { // of three packets that differ by up to 12 bytes: the node pads them
		for k := range 3 {
			payload := make([]byte, 700+frames%5*3+k*(frames%7))
			if k == 0 {
				payload[0] = 0x10
			}
			video.WriteRTP(&rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: uint16(3*frames + k), Timestamp: uint32(frames * 900), Marker: k == 2},
				Payload: payload,
			})
		}
		frames++
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for live := false; !live; {
		select {
		case <-tick.C:
			frame()
		case e := <-events:
			live = e.GetTrackLive() != nil
		case <-deadline:
			t.Fatal("the track did not go live")
		}
	}
	// Nothing is sent before the client's library knows the answer.
	call(o, o.Subscribe, &medianodev1.SubscribeRequest{Session: bob.session, Subscriptions: []*medianodev1.Subscription{{Track: "TR_cam", Stream: "PA_alice|camera"}}})
	call(o, o.MuteTrack, &medianodev1.MuteTrackRequest{Session: alice.session, Track: "TR_cam", Muted: true})
	bob.negotiate()
	call(o, o.MuteTrack, &medianodev1.MuteTrackRequest{Session: alice.session, Track: "TR_cam"})
	for range 4 {
		within(t, "data channel", mergeOpened(alice, bob))
	}
	for packets := 0; packets < 300; _, _, packets = media.sum() {
		select {
		case <-tick.C:
			frame()
		case <-deadline:
			t.Fatalf("got %d packets of media", packets)
		}
	}
	var data uint64
	for _, text := range []string{"hello", strings.Repeat("x", 3000)} {
		if err := alice.data["_reliable"].Send(dataPacket(text)); err != nil {
			t.Fatal(err)
		}
		data += uint64(len(within(t, "data", bob.got).Data))
	}

	var figures *medianodev1.SessionFigures
	settled := func() bool {
		bytes, _, _ := media.sum()
		figures = call(o, o.GetSession, &medianodev1.GetSessionRequest{Session: bob.session}).Figures
		return figures.ClientBytes == bytes+data && figures.SentBytes == figures.ClientBytes
	}
	for !settled() {
		select {
		case <-tick.C:
		case <-deadline:
			bytes, padding, packets := media.sum()
			t.Fatalf("%d bytes paid of %d sent; the client received %d of media in %d packets (padding %d) and %d of data",
				figures.ClientBytes, figures.SentBytes, bytes, packets, padding, data)
		}
	}
	bytes, padding, _ := media.sum()
	if padding == 0 {
		t.Error("nothing was padded: the test shows less than it should")
	}
	if figures.RelayBytes != 0 {
		t.Errorf("got %d relay bytes of a client", figures.RelayBytes)
	}
	report := until(t, events, func(e *medianodev1.EventsResponse) *medianodev1.SessionFigures {
		for _, r := range e.GetHeartbeat().GetReports() {
			if r.Session == bob.session && r.Figures.ClientBytes == bytes+data {
				return r.Figures
			}
		}
		return nil
	})
	if report.SentBytes != bytes+data {
		t.Errorf("report: got %d bytes sent, want %d", report.SentBytes, bytes+data)
	}

	// The counter of the application outlives its sessions.
	call(o, o.CloseSession, &medianodev1.CloseSessionRequest{Session: bob.session})
	call(o, o.CloseSession, &medianodev1.CloseSessionRequest{Session: alice.session})
	want, got := bytes+data, ""
	for got != fmt.Sprint(want) && got != fmt.Sprintf("%g", float64(want)) {
		select {
		case <-tick.C:
			got = scrape(t, n.MetricsURL(), `drtc_medianode_client_bytes_total{application="shop"}`)
		case <-deadline:
			t.Fatalf("metric says %s bytes, want %d", got, want)
		}
	}
	if got := scrape(t, n.MetricsURL(), `drtc_medianode_relay_bytes_total{application="shop"}`); got != "0" {
		t.Errorf("metric says %s relay bytes, want 0", got)
	}
}

func TestNode_countsWhomItDoesNotAdmit(t *testing.T) {
	n := startNode(t, nil)
	for _, line := range []string{
		`drtc_medianode_admission_refusals_total{reason="overload"}`, `drtc_medianode_shed_ratio`, `drtc_medianode_shed_subscriptions`,
	} {
		if got := scrape(t, n.MetricsURL(), line); got != "0" {
			t.Errorf("%s: got %q, want 0", line, got)
		}
	}
}
