package scenario

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program is the binary under test, built by TestMain.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "drtc-scenario-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "drtc")
		build := exec.Command("go", "build", "-o", program, "../../cmd/drtc")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func TestCities_cascadingHalvesWhatFarWaysTake(t *testing.T) {
	r, err := Cities(context.Background(), CitiesConfig{
		Program: program, Dir: t.TempDir(), Loss: 0.005, Previous: true, Settle: time.Second, Length: 3 * time.Second, Seed: 1, Say: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r.Table())
	for _, p := range r.Problems {
		t.Error(p)
	}
	for _, row := range r.Rows {
		if row.From == "Tokyo" && row.To == "Sydney" && row.Cascaded.P50 > row.Single.P50/2 {
			t.Errorf("from Tokyo to Sydney: got %.0f ms with cascading and %.0f ms by New York, want at most half", row.Cascaded.P50, row.Single.P50)
		}
	}
}

// Six nodes, of which one speaks the previous version, in a tree of at least
// three levels; each link carries each layer once and nothing is lost.
func TestFanOut_carriesEachLayerOnceOverEachLink(t *testing.T) {
	r, err := FanOut(context.Background(), FanOutConfig{
		Program: program, Dir: t.TempDir(), Nodes: 6, Degree: 3, Viewers: 24, Previous: 1, Ramp: 20, Settle: 4 * time.Second, Length: 3 * time.Second, Say: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r.Table())
	for _, p := range r.Problems {
		t.Error(p)
	}
	for _, d := range r.Depths {
		if d.InNodeP50 <= 0 || d.InNodeP99 < d.InNodeP50 || d.InNodeP99 > 1000 {
			t.Errorf("%d hops: packets were in the node for %.2f ms, %.2f ms at p99, want some time", d.Hops, d.InNodeP50, d.InNodeP99)
		}
	}
	if r.Levels < 3 {
		t.Errorf("levels: got %d, want 3 or more", r.Levels)
	}
}

func TestQuantile_isReadOffBuckets(t *testing.T) {
	counts := map[float64]float64{1: 50, 2: 90, 4: 100, math.Inf(1): 100}
	for q, want := range map[float64]float64{.25: .5, .5: 1, .7: 1.5, .95: 3, 1: 4} {
		if got := quantile(counts, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if got := quantile(map[float64]float64{1: 0, math.Inf(1): 10}, .5); got != 1 {
		t.Errorf("above the last edge: got %v, want that edge", got)
	}
}

func TestApart_followsTheGreatCircle(t *testing.T) {
	if got, want := distanceKm(fourCities[0].place, fourCities[1].place), 10_850.; got < want-20 || got > want+20 {
		t.Errorf("New York to Tokyo: got %.0f km, want about %.0f", got, want)
	}
	if got := apart(fourCities[0], fourCities[2]); got < 48*time.Millisecond || got > 52*time.Millisecond {
		t.Errorf("New York to Tallinn: got %v, want about 50ms", got)
	}
}
