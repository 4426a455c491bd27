package drand_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drtc-network/drtc/beacon"
	"github.com/drtc-network/drtc/beacon/drand"
)

// published is what drand's relays answered, by round.
func published(t testing.TB, name string) map[uint64]string {
	t.Helper()
	text, err := os.ReadFile("../testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Rounds []json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	answers := map[uint64]string{}
	for _, raw := range file.Rounds {
		var number struct{ Round uint64 }
		if err := json.Unmarshal(raw, &number); err != nil {
			t.Fatal(err)
		}
		answers[number.Round] = string(raw)
	}
	return answers
}

// source serves the given answers as a relay does, and counts what it is asked.
func source(t *testing.T, chain beacon.Chain, answer func(w http.ResponseWriter, round string, asked int64)) (string, *atomic.Int64) {
	t.Helper()
	hash := chain.Hash()
	asked := new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+hex.EncodeToString(hash[:])+"/public/{round}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r.PathValue("round"), asked.Add(1))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, asked
}

func honest(answers map[uint64]string) func(http.ResponseWriter, string, int64) {
	return func(w http.ResponseWriter, round string, _ int64) {
		for n, text := range answers {
			if fmt.Sprint(n) == round {
				fmt.Fprint(w, text)
				return
			}
		}
		http.Error(w, "no such round yet", http.StatusNotFound)
	}
}

func fixed(text string) func(http.ResponseWriter, string, int64) {
	return func(w http.ResponseWriter, _ string, _ int64) { fmt.Fprint(w, text) }
}

func client(t *testing.T, change func(*drand.Config), sources ...string) *drand.Client {
	t.Helper()
	cfg := drand.DefaultConfig()
	cfg.Sources = sources
	cfg.Timeout, cfg.Hedge, cfg.Retry = 2*time.Second, time.Millisecond, time.Millisecond
	cfg.Log = slog.New(slog.DiscardHandler)
	if change != nil {
		change(&cfg)
	}
	c, err := drand.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestRound_publishedRoundsOfBothNetworks(t *testing.T) {
	for name, chain := range map[string]beacon.Chain{"quicknet": beacon.Quicknet(), "league": beacon.League()} {
		answers := published(t, name)
		url, _ := source(t, chain, honest(answers))
		c := client(t, func(cfg *drand.Config) { cfg.Chain = chain }, url+"/")
		for n := range answers {
			round, err := c.Round(within(t, 10*time.Second), n)
			if err != nil {
				t.Fatalf("%s: round %d: %v", name, n, err)
			}
			if round.Number != n || round.Randomness == [32]byte{} {
				t.Errorf("%s: asked for round %d, got %+v", name, n, round)
			}
		}
	}
}

// Each source breaks the rules in its own way; the one that does not is believed.
func TestRound_outOfSourcesThatLie(t *testing.T) {
	answers := published(t, "quicknet")
	change := func(from, to string) string { return strings.Replace(answers[1000], from, to, 1) }
	elsewhere, _ := source(t, beacon.Quicknet(), honest(answers))
	for name, lie := range map[string]func(http.ResponseWriter, string, int64){
		"another round":                  fixed(answers[123]),
		"another round under its number": fixed(strings.Replace(answers[123], "123", "1000", 1)),
		"randomness of its choice":       fixed(change("fe29", "0000")),
		"a damaged signature":            fixed(change("b446", "b447")),
		"no signature":                   fixed(`{"round":1000}`),
		"no digits":                      fixed(change("b446", "zzzz")),
		"no JSON":                        fixed("<html>"),
		"nothing":                        fixed(""),
		"an answer without end":          fixed(answers[1000] + strings.Repeat(" ", 1<<20)),
		"an error":                       func(w http.ResponseWriter, _ string, _ int64) { w.WriteHeader(http.StatusBadGateway) },
		"a redirect": func(w http.ResponseWriter, round string, _ int64) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(http.StatusFound)
			fmt.Fprint(w, answers[1000])
		},
	} {
		t.Run(name, func(t *testing.T) {
			liar, lied := source(t, beacon.Quicknet(), lie)
			good, _ := source(t, beacon.Quicknet(), honest(answers))
			round, err := client(t, func(cfg *drand.Config) { cfg.Hedge = 20 * time.Millisecond }, liar, good).Round(within(t, 10*time.Second), 1000)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := hex.EncodeToString(round.Randomness[:4]), "fe290bec"; got != want {
				t.Errorf("randomness %s, want %s", got, want)
			}
			if lied.Load() == 0 {
				t.Error("the source that lies was not asked: nothing was tested")
			}
			if _, err := client(t, nil, liar).Round(within(t, 100*time.Millisecond), 1000); !errors.Is(err, drand.ErrMissing) || !errors.Is(err, drand.ErrSource) || !strings.Contains(err.Error(), liar) {
				t.Errorf("the liar alone: got %v, want ErrMissing that names %s", err, liar)
			}
		})
	}
}

func TestRound_waitsForOneThatIsLate(t *testing.T) {
	answers := published(t, "quicknet")
	url, asked := source(t, beacon.Quicknet(), func(w http.ResponseWriter, round string, asked int64) {
		if asked < 5 {
			http.Error(w, "not yet", http.StatusNotFound)
			return
		}
		honest(answers)(w, round, asked)
	})
	if _, err := client(t, nil, url).Round(within(t, 10*time.Second), 42); err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != 5 {
		t.Errorf("the source was asked %d times, want 5", got)
	}
}

func TestRound_missingEndsWithItsContext(t *testing.T) {
	empty, _ := source(t, beacon.Quicknet(), honest(nil))
	hang := make(chan struct{})
	silent, _ := source(t, beacon.Quicknet(), func(http.ResponseWriter, string, int64) { <-hang })
	defer close(hang)
	begun := time.Now()
	_, err := client(t, nil, empty, silent, "http://127.0.0.1:1").Round(within(t, 200*time.Millisecond), 7)
	if !errors.Is(err, drand.ErrMissing) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("got %v, want ErrMissing, the context's error and what the sources said", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s, want little more than 200 ms", took)
	}
}

// One that hangs holds nobody up for longer than Hedge, and no request for longer
// than Timeout.
func TestRound_besidesOneThatHangs(t *testing.T) {
	answers := published(t, "quicknet")
	hang := make(chan struct{})
	silent, asked := source(t, beacon.Quicknet(), func(http.ResponseWriter, string, int64) { <-hang })
	defer close(hang)
	good, _ := source(t, beacon.Quicknet(), honest(answers))
	short := func(cfg *drand.Config) { cfg.Timeout = 10 * time.Millisecond }
	if _, err := client(t, nil, silent, good).Round(within(t, 10*time.Second), 42); err != nil {
		t.Fatal(err)
	}
	asked.Store(0)
	if _, err := client(t, short, silent).Round(within(t, 300*time.Millisecond), 42); !errors.Is(err, drand.ErrMissing) {
		t.Fatalf("got %v, want ErrMissing", err)
	}
	if asked.Load() < 2 {
		t.Error("the first request never ended")
	}
}

func TestRound_asksNobodyBeforeItsTime(t *testing.T) {
	url, asked := source(t, beacon.Quicknet(), honest(nil))
	future := beacon.Quicknet().First(time.Now().Add(time.Hour))
	if _, err := client(t, nil, url).Round(within(t, 20*time.Millisecond), future); !errors.Is(err, drand.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	if asked.Load() != 0 {
		t.Error("a round of the future was asked for")
	}
	if _, err := client(t, nil, url).Round(t.Context(), 0); !errors.Is(err, beacon.ErrInvalid) {
		t.Errorf("round 0: got %v, want ErrInvalid", err)
	}
}

func TestNew_refusesByField(t *testing.T) {
	for want, change := range map[string]func(*drand.Config){
		"Chain":            func(c *drand.Config) { c.Chain.Scheme = "" },
		"PublicKey":        func(c *drand.Config) { c.Chain.PublicKey[9] ^= 1 },
		"Sources has 0":    func(c *drand.Config) { c.Sources = nil },
		"Sources has 17":   func(c *drand.Config) { c.Sources = make([]string, 17) },
		"Sources[1]":       func(c *drand.Config) { c.Sources = []string{"https://a", "ftp://b"} },
		"Timeout":          func(c *drand.Config) { c.Timeout = 0 },
		"Hedge":            func(c *drand.Config) { c.Hedge = -1 },
		"Retry":            func(c *drand.Config) { c.Retry = 0 },
		"Log":              func(c *drand.Config) { c.Log = nil },
		"Sources[0] is \"": func(c *drand.Config) { c.Sources = []string{"https://a/?x=1"} },
	} {
		cfg := drand.DefaultConfig()
		cfg.Log = slog.New(slog.DiscardHandler)
		change(&cfg)
		if _, err := drand.New(cfg); !errors.Is(err, drand.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrConfig with %q", err, want)
		}
	}
}
