package tenure_test

import (
	"context"
	"errors"
	"fmt"
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

// way is a connection to a store that may be cut, slow, or lose answers.
type way struct {
	state.Store
	mu      sync.Mutex
	random  *rand.Rand
	cut     chan struct{} // not nil while nothing passes; closed when it does again
	loss    float64       // of answers
	streams []state.Stream
}

var errLost = errors.New("the connection was lost")

// pass waits like a paused process or fails like a cut connection.
func (w *way) pass(ctx context.Context) error {
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if cut == nil {
		return nil
	}
	select {
	case <-cut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *way) answer(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loss > 0 && w.random.Float64() < w.loss {
		return errLost
	}
	return err
}

func (w *way) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case cut && w.cut == nil:
		w.cut = make(chan struct{})
	case !cut && w.cut != nil:
		close(w.cut)
		w.cut = nil
	}
}

// breakStreams ends the watches, as a lost connection does.
func (w *way) breakStreams() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		s.Close()
	}
	w.streams = nil
}

func (w *way) Get(ctx context.Context, key string) (state.Entry, error) {
	if err := w.pass(ctx); err != nil {
		return state.Entry{}, err
	}
	e, err := w.Store.Get(ctx, key)
	return e, w.answer(err)
}

func (w *way) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := w.pass(ctx); err != nil {
		return 0, err
	}
	r, err := w.Store.Create(ctx, key, value)
	return r, w.answer(err)
}

func (w *way) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	if err := w.pass(ctx); err != nil {
		return 0, err
	}
	r, err := w.Store.Update(ctx, key, value, last)
	return r, w.answer(err)
}

func (w *way) Delete(ctx context.Context, key string, last uint64) error {
	if err := w.pass(ctx); err != nil {
		return err
	}
	return w.answer(w.Store.Delete(ctx, key, last))
}

func (w *way) Watch(ctx context.Context, prefix string) (state.Stream, error) {
	if err := w.pass(ctx); err != nil {
		return nil, err
	}
	s, err := w.Store.Watch(ctx, prefix)
	if err == nil {
		w.mu.Lock()
		w.streams = append(w.streams, s)
		w.mu.Unlock()
		s = held{s, w}
	}
	return s, err
}

// held is a stream that waits while the way is cut.
type held struct {
	state.Stream
	way *way
}

func (h held) Next(ctx context.Context) (state.Event, error) {
	e, err := h.Stream.Next(ctx)
	if e := h.way.pass(ctx); e != nil {
		return state.Event{}, e
	}
	return e, err
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

// fence is a Media Node: it takes a write of a room unless it knows a higher term,
// and remembers who had which term.
type fence struct {
	mu   sync.Mutex
	high map[tenure.Key]uint64
	of   map[string]string // room and term to process
	bad  []string
}

func (f *fence) write(process string, room tenure.Key, term uint64) (known uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprint(room, " ", term)
	if other, had := f.of[id]; had && other != process {
		f.bad = append(f.bad, fmt.Sprintf("%s is written by %s and %s", id, process, other))
	}
	f.of[id] = process
	if term < f.high[room] {
		return f.high[room], false
	}
	f.high[room] = term
	return term, true
}

// serve is a member's composition: it takes rooms that clients ask for or that are
// offered, writes them, and stops when it hears that it lost them.
func serve(ctx context.Context, p *party, process string, f *fence, rooms []tenure.Key, random *rand.Rand) {
	writing := map[tenure.Key]uint64{}
	for ctx.Err() == nil {
		select {
		case <-time.After(time.Duration(20+random.IntN(60)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		if p.way.pass(ctx) != nil { // a paused process does nothing
			return
		}
		lost, offered := p.told()
		p.mu.Lock()
		p.lost, p.offered = nil, nil
		p.mu.Unlock()
		for _, room := range lost {
			if o, err := p.Owner(ctx, room); err == nil && o.Term != writing[room] {
				delete(writing, room)
			}
		}
		asked := append(offered, rooms[random.IntN(len(rooms))])
		for _, room := range asked {
			if writing[room] != 0 {
				continue
			}
			if o, err := p.Owner(ctx, room); err != nil || o.Member != "" && o.Member != process[:1] {
				continue
			}
			if term, err := p.Take(ctx, room); err == nil {
				writing[room] = term
			}
		}
		for room, term := range writing {
			if random.IntN(200) == 0 { // for balance
				delete(writing, room)
				_ = p.Release(ctx, room, p.Heir(room)) // the store may be away
				continue
			}
			if known, ok := f.write(process, room, term); !ok {
				delete(writing, room)
				if term, err := p.Fenced(ctx, room, known); err == nil {
					writing[room] = term
				}
			}
		}
	}
}

// Clocks that are wrong by hours, processes that pause, answers that are lost and
// ways to the store that are cut: no term is written by two, and in the end each
// room has one writer again.
func TestKeeper_chaos(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			s, f := store(t), &fence{high: map[tenure.Key]uint64{}, of: map[string]string{}}
			rooms := []tenure.Key{"x", "y", "z"}
			ctx, cancel := context.WithCancel(context.Background())
			var group sync.WaitGroup
			names := []string{"a", "b", "c"}
			parties := make([]*party, len(names))
			lives := 0
			start := func(i int) {
				lives++
				skew := time.Duration(random.IntN(48)-24) * time.Hour
				p := join(t, s, names[i], func(c *tenure.Config) { c.Now = func() time.Time { return time.Now().Add(skew) } })
				p.way.random = rand.New(rand.NewPCG(uint64(seed), uint64(lives)))
				parties[i] = p
				process, own := fmt.Sprint(names[i], lives), rand.New(rand.NewPCG(uint64(seed), uint64(100+lives)))
				group.Go(func() { serve(ctx, p, process, f, rooms, own) })
			}
			for i := range names {
				start(i)
			}
			for range 40 {
				time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
				i := random.IntN(len(parties))
				p := parties[i]
				switch random.IntN(6) {
				case 0, 1:
					p.way.setCut(true)
				case 2, 3:
					p.way.setCut(false)
				case 4:
					p.way.mu.Lock()
					p.way.loss = []float64{0, 0.05, 0.3}[random.IntN(3)]
					p.way.mu.Unlock()
				case 5:
					p.way.breakStreams()
				}
			}
			for _, p := range parties {
				p.way.setCut(false)
				p.way.mu.Lock()
				p.way.loss = 0
				p.way.mu.Unlock()
			}
			time.Sleep(20 * time.Second)
			for _, room := range rooms {
				var holders []string
				for i, p := range parties {
					if o := p.owner(t, room); o.Mine {
						holders = append(holders, names[i])
					}
				}
				if len(holders) > 1 {
					t.Errorf("seed %d: room %s is held by %v", seed, room, holders)
				}
			}
			f.mu.Lock()
			before := len(f.of)
			written := map[tenure.Key]uint64{}
			for room, term := range f.high {
				written[room] = term
			}
			f.mu.Unlock()
			if len(written) != len(rooms) || before < len(rooms) {
				t.Errorf("seed %d: %d rooms were written", seed, len(written))
			}
			for _, bad := range f.bad {
				t.Errorf("seed %d: %s", seed, bad)
			}
			cancel()
			group.Wait()
			for _, p := range parties {
				p.end(t)
			}
		})
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
