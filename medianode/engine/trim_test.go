package engine

import (
	"net/netip"
	"testing"
)

// A flush of many datagrams grows a batch; it is small again some time after
// the last of them.
func TestBatch_givesMemoryBack(t *testing.T) {
	var b Batch
	flush := func(n int) {
		for range n {
			b.add(netip.AddrPort{}, b.slot(), 1)
		}
		b.Reset()
	}
	flush(5000)
	grown := len(b.slots)
	b.trim()
	flush(10)
	b.trim()
	if len(b.slots) != grown {
		t.Errorf("right after: got %d buffers, want the %d that were needed", len(b.slots), grown)
	}
	flush(10)
	b.add(netip.AddrPort{}, append(b.slot(), "in use"...), 1)
	b.trim()
	if len(b.slots) > spare || cap(b.datagrams) > spare {
		t.Errorf("later: got %d buffers and room for %d datagrams, want %d at most", len(b.slots), cap(b.datagrams), spare)
	}
	if got := string(b.Datagrams()[0].Payload); got != "in use" {
		t.Errorf("the datagram in the batch became %q", got)
	}
}

func TestBatch_keepsWhatItNeeds(t *testing.T) {
	var b Batch
	for range 5 {
		for range 300 {
			b.add(netip.AddrPort{}, b.slot(), 1)
		}
		b.Reset()
		b.trim()
	}
	if n := testing.AllocsPerRun(10, func() {
		for range 300 {
			b.add(netip.AddrPort{}, b.slot(), 1)
		}
		b.Reset()
		b.trim()
	}); n != 0 {
		t.Errorf("got %v allocations per flush, want 0", n)
	}
}
