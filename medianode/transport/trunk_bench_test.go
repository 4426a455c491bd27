package transport

import (
	"context"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/pion/srtp/v3"
)

// BenchmarkTrunk is the frames of 8 packets of one publisher through the shell
// and the real engine to 50 clients, and in turns to 50 other nodes. ratio is
// what a packet to a node costs of one to a client, user and system time.
func BenchmarkTrunk(b *testing.B) {
	const subscribers, frame, frames = 50, 8, 128
	var sides [2]*forwarding
	for i := range sides {
		f := newPort(b, oneWorker)
		f.nodes = i == 1
		f.fill(b, srtp.ProtectionProfileAeadAes128Gcm, subscribers)
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		}()
		sides[i] = f
	}
	var spent [2]time.Duration
	turn := func(i int) {
		f := sides[i]
		b.StopTimer()
		var sealed [frames][]mmsg.Packet
		for n := range sealed {
			sealed[n] = f.seal(b, frame)
		}
		before := cpu(b)
		b.StartTimer()
		for n := range sealed {
			f.workers[0].handle(sealed[n])
		}
		spent[i] += cpu(b) - before
	}
	b.ReportAllocs()
	for b.Loop() {
		turn(0)
		turn(1)
	}
	var per [2]float64
	for i, f := range sides {
		per[i] = float64(spent[i].Nanoseconds()) / float64(f.sum(func(c engine.Counters) uint64 { return c.Forwarded }))
	}
	b.ReportMetric(per[0], "cpu-ns/packet-to-clients")
	b.ReportMetric(per[1], "cpu-ns/packet-to-nodes")
	b.ReportMetric(per[1]/per[0], "ratio")
}
