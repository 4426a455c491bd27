package discovery

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc/envelope"
)

// fresh is a Discovery that has asked nobody yet.
func fresh(t *testing.T, c Config) (*Discovery, string) {
	t.Helper()
	var log bytes.Buffer
	d, err := New(c, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return d, log.String()
}

func TestCache_startsWhenAllRegistriesAreDown(t *testing.T) {
	a, b, k := newKey(t), newKey(t), newKey(t)
	now := time.Now()
	f, further := newFake(t, sign(t, a, now, nil), sign(t, b, now, nil)), newFake(t)
	further.set(f.listed...)
	f.names(present(t, k, further.URL, nil))
	c := learning(4, f)
	c.CacheFile = filepath.Join(t.TempDir(), "nodes.json")
	r := start(t, c)
	r.until("both nodes, vouched for by both", func(have []Node) bool {
		return len(have) == 2 && len(have[0].VouchedBy) == 2 && len(have[1].VouchedBy) == 2
	})
	gone := sign(t, b, now, tombstone)
	f.hold(b.ID(), gone.Bytes())
	f.set(sign(t, a, now, nil))
	r.untilShown("one has left", a)
	r.stop()
	f.Close()
	further.Close()

	d, _ := fresh(t, c)
	got := d.Snapshot()
	if len(got) != 1 || got[0].ID != a.ID() || len(got[0].VouchedBy) != 2 {
		t.Fatalf("got %v, want the node that was there, vouched for by two", got)
	}
	if asked := d.Registries(); len(asked) != 2 || asked[1] != further.URL {
		t.Errorf("asks %v, want the learned Registry too", asked)
	}
	old := sign(t, b, now, nil)
	if learned, err := d.view.add(now, b.ID(), old.Bytes()); learned || err != nil {
		t.Errorf("the one that left, again: got %v, %v, want nothing new", learned, err)
	}
}

func TestCache_isWrittenWhileRunning(t *testing.T) {
	k := newKey(t)
	f := newFake(t, sign(t, k, time.Now(), nil))
	c := learning(0, f)
	c.CacheFile, c.CacheEvery = filepath.Join(t.TempDir(), "made", "nodes.json"), 10*time.Millisecond
	r := runWith(t, c)
	r.untilShown("the node", k)
	deadline := time.After(20 * time.Second)
	for {
		if d, _ := fresh(t, c); len(d.Snapshot()) == 1 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("not in the file within 20s")
		default:
		}
	}
}

func TestCache_believesNoRecordUnverified(t *testing.T) {
	good, forged, expired := newKey(t), newKey(t), newKey(t)
	now := time.Now()
	real, bad, old := sign(t, good, now, nil), sign(t, forged, now, nil), sign(t, expired, now.Add(-time.Hour), nil)
	bad.Seq++
	c := testConfig(one)
	c.CacheFile = filepath.Join(t.TempDir(), "nodes.json")
	file := cache{
		Format: cacheFormat, Network: "devnet", Nodes: [][]byte{real.Bytes(), bad.Bytes(), old.Bytes(), []byte("garbage")},
		Answers: []cachedAnswer{{Registry: one, At: now}, {Registry: "http://stranger", At: now}},
	}
	for _, e := range []envelope.Envelope{real, bad, old} {
		file.Answers[0].Nodes = append(file.Answers[0].Nodes, e.Subject)
	}
	write(t, c.CacheFile, file)
	d, _ := fresh(t, c)
	if got := d.Snapshot(); len(got) != 1 || got[0].ID != good.ID() || len(got[0].VouchedBy) != 1 {
		t.Errorf("got %v, want the genuine one", got)
	}
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCache_uselessFileIsLoggedAndReplaced(t *testing.T) {
	k := newKey(t)
	c := learning(0, newFake(t, sign(t, k, time.Now(), nil)))
	for name, content := range map[string]any{
		"garbage":         "garbage",
		"another network": cache{Format: cacheFormat, Network: "main"},
		"another format":  cache{Format: cacheFormat + 1, Network: "devnet"},
	} {
		t.Run(name, func(t *testing.T) {
			c.CacheFile = filepath.Join(t.TempDir(), "nodes.json")
			write(t, c.CacheFile, content)
			if d, log := fresh(t, c); len(d.Snapshot()) != 0 || !strings.Contains(log, "cannot be used") || !strings.Contains(log, "CacheFile") {
				t.Errorf("logged %q", log)
			}
			r := start(t, c)
			r.untilShown("what the Registry lists", k)
			r.stop()
			if d, log := fresh(t, c); len(d.Snapshot()) != 1 || log != "" {
				t.Errorf("afterwards: %v, logged %q", d.Snapshot(), log)
			}
			if left, err := os.ReadDir(filepath.Dir(c.CacheFile)); err != nil || len(left) != 1 {
				t.Errorf("%v, %v beside the file, want nothing", left, err)
			}
		})
	}
}
