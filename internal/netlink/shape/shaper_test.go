package shape

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Unix(1_700_000_000, 0)

// departure is a packet that left, by the number written into it.
type departure struct {
	number int
	after  time.Duration // of epoch
}

func mustNew(t testing.TB, settings Settings, seed uint64) *Shaper {
	t.Helper()
	s, err := New(settings, seed)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

func numbered(n, size int) []byte {
	b := make([]byte, max(size, 4))
	binary.BigEndian.PutUint32(b, uint32(n))
	return b
}

func pollAll(s *Shaper, now time.Time) (left []departure) {
	for {
		b, at, ok := s.Poll(now)
		if !ok {
			return left
		}
		left = append(left, departure{int(binary.BigEndian.Uint32(b)), at.Sub(epoch)})
	}
}

// send pushes n packets of size bytes, one every gap, and returns all that left.
func send(s *Shaper, n, size int, gap time.Duration) (left []departure) {
	for i := range n {
		now := epoch.Add(time.Duration(i) * gap)
		s.Push(now, numbered(i, size))
		left = append(left, pollAll(s, now)...)
	}
	return append(left, pollAll(s, epoch.Add(1000*time.Hour))...)
}

func TestShaper_zeroSettingsPassAtOnce(t *testing.T) {
	s := mustNew(t, Settings{}, 1)
	for i := range 10 {
		now := epoch.Add(time.Duration(i) * time.Millisecond)
		s.Push(now, numbered(i, 100))
		got := pollAll(s, now)
		want := []departure{{i, now.Sub(epoch)}}
		if !slices.Equal(got, want) {
			t.Fatalf("packet %d: got %v, want %v", i, got, want)
		}
	}
}

func TestShaper_delayIsExact(t *testing.T) {
	s := mustNew(t, Settings{Delay: 40 * time.Millisecond}, 1)
	s.Push(epoch, numbered(7, 100))
	at, ok := s.NextTimeout()
	if !ok || at.Sub(epoch) != 40*time.Millisecond {
		t.Fatalf("NextTimeout: got %v %v, want 40ms", at.Sub(epoch), ok)
	}
	if early := pollAll(s, at.Add(-1)); early != nil {
		t.Errorf("a nanosecond early: got %v, want nothing", early)
	}
	if got, want := pollAll(s, at), []departure{{7, 40 * time.Millisecond}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The k-th of packets that arrive together leaves when all bits up to its own
// have been sent, to the nanosecond below.
func TestRate_everyDepartureIsExact(t *testing.T) {
	for _, rate := range []int64{9_600, 1_000_000, 3_333_333, 10_000_000, 999_999_937} {
		s := mustNew(t, Settings{Rate: Rate{BitsPerSecond: rate, QueueTime: time.Hour}}, 1)
		sizes := []int{40, 1200, 77, 1500, 1}
		var sent int64
		var want []departure
		for i := range 500 {
			size := max(4, sizes[i%len(sizes)])
			sent += int64(size) * 8
			want = append(want, departure{i, time.Duration(sent * int64(time.Second) / rate)})
			s.Push(epoch, numbered(i, size))
		}
		if got := pollAll(s, epoch.Add(1000*time.Hour)); !slices.Equal(got, want) {
			t.Errorf("rate %d: departures differ from sum of bits over rate:\ngot  %v\nwant %v", rate, got[:5], want[:5])
		}
	}
}

func TestRate_burstPassesAtOnceThenAtRate(t *testing.T) {
	// 1000 bytes a millisecond, a bucket of three packets.
	s := mustNew(t, Settings{Rate: Rate{BitsPerSecond: 8_000_000, Burst: 3000, QueueTime: time.Hour}}, 1)
	const ms = time.Millisecond
	got := send(s, 6, 1000, 0)
	want := []departure{{0, 0}, {1, 0}, {2, 0}, {3, ms}, {4, 2 * ms}, {5, 3 * ms}}
	if !slices.Equal(got, want) {
		t.Errorf("after a pause: got %v, want %v", got, want)
	}
}

func TestRate_changeSendsTheRestAtTheNewRate(t *testing.T) {
	const ms = time.Millisecond
	s := mustNew(t, Settings{Rate: Rate{BitsPerSecond: 8_000_000, QueueTime: time.Hour}}, 1)
	for i := range 3 {
		s.Push(epoch, numbered(i, 1000))
	}
	// Half of packet 1 has gone at 1 ms a packet; the rest goes at 4 ms a packet.
	if err := s.Schedule(epoch.Add(1500*time.Microsecond), Settings{Rate: Rate{BitsPerSecond: 2_000_000, QueueTime: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	got := pollAll(s, epoch.Add(time.Hour))
	want := []departure{{0, ms}, {1, 3500 * time.Microsecond}, {2, 7500 * time.Microsecond}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRate_changeKeepsTheTokensOfAPause(t *testing.T) {
	const ms = time.Millisecond
	bucket := func(rate int64) Settings {
		return Settings{Rate: Rate{BitsPerSecond: rate, Burst: 3000, QueueTime: time.Hour}}
	}
	s := mustNew(t, bucket(8_000_000), 1)
	s.Push(epoch, numbered(0, 1000))
	if err := s.Set(epoch, bucket(800_000)); err != nil { // two packets are left in the bucket
		t.Fatal(err)
	}
	for i := range 4 {
		s.Push(epoch, numbered(i+1, 1000))
	}
	got := pollAll(s, epoch.Add(time.Hour))
	want := []departure{{0, 0}, {1, 0}, {2, 0}, {3, 10 * ms}, {4, 20 * ms}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRate_changeToUnlimitedEmptiesTheQueue(t *testing.T) {
	s := mustNew(t, Settings{Rate: Rate{BitsPerSecond: 8_000, QueueTime: time.Hour}}, 1)
	for i := range 3 {
		s.Push(epoch, numbered(i, 1000))
	}
	at := epoch.Add(100 * time.Millisecond)
	if err := s.Set(at, Settings{}); err != nil {
		t.Fatal(err)
	}
	got := pollAll(s, at)
	want := []departure{{0, at.Sub(epoch)}, {1, at.Sub(epoch)}, {2, at.Sub(epoch)}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestQueue_dropsAtItsBound(t *testing.T) {
	tests := []struct {
		name string
		rate Rate
		kept int // of 100 packets of 1000 bytes at once, 1 ms each
	}{
		{"bytes", Rate{BitsPerSecond: 8_000_000, QueueBytes: 5000}, 5},
		{"one packet larger than the bound", Rate{BitsPerSecond: 8_000_000, QueueBytes: 10}, 1},
		{"time", Rate{BitsPerSecond: 8_000_000, QueueTime: 20 * time.Millisecond}, 21},
		{"both, bytes first", Rate{BitsPerSecond: 8_000_000, QueueBytes: 5000, QueueTime: time.Second}, 5},
		{"default, 4 ms a packet", Rate{BitsPerSecond: 2_000_000}, 51},
		{"time behind a full bucket", Rate{BitsPerSecond: 8_000_000, QueueTime: 20 * time.Millisecond, Burst: 10_000}, 31},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := mustNew(t, Settings{Rate: test.rate}, 1)
			got := send(s, 100, 1000, 0)
			if len(got) != test.kept {
				t.Errorf("got %d of 100 packets, want %d", len(got), test.kept)
			}
			for i, d := range got {
				if d.number != i {
					t.Fatalf("packet %d left as number %d: the queue must drop at its end", d.number, i)
				}
			}
			if c := s.Counters(); c.Dropped != uint64(100-test.kept) {
				t.Errorf("Dropped: got %d, want %d", c.Dropped, 100-test.kept)
			}
		})
	}
}

func TestMTU_dropsLargerOnly(t *testing.T) {
	s := mustNew(t, Settings{MTU: 1280}, 1)
	s.Push(epoch, numbered(0, 1280))
	s.Push(epoch, numbered(1, 1281))
	if got, want := pollAll(s, epoch), []departure{{0, 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c := s.Counters(); c.Oversize != 1 {
		t.Errorf("Oversize: got %d, want 1", c.Oversize)
	}
}

func TestDown_losesArrivalsAndQueueNotTheFlight(t *testing.T) {
	const ms = time.Millisecond
	up := Settings{Delay: 10 * ms, Rate: Rate{BitsPerSecond: 8_000_000, QueueTime: time.Hour}}
	s := mustNew(t, up, 1)
	for i := range 4 { // done at 1, 2, 3, 4 ms
		s.Push(epoch, numbered(i, 1000))
	}
	cut := up
	cut.Down = true
	for _, step := range []struct {
		at       time.Duration
		settings Settings
	}{{2500 * time.Microsecond, cut}, {20 * ms, up}} {
		if err := s.Schedule(epoch.Add(step.at), step.settings); err != nil {
			t.Fatal(err)
		}
	}
	s.Push(epoch.Add(5*ms), numbered(4, 1000))
	s.Push(epoch.Add(20*ms), numbered(5, 1000))
	got := pollAll(s, epoch.Add(time.Hour))
	want := []departure{{0, 11 * ms}, {1, 12 * ms}, {5, 31 * ms}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c := s.Counters(); c.Cut != 3 {
		t.Errorf("Cut: got %d, want 3", c.Cut)
	}
}

func TestSchedule_refusesThePastAndKeepsOrder(t *testing.T) {
	s := mustNew(t, Settings{}, 1)
	for i, delay := range []time.Duration{3, 1, 2} {
		at := epoch.Add([]time.Duration{30, 10, 20}[i] * time.Second)
		if err := s.Schedule(at, Settings{Delay: delay}); err != nil {
			t.Fatal(err)
		}
	}
	for want := range time.Duration(4) {
		s.Push(epoch.Add(want*10*time.Second), numbered(0, 10))
		if got := s.Settings().Delay; got != want {
			t.Errorf("after %d0 s: got delay %d, want %d", want, got, want)
		}
	}
	if err := s.Schedule(epoch, Settings{}); err == nil {
		t.Error("a change in the past: got no error")
	}
}

func TestSettings_validateNamesTheField(t *testing.T) {
	nan := 0.0
	nan /= nan
	tests := map[string]Settings{
		"Loss.Probability":        {Loss: Loss{Probability: 1.1}},
		"Duplicate":               {Duplicate: nan},
		"Delay":                   {Delay: -1},
		"Loss.Burst.Enter":        {Loss: Loss{Burst: Bursts(0.9, 2)}},
		"Loss.Burst.Leave":        {Loss: Loss{Burst: Burst{Enter: 0.1, InBad: 1}}},
		"Jitter.Correlation is 1": {Jitter: Jitter{Correlation: 1}},
		"Jitter.Distribution":     {Jitter: Jitter{Distribution: 9}},
		"Reorder.Late":            {Reorder: Reorder{Probability: 0.1}},
		"Rate.BitsPerSecond":      {Rate: Rate{QueueBytes: 1}},
		"MTU":                     {MTU: -1},
	}
	for field, settings := range tests {
		_, err := New(settings, 1)
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: got %v, want an error that names %s", settings, err, field)
		}
	}
}

// drawSettings draws anything that Validate takes.
func drawSettings(t *rapid.T) Settings {
	ms := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most*1000).Draw(t, name)) * time.Microsecond
	}
	chance := rapid.Float64Range(0, 0.5)
	s := Settings{
		Down:      rapid.IntRange(0, 9).Draw(t, "down") == 0,
		Delay:     ms("delay", 50),
		Jitter:    Jitter{Distribution(rapid.IntRange(0, 3).Draw(t, "distribution")), ms("spread", 20), rapid.Float64Range(0, 0.99).Draw(t, "correlation"), rapid.Bool().Draw(t, "overtake")},
		Duplicate: chance.Draw(t, "duplicate"),
		MTU:       rapid.IntRange(0, 1500).Draw(t, "mtu"),
	}
	s.Loss.Probability = chance.Draw(t, "loss")
	if rapid.Bool().Draw(t, "bursts") {
		s.Loss.Burst = Bursts(rapid.Float64Range(0.01, 0.4).Draw(t, "burst loss"), rapid.Float64Range(1, 20).Draw(t, "burst length"))
	}
	if rapid.Bool().Draw(t, "reorder") {
		s.Reorder = Reorder{chance.Draw(t, "held"), ms("late", 10) + 1, rapid.IntRange(0, 5).Draw(t, "gap")}
	}
	if rapid.Bool().Draw(t, "limited") {
		s.Rate = Rate{rapid.Int64Range(1000, 1e9).Draw(t, "rate"), rapid.IntRange(0, 5000).Draw(t, "bucket"), rapid.IntRange(0, 20000).Draw(t, "queue bytes"), ms("queue time", 100)}
	}
	return s
}

type event struct {
	at   time.Duration
	size int       // of a packet
	set  *Settings // or a change
}

func drawEvents(t *rapid.T) []event {
	var events []event
	at := time.Duration(0)
	for range rapid.IntRange(1, 80).Draw(t, "events") {
		at += time.Duration(rapid.IntRange(0, 5000).Draw(t, "gap")) * time.Microsecond
		e := event{at: at, size: rapid.IntRange(4, 1500).Draw(t, "size")}
		if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
			s := drawSettings(t)
			e.set = &s
		}
		events = append(events, e)
	}
	return events
}

// play drives a Shaper and polls it between events, as often as polls says.
func play(t *rapid.T, settings Settings, seed uint64, events []event, polls int, check func(*Shaper)) []departure {
	s, err := New(settings, seed)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	var left []departure
	last := time.Duration(0)
	for i, e := range events {
		for p := range polls {
			left = append(left, pollAll(s, epoch.Add(last+(e.at-last)*time.Duration(p)/time.Duration(polls)))...)
		}
		if last = e.at; e.set != nil {
			err = s.Set(epoch.Add(e.at), *e.set)
		} else {
			s.Push(epoch.Add(e.at), numbered(i, e.size))
		}
		if err != nil {
			t.Fatalf("Set: %v", err)
		}
		check(s)
	}
	left = append(left, pollAll(s, epoch.Add(1000*time.Hour))...)
	check(s)
	return left
}

func TestShaper_departuresDoNotDependOnPolling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		settings, events, seed := drawSettings(t), drawEvents(t), rapid.Uint64().Draw(t, "seed")
		conserved := func(s *Shaper) {
			c := s.Counters()
			in := c.In + c.Duplicated
			out := c.Out + c.Lost + c.Dropped + c.Oversize + c.Cut + uint64(c.Queued) + uint64(c.Flying)
			if in != out {
				t.Fatalf("packets are not conserved: in %d, out %d: %+v", in, out, c)
			}
		}
		never := play(t, settings, seed, events, 0, conserved)
		often := play(t, settings, seed, events, rapid.IntRange(1, 5).Draw(t, "polls"), conserved)
		if !slices.Equal(never, often) {
			t.Fatalf("polled once at the end: %v\npolled between:         %v", never, often)
		}
		if !slices.IsSortedFunc(never, func(a, b departure) int { return int(a.after - b.after) }) {
			t.Fatalf("departures are not in order of time: %v", never)
		}
	})
}

// Following NextTimeout alone finds every departure at its time.
func TestNextTimeout_isNeverLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(drawSettings(t), rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(1, 50).Draw(t, "packets") {
			s.Push(epoch, numbered(i, 500))
		}
		if err := s.Schedule(epoch.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "change"))*time.Millisecond), drawSettings(t)); err != nil {
			t.Fatal(err)
		}
		for now := epoch; ; {
			for _, d := range pollAll(s, now) {
				if late := now.Sub(epoch) - d.after; late != 0 {
					t.Fatalf("packet %d found %v after it left", d.number, late)
				}
			}
			next, ok := s.NextTimeout()
			if !ok {
				break
			}
			if !next.After(now) {
				t.Fatalf("NextTimeout stays at %v: the caller would spin", next.Sub(epoch))
			}
			now = next
		}
		if c := s.Counters(); c.Queued+c.Flying != 0 {
			t.Fatalf("no timeout is left with %+v", c)
		}
	})
}

