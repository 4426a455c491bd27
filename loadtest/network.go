package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/drtc-network/drtc/loadtest/client"
)

// network is a server with the publishers of a run on it.
type network interface {
	// publish has publisher n, from 0, send until ctx ends.
	publish(ctx context.Context, n int) error
	// subscribe joins and plays all publishers. The sessions are valid even
	// with an error.
	subscribe(ctx context.Context, s client.Subscriber) ([]*client.Session, error)
	// open begins the window with this id; 0 ends it.
	open(ctx context.Context, window uint8) error
	// sent counts packets that left in a window, and key frames asked for.
	sent(ctx context.Context) (packets, keyRequests uint64, err error)
	// close ends what publish began. The publishers' context has ended.
	close()
}

// newNetwork returns the network that cfg describes, not yet connected.
func newNetwork(cfg Config) (network, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("loadtest: url: %w", err)
	}
	interfaces := cfg.Interfaces
	if len(interfaces) == 0 {
		interfaces = client.LoopbackInterfaces(base.Hostname())
	}
	api, err := client.NewAPI(client.Options{NACK: cfg.NACK, RTX: cfg.RTX, TWCC: cfg.TWCC, Interfaces: interfaces})
	if err != nil {
		return nil, err
	}
	sign := cfg.Sign
	if sign == nil && cfg.Token != "" {
		sign = func(string, bool) (string, error) { return cfg.Token, nil }
	}
	names := make([]string, cfg.Publishers)
	for i := range names {
		names[i] = publisherName(i)
	}
	requests := &http.Client{Timeout: cfg.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	whip := &client.WHIP{API: api, Base: base, Room: cfg.Room, Sign: sign, HTTP: requests}
	switch cfg.Protocol {
	case Floor:
		return &floorNetwork{WHIP: whip, names: names}, nil
	case Signal:
		return &peers{cfg: cfg, names: names, door: &client.Signal{API: api, Base: base, Room: cfg.Room, Sign: sign}}, nil
	default:
		return &peers{cfg: cfg, names: names, door: whip}, nil
	}
}

// door is how clients enter: client.WHIP or client.Signal.
type door interface {
	Publish(context.Context, client.Publisher) (*client.Session, error)
	Subscribe(context.Context, client.Subscriber, []string) ([]*client.Session, error)
}

// peers is a network whose publishers are clients of ours.
type peers struct {
	cfg        Config
	door       door
	names      []string
	window     window
	publishers []*publisher
	sessions   []*client.Session
	sending    sync.WaitGroup
}

func (p *peers) publish(ctx context.Context, n int) error {
	one, err := newPublisher(n, p.cfg.Mix, &p.window)
	if err != nil {
		return err
	}
	joining, cancel := context.WithTimeout(ctx, p.cfg.Patience)
	defer cancel()
	p.publishers = append(p.publishers, one)
	p.sending.Go(func() { one.run(ctx) })
	session, err := p.door.Publish(joining, one.client())
	if err != nil {
		return err
	}
	p.sessions = append(p.sessions, session)
	return nil
}

func (p *peers) subscribe(ctx context.Context, s client.Subscriber) ([]*client.Session, error) {
	return p.door.Subscribe(ctx, s, p.names)
}

func (p *peers) open(_ context.Context, window uint8) error {
	p.window.id.Store(uint32(window))
	return nil
}

func (p *peers) sent(context.Context) (packets, keyRequests uint64, err error) {
	for _, one := range p.publishers {
		packets += one.sent.Load()
		keyRequests += one.keyRequests.Load()
	}
	return packets, keyRequests, nil
}

func (p *peers) close() {
	p.sending.Wait()
	closeAll(p.sessions)
}

// floorNetwork is package floor's server, which makes the media itself.
type floorNetwork struct {
	*client.WHIP
	names []string
}

func (f *floorNetwork) publish(ctx context.Context, n int) error {
	_, err := f.command(ctx, "publish", f.names[n])
	return err
}

func (f *floorNetwork) subscribe(ctx context.Context, s client.Subscriber) ([]*client.Session, error) {
	return f.Subscribe(ctx, s, f.names)
}

func (f *floorNetwork) open(ctx context.Context, window uint8) error {
	_, err := f.command(ctx, "window", fmt.Sprint(window))
	return err
}

func (f *floorNetwork) sent(ctx context.Context) (packets, keyRequests uint64, err error) {
	packets, err = f.command(ctx, "sent")
	return packets, 0, err
}

func (f *floorNetwork) close() {}

// command asks the server to do something; it answers with a number.
func (f *floorNetwork) command(ctx context.Context, path ...string) (uint64, error) {
	endpoint := f.Base.JoinPath(append([]string{"floor"}, path...)...).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("loadtest: %w", err)
	}
	response, err := f.HTTP.Do(request)
	if err != nil {
		return 0, fmt.Errorf("loadtest: %w", err)
	}
	defer response.Body.Close()
	var n uint64
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("loadtest: POST %s: %s", endpoint, response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 100)).Decode(&n); err != nil {
		return 0, fmt.Errorf("loadtest: POST %s: %w", endpoint, err)
	}
	return n, nil
}

// closeAll closes sessions, many at a time, for each waits for an answer.
func closeAll(sessions []*client.Session) {
	const atOnce = 16
	slots := make(chan struct{}, atOnce)
	var closing sync.WaitGroup
	for _, s := range sessions {
		slots <- struct{}{}
		closing.Go(func() {
			// Close has no error that anything could be done about.
			_ = s.Close()
			<-slots
		})
	}
	closing.Wait()
}

// wait waits for a duration, and reports false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
