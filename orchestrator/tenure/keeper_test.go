package tenure_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/jetstream"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
	"github.com/drtc-network/drtc/orchestrator/tenure"
)

// party is a member in a test, with its own way to the store.
type party struct {
	*tenure.Keeper
	way  *way
	stop context.CancelFunc
	err  chan error

	mu      sync.Mutex
	lost    []tenure.Key
	offered []tenure.Key
}

func store(t testing.TB) state.Store {
	t.Helper()
	s, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// join starts a member; in a bubble it is ended with the test's context.
func join(t testing.TB, s state.Store, name string, change ...func(*tenure.Config)) *party {
	t.Helper()
	p := &party{way: &way{Store: s, random: rand.New(rand.NewPCG(1, 2))}, err: make(chan error, 1)}
	c := tenure.Config{Store: p.way, Member: name, URL: "http://" + name + ":1"}
	for _, f := range change {
		f(&c)
	}
	k, err := tenure.New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Keeper = k
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		for {
			select {
			case room := <-k.Lost():
				p.mu.Lock()
				p.lost = append(p.lost, room)
				p.mu.Unlock()
			case room := <-k.Offered():
				p.mu.Lock()
				p.offered = append(p.offered, room)
				p.mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() { p.err <- k.Run(ctx) }()
	return p
}

func (p *party) told() (lost, offered []tenure.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lost), slices.Clone(p.offered)
}

func (p *party) end(t testing.TB) {
	t.Helper()
	p.stop()
	if err := <-p.err; err != nil {
		t.Errorf("run: %v", err)
	}
}

func (p *party) owner(t testing.TB, room tenure.Key) tenure.Owner {
	t.Helper()
	o, err := p.Owner(context.Background(), room)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (p *party) take(t testing.TB, room tenure.Key) uint64 {
	t.Helper()
	term, err := p.Take(context.Background(), room)
	if err != nil {
		t.Fatal(err)
	}
	return term
}

const room = tenure.Key("shop/Lobby äöü")

func TestTake_oneOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b := join(t, s, "a"), join(t, s, "b")
		term := a.take(t, room)
		if again := a.take(t, room); again != term {
			t.Errorf("taking it again: got %d, want %d", again, term)
		}
		synctest.Wait()
		if got, want := b.owner(t, room), (tenure.Owner{Member: "a", URL: "http://a:1", Term: term}); got != want {
			t.Errorf("b sees %+v, want %+v", got, want)
		}
		var taken *tenure.TakenError
		if _, err := b.Take(context.Background(), room); !errors.As(err, &taken) || taken.Owner.Member != "a" {
			t.Errorf("b takes it: got %v, want that a has it", err)
		}
		if err := a.End(context.Background(), room); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := b.owner(t, room); got.Member != "" {
			t.Errorf("after its end b sees %+v, want nobody", got)
		}
		if entries, err := s.List(context.Background(), tenure.RoomPrefix); err != nil || len(entries) != 0 {
			t.Errorf("after its end the store has %v, %v", entries, err)
		}
		a.end(t)
		b.end(t)
	})
}

func TestRun_aMemberThatEndsLeavesItsRoomsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b := join(t, s, "a"), join(t, s, "b")
		first := a.take(t, room)
		synctest.Wait()
		a.end(t)
		synctest.Wait()
		if _, offered := b.told(); !slices.Contains(offered, room) {
			t.Errorf("b is offered %v, want the room", offered)
		}
		if next := b.take(t, room); next <= first {
			t.Errorf("b has term %d after %d", next, first)
		}
		b.end(t)
	})
}

// The end comes upon a beat that the store has taken and not answered yet.
func TestRun_endsUponABeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a := join(t, s, "a")
		a.take(t, room)
		a.way.hold(tenure.MemberPrefix + "a")
		time.Sleep(1500 * time.Millisecond)
		a.end(t)
		if e, err := s.Get(t.Context(), tenure.MemberPrefix+"a"); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("after its end the store has %s (%v), want nothing", e.Value, err)
		}
	})
}

