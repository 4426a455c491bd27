package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/discovery"
)

// runCommand runs the binary's command in this process.
func runCommand(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestRegistryPeers(t *testing.T) {
	since := time.Now().Add(-90 * time.Second).Format(time.RFC3339Nano)
	answer := `{"registry":"0x00000000000000000000000000000000000000aa","network":"devnet","addresses":["/ip4/192.0.2.1/tcp/7901/p2p/16Uiu2"],"peers":[` +
		`{"registry":"0x00000000000000000000000000000000000000bb","url":"http://b.example","addresses":["/ip4/192.0.2.2/tcp/1/p2p/16UiuB"],` +
		`"direction":"outbound","since":"` + since + `","score":1.25,"lastSync":"` + since + `","lastSyncOutcome":"equal"},` +
		`{"registry":"0x00000000000000000000000000000000000000cc","url":"\u001b[2Jevil","addresses":[],"since":7}]}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/peers" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	}))
	defer s.Close()
	out, err := runCommand(t, "registry", "peers", "--registry", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	want := []string{
		"Registry 0x00000000000000000000000000000000000000aa of network devnet",
		"  listens at /ip4/192.0.2.1/tcp/7901/p2p/16Uiu2",
		"",
		"REGISTRY URL OPENED FOR SCORE LAST SYNC ADDRESS",
		"0x00000000 http://b.example outbound 1m30s 1.2 1m30s ago, equal /ip4/192.0.2.2/tcp/1/p2p/16UiuB",
		"0x00000000 ?[2Jevil - - - - -",
	}
	for i, line := range want {
		if i >= len(lines) || strings.Join(strings.Fields(lines[i]), " ") != strings.TrimSpace(line) {
			t.Fatalf("got\n%s\nwant in line %d %q", out, i+1, line)
		}
	}
	if out, err = runCommand(t, "registry", "peers", "--registry", s.URL, "--json"); err != nil || !strings.Contains(out, `"lastSyncOutcome": "equal"`) {
		t.Errorf("JSON: got %v, %s", err, out)
	}
	answer = `{"registry":"0x00000000000000000000000000000000000000aa","network":"devnet","peers":[]}`
	if out, err = runCommand(t, "registry", "peers", "--registry", s.URL); err != nil || !strings.Contains(out, "connected to no other Registry") {
		t.Errorf("alone: got %v, %s", err, out)
	}
	for url, want := range map[string]string{s.URL + "/x": "status 404", "registry.example": "want a URL"} {
		if _, err = runCommand(t, "registry", "peers", "--registry", url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}

func TestSummarize_saysWhatMostSay(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	for i, tt := range []struct {
		opinions []discovery.Opinion
		want     summary
	}{
		{nil, summary{"-", "-", "-"}},
		{[]discovery.Opinion{{}, {}}, summary{"-", "-", "-"}},
		{[]discovery.Opinion{
			{State: "up", Availability: f(0.5), PlaceVerdict: "plausible"}, {State: "suspect", Availability: f(1)},
			{State: "up", Availability: f(0.999), PlaceVerdict: "refuted\n"}, {PlaceVerdict: "refuted\n"},
		}, summary{"up", "99.9 %", "refuted?"}},
	} {
		if got := summarize(tt.opinions); got != tt.want {
			t.Errorf("case %d: got %+v, want %+v", i, got, tt.want)
		}
	}
}
