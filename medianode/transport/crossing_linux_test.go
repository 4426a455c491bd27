package transport

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport/mmsg"
	"github.com/prometheus/client_golang/prometheus"
)

// startTwo runs a node with two workers.
func startTwo(t *testing.T) (*node, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return startNode(t, twoWorkers, func(cfg *Config) { cfg.Metrics = registry }), registry
}

func received(c engine.Counters) uint64 { return c.Received }

// The kernel gives a flow to a worker by its ports. Whichever that is, the
// worker that has the peer takes its checks and its media.
func TestCrossing_flowsReachTheirPeer(t *testing.T) {
	const callers, packets = 40, 5
	n, registry := startTwo(t)
	homes := map[engine.CoreID]int{}
	for id := engine.PeerID(1); id <= callers; id++ {
		c := n.call(t, id, "RM")
		c.arrive(t)
		for range packets {
			c.speak(t)
		}
		c.awaitAddress(t)
		homes[c.home(t).id]++
	}
	if len(homes) != 2 {
		t.Errorf("all callers are with workers %v, want two", homes)
	}
	eventually(t, func() string {
		if got := n.sum(received); got != callers*packets {
			return fmt.Sprintf("%d packets were taken, want %d", got, callers*packets)
		}
		return ""
	})
	// Half of the flows are with the wrong worker, so these bounds are very far.
	if strays := gathered(t, registry, "handoff_datagrams_total"); strays < 2*packets || strays > (callers-2)*(packets+1) {
		t.Errorf("%v datagrams were handed over of %d, want about half", strays, callers*(packets+1))
	}
	if drops := gathered(t, registry, "handoff_drops_total"); drops != 0 {
		t.Errorf("%v drops, want none", drops)
	}
}

// A client that comes from another port is followed by the first sign of it,
// also where the kernel gives the new flow to the other worker.
func TestCrossing_addressChangesAreFollowed(t *testing.T) {
	for name, sign := range map[string]func(*caller, *testing.T){
		"by a check":   (*caller).check,
		"by its media": (*caller).speak,
		"by a report":  (*caller).report,
	} {
		t.Run(name, func(t *testing.T) {
			n, registry := startTwo(t)
			publisher := n.call(t, 1, "RM")
			publisher.arrive(t)
			c := n.call(t, 2, "RM")
			// One that receives alone is looked for among the subscribers.
			n.do(t, 2, func(now time.Time, core *engine.Core, _ *engine.Batch) {
				if err := core.Subscribe(now, 2, engine.SubscribeConfig{
					Track: publisher.track(), Home: publisher.home(t).id, SSRC: 5000, RTX: 5001,
				}); err != nil {
					t.Error(err)
				}
			})
			c.arrive(t)
			c.speak(t)
			eventually(t, func() string { // or it comes after the first move
				if n.sum(received) == 0 {
					return "the caller is not heard"
				}
				return ""
			})
			handed := 0.0
			stayed, crossed := 0, 0
			for range 200 {
				if stayed > 2 && crossed > 2 {
					break
				}
				c.move(t)
				sign(c, t)
				c.awaitAddress(t)
				before := handed
				if handed = gathered(t, registry, "handoff_datagrams_total"); handed == before {
					stayed++
				} else {
					crossed++
				}
			}
			if stayed < 3 || crossed < 3 {
				t.Errorf("%d flows came to the right worker and %d to the other, want both", stayed, crossed)
			}
		})
	}
}

// Two clients behind one socket, one after the other: the address is the one's
// who showed it last, and the other's again when that one is gone.
func TestCrossing_anAddressHasOneOwner(t *testing.T) {
	n, _ := startTwo(t)
	a := n.call(t, 1, "RM_a")
	b := n.call(t, 2, "RM_b")
	if a.home(t) == b.home(t) {
		t.Fatal("both callers are with one worker, want rooms spread")
	}
	takes := func(c *caller) {
		t.Helper()
		taken := func() (count uint64) {
			w := c.home(t)
			w.enter(func(time.Time) { count = n.cores[w.id].Counters().Received })
			return count
		}
		before := taken()
		eventually(t, func() string {
			c.speak(t)
			if taken() == before {
				return fmt.Sprintf("caller %d is not heard", c.id)
			}
			return ""
		})
	}
	a.arrive(t)
	takes(a)
	b.conn = a.conn
	b.arrive(t)
	takes(b)
	if contested := n.directory.contested.Load(); contested != 1 {
		t.Errorf("%d contested addresses, want 1", contested)
	}
	n.Close(2)
	n.awaitClosed(t, 2, ErrClosed)
	takes(a)
	if contested := n.directory.contested.Load(); contested != 0 {
		t.Errorf("%d contested addresses, want 0", contested)
	}
}