// A member that was paused or cut off loses its rooms in 3 s and learns of it.
func TestRun_aMemberThatIsCutOffIsSucceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b := join(t, s, "a"), join(t, s, "b")
		first := a.take(t, room)
		time.Sleep(5500 * time.Millisecond)
		a.way.setCut(true) // half a second after it beat last
		time.Sleep(1400 * time.Millisecond)
		if o := b.owner(t, room); o.Member != "a" {
			t.Errorf("1.9 s after its last beat b sees %+v, want a", o)
		}
		time.Sleep(1200 * time.Millisecond)
		if _, offered := b.told(); !slices.Contains(offered, room) {
			t.Errorf("3.1 s after its last beat b is offered %v, want the room", offered)
		}
		next := b.take(t, room)
		if o := a.owner(t, room); !o.Mine || next <= first {
			t.Errorf("a sees %+v with term %d, and b has %d", o, first, next)
		}
		time.Sleep(time.Minute)
		a.way.setCut(false)
		synctest.Wait()
		if lost, _ := a.told(); !slices.Equal(lost, []tenure.Key{room}) {
			t.Errorf("a lost %v when it came back, want the room", lost)
		}
		if o := a.owner(t, room); o.Member != "b" {
			t.Errorf("a sees %+v when it came back, want b", o)
		}
		time.Sleep(5 * time.Second)
		if lost, _ := b.told(); len(lost) != 0 || !slices.Equal(b.Members(), []string{"a", "b"}) {
			t.Errorf("b lost %v and sees the members %v", lost, b.Members())
		}
		a.end(t)
		b.end(t)
	})
}

// A member that is alone with a broken store keeps what it has.
func TestRun_withoutAStoreNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := join(t, store(t), "a")
		term := a.take(t, room)
		a.way.setCut(true)
		a.way.breakStreams()
		time.Sleep(time.Hour)
		if o := a.owner(t, room); !o.Mine || o.Term != term {
			t.Errorf("got %+v, want it still held", o)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := a.Take(ctx, "another"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("taking another: got %v, want a timeout", err)
		}
		a.way.setCut(false)
		time.Sleep(5 * time.Second)
		if lost, _ := a.told(); len(lost) != 0 || a.take(t, "another") == 0 {
			t.Errorf("after it a lost %v", lost)
		}
		a.end(t)
	})
}

func TestRelease_handsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b, c := join(t, s, "a"), join(t, s, "b"), join(t, s, "c")
		first := a.take(t, room)
		if err := a.Release(context.Background(), room, "b"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if o := c.owner(t, room); o.Member != "b" || o.Term != 0 {
			t.Errorf("c sees %+v, want b, which has not taken it", o)
		}
		if _, offered := b.told(); !slices.Contains(offered, room) {
			t.Errorf("b is offered %v, want the room", offered)
		}
		if next := b.take(t, room); next <= first {
			t.Errorf("b has term %d after %d", next, first)
		}
		if err := a.Release(context.Background(), room, "b"); !errors.Is(err, tenure.ErrNotHeld) {
			t.Errorf("a second time: got %v, want ErrNotHeld", err)
		}
		if lost, _ := a.told(); len(lost) != 0 {
			t.Errorf("a lost %v, but it gave it away", lost)
		}
		for _, p := range []*party{a, b, c} {
			p.end(t)
		}
	})
}

// A process that was killed and started again has its rooms back at once.
func TestRun_anotherLifeOfAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		old := join(t, s, "a")
		first := old.take(t, room)
		old.way.setCut(true) // killed: nothing more is heard of it
		next := join(t, s, "a")
		synctest.Wait()
		if _, offered := next.told(); !slices.Contains(offered, room) {
			t.Errorf("the next life is offered %v, want its room", offered)
		}
		if term := next.take(t, room); term <= first {
			t.Errorf("the next life has term %d after %d", term, first)
		}
		old.way.setCut(false) // it was not dead: two processes have one name
		if err := <-old.err; !errors.Is(err, tenure.ErrUsurped) {
			t.Errorf("the old process: got %v, want ErrUsurped", err)
		}
		old.stop()
		time.Sleep(5 * time.Second)
		if o := next.owner(t, room); !o.Mine {
			t.Errorf("the next life sees %+v", o)
		}
		next.end(t)
	})
}

