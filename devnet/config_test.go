package devnet

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfig_validateNamesTheField(t *testing.T) {
	good := DefaultConfig()
	good.Program = "drtc"
	if err := good.Validate(); err != nil {
		t.Fatalf("the defaults with a program: %v, want nil", err)
	}
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Nodes = 0 }, "nodes: want 1 to 64, got 0"},
		{func(c *Config) { c.Registries = MaxRegistries + 1 }, "registries: want 1 to 16, got 17"},
		{func(c *Config) { c.Orchestrators = 0 }, "orchestrators: want 1 to 8, got 0"},
		{func(c *Config) { c.Workers = MaxWorkers + 1 }, "workers: want 1 to 64"},
		{func(c *Config) { c.Workers, c.Portable = 2, true }, "workers: want 1 with portable sockets, got 2"},
		{func(c *Config) { c.WorkerRoomPeers = -1 }, "worker room peers: want 1 or more"},
		{func(c *Config) { c.FrameHold = 3*time.Millisecond + 1 }, "frame hold: want 0s to 3ms"},
		{func(c *Config) { c.Program = "" }, "program: want"},
		{func(c *Config) { c.Out = nil }, "out: want"},
		{func(c *Config) { c.Grace = 0 }, "patience and grace"},
		{func(c *Config) { c.Listen = "7880" }, "listen: want host:port"},
		{func(c *Config) { c.Listen = "example.org:7880" }, "listen: want an IP address or localhost"},
		{func(c *Config) { c.Listen = "127.0.0.1:78800" }, "listen: want a port"},
	} {
		c := good
		test.change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got error %v, want one with %q", err, test.want)
		}
	}
}

// A node's file has what differs from the node's defaults, and nothing else.
func TestConfig_mediaSettingsReachTheFile(t *testing.T) {
	text := func(c Config) string {
		t.Helper()
		h := home(t.TempDir())
		if err := writeConfig(h, medianodeFile{media: c.media()}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(h.config())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	c := DefaultConfig()
	usual := text(c)
	for _, key := range []string{"workers", "worker_room_peers", "portable", "frame_hold", "pad_frames"} {
		if strings.Contains(usual, key) {
			t.Errorf("%s is in a file of defaults:\n%s", key, usual)
		}
	}
	c.Workers, c.WorkerRoomPeers, c.Portable, c.FrameHold, c.PadFrames = 2, 1, true, 0, false
	all := text(c)
	for _, line := range []string{"workers = 2", "worker_room_peers = 1", "portable = true", "frame_hold = \"0s\"", "pad_frames = false"} {
		if !strings.Contains(all, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, all)
		}
	}
}

func TestMediaAddresses(t *testing.T) {
	bind, advertise, err := mediaAddresses(netip.MustParseAddr("127.0.0.1"))
	if err != nil || bind != "127.0.0.1:0" || !slices.Equal(advertise, []string{"127.0.0.1"}) {
		t.Errorf("on loopback: %q, %q, %v; want that address alone", bind, advertise, err)
	}
	bind, advertise, err = mediaAddresses(netip.IPv4Unspecified())
	if err != nil || bind != "0.0.0.0:0" || !slices.Contains(advertise, "127.0.0.1") {
		t.Errorf("on every address: %q, %q, %v; want all IPv4 addresses of the machine", bind, advertise, err)
	}
}

func TestSummary_warnsBeyondLoopback(t *testing.T) {
	c := DefaultConfig()
	c.Program, c.Listen = "drtc", "0.0.0.0:7880"
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := n.summary(&Ready{URL: "http://0.0.0.0:7880"}, 0); !strings.Contains(got, "Anybody who reaches 0.0.0.0 may join") {
		t.Errorf("no warning in %s", got)
	}
}

func TestChildLog_linesAndTail(t *testing.T) {
	out := newLines()
	log := &childLog{name: "a", term: newTerminal(out, false)}
	fmt.Fprint(log, "one\ntw")
	fmt.Fprint(log, "o\r\n"+strings.Repeat("x", maxLine+10))
	log.flush()
	want := "a            | one\n" + "a            | two\n" +
		"a            | " + strings.Repeat("x", maxLine) + "\n" + "a            | " + strings.Repeat("x", 10) + "\n"
	if got := out.all(); got != want {
		t.Errorf("got %.200q, want %.200q", got, want)
	}
	for i := range 3 * tailLines {
		fmt.Fprintf(log, "line %d\n", i)
	}
	if tail := log.tail(); len(tail) != tailLines || tail[tailLines-1] != "line 44" || tail[0] != "line 30" {
		t.Errorf("tail %q, want the last %d lines", tail, tailLines)
	}
}

func TestTerminal_colorsAreSteadyPerName(t *testing.T) {
	out := newLines()
	term := newTerminal(out, true)
	term.say("a", "1")
	term.say("b", "2")
	term.say("a", "3")
	got := strings.Split(out.all(), "\n")
	if got[0][:5] != got[2][:5] || got[0][:5] == got[1][:5] {
		t.Errorf("got %q, want one colour for a and another for b", got)
	}
}
