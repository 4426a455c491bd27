package loadtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/loadtest/floor"
	"github.com/drtc-network/drtc/loadtest/process"
	"github.com/drtc-network/drtc/loadtest/reference"
	"github.com/drtc-network/drtc/loadtest/tally"
)

// serve runs a server for the length of the test.
func serve(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// quick is a run that ends as soon as packets have been delivered.
func quick(protocol Protocol, url string, publishers, subscribers int, packets uint64) Config {
	cfg := DefaultConfig()
	cfg.Protocol, cfg.URL, cfg.Publishers, cfg.Subscribers, cfg.Packets = protocol, url, publishers, subscribers, packets
	cfg.Ramp, cfg.Warm, cfg.Duration = 1000, 0, cfg.Patience
	return cfg
}

func checkComplete(t *testing.T, r *Result, subscribers int, packets uint64) {
	t.Helper()
	if r.Joined != subscribers || r.JoinErrors != 0 || r.Failed != 0 {
		t.Errorf("%d of %d joined, %d errors (%s), %d failed", r.Joined, subscribers, r.JoinErrors, r.FirstError, r.Failed)
	}
	if r.Delivered < packets || r.Expected < packets || r.Delivered > r.Expected {
		t.Errorf("%d packets delivered of %d, want at least %d of as many", r.Delivered, r.Expected, packets)
	}
	if r.LossPercent < 0 || r.LossPercent > 5 {
		t.Errorf("loss is %v %%, want next to none", r.LossPercent)
	}
	for name, s := range map[string]Spread{"delay": r.Delay, "first packet": r.Join.FirstPacket, "first video": r.Join.FirstVideo} {
		if s.P50 <= 0 || s.P95 < s.P50 || s.P99 < s.P95 {
			t.Errorf("%s is %+v", name, s)
		}
	}
}

func TestRun_throughTheReference(t *testing.T) {
	s, err := reference.New("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s.Run)
	phases := map[string]bool{}
	cfg := quick(WHIP, s.URL(), 1, 3, 240)
	cfg.Progress = func(p Progress) { phases[p.Phase] = true }
	r, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	checkComplete(t, r, 3, 240)
	if r.Join.FirstKeyFrame.P50 <= 0 || r.KeyRequests == 0 {
		t.Errorf("first key frame %+v after %d requests", r.Join.FirstKeyFrame, r.KeyRequests)
	}
	if want := []string{"NACK", "PLI", "TWCC"}; !slices.Equal(r.Features, want) {
		t.Errorf("agreed on %v, want %v", r.Features, want)
	}
	if r.Server != nil {
		t.Errorf("nobody named a process, but it cost %+v", r.Server)
	}
	for _, phase := range []string{"joining", "measuring", "waiting"} {
		if !phases[phase] {
			t.Errorf("%s was not reported: %v", phase, phases)
		}
	}
}

// Who publishes already is played by name, whatever is in the packets.
func TestRun_playsWhomItDoesNotPublish(t *testing.T) {
	s, err := reference.New("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s.Run)
	other, err := newNetwork(quick(WHIP, s.URL(), 1, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer func() {
		stop()
		other.close()
	}()
	if err := other.publish(ctx); err != nil {
		t.Fatal(err)
	}
	cfg := quick(WHIP, s.URL(), 0, 3, 240)
	cfg.Play = other.names
	r, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 3 || r.Delivered < 240 || r.Expected < r.Delivered || r.LossPercent > 5 || r.Sent != 0 || r.Delay.P99 != 0 {
		t.Errorf("%d joined, %d packets of %d, %v %% lost, %d sent, delay %v ms; want 3, at least 240 with few gaps, and nothing of what only publishers know",
			r.Joined, r.Delivered, r.Expected, r.LossPercent, r.Sent, r.Delay.P99)
	}
}

func TestForeignTrack_countsOverAWrap(t *testing.T) {
	var f foreignTrack
	packet := func(sequence uint16) []byte {
		return append([]byte{0x80, 96, byte(sequence >> 8), byte(sequence)}, make([]byte, 9)...)
	}
	var got []uint64
	for _, sequence := range []uint16{1, 0xffff, 2, 0xfffe, 0x7000, 0xe000, 3, 0xffff} {
		trailer, ok := f.trailer(packet(sequence), 1)
		if !ok {
			t.Fatalf("packet %d is none", sequence)
		}
		got = append(got, trailer.Sequence)
	}
	if want := []uint64{0x10001, 0xffff, 0x10002, 0xfffe, 0x17000, 0x1e000, 0x20003, 0x1ffff}; !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if _, ok := f.trailer(packet(1)[:12], 1); ok {
		t.Error("a packet without payload counts")
	}
}

func TestRun_throughTheFloor(t *testing.T) {
	s, err := floor.New("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s.Run)
	for range 2 { // who publishes again under a name is played from then on
		r, err := Run(context.Background(), quick(WHIP, s.URL(), 2, 2, 200))
		if err != nil {
			t.Fatal(err)
		}
		checkComplete(t, r, 2, 200)
	}
}

func TestRun_failsWithoutAServer(t *testing.T) {
	s, err := reference.New("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := quick(WHIP, s.URL(), 1, 1, 1)
	serve(t, s.Run)
	cfg.PIDs = []int{1 << 30}
	if _, err := Run(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "process 1073741824") {
		t.Errorf("measuring a process that is not there: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v, want %v", err, context.Canceled)
	}
}

func TestConfig_validateNamesTheField(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"loadtest: protocol: want whip or signal, got \"sip\"":             func(c *Config) { c.Protocol = "sip" },
		"loadtest: url: want one such as http://127.0.0.1:7880, got \"x\"": func(c *Config) { c.URL = "x" },
		"loadtest: room: want a name, got none":                            func(c *Config) { c.Room = "" },
		"loadtest: token: protocol signal needs an API key and secret":     func(c *Config) { c.Protocol = Signal },
		"loadtest: token: one token is one participant of protocol signal": func(c *Config) { c.Protocol, c.Token = Signal, "t" },
		"loadtest: publishers: want 1 to 1000, got 0":                      func(c *Config) { c.Publishers = 0 },
		"loadtest: play: needs protocol whip, got signal":                  func(c *Config) { c.Protocol, c.Token, c.Play, c.Publishers = Signal, "t", []string{"a"}, 0 },
		"loadtest: publishers: want 0 where others are played, got 1":      func(c *Config) { c.Play = []string{"a"} },
		"loadtest: subscribers: want 1 to 10000, got 10001":                func(c *Config) { c.Subscribers = 10001 },
		"loadtest: ramp: want joins per second, up to 1000, got 0":         func(c *Config) { c.Ramp = 0 },
		"loadtest: warm: want 0s or more, got -1ns":                        func(c *Config) { c.Warm = -1 },
		"loadtest: duration: want more than 0s, got 0s":                    func(c *Config) { c.Duration = 0 },
		"loadtest: patience: want more than 0s, got 0s":                    func(c *Config) { c.Patience = 0 },
		"traffic: frames per second: want 1 to 240, got 0":                 func(c *Config) { c.Mix.FramesPerSecond = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestCost_isOfTheWindowAndOfTheJoins(t *testing.T) {
	at := func(user, system time.Duration, mib uint64) process.Usage {
		return process.Usage{User: user, System: system, Resident: mib << 20, Threads: 5}
	}
	m := measurement{window: 10 * time.Second, receivedJoining: 20_000}
	m.server.pids = []int{7}
	m.server.at = [moments]process.Usage{
		beforeJoins: at(time.Second, time.Second, 40),
		afterJoins:  at(1200*time.Millisecond, 1100*time.Millisecond, 60),
		windowBegin: at(2*time.Second, 2*time.Second, 65),
		windowEnd:   at(2100*time.Millisecond, 2300*time.Millisecond, 70),
	}
	c := m.cost(&m.server, 100, tally.Counts{Unique: 200_000})
	for name, f := range map[string]struct{ got, want float64 }{
		"user":           {c.User, 100},
		"system":         {c.System, 300},
		"percent":        {c.CPUPercent, 4},
		"user/packet":    {c.PerPacket.User, 0.5},
		"system/packet":  {c.PerPacket.System, 1.5},
		"total/packet":   {c.PerPacket.Total, 2},
		"per join":       {c.PerJoin, 3},
		"per join alone": {c.PerJoinAlone, 3 - 0.4}, // 20,000 packets at 2 us
		"MiB/subscriber": {c.PerSubscriber, 0.3},
	} {
		if diff := f.got - f.want; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%s: got %v, want %v", name, f.got, f.want)
		}
	}
	if got := m.cost(&m.beside, 100, tally.Counts{}); got != nil {
		t.Errorf("of no process: got %+v, want nothing", got)
	}
}

func TestResult_writeText(t *testing.T) {
	r := &Result{
		Protocol: WHIP, Publishers: 1, Subscribers: 10, Features: []string{"NACK", "TWCC"}, Joined: 9, JoinErrors: 1, FirstError: "subscriber 3: refused",
		WindowSeconds: 20, Sent: 3200, Expected: 28800, Delivered: 28790, Duplicates: 2, Foreign: 5, LossPercent: 0.0347,
		PacketsPerSecond: 1439.5, MbitPerSecond: 9.87, Delay: Spread{0.5, 1, 2.25}, ClientCPU: 12.34,
		Server: &Cost{User: 100, System: 300, CPUPercent: 2, PerJoin: 3, PerJoinAlone: 2.6, MemoryBefore: 40, MemoryEnd: 43, PerSubscriber: 0.3},
		Beside: &Cost{CPUPercent: 0.1, PerJoin: 1.5, MemoryEnd: 30},
	}
	r.Server.PerPacket.User, r.Server.PerPacket.System, r.Server.PerPacket.Total = 3.5, 10.5, 14
	r.Join.FirstPacket, r.Join.FirstVideo, r.Join.FirstKeyFrame = Spread{200, 210, 211}, Spread{220, 230, 231}, Spread{400, 500, 501}
	want := `load             1 x 10 by whip, 20.0 s
agreed           RTCP reports, NACK, TWCC
joined           9 of 10, 1 errors, 0 connections failed
first error      subscriber 3: refused
delivered        28790 of 28800 packets, 1440/s, 9.9 Mbit/s
loss             0.035 %, of audio 0.000 %, 2 duplicates, 5 packets of the server's own
delay            p50 0.50 ms, p95 1.00 ms, p99 2.25 ms
first packet     p50 200 ms, p95 210 ms after the join began
first video      p50 220 ms, p95 230 ms after the join began
first key frame  p50 400 ms, p95 500 ms after the join began
server CPU       2.0 % of a core: user 100 ms, system 300 ms
per packet       14.00 us: user 3.50 us, system 10.50 us
per join         3.00 ms of CPU, 2.60 ms without forwarding
memory           43.0 MiB, before joins 40.0 MiB: 0.300 MiB for each subscriber
beside           0.1 % of a core, 1.50 ms of CPU per join, 30.0 MiB
clients' CPU     12.3 % of a core
`
	var got strings.Builder
	if err := r.WriteText(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestLine_isClearedWhenDone(t *testing.T) {
	var w strings.Builder
	show, clear := Line(&w)
	clear()
	if w.String() != "" {
		t.Errorf("cleared a line that was never shown: %q", w.String())
	}
	p := Progress{Phase: "measuring", Elapsed: 2 * time.Second, Length: 20 * time.Second, Joined: 9, Subscribers: 10, Received: 1234}
	show(p)
	show(p) // too soon
	clear()
	if want := "\r\x1b[Kmeasuring, 2 of 20 s: 9 of 10 joined, 1234 packets received\r\x1b[K"; w.String() != want {
		t.Errorf("got %q, want %q", w.String(), want)
	}
}
