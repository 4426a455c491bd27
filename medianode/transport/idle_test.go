package transport

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/datachannel"
	"github.com/pion/dtls/v3"
	"github.com/pion/sctp"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// What an idle subscriber may cost the node, caches aside.
const (
	maxMediaGoroutines = 0
	// maxDataGoroutines are SCTP's, which reads, writes and times in one each,
	// and the one that accepts streams.
	maxDataGoroutines = 4
	maxIdleHeap       = 60 << 10
)

// crowdArgument makes the test binary be the clients of a measurement, which
// must not count as the node's.
const crowdArgument = "crowd"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == crowdArgument {
		if err := runCrowd(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "crowd:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// What a peer holds once it is quiet is bounded, with and without data channels.
func TestIdle_subscribersAreCheap(t *testing.T) {
	for _, c := range []struct {
		name string
		data bool
	}{
		{"media alone", false},
		{"two data channels", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const count = 40
			got := measureIdle(t, count, c.data)
			if got.heap > maxIdleHeap*count {
				t.Errorf("%d bytes of heap for %d peers, want at most %d each", got.heap, count, maxIdleHeap)
			}
		})
	}
}

// BenchmarkJoin is 200 subscribers who join and then idle: cpu-ms/join is user
// and system time of the node alone, the rest is what one of them holds.
func BenchmarkJoin(b *testing.B) {
	for _, data := range []bool{false, true} {
		b.Run(fmt.Sprintf("channels=%v", data), func(b *testing.B) {
			const count = 200
			var sum idle
			rounds := 0
			for ; b.Loop(); rounds++ {
				got := measureIdle(b, count, data)
				sum.goroutines += got.goroutines
				sum.heap += got.heap
				sum.stack += got.stack
				sum.cpu += got.cpu
			}
			joins := float64(count * rounds)
			b.ReportMetric(float64(sum.goroutines)/joins, "goroutines/peer")
			b.ReportMetric(float64(sum.heap)/joins, "heap-B/peer")
			b.ReportMetric(float64(sum.stack)/joins, "stack-B/peer")
			b.ReportMetric(sum.cpu.Seconds()*1e3/joins, "cpu-ms/join")
		})
	}
}

// idle is what so many peers cost in all.
type idle struct {
	goroutines  int
	heap, stack int64
	cpu         time.Duration // of their joins
}

// measureIdle lets peers join, each subscribed to a microphone and a camera
// that send nothing yet, and says what they cost once they are quiet: they must
// come down to the goroutines that an idle one may hold.
func measureIdle(t testing.TB, count int, data bool) idle {
	t.Helper()
	n := startNode(t, oneWorker, nil)
	crowd := startCrowd(t)
	publishTwo(t, n)
	before := snapshot()
	order := crowdOrder{Node: n.Addrs()[0], Data: data, Count: count}
	for i := range count {
		openViewer(t, n, order.ice(i), engine.PeerID(i+1), crowd.fingerprint, data)
	}
	crowd.join(t, order)
	eventually(t, func() string { return n.settled(count, data) })
	most := maxMediaGoroutines
	if data {
		most = maxDataGoroutines
	}
	after := before
	eventually(t, func() string { // what ends after the handshake takes a moment
		after = snapshot()
		if got := after.goroutines - before.goroutines; got > most*count {
			return fmt.Sprintf("%d goroutines for %d peers, want at most %d each", got, count, most)
		}
		return ""
	})
	crowd.leave(t)
	n.stop()
	for range count + 1 {
		receive(t, n.closed, "the end of a peer")
	}
	return idle{
		goroutines: after.goroutines - before.goroutines,
		heap:       after.heap - before.heap,
		stack:      after.stack - before.stack,
		cpu:        after.cpu - before.cpu,
	}
}

// settled says what is missing until all peers have keys and channels.
func (n *node) settled(count int, data bool) string {
	for id := engine.PeerID(1); id <= engine.PeerID(count); id++ {
		p := n.directory.peer(id)
		switch {
		case p == nil:
			return fmt.Sprintf("peer %d is gone", id)
		case n.keysOf(id) == nil:
			return fmt.Sprintf("peer %d has no keys", id)
		case data:
			p.channels.mu.Lock()
			open := len(p.channels.list)
			p.channels.mu.Unlock()
			if open != 2 {
				return fmt.Sprintf("peer %d has %d channels, want 2", id, open)
			}
		}
	}
	return ""
}

// snapshot is what the process holds and has spent.
func snapshot() idle {
	var spent syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &spent); err != nil {
		panic(err)
	}
	runtime.GC()
	runtime.GC() // empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return idle{
		goroutines: runtime.NumGoroutine(),
		heap:       int64(m.HeapAlloc),
		stack:      int64(m.StackInuse),
		cpu:        time.Duration(spent.Utime.Nano() + spent.Stime.Nano()),
	}
}

var videoVP8 = engine.PayloadType{Number: 96, Mime: webrtc.MimeTypeVP8, ClockRate: 90000}

