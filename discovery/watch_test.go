package discovery

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

const watches = "drtc_discovery_watches_total"

// offers makes the Registry offer a Watch stream.
func (f *fakeRegistry) offers() chan<- *registryv1.WatchResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = make(chan *registryv1.WatchResponse, 1000)
	return f.watch
}

func onWire(t *testing.T, e envelope.Envelope) *registryv1.Record {
	t.Helper()
	var r registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func message(t *testing.T, complete bool, records ...envelope.Envelope) *registryv1.WatchResponse {
	t.Helper()
	m := &registryv1.WatchResponse{Complete: complete}
	for _, e := range records {
		m.Records = append(m.Records, onWire(t, e))
	}
	return m
}

// repeat sends a message until the test ends: the first may go to a stream that
// the Registry does not know to be dead.
func repeat(t *testing.T, stream chan<- *registryv1.WatchResponse, m *registryv1.WatchResponse) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case stream <- m:
			default:
			}
		}
	}()
}

func hides(k *identity.Key) *registryv1.WatchResponse {
	id := k.ID()
	return &registryv1.WatchResponse{Hidden: [][]byte{id[:]}}
}

func TestWatch_followsTheStream(t *testing.T) {
	a, b := newKey(t), newKey(t)
	now := time.Now()
	recordA, recordB := sign(t, a, now, nil), sign(t, b, now, nil)
	f := newFake(t)
	stream := f.offers()
	r := run(t, f)
	stream <- message(t, false, recordA)
	stream <- message(t, true, recordB)
	r.untilShown("all that there was", a, b)
	stream <- hides(a)
	r.untilShown("one less", b)
	stream <- message(t, false, recordA)
	r.untilShown("the same record is shown again", a, b)
	stream <- message(t, false, sign(t, b, now, func(e *envelope.Envelope, n *registryv1.NodeBody) { e.Seq, n.LoadMbps = 2, 77 }))
	r.until("the newer record", func(have []Node) bool {
		return len(have) == 2 && (have[0].LoadMbps == 77 || have[1].LoadMbps == 77)
	})
	stream <- message(t, false, sign(t, a, now, tombstone))
	r.untilShown("it left", b)
	if n := r.counter(polls, "registry", f.URL); n != 0 {
		t.Errorf("asked %v times beside the stream, want never", n)
	}
}

func TestWatch_nothingIsSaidUntilAllIs(t *testing.T) {
	a, b := newKey(t), newKey(t)
	now := time.Now()
	f, polled := newFake(t), newFake(t, sign(t, b, now, nil))
	stream := f.offers()
	stream <- message(t, false, sign(t, a, now, nil))
	r := run(t, f, polled)
	r.untilShown("what the other lists", b)
	r.counted(polls, "registry", polled.URL, 3)
	r.untilShown("still, alone", b)
	stream <- &registryv1.WatchResponse{Complete: true}
	r.untilShown("and what the stream told", a, b)
}

func TestWatch_asksWhenTheStreamEndsAndWatchesAgain(t *testing.T) {
	a, b := newKey(t), newKey(t)
	now := time.Now()
	f := newFake(t, sign(t, a, now, nil), sign(t, b, now, nil))
	stream := f.offers()
	stream <- message(t, true, sign(t, a, now, nil))
	r := run(t, f)
	r.untilShown("by the stream", a)
	close(stream)
	r.untilShown("by asking", a, b)
	stream = f.offers()
	stream <- message(t, true, sign(t, b, now, nil))
	r.untilShown("by a new stream", b)
	if n := r.counter(watches, "outcome", "complete"); n < 1 {
		t.Errorf("%v streams counted as complete, want at least 1", n)
	}
}

func TestWatch_silentStreamIsOpenedAgain(t *testing.T) {
	a := newKey(t)
	f := newFake(t)
	stream := f.offers()
	c := testConfig(f.URL)
	c.Silence = 50 * time.Millisecond
	stream <- message(t, true)
	r := runWith(t, c)
	r.counted(watches, "outcome", "complete", 1)
	repeat(t, stream, message(t, true, sign(t, a, time.Now(), nil)))
	r.untilShown("by the next stream", a)
}

func TestWatch_lyingStreamIsCutOff(t *testing.T) {
	victim := newKey(t)
	altered := sign(t, victim, time.Now(), nil)
	altered.Seq++
	f := newFake(t)
	stream := f.offers()
	for range maxBad + 1 {
		stream <- message(t, false, altered)
	}
	r := run(t, f)
	r.counted(refusals, "reason", "signature", maxBad+1)
	r.counted(watches, "outcome", "incomplete", 1)
	repeat(t, stream, &registryv1.WatchResponse{Records: []*registryv1.Record{{}}, Hidden: [][]byte{{1}}})
	r.counted(refusals, "reason", "malformed", 1)
	r.counted(watches, "outcome", "incomplete", 2)
	r.untilShown("nothing of it")
}
