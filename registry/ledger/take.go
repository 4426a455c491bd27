package ledger

import (
	"runtime"
	"sync"
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// fewToVerify is how many records one goroutine verifies faster than several
// could share out.
const fewToVerify = 16

// Take joins records that another Registry sent and returns one Result for
// each. They are held when it returns, and on disk a little later. It waits
// when the disk is far behind.
func (l *Ledger) Take(now time.Time, records []envelope.Envelope, p record.Path) []record.Result {
	l.hold()
	results := make([]record.Result, len(records))
	workers := 1
	if len(records) > fewToVerify {
		workers = runtime.GOMAXPROCS(0)
	}
	var all sync.WaitGroup
	share := (len(records) + workers - 1) / workers
	for from := 0; from < len(records); from += share {
		to := min(from+share, len(records))
		take := func() {
			for i := from; i < to; i++ {
				results[i].Outcome, _, results[i].Err = l.join(now, records[i], p)
			}
		}
		if to == len(records) { // the last share is the caller's
			take()
		} else {
			all.Go(take)
		}
	}
	all.Wait()
	return results
}

// hold waits while too much waits for the disk.
func (l *Ledger) hold() {
	for {
		l.mu.Lock()
		full, wait := len(l.open.put) >= l.config.MaxOpen && l.failure == nil, l.inflight.done
		if full {
			l.await()
			wait = l.open.done
		}
		l.mu.Unlock()
		if !full {
			return
		}
		<-wait
	}
}
