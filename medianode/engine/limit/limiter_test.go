package limit

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	start = time.Unix(1_700_000_000, 0)
	key   = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
)

// allowed tries n messages at once.
func allowed(l *Limiter, now time.Time, addr netip.Addr, n int) (yes int) {
	for range n {
		if l.Allow(now, addr) {
			yes++
		}
	}
	return yes
}

func TestLimiter_burstAndRate(t *testing.T) {
	l := New(Config{Rate: 10, Burst: 5, Key: key})
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		ms   int
		addr netip.Addr
		want int
	}{{0, a, 5}, {0, a, 0}, {0, b, 5}, {100, a, 1}, {150, a, 0}, {200, a, 1}, {60_000, a, 5}} {
		if got := allowed(l, start.Add(time.Duration(c.ms)*time.Millisecond), c.addr, 20); got != c.want {
			t.Errorf("%s at %d ms: %d allowed, want %d", c.addr, c.ms, got, c.want)
		}
	}
}

func TestLimiter_whatIsOneSource(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.3", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"0.0.0.1", "::1", false},
	} {
		l := New(Config{Burst: 3, Key: key})
		allowed(l, start, netip.MustParseAddr(c.a), 3)
		if got := allowed(l, start, netip.MustParseAddr(c.b), 1) == 0; got != c.same {
			t.Errorf("%s and %s one source: %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

func TestLimiter_globalRate(t *testing.T) {
	l := New(Config{Burst: 10, GlobalRate: 100, GlobalBurst: 50, Key: key})
	yes := 0
	for i := range 1000 {
		yes += allowed(l, start, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
	}
	if yes != 50 {
		t.Errorf("%d allowed at once, want 50", yes)
	}
	if got := allowed(l, start.Add(100*time.Millisecond), netip.MustParseAddr("203.0.113.1"), 20); got != 10 {
		t.Errorf("%d allowed after 100 ms, want 10", got)
	}
}

// A flood of forged sources does not give one that is over its rate a fresh
// bucket, and does not shut out others for longer than the flood.
func TestLimiter_floodDoesNotEvict(t *testing.T) {
	l := New(Config{Rate: 1, Burst: 5, GlobalRate: 1e9, GlobalBurst: 1e9, Sources: 64, Key: key})
	greedy := netip.MustParseAddr("192.0.2.1")
	allowed(l, start, greedy, 5)
	total := 0
	for i := range 20_000 {
		total += allowed(l, start, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 5)
		if l.Allow(start, greedy) {
			t.Fatalf("fresh bucket after %d forged sources", i)
		}
	}
	if want := 64*5 - 5; total > want {
		t.Errorf("%d forged messages allowed, want at most the %d of the table", total, want)
	}
	if got := allowed(l, start.Add(5*time.Second), netip.MustParseAddr("198.51.100.1"), 9); got != 5 {
		t.Errorf("a new source after the flood: %d allowed, want 5", got)
	}
}

// However messages come, a source gets at most its burst and its rate.
func TestLimiter_neverMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(Config{Rate: 20, Burst: 10, GlobalRate: 100, GlobalBurst: 30, Sources: 8, Key: key})
		now, total := start, 0
		yes := map[byte]int{}
		for range rapid.IntRange(1, 500).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "ms")) * time.Millisecond)
			source := rapid.ByteRange(0, 20).Draw(t, "source")
			if l.Allow(now, netip.AddrFrom4([4]byte{192, 0, 2, source})) {
				yes[source]++
				total++
			}
			passed := now.Sub(start).Seconds()
			if float64(yes[source]) > 10+20*passed+1e-6 || float64(total) > 30+100*passed+1e-6 {
				t.Fatalf("%d of %d messages allowed in %v s", yes[source], total, passed)
			}
		}
	})
}

// The vector of SipHash-2-4's paper is 15 bytes long; this one, of eight bytes,
// is from the authors' reference table (entry 8).
func TestSiphash_reference(t *testing.T) {
	k0, k1 := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	in := binary.LittleEndian.Uint64([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	want := binary.LittleEndian.Uint64([]byte{0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93})
	if got := siphash(k0, k1, in); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestAllocations(t *testing.T) {
	l := New(Config{Key: key})
	addr := netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { l.Allow(start, addr) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(Config{Key: key})
	now := start
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Microsecond)
		l.Allow(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
}
