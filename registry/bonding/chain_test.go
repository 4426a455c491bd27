package bonding_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/record"
)

var errAway = errors.New("no answer from the chain")

// reader is a chain as a test wants it.
type reader struct {
	mu      sync.Mutex
	kept    bool
	reading bonding.Reading
	err     error
	asked   int
}

func (r *reader) Last() (bonding.Reading, bool) { return r.reading, r.kept }

func (r *reader) Read(context.Context) (bonding.Reading, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.reading, r.err
}

// say changes what the chain says next.
func (r *reader) say(block uint64, l bonding.List, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading, r.err = bonding.Reading{List: &l, Block: block, At: time.Unix(int64(block), 0)}, err
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// run is a Chain in a bubble, with what it logs.
func run(t *testing.T, c bonding.ChainConfig, r *reader) (*bonding.Chain, *journal) {
	t.Helper()
	log := new(journal)
	chain, err := bonding.OpenChain(t.Context(), c, r, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- chain.Run(ctx, slog.New(slog.NewTextHandler(log, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return chain, log
}

// pass lets time of the bubble's clock pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func listOf(t *testing.T, serial uint64, registries ...string) bonding.List {
	l := bonding.List{Serial: serial}
	for _, text := range registries {
		l.Registries = append(l.Registries, id(t, text))
	}
	slices.SortFunc(l.Registries, func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
	return l
}

func TestChain_answersByWhatTheChainSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		first := listOf(t, 7, alice)
		first.Orchestrators, first.MinGeneration = []drtc.NodeID{id(t, carol)}, map[drtc.NodeID]uint64{id(t, alice): 3}
		r.say(9, first, nil)
		c, log := run(t, bonding.DefaultChainConfig(), r)
		if !c.Bonded(record.RoleRegistry, id(t, alice)) || c.Bonded(record.RoleRegistry, id(t, bob)) ||
			!c.Bonded(record.RoleOrchestrator, id(t, carol)) || c.Bonded(record.RoleNode, id(t, bob)) || c.MinGeneration(id(t, alice)) != 3 {
			t.Errorf("the first list is not in the answers: %+v", c.List())
		}
		r.say(12, listOf(t, 11, bob), nil)
		pass(6 * time.Second)
		if c.Bonded(record.RoleRegistry, id(t, alice)) || !c.Bonded(record.RoleRegistry, id(t, bob)) || c.MinGeneration(id(t, alice)) != 0 {
			t.Errorf("the change did not reach the answers: %+v", c.List())
		}
		want := bonding.Status{Source: bonding.OnChain, Block: 12, BlockTime: time.Unix(12, 0), CheckedAt: c.Status().CheckedAt}
		if got := c.Status(); got != want || time.Since(got.CheckedAt) > 5*time.Second {
			t.Errorf("status: got %+v, want %+v, checked a moment ago", got, want)
		}
		if !strings.Contains(log.String(), "bonding list changed") || !strings.Contains(log.String(), "serial=11") {
			t.Errorf("the change was not logged: %s", log)
		}
	})
}

func TestChain_anyNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		l := listOf(t, 1, alice)
		l.Nodes = []drtc.NodeID{id(t, carol)}
		r.say(2, l, nil)
		config := bonding.DefaultChainConfig()
		config.AnyNode = true
		c, _ := run(t, config, r)
		if !c.Bonded(record.RoleNode, id(t, bob)) || c.Bonded(record.RoleRegistry, id(t, bob)) {
			t.Error("want every node and no other Registry")
		}
	})
}

