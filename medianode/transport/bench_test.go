package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
)

// BenchmarkForward is one media packet through the portable shell and the real
// engine to 50 subscribers: open, rewrite, seal, one sendto each. The
// subscribers' socket is full, so the kernel drops; ns/packet counts the
// packets sent.
func BenchmarkForward(b *testing.B) {
	for _, profile := range profiles {
		b.Run(fmt.Sprint(profile), func(b *testing.B) { benchmarkForward(b, profile, 50) })
	}
}

func benchmarkForward(b *testing.B, profile srtp.ProtectionProfile, subscribers int) {
	tr, err := New(Config{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:0")}, Handler: &recorder{}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer tr.sockets.close()
	sink, err := net.ListenUDP("udp4", nil) // nobody reads it, so it fills and drops
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	port := sink.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	far := benchPeer(b, tr, 0, port, profile)
	tr.Do(func(now time.Time, c *engine.Core, _ *engine.Batch) {
		err = c.SetReceive(now, 0, []engine.ReceiveSection{{Mid: "0", Codecs: []engine.PayloadType{opus}, Active: true}})
		if err == nil {
			err = c.Publish(now, 0, engine.TrackConfig{ID: "TR_a", Mid: "0"})
		}
	})
	for id := engine.PeerID(1); err == nil && id <= engine.PeerID(subscribers); id++ {
		benchPeer(b, tr, id, port, profile)
		tr.Do(func(now time.Time, c *engine.Core, _ *engine.Batch) {
			if err = c.Subscribe(now, id, engine.SubscribeConfig{Track: "TR_a", SSRC: 5000, RTX: 5001}); err == nil {
				err = c.SetSend(now, id, []engine.SendSection{{Track: "TR_a", Mid: "0", Codec: opus, Active: true}})
			}
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	sealed := make([][]byte, 1024)
	plain := packet(b, 7, 0, 1100)
	plain[1] = opus.Number
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(sealed) == 0 {
			b.StopTimer()
			for k := range sealed {
				binary.BigEndian.PutUint16(plain[2:], uint16(i+k))
				if sealed[k], err = far.EncryptRTP(sealed[k], plain, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		tr.worker.handle(benchAddr(0, port), sealed[i%len(sealed)])
	}
	sent := float64(tr.counters().Forwarded)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/sent, "ns/packet")
	if want := float64(b.N * subscribers); sent < 0.99*want {
		b.Errorf("%v packets forwarded, want about %v", sent, want)
	}
}

// benchAddr is where a benchmark's peer seems to be.
func benchAddr(id engine.PeerID, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, 1 + byte(id)}), port)
}

// benchPeer opens a peer, lets it pass a connectivity check and lends it keys.
// It returns the client's sender.
func benchPeer(b *testing.B, tr *Transport, id engine.PeerID, port uint16, profile srtp.ProtectionProfile) *srtp.Context {
	b.Helper()
	ice := engine.ICE{Ufrag: fmt.Sprint("node", id), Pwd: fmt.Sprint("password-of-the-node-", id)}
	if err := tr.Open(PeerConfig{PeerConfig: engine.PeerConfig{
		ID: id, Room: "RM_bench", Session: drtc.SessionID(fmt.Sprint("SE_", id)), Local: ice,
	}}); err != nil {
		b.Fatal(err)
	}
	check, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ice.Ufrag+":far"),
		stun.NewShortTermIntegrity(ice.Pwd), stun.Fingerprint)
	if err != nil {
		b.Fatal(err)
	}
	tr.worker.handle(benchAddr(id, port), check.Raw)
	keys, far, _ := pair(b, profile)
	tr.Do(func(now time.Time, c *engine.Core, batch *engine.Batch) { err = c.Protect(now, id, keys, batch) })
	if err != nil {
		b.Fatal(err)
	}
	return far
}
