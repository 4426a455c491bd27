package tenure_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc/orchestrator/tenure"
)

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
