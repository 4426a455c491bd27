package handoff

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// A lane is a bounded queue, whatever is done in which order.
func TestLane_isABoundedQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 1
		capacity := rapid.IntRange(1, 9).Draw(t, "capacity")
		for size < capacity {
			size *= 2
		}
		l := New[int](capacity)
		var queue []int
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				if got, want := l.Full(), len(queue) == size; got != want {
					t.Fatalf("Full is %v with %d of %d, want %v", got, len(queue), size, want)
				}
				v := next
				if l.Put(&v) {
					queue = append(queue, v)
					next++
				} else if len(queue) != size {
					t.Fatalf("Put failed with %d of %d", len(queue), size)
				}
				if len(queue) > size {
					t.Fatalf("%d things in a lane for %d", len(queue), size)
				}
			},
			"take": func(t *rapid.T) {
				if got, want := l.Waiting(), len(queue) > 0; got != want {
					t.Fatalf("Waiting is %v with %d, want %v", got, len(queue), want)
				}
				v := l.Take()
				if v == nil {
					if len(queue) > 0 {
						t.Fatalf("Take found nothing of %v", queue)
					}
					return
				}
				if len(queue) == 0 || *v != queue[0] {
					t.Fatalf("Take: %d, want the first of %v", *v, queue)
				}
				queue = queue[1:]
			},
		})
	})
}

func TestLane_keepsFewSpares(t *testing.T) {
	l := New[int](64)
	var returned []int
	for i := range 2 * spares {
		l.Return(&i)
	}
	for v := l.Spare(); v != nil; v = l.Spare() {
		returned = append(returned, *v)
	}
	if want := []int{0, 1, 2, 3}; !slices.Equal(returned, want) {
		t.Errorf("spares %v, want %v", returned, want)
	}
}

// A sender and a receiver that sleeps: nothing is lost, changed or forgotten,
// and memory goes round.
func TestLane_acrossThreads(t *testing.T) {
	const count = 20000
	type cargo struct{ numbers []int }
	l := New[cargo](8)
	var asleep atomic.Bool
	wake := make(chan struct{}, 1)
	var fresh int
	var sides sync.WaitGroup
	sides.Go(func() {
		for i := 0; i < count; {
			c := l.Spare()
			if c == nil {
				c, fresh = new(cargo), fresh+1
			}
			c.numbers = append(c.numbers[:0], i, i+1)
			for !l.Put(c) {
				runtime.Gosched()
			}
			i += 2
			if asleep.CompareAndSwap(true, false) {
				wake <- struct{}{}
			}
		}
	})
	sides.Go(func() {
		for want := 0; want < count; {
			c := l.Take()
			if c == nil {
				asleep.Store(true)
				if !l.Waiting() || !asleep.CompareAndSwap(true, false) {
					<-wake
				}
				continue
			}
			if len(c.numbers) != 2 || c.numbers[0] != want {
				t.Errorf("took %v, want %d and the next", c.numbers, want)
				return
			}
			want += 2
			l.Return(c)
		}
	})
	sides.Wait()
	if fresh == count/2 {
		t.Error("nothing was used again")
	}
}

func TestLane_allocatesNothing(t *testing.T) {
	l := New[int](4)
	v := new(int)
	if allocs := testing.AllocsPerRun(100, func() {
		l.Put(v)
		l.Return(l.Take())
		v = l.Spare()
	}); allocs != 0 {
		t.Errorf("%v allocations to pass something there and back, want 0", allocs)
	}
}

func BenchmarkLane(b *testing.B) {
	l := New[int](4)
	v := new(int)
	for b.Loop() {
		l.Put(v)
		l.Return(l.Take())
		v = l.Spare()
	}
}
