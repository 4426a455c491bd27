package clock

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNTP_knownTimes(t *testing.T) {
	for _, c := range []struct {
		unix time.Time
		want uint64
	}{
		{time.Unix(0, 0), 0x83aa7e80_00000000},
		{time.Unix(1_000_000_000, 500_000_000), 0xbf454880_80000000}, // 3208988800.5
		{time.Unix(-2208988800, 0), 0},
	} {
		if got := NTP(c.unix); got != c.want {
			t.Errorf("NTP(%v) = %x, want %x", c.unix.UTC(), got, c.want)
		}
	}
	if got := Middle(0x83aa7e80_12345678); got != 0x7e801234 {
		t.Errorf("Middle = %x", got)
	}
}

func TestTicks_rounds(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		rate uint32
		want int64
	}{
		{time.Second, 90_000, 90_000}, {20 * time.Millisecond, 48_000, 960}, {-20 * time.Millisecond, 48_000, -960},
		{16_666_667, 90_000, 1500}, {time.Microsecond * 6, 90_000, 1}, {time.Microsecond * 5, 90_000, 0},
		{1000 * time.Hour, 90_000, 324_000_000_000},
	} {
		if got := Ticks(c.d, c.rate); got != c.want {
			t.Errorf("Ticks(%v, %d) = %d, want %d", c.d, c.rate, got, c.want)
		}
	}
}

func near(a, b, within time.Duration) bool { return a-b <= within && b-a <= within }

func TestBetween_undoesAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ntp := rapid.Uint64().Draw(t, "ntp")
		d := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "d"))
		if got := Between(ntp, Add(ntp, d)); !near(got, d, time.Microsecond) {
			t.Fatalf("got %v, want %v", got, d)
		}
		a := time.Unix(0, rapid.Int64Range(0, 2e18).Draw(t, "a"))
		b := a.Add(d)
		if got := Between(NTP(a), NTP(b)); b.Unix() > 0 && b.Unix() < 2_000_000_000 && !near(got, d, time.Microsecond) {
			t.Fatalf("got %v between, want %v", got, d)
		}
	})
}

func TestMapping_advance(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	m := Mapping{NTP: 5 << 32, Timestamp: 0xffffff00, At: at}
	got := m.Advance(at.Add(1500*time.Millisecond), 48_000)
	wrapped := uint32(0xffffff00)
	wrapped += 72_000
	if want := (Mapping{NTP: 6<<32 | 1<<31, Timestamp: wrapped, At: at.Add(1500 * time.Millisecond)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !(Mapping{}).IsZero() || m.IsZero() {
		t.Error("IsZero")
	}
}

// Translate agrees with a sender that stamps two streams of one clock.
func TestMapping_translate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rate = 90_000
		base := rapid.Uint64().Draw(t, "ntp")
		offsets := [2]uint32{rapid.Uint32().Draw(t, "a"), rapid.Uint32().Draw(t, "b")}
		mapping := func(i int, d time.Duration) Mapping {
			return Mapping{NTP: Add(base, d), Timestamp: offsets[i] + uint32(Ticks(d, rate)), At: time.Unix(1, 0)}
		}
		ms := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 100_000).Draw(t, name)) * time.Millisecond
		}
		frame := ms("frame")
		a, b := mapping(0, ms("report a")), mapping(1, ms("report b"))
		got := a.Translate(offsets[1]+uint32(Ticks(frame, rate)), b, rate)
		want := offsets[0] + uint32(Ticks(frame, rate))
		if diff := int32(got - want); diff < -1 || diff > 1 {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}
