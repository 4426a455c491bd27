package compare

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/loadtest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestParseShape(t *testing.T) {
	if got, err := ParseShape("10x200"); err != nil || got != (Shape{10, 200}) || got.String() != "10x200" {
		t.Errorf("10x200: got %v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "1x", "x1", "10", "0x1", "1x0", "1x2x3", "-1x2", "ax2"} {
		if got, err := ParseShape(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

func FuzzParseShape(f *testing.F) {
	f.Add("1x100")
	f.Fuzz(func(t *testing.T, text string) {
		shape, err := ParseShape(text)
		if err != nil {
			return
		}
		if again, err := ParseShape(shape.String()); err != nil || again != shape {
			t.Errorf("%v read again is %v, %v", shape, again, err)
		}
	})
}

func TestConfig_validateNamesTheField(t *testing.T) {
	valid := func() Config {
		c := DefaultConfig()
		c.Program = "drtc"
		return c
	}
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"compare: targets: want one or more":                               func(c *Config) { c.Targets = nil },
		"compare: targets: want some of [floor drtc reference peer":        func(c *Config) { c.Targets = []Target{"x"} },
		"compare: peer server: target peer-batch needs a binary":           func(c *Config) { c.Targets = []Target{PeerBatch} },
		"compare: shapes: want one or more":                                func(c *Config) { c.Shapes = nil },
		"compare: rounds: want 1 or more, got 0":                           func(c *Config) { c.Rounds = 0 },
		"compare: program: want the path":                                  func(c *Config) { c.Program = "" },
		"compare: patience: want more than 0s":                             func(c *Config) { c.Patience = 0 },
		"compare: shape 1x99999: loadtest: subscribers: want 1 to 10000":   func(c *Config) { c.Shapes = []Shape{{1, 99999}} },
		"compare: shape 1x10: loadtest: duration: want more than 0s, got ": func(c *Config) { c.Load.Duration = 0 },
	} {
		c := valid()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// result is one run whose figures follow from its CPU microseconds per packet.
func result(user, system float64) *loadtest.Result {
	r := &loadtest.Result{Features: []string{"NACK", "PLI"}, Subscribers: 100, Joined: 100, Delay: loadtest.Spread{P50: user / 2, P99: user}, Server: &loadtest.Cost{PerSubscriber: user / 100, PerJoinAlone: user}}
	r.Server.PerPacket.User, r.Server.PerPacket.System, r.Server.PerPacket.Total = user, system, user+system
	r.Join.FirstPacket = loadtest.Spread{P50: 10 * user, P95: 20 * user}
	r.Join.FirstKeyFrame = loadtest.Spread{P50: 30 * user, P95: 40 * user}
	return r
}

func TestReport_writeMarkdown(t *testing.T) {
	late := result(9, 9)
	late.Joined, late.LossPercent, late.Duplicates = 97, 1.25, 3
	report := &Report{
		Machine: Machine{Processor: "Example CPU", Cores: 2, Memory: 8 << 30, Kernel: "Linux 6.1", Go: "go1.26.0"},
		Command: "drtc loadtest compare --rounds 3", Began: "2026-11-22T11:00:00Z", Rounds: 3,
		Rows: []Row{
			{Shape: "1x100", Target: Floor, Version: "header, seal, send", Runs: []*loadtest.Result{result(1, 2), result(1.5, 2.5), result(1.2, 2.2)}},
			{Shape: "1x100", Target: Ours, Version: "drtc 0.1.0", Runs: []*loadtest.Result{result(2, 3), result(3, 3)}},
			{Shape: "1x100", Target: Peer, Version: "livekit-server 1.13.4", Runs: []*loadtest.Result{result(10, 8), late, result(12, 8)}},
			{Shape: "1x100", Target: PeerBatch, Version: "livekit-server 1.13.4", Runs: nil, Errors: []string{"compare: the load: exit status 1"}},
			{Shape: "1x200", Target: Ours, Version: "drtc 0.1.0", Runs: []*loadtest.Result{result(1, 1)}},
		},
	}
	var got strings.Builder
	if err := report.WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "table.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestFigure(t *testing.T) {
	of := func(r *loadtest.Result) float64 { return r.LossPercent }
	runs := func(losses ...float64) (all []*loadtest.Result) {
		for _, l := range losses {
			all = append(all, &loadtest.Result{LossPercent: l})
		}
		return all
	}
	if _, ok := figure(nil, of); ok {
		t.Error("no runs have a figure")
	}
	for _, c := range []struct {
		runs []*loadtest.Result
		want Figure
	}{
		{runs(4), Figure{4, 4, 4}},
		{runs(4, 1), Figure{2.5, 1, 4}},
		{runs(9, 1, 4), Figure{4, 1, 9}},
	} {
		if got, ok := figure(c.runs, of); !ok || got != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}

func TestArguments_areThoseOfOneRun(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Load.TWCC = false
	l := &launcher{cfg: cfg}
	got := l.arguments(&server{protocol: loadtest.Signal, url: "http://127.0.0.1:1", pids: []int{7}, beside: []int{8}}, Shape{10, 20})
	want := strings.Fields("loadtest run --json --protocol signal --url http://127.0.0.1:1 --room loadtest --publishers 10 --subscribers 20" +
		" --ramp 20 --warm 3s --duration 20s --nack=true --rtx=true --twcc=false --pli=true --pid 7 --beside 8")
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestChild_thatEndsIsQuoted(t *testing.T) {
	c, err := startChild(t.TempDir(), "peer", "sh", []string{"-c", "echo port $PORT is taken >&2; exit 1"}, []string{"PORT=7"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.await(context.Background(), 20*time.Second, func(context.Context) (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "peer ended") || !strings.Contains(err.Error(), "port 7 is taken") {
		t.Errorf("got %v, want its last words", err)
	}
	c.stop(time.Second) // does no harm
}

func TestChild_thatDoesNotStopIsKilled(t *testing.T) {
	dir := t.TempDir()
	c, err := startChild(dir, "peer", "sh", []string{"-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.await(context.Background(), 20*time.Second, func(context.Context) (bool, error) {
		log, err := os.ReadFile(c.log)
		return bytes.Contains(log, []byte("up")), err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.stop(10 * time.Millisecond)
	select {
	case <-c.ended:
	default:
		t.Error("it lives")
	}
}

func TestChild_awaitEndsWithTheContext(t *testing.T) {
	c, err := startChild(t.TempDir(), "peer", "sleep", []string{"100"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop(time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	never := func(context.Context) (bool, error) { return false, nil }
	if err := c.await(ctx, 20*time.Second, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestProcessor(t *testing.T) {
	if got := processor([]byte("processor\t: 0\nmodel name\t: Example CPU @ 2 GHz\nmodel name\t: other\n")); got != "Example CPU @ 2 GHz" {
		t.Errorf("got %q", got)
	}
	if got := processor([]byte("processor\t: 0\n")); got == "" {
		t.Error("a processor without a name has none here")
	}
}
