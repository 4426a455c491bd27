package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/process"
	"github.com/drtc-network/drtc/loadtest/tally"
)

const (
	// latePatience is how long after the window packets of it may come.
	latePatience = 1500 * time.Millisecond
	// settle is how long publishers send before anybody joins, if Warm allows.
	settle = time.Second
	poll   = 20 * time.Millisecond
)

// run is one load test.
type run struct {
	cfg     Config
	network *network
	window  uint8 // id of this run's window
	started time.Time

	subscribers []*subscriber
	mu          sync.Mutex // guards what follows
	sessions    []*client.Session
	joinErrors  []error
}

// Run runs a load test. It fails when a publisher cannot publish, when no
// subscriber can join, when a server's process is gone, and when ctx ends;
// what else went wrong is in the result.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	network, err := newNetwork(cfg)
	if err != nil {
		return nil, err
	}
	// Packets of another run on the same server must not count.
	r := &run{cfg: cfg, network: network, window: uint8(1 + rand.N(255)), started: time.Now()}
	media, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		closeAll(r.sessions)
		network.close()
	}()
	result, err := r.measure(media)
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	return result, nil
}

// measure is the run from the first publisher to the last late packet.
func (r *run) measure(ctx context.Context) (*Result, error) {
	for range r.cfg.Publishers {
		if err := r.network.publish(ctx); err != nil {
			return nil, err
		}
	}
	if !wait(ctx, min(settle, r.cfg.Warm)) {
		return nil, ctx.Err()
	}
	m := measurement{server: usage{pids: r.cfg.PIDs}, beside: usage{pids: r.cfg.Beside}, clients: usage{pids: []int{os.Getpid()}}}
	if err := m.read(beforeJoins); err != nil {
		return nil, err
	}
	if err := r.join(ctx); err != nil {
		return nil, err
	}
	if err := m.read(afterJoins); err != nil {
		return nil, err
	}
	m.receivedJoining = r.received()
	if err := r.during(ctx, "settling", r.cfg.Warm, nil); err != nil {
		return nil, err
	}
	if err := r.openWindow(ctx, &m); err != nil {
		return nil, err
	}
	if err := r.awaitLate(ctx, &m); err != nil {
		return nil, err
	}
	return r.result(m), nil
}

// moment is when usage is read.
type moment int

const (
	beforeJoins moment = iota
	afterJoins
	windowBegin
	windowEnd
	moments
)

// usage is what some processes had used at each moment.
type usage struct {
	pids []int
	at   [moments]process.Usage
}

// measurement is what a run reads while it runs.
type measurement struct {
	server, beside, clients usage
	receivedJoining         uint64 // packets that subscribers had when all had joined
	window                  time.Duration
	sent, keyRequests       uint64
	complete                []bool // which subscribers played everybody when the window began
}

func (m *measurement) read(when moment) (err error) {
	for _, u := range []*usage{&m.server, &m.beside, &m.clients} {
		if u.at[when], err = process.Sum(u.pids); err != nil {
			return fmt.Errorf("loadtest: %w", err)
		}
	}
	return nil
}

// join has all subscribers join at the rate of the ramp and waits until they
// play every publisher.
func (r *run) join(ctx context.Context) error {
	r.subscribers = make([]*subscriber, r.cfg.Subscribers)
	for i := range r.subscribers {
		r.subscribers[i] = newSubscriber(ctx, r.window, r.cfg.PLI, r.others())
	}
	gap := time.Duration(float64(time.Second) / r.cfg.Ramp)
	begun := time.Now()
	var joining sync.WaitGroup
	defer joining.Wait()
	for i, s := range r.subscribers {
		for next := begun.Add(time.Duration(i) * gap); ; {
			left := time.Until(next)
			if !wait(ctx, min(left, 10*poll)) {
				return ctx.Err()
			}
			r.report("joining", time.Since(begun), 0)
			if left <= 10*poll {
				break
			}
		}
		joining.Go(func() { r.joinOne(ctx, i, s) })
	}
	return r.during(ctx, "joining", r.cfg.Patience, func() bool { return r.joined() == r.cfg.Subscribers-r.failures() })
}