func TestShaper_memoryIsBounded(t *testing.T) {
	s := mustNew(t, Settings{Delay: time.Hour, Duplicate: 1}, 1)
	for i := range 2 * MaxPackets {
		s.Push(epoch, numbered(i, 40))
	}
	if c := s.Counters(); c.Flying > MaxPackets+1 || c.Dropped == 0 {
		t.Errorf("got %d packets in flight and %d dropped, want at most %d in flight and the others dropped", c.Flying, c.Dropped, MaxPackets)
	}
}

func TestShaper_steadyFlowDoesNotAllocate(t *testing.T) {
	s := mustNew(t, Settings{Delay: time.Millisecond, Rate: Rate{BitsPerSecond: 100_000_000}, Jitter: Jitter{Spread: time.Millisecond, Overtake: true}}, 1)
	now, packet := epoch, numbered(0, 1200)
	step := func() {
		now = now.Add(100 * time.Microsecond)
		s.Push(now, packet)
		for {
			if _, _, ok := s.Poll(now); !ok {
				return
			}
		}
	}
	for range 1000 {
		step()
	}
	if got := testing.AllocsPerRun(1000, step); got != 0 {
		t.Errorf("got %v allocations a packet, want none", got)
	}
}

func BenchmarkShaper(b *testing.B) {
	for name, settings := range map[string]Settings{
		"zero":    {},
		"delay":   {Delay: 20 * time.Millisecond},
		"all":     {Delay: 20 * time.Millisecond, Jitter: Jitter{Distribution: Normal, Spread: time.Millisecond, Correlation: 0.5}, Loss: Loss{Probability: 0.01, Burst: Bursts(0.01, 5)}, Rate: Rate{BitsPerSecond: 1e9}},
		"reorder": {Delay: 20 * time.Millisecond, Reorder: Reorder{Probability: 0.1, Late: time.Millisecond}},
	} {
		b.Run(name, func(b *testing.B) {
			s := mustNew(b, settings, 1)
			packet := make([]byte, 1200)
			rand.NewChaCha8([32]byte{}).Read(packet)
			b.ReportAllocs()
			now := epoch
			for b.Loop() {
				now = now.Add(20 * time.Microsecond)
				s.Push(now, packet)
				s.Poll(now)
			}
		})
	}
}

func ExampleShaper() {
	s, _ := New(Settings{Delay: 30 * time.Millisecond}, 1)
	start := time.Unix(0, 0)
	s.Push(start, []byte("hello"))
	at, _ := s.NextTimeout()
	packet, left, _ := s.Poll(at)
	fmt.Printf("%s after %v\n", packet, left.Sub(start))
	// Output: hello after 30ms
}
