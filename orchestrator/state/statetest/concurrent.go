package statetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/drtc-network/drtc/orchestrator/state"
)

func updateConcurrentLosesNothing(t *testing.T, s state.Store) {
	const writers, each = 8, 50
	ctx := t.Context()
	must[uint64](t)(s.Create(ctx, "counter", []byte("0")))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				e, err := s.Get(ctx, "counter")
				if err != nil {
					t.Error(err)
					return
				}
				n, err := strconv.Atoi(string(e.Value))
				if err != nil {
					t.Error(err)
					return
				}
				switch _, err := s.Update(ctx, "counter", []byte(strconv.Itoa(n+1)), e.Revision); {
				case err == nil:
					done++
				case !errors.Is(err, state.ErrConflict):
					t.Errorf("got %v, want ErrConflict", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got, want := string(must[state.Entry](t)(s.Get(ctx, "counter")).Value), strconv.Itoa(writers*each); got != want {
		t.Errorf("the counter is at %s after %s increments", got, want)
	}
}

func createConcurrentHasOneWinner(t *testing.T, s state.Store) {
	oneWinner(t, state.ErrExists, func(round, racer int) error {
		_, err := s.Create(t.Context(), fmt.Sprint("k", round), []byte{byte(racer)})
		return err
	})
}

func deleteConcurrentHasOneWinner(t *testing.T, s state.Store) {
	var revisions []uint64
	for round := range rounds {
		revisions = append(revisions, must[uint64](t)(s.Create(t.Context(), fmt.Sprint("k", round), nil)))
	}
	oneWinner(t, state.ErrConflict, func(round, _ int) error {
		return s.Delete(t.Context(), fmt.Sprint("k", round), revisions[round])
	})
}

const rounds, racers = 50, 4

// oneWinner lets the racers do the same at once and wants the error of all but one.
func oneWinner(t *testing.T, loses error, do func(round, racer int) error) {
	t.Helper()
	for round := range rounds {
		var won atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for racer := range racers {
			wg.Go(func() {
				<-start
				switch err := do(round, racer); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, loses):
					t.Errorf("got %v, want %v", err, loses)
				}
			})
		}
		close(start)
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d has %d winners", round, won.Load())
		}
	}
}
