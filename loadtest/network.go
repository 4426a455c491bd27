package loadtest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc/loadtest/client"
)

// newNetwork returns the network that cfg describes, not yet connected.
func newNetwork(cfg Config) (*network, error) {
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
	names := slices.Clone(cfg.Play)
	for i := range cfg.Publishers {
		names = append(names, publisherName(i))
	}
	requests := &http.Client{Timeout: cfg.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	n := &network{cfg: cfg, names: names}
	if cfg.Protocol == Signal {
		n.door = &client.Signal{API: api, Base: base, Room: cfg.Room, Sign: sign}
	} else {
		n.door = &client.WHIP{API: api, Base: base, Room: cfg.Room, Sign: sign, HTTP: requests}
	}
	return n, nil
}

// door is how clients enter: client.WHIP or client.Signal.
type door interface {
	Publish(context.Context, client.Publisher) (*client.Session, error)
	Subscribe(context.Context, client.Subscriber, []string) ([]*client.Session, error)
}

// network is a server with the publishers of a run on it.
type network struct {
	cfg        Config
	door       door
	names      []string
	window     window
	publishers []*publisher
	sessions   []*client.Session
	sending    sync.WaitGroup
}

// publish has the next publisher send until ctx ends.
func (n *network) publish(ctx context.Context) error {
	one, err := newPublisher(len(n.publishers), n.cfg.Mix, &n.window)
	if err != nil {
		return err
	}
	joining, cancel := context.WithTimeout(ctx, n.cfg.Patience)
	defer cancel()
	n.publishers = append(n.publishers, one)
	n.sending.Go(func() { one.run(ctx) })
	session, err := n.door.Publish(joining, one.client())
	if err != nil {
		return fmt.Errorf("loadtest: %s: %w", one.name, err)
	}
	n.sessions = append(n.sessions, session)
	return nil
}

// subscribe joins and plays all publishers. The sessions are valid even with an
// error.
func (n *network) subscribe(ctx context.Context, s client.Subscriber) ([]*client.Session, error) {
	return n.door.Subscribe(ctx, s, n.names)
}

// sent counts packets that left in a window, and key frames asked for.
func (n *network) sent() (packets, keyRequests uint64) {
	for _, one := range n.publishers {
		packets += one.sent.Load()
		keyRequests += one.keyRequests.Load()
	}
	return packets, keyRequests
}

// close ends the publishers' sessions. Their context has ended.
func (n *network) close() {
	n.sending.Wait()
	closeAll(n.sessions)
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