func TestFenced_raisesOrLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b := join(t, s, "a"), join(t, s, "b")
		term := a.take(t, room)
		if got, err := a.Fenced(context.Background(), room, 0); err != nil || got != term {
			t.Errorf("nothing is wrong: got %d, %v, want %d", got, err, term)
		}
		up, err := a.Fenced(context.Background(), room, term+100)
		if err != nil || up <= term+100 {
			t.Errorf("a node knows %d: got %d, %v", term+100, up, err)
		}
		if o := a.owner(t, room); o.Term != up || !o.Mine {
			t.Errorf("got %+v, want term %d", o, up)
		}
		a.way.breakStreams() // it hears nothing for a moment
		if err := a.Release(context.Background(), room, ""); err != nil {
			t.Fatal(err)
		}
		a.take(t, room)
		e, err := s.List(context.Background(), tenure.RoomPrefix)
		if err != nil || len(e) != 1 {
			t.Fatal(e, err)
		}
		if _, err := s.Update(context.Background(), e[0].Key, []byte(strings.Replace(string(e[0].Value), `"member":"a"`, `"member":"b"`, 1)), e[0].Revision); err != nil {
			t.Fatal(err)
		}
		var taken *tenure.TakenError
		if _, err := a.Fenced(context.Background(), room, up); !errors.As(err, &taken) || taken.Owner.Member != "b" {
			t.Errorf("another has it: got %v, want that b has it", err)
		}
		synctest.Wait()
		if lost, _ := a.told(); !slices.Equal(lost, []tenure.Key{room}) {
			t.Errorf("a lost %v, want the room", lost)
		}
		if _, err := a.Fenced(context.Background(), room, up); !errors.Is(err, tenure.ErrNotHeld) {
			t.Errorf("once more: got %v, want ErrNotHeld", err)
		}
		a.end(t)
		b.end(t)
	})
}

func TestTake_anyNameOfARoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b := join(t, s, "a"), join(t, s, "b")
		names := []tenure.Key{"", ".", "a.b", "*", tenure.Key(strings.Repeat("x", 300)), tenure.Key(strings.Repeat("x", 5000)), tenure.Key(strings.Repeat("x", 5001))}
		for _, name := range names {
			a.take(t, name)
		}
		synctest.Wait()
		for _, name := range names {
			if o := b.owner(t, name); o.Member != "a" {
				t.Errorf("%.20q: b sees %+v", name, o)
			}
		}
		if len(a.Held()) != len(names) {
			t.Errorf("a holds %d rooms, want %d", len(a.Held()), len(names))
		}
		a.end(t)
		synctest.Wait()
		_, offered := b.told()
		slices.Sort(offered)
		slices.Sort(names)
		if !slices.Equal(offered, names) {
			t.Errorf("b is offered %d rooms, want %d", len(offered), len(names))
		}
		b.end(t)
	})
}

func TestConfig_namesTheField(t *testing.T) {
	s := store(t)
	for field, c := range map[string]tenure.Config{
		"Store":  {Member: "a"},
		"Member": {Store: s, Member: "a.b"},
		"Beat":   {Store: s, Member: "a", Beat: time.Millisecond},
		"URL":    {Store: s, Member: "a", URL: "a:1"},
	} {
		if _, err := tenure.New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want it to name %s", err, field)
		}
	}
}

// The same over JetStream, in real time with quick beats.
func TestKeeper_overJetStream(t *testing.T) {
	const token = "a token of members"
	server, err := jetstream.Embedded(t.Context(), jetstream.EmbeddedConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	other, err := jetstream.Connect(t.Context(), jetstream.ConnectConfig{URLs: []string{server.URL()}, Token: token, Bucket: jetstream.DefaultBucket})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	quick := func(c *tenure.Config) { c.Beat = 100 * time.Millisecond }
	a, b := join(t, server, "a", quick), join(t, other, "b", quick)
	first := a.take(t, room)
	var taken *tenure.TakenError
	if _, err := b.Take(t.Context(), room); !errors.As(err, &taken) || taken.Owner.Member != "a" {
		t.Fatalf("b takes what a has just taken: got %v, want that a has it", err)
	}
	a.way.setCut(true)
	for {
		term, err := b.Take(t.Context(), room)
		if err == nil {
			if term <= first {
				t.Errorf("the next term is %d after %d", term, first)
			}
			break
		}
		if !errors.As(err, &taken) {
			t.Fatal(err)
		}
	}
	a.way.setCut(false)
	for {
		if o := a.owner(t, room); !o.Mine {
			break
		}
	}
	a.end(t)
	b.end(t)
}