// publishTwo gives the room a peer with a microphone and a camera.
func publishTwo(t testing.TB, n *node) {
	t.Helper()
	const publisher = 1 << 20
	if err := n.Open(PeerConfig{PeerConfig: engine.PeerConfig{
		ID: publisher, Room: "RM_test", Session: "SE_publisher", Local: engine.ICE{Ufrag: "publisher", Pwd: "password-of-the-publisher"},
	}}); err != nil {
		t.Fatal(err)
	}
	var err error
	n.do(t, publisher, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		err = c.SetReceive(now, publisher, []engine.ReceiveSection{
			{Mid: "0", Codecs: []engine.PayloadType{opus}, Active: true},
			{Mid: "1", Codecs: []engine.PayloadType{videoVP8}, Active: true},
		})
		if err == nil {
			err = c.Publish(now, publisher, engine.TrackConfig{ID: "TR_microphone", Mid: "0"})
		}
		if err == nil {
			err = c.Publish(now, publisher, engine.TrackConfig{ID: "TR_camera", Mid: "1", Video: true})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openViewer opens a peer and subscribes it to both tracks.
func openViewer(t testing.TB, n *node, ice engine.ICE, id engine.PeerID, f Fingerprint, data bool) {
	t.Helper()
	if err := n.Open(PeerConfig{
		PeerConfig: engine.PeerConfig{
			ID: id, Room: "RM_test", Session: drtc.SessionID(fmt.Sprint("SE_", id)), Local: ice,
		},
		RemoteFingerprints: []Fingerprint{f},
		SCTP:               data,
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	n.do(t, id, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		for i, track := range []drtc.TrackID{"TR_microphone", "TR_camera"} {
			ssrc := uint32(1000 + 2*i)
			if e := c.Subscribe(now, id, engine.SubscribeConfig{Track: track, SSRC: ssrc, RTX: ssrc + 1}); e != nil {
				err = e
			}
		}
		if err == nil {
			err = c.SetSend(now, id, []engine.SendSection{
				{Track: "TR_microphone", Mid: "0", Codec: opus, Active: true},
				{Track: "TR_camera", Mid: "1", Codec: videoVP8, Active: true},
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crowdOrder tells a crowd where to join.
type crowdOrder struct {
	Node  netip.AddrPort
	Count int
	Data  bool // with two data channels
}

// ice is the node's side for one client.
func (crowdOrder) ice(i int) engine.ICE {
	return engine.ICE{Ufrag: fmt.Sprintf("node%04d", i), Pwd: fmt.Sprintf("password-of-the-node-%08d", i)}
}

// crowd is a process full of clients.
type crowd struct {
	fingerprint Fingerprint
	in          io.WriteCloser
	out         *bufio.Reader
	command     *exec.Cmd
}

func startCrowd(t testing.TB) *crowd {
	t.Helper()
	c := &crowd{command: exec.CommandContext(t.Context(), os.Args[0], crowdArgument)}
	c.command.Stderr = os.Stderr
	out, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if c.in, err = c.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	c.fingerprint = mustFingerprint(t, c.line(t))
	return c
}

func (c *crowd) line(t testing.TB) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the crowd said nothing: %v", err)
	}
	return line
}

func (c *crowd) join(t testing.TB, order crowdOrder) {
	t.Helper()
	if err := json.NewEncoder(c.in).Encode(order); err != nil {
		t.Fatal(err)
	}
	if got := c.line(t); got != "joined\n" {
		t.Fatalf("the crowd said %q, want joined", got)
	}
}

func (c *crowd) leave(t testing.TB) {
	t.Helper()
	_ = c.in.Close()
	if err := c.command.Wait(); err != nil {
		t.Errorf("the crowd: %v", err)
	}
}

// runCrowd is the life of the other process.
func runCrowd(in io.Reader, out io.Writer) error {
	certificate, err := newCertificate(time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(out, fingerprintOf(certificate.Certificate[0]))
	var order crowdOrder
	commands := json.NewDecoder(in)
	if err := commands.Decode(&order); err != nil {
		return err
	}
	var joined sync.WaitGroup
	errs := make(chan error, order.Count)
	slots := make(chan struct{}, 4) // some at a time: what is measured is not a queue
	for i := range order.Count {
		joined.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs <- order.join(i, dtls.WithCertificates(certificate))
		})
	}
	joined.Wait()
	for range order.Count {
		if err := <-errs; err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "joined")
	_, _ = io.Copy(io.Discard, in) // until the test has measured
	return nil
}

// join is one client's: connectivity check, handshake, data channels.
func (o crowdOrder) join(i int, certificate dtls.Option) error {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	ice, to := o.ice(i), net.UDPAddrFromAddrPort(o.Node)
	check, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ice.Ufrag+":far"),
		stun.NewShortTermIntegrity(ice.Pwd), stun.Fingerprint)
	if err != nil {
		return err
	}
	if _, err := conn.WriteTo(check.Raw, to); err != nil {
		return err
	}
	if _, _, err := conn.ReadFrom(make([]byte, 1500)); err != nil {
		return err
	}
	secure, err := dtls.ClientWithOptions(conn, to, certificate, dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM), dtls.WithLoggerFactory(quiet()))
	if err != nil {
		return err
	}
	if err := secure.Handshake(); err != nil || !o.Data {
		return err
	}
	association, err := sctp.ClientWithOptions(sctp.WithNetConn(secure), sctp.WithLoggerFactory(quiet()))
	if err != nil {
		return err
	}
	for id, label := range []string{"_reliable", "_lossy"} {
		if _, err := datachannel.Dial(association, uint16(2*id), &datachannel.Config{
			Label: label, LoggerFactory: quiet(),
		}); err != nil {
			return err
		}
	}
	return nil
}