// While the chain is away the last list holds, which is said once it lasts, and
// from time to time; when the chain is back all is well by itself.
func TestChain_awayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		r.say(9, listOf(t, 7, alice), nil)
		c, log := run(t, bonding.DefaultChainConfig(), r)
		checked := c.Status().CheckedAt
		r.say(0, bonding.List{}, errAway)
		pass(20 * time.Second)
		if s := c.Status(); s.Problem != "" || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("after 20 s: got %+v and %s, want patience for 30 s", s, log)
		}
		pass(25 * time.Second)
		s := c.Status()
		if !strings.Contains(s.Problem, "the chain cannot be read since") || strings.Contains(s.Problem, errAway.Error()) || s.Block != 9 ||
			s.CheckedAt.Sub(checked) > 5*time.Second {
			t.Errorf("after 45 s: got %+v, want a problem that tells strangers no details", s)
		}
		if !c.Bonded(record.RoleRegistry, id(t, alice)) || c.Bonded(record.RoleRegistry, id(t, bob)) {
			t.Error("the last list does not hold")
		}
		pass(15 * time.Minute)
		if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), errAway.Error()) {
			t.Errorf("in 16 minutes: %d warnings, want 2 with the reason: %s", n, log)
		}
		r.say(99, listOf(t, 80, alice, bob), nil)
		pass(6 * time.Second)
		if s := c.Status(); s.Problem != "" || s.Block != 99 || !c.Bonded(record.RoleRegistry, id(t, bob)) || !strings.Contains(log.String(), "the chain is back") {
			t.Errorf("when it is back: got %+v, %s", s, log)
		}
		r.say(0, bonding.List{}, errAway)
		pass(10 * time.Second)
		if s := c.Status(); s.Problem != "" {
			t.Errorf("a short failure after that: got %+v, want patience anew", s)
		}
	})
}

func TestOpenChain_startsFromWhatWasKeptWhileTheChainIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{kept: true}
		r.say(9, listOf(t, 7, alice), errAway)
		c, _ := run(t, bonding.DefaultChainConfig(), r)
		if !c.Bonded(record.RoleRegistry, id(t, alice)) || c.Status().Block != 9 || !c.Status().CheckedAt.IsZero() {
			t.Errorf("got %+v of %+v, want the kept list, not checked", c.List(), c.Status())
		}
		pass(time.Minute)
		if s := c.Status(); s.Problem == "" {
			t.Errorf("a minute later: got %+v, want a problem", s)
		}
	})
}

func TestOpenChain_waitsForItsFirstList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		r.say(0, bonding.List{}, errAway)
		time.AfterFunc(time.Minute, func() { r.say(9, listOf(t, 7, alice), nil) })
		var log bytes.Buffer
		begun := time.Now()
		c, err := bonding.OpenChain(t.Context(), bonding.DefaultChainConfig(), r, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || !c.Bonded(record.RoleRegistry, id(t, alice)) || time.Since(begun) < time.Minute {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
		if !strings.Contains(log.String(), "waits for the chain") || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("want the wait said once, got %s", log.String())
		}
	})
}

func TestOpenChain_givesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		r.say(0, bonding.List{}, bonding.ErrMisconfigured)
		if _, err := bonding.OpenChain(t.Context(), bonding.DefaultChainConfig(), r, slog.New(slog.DiscardHandler)); !errors.Is(err, bonding.ErrMisconfigured) || r.asked != 1 {
			t.Errorf("of another chain: got %v after %d questions, want ErrMisconfigured after 1", err, r.asked)
		}
		r.say(0, bonding.List{}, errAway)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := bonding.OpenChain(ctx, bonding.DefaultChainConfig(), r, slog.New(slog.DiscardHandler)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("told to stop: got %v, want the context's error", err)
		}
		r.kept = true
		r.say(9, listOf(t, 7, alice), bonding.ErrMisconfigured)
		if _, err := bonding.OpenChain(t.Context(), bonding.DefaultChainConfig(), r, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("with a list of before: got %v, want to go on with it", err)
		}
	})
}

func TestChainConfig_validateNamesTheField(t *testing.T) {
	for field, c := range map[string]bonding.ChainConfig{
		"poll_every": {AwayAfter: time.Second}, "away_after": {PollEvery: time.Second, AwayAfter: -1},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func TestFile_saysThatItsListMayBeOld(t *testing.T) {
	f, path := open(t, `{"serial":1,"registries":["`+alice+`"]}`)
	if s := f.Status(); s.Source != bonding.OnDisk || s.Problem != "" || s.CheckedAt.IsZero() {
		t.Errorf("good: got %+v", s)
	}
	now := time.Now()
	write(t, path, `{"serial":2,"registries":7}`, now.Add(-time.Minute))
	for range 2 { // the second time it is not reported again
		_, _ = f.Reload(now)
		if s := f.Status(); s.Problem == "" || strings.Contains(s.Problem, path) {
			t.Errorf("bad: got %+v, want a problem without a path", s)
		}
	}
	write(t, path, `{"serial":3}`, now.Add(-30*time.Second))
	if _, err := f.Reload(now); err != nil || f.Status().Problem != "" {
		t.Errorf("good again: got %+v, %v", f.Status(), err)
	}
}
