package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
)

// BenchmarkForward is the packets of a frame through the shell and the real
// engine to 50 subscribers: open, rewrite, seal, send. Run serves meanwhile, so
// somebody waits to read from the socket that sends. The subscribers' socket is
// full, so the kernel drops. cpu-ns/packet is user and system time of the
// process for each packet sent.
func BenchmarkForward(b *testing.B) {
	for _, profile := range profiles {
		for _, frame := range []int{1, 4, 8} {
			for _, on := range []setup{portableSockets, oneWorker} {
				b.Run(fmt.Sprintf("%v/frame=%d/%s", profile, frame, on.name), func(b *testing.B) {
					benchmarkForward(b, profile, frame, 50, on)
				})
			}
		}
	}
}

func benchmarkForward(b *testing.B, profile srtp.ProtectionProfile, frame, subscribers int, on setup) {
	f := newForwarding(b, profile, subscribers, on)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	var frames [][]mmsg.Packet
	var spent, before time.Duration
	rounds := 0
	b.ReportAllocs()
	for ; b.Loop(); rounds++ {
		if len(frames) == 0 {
			b.StopTimer()
			spent += cpu(b) - before
			for range 256 {
				frames = append(frames, f.seal(b, frame))
			}
			before = cpu(b)
			if rounds == 0 {
				spent = 0
			}
			b.StartTimer()
		}
		f.workers[0].handle(frames[0])
		frames = frames[1:]
	}
	spent += cpu(b) - before
	sent := float64(f.sum(func(c engine.Counters) uint64 { return c.Forwarded }))
	b.ReportMetric(float64(spent.Nanoseconds())/sent, "cpu-ns/packet")
	if want := float64(rounds * frame * subscribers); sent < 0.99*want {
		b.Errorf("%v packets forwarded, want about %v", sent, want)
	}
}

// cpu is the time that the process has spent, user and system.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// forwarding is a Transport with a publisher and its subscribers, who have keys
// but are not there.
type forwarding struct {
	*Transport
	far      *srtp.Context // the publisher's sender
	network  netip.Addr    // of everybody, IPv4
	port     uint16        // of everybody
	sequence uint16
	frames   uint32
	nodes    bool // the subscribers are other nodes
}

var vp8 = engine.PayloadType{Number: 96, Mime: "video/VP8", ClockRate: 90000}

func newForwarding(t testing.TB, profile srtp.ProtectionProfile, subscribers int, on setup) *forwarding {
	t.Helper()
	f := newPort(t, on)
	f.fill(t, profile, subscribers)
	return f
}

// newPort is one without anybody yet.
func newPort(t testing.TB, on setup) *forwarding {
	t.Helper()
	tr, err := New(Config{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:0")}, Handler: &recorder{},
		Workers: on.workers, Together: on.together, Portable: on.portable, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.close() })
	sink, err := net.ListenUDP("udp4", nil) // nobody reads it, so it fills and drops
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return &forwarding{Transport: tr, network: netip.MustParseAddr("127.0.1.0"), port: sink.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
}

// fill opens the publisher and the subscribers.
func (f *forwarding) fill(t testing.TB, profile srtp.ProtectionProfile, subscribers int) {
	t.Helper()
	var err error
	f.far = f.peer(t, 0, profile)
	f.do(t, 0, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		err = c.SetReceive(now, 0, []engine.ReceiveSection{{Mid: "0", Codecs: []engine.PayloadType{vp8}, Active: true}})
		if err == nil {
			err = c.Publish(now, 0, engine.TrackConfig{ID: "TR_v", Mid: "0", Video: true})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	home, err := f.Home(0)
	for id := engine.PeerID(1); err == nil && id <= engine.PeerID(subscribers); id++ {
		f.peer(t, id, profile)
		f.do(t, id, func(now time.Time, c *engine.Core, _ *engine.Batch) {
			if f.nodes {
				err = c.RelayLayer(now, id, engine.RelayConfig{Track: "TR_v", Home: home, Room: "RM_bench", SSRC: 5000, Codec: vp8})
				return
			}
			if err = c.Subscribe(now, id, engine.SubscribeConfig{Track: "TR_v", Home: home, SSRC: 5000, RTX: 5001}); err == nil {
				err = c.SetSend(now, id, []engine.SendSection{{Track: "TR_v", Mid: "0", Codec: vp8, Active: true}})
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// do runs fn with the core of a peer.
func (f *forwarding) do(t testing.TB, id engine.PeerID, fn func(time.Time, *engine.Core, *engine.Batch)) {
	t.Helper()
	if err := f.Do(id, fn); err != nil {
		t.Fatal(err)
	}
}

// load is how many subscribers are with a worker.
func (f *forwarding) load(w *worker) int {
	f.directory.mu.RLock()
	defer f.directory.mu.RUnlock()
	count := f.directory.load[w.id]
	if f.directory.peers[0].worker == w {
		count--
	}
	return count
}

// addr is where a peer seems to be.
func (f *forwarding) addr(id engine.PeerID) netip.AddrPort {
	a := f.network.As4()
	a[3] += 1 + byte(id)
	return netip.AddrPortFrom(netip.AddrFrom4(a), f.port)
}

// seal makes the publisher's next frame, a key frame of so many packets.
func (f *forwarding) seal(t testing.TB, count int) (packets []mmsg.Packet) {
	f.frames++
	for i := range count {
		plain := packet(t, 7, f.sequence, 1100)
		binary.BigEndian.PutUint32(plain[4:], f.frames*3000)
		payload := plain[len(plain)-1100:]
		payload[0], payload[1] = 0, 0
		if i == 0 {
			payload[0] = 0x10 // a partition starts, of a key frame
		}
		if i == count-1 {
			plain[1] |= 0x80 // marker
		}
		f.sequence++
		sealed, err := f.far.EncryptRTP(nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, mmsg.Packet{From: f.addr(0), Payload: sealed})
	}
	return packets
}

// peer opens a peer, lets it pass a connectivity check and lends it keys. It
// returns the client's sender.
func (f *forwarding) peer(t testing.TB, id engine.PeerID, profile srtp.ProtectionProfile) *srtp.Context {
	t.Helper()
	ice := engine.ICE{Ufrag: fmt.Sprint("node", id), Pwd: fmt.Sprint("password-of-the-node-", id)}
	if err := f.Open(PeerConfig{PeerConfig: engine.PeerConfig{
		ID: id, Room: "RM_bench", Session: drtc.SessionID(fmt.Sprint("SE_", id)), Local: ice, Relay: f.nodes && id > 0,
	}}); err != nil {
		t.Fatal(err)
	}
	check, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ice.Ufrag+":far"),
		stun.NewShortTermIntegrity(ice.Pwd), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	f.workers[0].handle(one(f.addr(id), check.Raw))
	keys, far, _ := pair(t, profile)
	f.do(t, id, func(now time.Time, c *engine.Core, batch *engine.Batch) { err = c.Protect(now, id, keys, batch) })
	if err != nil {
		t.Fatal(err)
	}
	return far
}