// others is the window that is open, where others publish; nil where they do not.
func (r *run) others() *window {
	if len(r.cfg.Play) == 0 {
		return nil
	}
	return &r.network.window
}

// joinOne opens the sessions of subscriber i, from 0.
func (r *run) joinOne(ctx context.Context, i int, s *subscriber) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	s.begun = time.Now()
	sessions, err := r.network.subscribe(ctx, client.Subscriber{
		Name: fmt.Sprintf("subscriber-%d", i), Track: s.play, Failed: func() { s.failed.Store(true) },
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, sessions...)
	if err != nil {
		r.joinErrors = append(r.joinErrors, fmt.Errorf("subscriber %d: %w", i, err))
	}
}

// failures counts subscribers that could not join.
func (r *run) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.joinErrors)
}

// joined counts subscribers that play every publisher.
func (r *run) joined() int {
	n := 0
	for _, s := range r.subscribers {
		if s.publishers() >= r.cfg.played() {
			n++
		}
	}
	return n
}

// received counts all packets of all subscribers.
func (r *run) received() uint64 {
	var n uint64
	for _, s := range r.subscribers {
		n += s.received.Load()
	}
	return n
}

// delivered sums what came of the window, at all subscribers and at those that
// were complete.
func (r *run) delivered(complete []bool) (all, whole tally.Counts, delay tally.Histogram) {
	for i, s := range r.subscribers {
		c := s.counts(&delay)
		all.Add(c)
		if complete[i] {
			whole.Add(c)
		}
	}
	return all, whole, delay
}

// heard sums the audio of the subscribers that were complete.
func (r *run) heard(complete []bool) (sum tally.Counts) {
	for i, s := range r.subscribers {
		if complete[i] {
			sum.Add(s.heard())
		}
	}
	return sum
}

func (r *run) openWindow(ctx context.Context, m *measurement) error {
	m.complete = make([]bool, len(r.subscribers))
	complete := 0
	for i, s := range r.subscribers {
		if m.complete[i] = s.publishers() >= r.cfg.played(); m.complete[i] {
			complete++
		}
	}
	if complete == 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return fmt.Errorf("loadtest: no subscriber of %d got video of every publisher: %w", len(r.subscribers), errors.Join(r.joinErrors...))
	}
	if err := m.read(windowBegin); err != nil {
		return err
	}
	begun := time.Now()
	r.network.window.open(r.window)
	enough := func() bool {
		if r.cfg.Packets == 0 {
			return false
		}
		all, _, _ := r.delivered(m.complete)
		return all.Unique >= r.cfg.Packets
	}
	if err := r.during(ctx, "measuring", r.cfg.Duration, enough); err != nil {
		return err
	}
	r.network.window.open(0)
	m.window = time.Since(begun)
	return m.read(windowEnd)
}

// awaitLate waits until the last packet of the window has come, or will not.
func (r *run) awaitLate(ctx context.Context, m *measurement) error {
	// A packet stamped just before the window closed may not be counted yet.
	if !wait(ctx, poll) {
		return ctx.Err()
	}
	m.sent, m.keyRequests = r.network.sent()
	return r.during(ctx, "waiting", latePatience, func() bool {
		_, whole, _ := r.delivered(m.complete)
		return whole.Unique >= m.expected()
	})
}

// expected is what complete subscribers should have received of the window.
func (m *measurement) expected() uint64 {
	var n uint64
	for _, is := range m.complete {
		if is {
			n += m.sent
		}
	}
	return n
}

// during waits for length, or until done says so, and reports progress.
func (r *run) during(ctx context.Context, phase string, length time.Duration, done func() bool) error {
	begun := time.Now()
	for {
		elapsed := time.Since(begun)
		r.report(phase, elapsed, length)
		if elapsed >= length || done != nil && done() {
			return nil
		}
		// Looking often costs time that the server could use.
		pause := 10 * poll
		if done != nil {
			pause = poll
		}
		if !wait(ctx, min(pause, length-elapsed)) {
			return ctx.Err()
		}
	}
}

func (r *run) report(phase string, elapsed, length time.Duration) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(Progress{
			Phase: phase, Elapsed: elapsed, Length: length,
			Joined: r.joined(), Subscribers: r.cfg.Subscribers, Received: r.received(),
		})
	}
}
