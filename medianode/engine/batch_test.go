package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Grouping moves datagrams only past those of other streams.
func TestBatch_groupIsStable(t *testing.T) {
	var batch Batch // one for all, as a worker has
	rapid.Check(t, func(t *rapid.T) {
		batch.Reset()
		for i := range rapid.IntRange(0, 300).Draw(t, "count") {
			port := rapid.Uint16Range(1, 4).Draw(t, "port")
			batch.add(netip.AddrPortFrom(netip.IPv6Loopback(), port), []byte{byte(i), byte(i >> 8)}, rapid.Uint32Range(0, 2).Draw(t, "stream"))
		}
		added := slices.Clone(batch.Datagrams())
		batch.Group()
		var want []Datagram
		for len(added) > 0 {
			first := added[0]
			like := func(d Datagram) bool { return d.To == first.To && d.Stream == first.Stream }
			for _, d := range added {
				if like(d) {
					want = append(want, d)
				}
			}
			added = slices.DeleteFunc(added, like)
		}
		if got := fmt.Sprint(batch.Datagrams()); got != fmt.Sprint(want) {
			t.Fatalf("grouped %v, want %v", got, want)
		}
	})
}

// fanOut fills the batch as packets of one track do that go to subscribers.
func fanOut(b *Batch, packets, subscribers int) {
	for range packets {
		for s := range subscribers {
			b.add(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(s >> 8), byte(s)}), 9), b.slot(), uint32(5000+s))
		}
	}
}

func TestBatch_groupAllocatesNothing(t *testing.T) {
	var b Batch
	if allocs := testing.AllocsPerRun(100, func() {
		b.Reset()
		fanOut(&b, 8, 50)
		b.Group()
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// BenchmarkBatch_group is what grouping adds to a datagram of a frame of 4.
func BenchmarkBatch_group(b *testing.B) {
	for _, subscribers := range []int{50, 500} {
		b.Run(fmt.Sprint("subscribers=", subscribers), func(b *testing.B) {
			var batch Batch
			fanOut(&batch, 4, subscribers)
			added := slices.Clone(batch.datagrams)
			b.ReportAllocs()
			for b.Loop() {
				copy(batch.datagrams, added)
				batch.Group()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(added)), "ns/packet")
		})
	}
}
