package registry

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/store"
)

// BenchmarkLedger_submit is one registration of a new node with a real disk:
// verification, merge, commit, publication. 64 wait at once.
func BenchmarkLedger_submit(b *testing.B) {
	disk, err := store.Open(b.TempDir(), "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	c := DefaultConfig()
	c.Network = "devnet"
	l, err := newLedger(c, drtc.NodeID{1}, disk, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- l.write(stop) }()
	records := benchRecords(b, b.N)
	var next atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := l.Submit(b.Context(), records[next.Add(1)-1]); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	close(stop)
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if err := disk.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkNewLedger_10000 is a restart with 10,000 records, reading the disk
// left out.
func BenchmarkNewLedger_10000(b *testing.B) {
	disk := newMemory()
	if err := disk.Write(benchRecords(b, 10_000), nil); err != nil {
		b.Fatal(err)
	}
	c := DefaultConfig()
	c.Network = "devnet"
	for b.Loop() {
		if _, err := newLedger(c, drtc.NodeID{1}, disk, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchRecords(b *testing.B, n int) []envelope.Envelope {
	b.Helper()
	records := make([]envelope.Envelope, n)
	for i := range records {
		k := testNode(b)
		body, err := proto.Marshal(&registryv1.NodeBody{NodeId: k.ID().String(), PubKey: k.Public().Hex(), Url: "http://127.0.0.1:1", Geolocation: "50,8"})
		if err != nil {
			b.Fatal(err)
		}
		records[i] = envelope.Envelope{
			Kind: record.KindNode, Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: time.Now(), TTL: 900 * time.Second, Body: body,
		}
		if err := records[i].Sign(k); err != nil {
			b.Fatal(err)
		}
	}
	return records
}
