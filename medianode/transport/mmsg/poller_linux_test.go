package mmsg

import (
	"sync"
	"testing"
	"time"
)

// precisions are what a kernel may offer.
var precisions = map[string]bool{"nanoseconds": false, "milliseconds": true}

func TestPoller_waitsForDatagrams(t *testing.T) {
	for precision, coarse := range precisions {
		t.Run(precision, func(t *testing.T) {
			v4, v6 := listen(t, loopbacks["IPv4"]), listen(t, loopbacks["IPv6"])
			p := newPoller(t, v4, v6)
			p.coarse = coarse
			if ready, err := p.Wait(0); len(ready) != 0 || err != nil {
				t.Fatalf("Wait: %v, %v, want nothing", ready, err)
			}
			for _, s := range []*Socket{v4, v6} {
				if _, err := newFar(t, s.Addr()).WriteToUDPAddrPort([]byte{1}, s.Addr()); err != nil {
					t.Fatal(err)
				}
				for range 2 { // until it is read
					ready, err := p.Wait(patience)
					if len(ready) != 1 || ready[0] != s || err != nil {
						t.Fatalf("Wait: %v, %v, want the socket of %v", ready, err, s.Addr())
					}
				}
				await(t, p, s)
			}
		})
	}
}

func TestPoller_waitsForTheTime(t *testing.T) {
	for precision, coarse := range precisions {
		t.Run(precision, func(t *testing.T) {
			p := newPoller(t)
			p.coarse = coarse
			for _, want := range []time.Duration{0, time.Nanosecond, 300 * time.Microsecond, 3*time.Millisecond + 1} {
				began := time.Now()
				if ready, err := p.Wait(want); len(ready) != 0 || err != nil {
					t.Fatalf("Wait: %v, %v, want nothing", ready, err)
				}
				if got := time.Since(began); got < want || got > want+patience {
					t.Errorf("waited %v, want %v", got, want)
				}
			}
		})
	}
}

func TestPoller_wakes(t *testing.T) {
	for precision, coarse := range precisions {
		t.Run(precision, func(t *testing.T) {
			p := newPoller(t)
			p.coarse = coarse
			for i := range 1000 { // before the wait, or during it
				began := time.Now()
				var waker sync.WaitGroup
				waker.Go(p.Wake)
				if _, err := p.Wait(2 * patience); err != nil {
					t.Fatal(err)
				}
				if time.Since(began) >= 2*patience {
					t.Fatalf("Wake %d was lost", i)
				}
				waker.Wait()
			}
			if _, err := p.Wait(0); err != nil { // a Wake that came with the one before
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := p.Wait(time.Millisecond); err != nil || time.Since(began) < time.Millisecond {
				t.Errorf("Wait ended after %v, %v: want each Wake to end one", time.Since(began), err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			p.Wake() // does nothing
		})
	}
}