// Media of a publisher reaches the subscribers of both workers, all of it and in
// order, whichever socket its flow comes to.
func TestCrossing_mediaReachesAllSubscribers(t *testing.T) {
	const subscribers, packets = 8, 50
	n, registry := startTwo(t)
	publisher := n.call(t, 1, "RM")
	publisher.arrive(t)
	home := publisher.home(t)
	var all []*caller
	crossed := 0
	for id := engine.PeerID(2); id < 2+subscribers; id++ {
		c := n.call(t, id, "RM")
		c.arrive(t)
		c.subscribe(t, publisher, home.id)
		if c.home(t) != home {
			crossed++
		}
		all = append(all, c)
	}
	if crossed != subscribers/2 {
		t.Fatalf("%d of %d subscribers are with the other worker, want half", crossed, subscribers)
	}
	// A subscription begins when the other worker has heard of the track.
	for _, c := range all {
		eventually(t, func() string {
			publisher.speak(t)
			return c.hears(t, 5*time.Millisecond)
		})
	}
	first := publisher.sequence
	for range packets {
		publisher.speak(t)
	}
	for _, c := range all {
		for want := first; want < first+packets; {
			got := c.listen(t)
			if got > want {
				t.Fatalf("caller %d heard packet %d, want %d", c.id, got, want)
			}
			if got == want {
				want++
			}
		}
	}
	if drops := gathered(t, registry, "handoff_drops_total"); drops != 0 {
		t.Errorf("%v drops, want none", drops)
	}
	if parcels := gathered(t, registry, "handoff_parcels_total"); parcels < 2 {
		t.Errorf("%v parcels were handed over, want some each way", parcels)
	}
	count, sum, _ := histogram(t, registry, "forward_delay_seconds")
	if mean := sum / count; count < 2*packets || mean <= 0 || mean > 1 {
		t.Errorf("delay of %v packets, %v s on average, want two of each packet: one by each worker", count, mean)
	}
}

// A worker that stands still loses media and no state: when it goes on, it
// forwards what comes then, and what it was asked for meanwhile.
func TestCrossing_stateSurvivesAFullLane(t *testing.T) {
	f := newForwarding(t, profiles[0], 3, twoWorkers)
	home, err := f.Home(0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := f.workers[home], f.workers[1-home]
	var sent flushes
	far.enter(func(time.Time) { far.egress = &sent })
	exchange := func() {
		for range 3 { // want, state, media
			far.turn(time.Now())
			near.turn(time.Now())
		}
	}
	forwards := func() int {
		sent = nil
		near.handle(f.seal(t, 1))
		far.turn(time.Now())
		count := 0
		for _, datagrams := range sent {
			for _, d := range datagrams {
				if d.Stream == 5000 {
					count++
				}
			}
		}
		return count
	}
	exchange()
	there := f.load(far)
	if got := forwards(); got != there || there == 0 {
		t.Fatalf("a frame goes to %d subscribers of the other worker, want %d", got, there)
	}
	for range laneCargoes + 50 { // far stands still
		near.handle(f.seal(t, 1))
	}
	if !near.links[far.id].lane.Full() {
		t.Fatal("the lane is not full")
	}
	f.do(t, 0, func(now time.Time, c *engine.Core, _ *engine.Batch) { // is told to the mirror, or else never
		if err := c.MuteTrack(now, "TR_v", true); err != nil {
			t.Error(err)
		}
	})
	if !near.pressed {
		t.Error("nothing waits for room in the lane")
	}
	exchange()
	if near.pressed {
		t.Error("state still waits after the lane was emptied")
	}
	if got := forwards(); got != 0 {
		t.Errorf("a frame of a muted track goes to %d subscribers of the other worker", got)
	}
	f.do(t, 0, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		if err := c.MuteTrack(now, "TR_v", false); err != nil {
			t.Error(err)
		}
	})
	exchange()
	if got := forwards(); got != there {
		t.Errorf("a frame goes to %d subscribers of the other worker, want %d", got, there)
	}
}

// Nobody's media is not passed around without end.
func TestCrossing_offersAreLimited(t *testing.T) {
	ws, registry := workersOf(t, &script{}, &script{})
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	began := time.Now()
	for range 1000 {
		ws[0].handle(one(from, []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
		ws[1].turn(time.Now())
	}
	most := 2*offerRate + offerRate*time.Since(began).Seconds() + 1
	if got := gathered(t, registry, "handoff_datagrams_total"); got < 2*offerRate || got > most {
		t.Errorf("%v datagrams were shown to the other worker, want %d to %.1f", got, 2*offerRate, most)
	}
	before := gathered(t, registry, "handoff_datagrams_total")
	ws[0].handle(one(netip.MustParseAddrPort("192.0.2.2:5000"), []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0})) // DTLS
	if got := gathered(t, registry, "handoff_datagrams_total"); got != before {
		t.Error("DTLS of nobody was shown to the other worker")
	}
}

// workersOf makes connected workers of cores; they do not run.
func workersOf(t *testing.T, cores ...core) ([]*worker, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	d := newDirectory(len(cores), 16)
	var ws []*worker
	for i, c := range cores {
		ws = append(ws, newWorker(engine.CoreID(i), c, sink{}, d, m, [16]byte{}, func(*worker, engine.Event) {}))
	}
	connect(ws)
	return ws, registry
}

// stranger is an address of a peer of worker 1.
func stranger(ws []*worker) netip.AddrPort {
	addr := netip.MustParseAddrPort("192.0.2.1:5000")
	ws[1].directory.believe(1, addr)
	return addr
}

// taker is a core that notes what it is given.
type taker struct {
	script
	took chan byte
}

func (k *taker) HandleDatagram(_ time.Time, _ netip.AddrPort, b []byte, _ *engine.Batch) {
	k.took <- b[0]
}

// What is another's is given to its core at once if nobody is busy there, behind
// what waits in the lane already.
func TestCrossing_visitsAWorkerThatIsFree(t *testing.T) {
	k := &taker{took: make(chan byte, 4)}
	ws, _ := workersOf(t, &script{}, k)
	from := stranger(ws)
	ws[1].mu.Lock()
	ws[0].handle(one(from, []byte{1}))
	ws[1].mu.Unlock()
	ws[0].handle(one(from, []byte{2}))
	if len(k.took) != 2 {
		t.Fatalf("the other worker took %d, want 2 without a turn of its own", len(k.took))
	}
	if first, second := <-k.took, <-k.took; first != 1 || second != 2 {
		t.Errorf("took %d, then %d, want 1, then 2", first, second)
	}
}

// A worker that stands still makes nobody wait and no memory grow; when it goes
// on, it gets what was there first.
func TestCrossing_aFullLaneDrops(t *testing.T) {
	k := &taker{took: make(chan byte, 4*laneCargoes)}
	ws, registry := workersOf(t, &script{}, k)
	from := stranger(ws)
	const sent = laneCargoes + 100
	ws[1].mu.Lock() // it is at something else
	for i := range sent {
		ws[0].handle(one(from, []byte{byte(i)}))
	}
	ws[1].mu.Unlock()
	if got := gathered(t, registry, "handoff_drops_total"); got != sent-laneCargoes {
		t.Errorf("%v drops, want %d", got, sent-laneCargoes)
	}
	if held := len(ws[0].links[1].strays.list); held != 0 {
		t.Errorf("%d datagrams are held back, want none", held)
	}
	ws[1].turn(time.Now())
	if len(k.took) != laneCargoes {
		t.Errorf("the other worker took %d, want %d", len(k.took), laneCargoes)
	}
	for i := range len(k.took) {
		if got := <-k.took; got != byte(i) {
			t.Fatalf("took %d, want %d", got, i)
		}
	}
	ws[0].handle(one(from, []byte{99}))
	ws[1].turn(time.Now())
	if got := <-k.took; got != 99 {
		t.Errorf("took %d, want 99", got)
	}
}

// A worker that sleeps without end hears of each datagram that is its own.
func TestCrossing_reachesTheOther(t *testing.T) {
	k := &taker{took: make(chan byte, 1)}
	ws, _ := workersOf(t, &script{}, k)
	defer running(t, ws[1])()
	from := stranger(ws)
	for i := range 2000 {
		ws[0].handle(one(from, []byte{byte(i)}))
		if got := receive(t, k.took, "the other worker"); got != byte(i) {
			t.Fatalf("took %d, want %d", got, byte(i))
		}
	}
}

// A packet forwarded by both workers allocates nothing in either.
func TestCrossing_forwardingAllocatesNothing(t *testing.T) {
	f := newForwarding(t, profiles[0], 10, twoWorkers)
	const frames = 400
	next := func() {
		for _, w := range f.workers {
			w.turn(time.Now())
		}
	}
	var sealed [][]mmsg.Packet
	for range 2 * frames {
		sealed = append(sealed, f.seal(t, 4))
	}
	home, err := f.Home(0)
	if err != nil {
		t.Fatal(err)
	}
	forward := func() {
		f.workers[home].handle(sealed[0])
		sealed = sealed[1:]
		next()
	}
	for range frames - 1 {
		forward()
	}
	before := f.sum(func(c engine.Counters) uint64 { return c.Forwarded })
	allocs := testing.AllocsPerRun(frames-1, forward)
	if got := f.sum(func(c engine.Counters) uint64 { return c.Forwarded }) - before; got != 4*10*frames {
		t.Fatalf("%d packets were forwarded, want %d", got, 4*10*frames)
	}
	if allocs != 0 {
		t.Errorf("%v allocations to forward 4 packets to 10 subscribers, want 0", allocs)
	}
}

func TestCrossing_allocatesNothing(t *testing.T) {
	ws, registry := workersOf(t, &script{}, &script{})
	from := stranger(ws)
	var packets []mmsg.Packet
	for range 8 {
		packets = append(packets, mmsg.Packet{From: from, Payload: make([]byte, 1200), Arrival: time.Now()})
	}
	if allocs := testing.AllocsPerRun(100, func() {
		ws[0].handle(packets)
		ws[1].turn(time.Now())
	}); allocs != 0 {
		t.Errorf("%v allocations to hand over %d datagrams, want 0", allocs, len(packets))
	}
	if got := gathered(t, registry, "handoff_datagrams_total"); got != 808 {
		t.Errorf("%v datagrams were handed over, want 808", got)
	}
}
