package scenario

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/internal/netlink"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// Site is a Media Node to run.
type Site struct {
	Name        string
	Region      drtc.Region
	Place       drtc.Place
	MaxSessions int
	// RelayVersion is the highest version of the relay protocol that the node
	// speaks, 0 for the newest.
	RelayVersion int
	// Host is where it runs; nil is this machine's loopback.
	Host *netlink.Host
}

// BedConfig describes a network: a Registry, an Orchestrator and Media Nodes.
type BedConfig struct {
	Program string // path of the drtc binary
	Dir     string // for configuration, keys and logs
	Sites   []Site
	// Plan is the Orchestrator's table of that name.
	Plan map[string]any
	// NeedMbps is what a participant is expected to cost a node.
	NeedMbps float64
	// Region is the Orchestrator's.
	Region drtc.Region
	// Host is where Registry and Orchestrator run; nil is this machine's
	// loopback.
	Host *netlink.Host
}

// Bed is a running network.
type Bed struct {
	cfg       BedConfig
	nodes     []devnet.Node // in the order of Sites
	url       *url.URL      // of the Orchestrator
	secret    string
	processes []*process // in the order in which they were started
}

const apiKey = "scenario"

// Start starts a network and returns when the Orchestrator commands every node.
func Start(ctx context.Context, cfg BedConfig) (*Bed, error) {
	b := &Bed{cfg: cfg, secret: rand.Text() + rand.Text()}
	if err := b.start(ctx); err != nil {
		b.Stop()
		return nil, err
	}
	return b, nil
}

func (b *Bed) start(ctx context.Context) error {
	var registry, orchestrator devnet.Server
	center := address(b.cfg.Host) + ":0"
	p, err := launch(ctx, &b.cfg, b.cfg.Host, "registry", "registry", map[string]any{
		"network": "scenario", "dir": b.cfg.Dir + "/registry", "listen": center, "gossip_listen": center, "allow_private_targets": true, "log_level": "warn",
	}, nil, &registry)
	if err != nil {
		return err
	}
	b.processes = append(b.processes, p)
	if err := b.startNodes(ctx, registry.URL); err != nil {
		return err
	}
	if p, err = launch(ctx, &b.cfg, b.cfg.Host, "orchestrator", "orchestrator", map[string]any{
		"network": "scenario", "dir": b.cfg.Dir + "/orchestrator", "listen": center, "registries": []string{registry.URL}, "region": b.cfg.Region,
		"plan": b.cfg.Plan, "need_mbps": b.cfg.NeedMbps, "connect_rate": -1.0, "max_participants": 2000, "state": map[string]any{"kind": "memory"}, "log_level": "debug",
	}, []string{"DRTC_API_KEY=" + apiKey, "DRTC_API_SECRET=" + b.secret}, &orchestrator); err != nil {
		return err
	}
	b.processes = append(b.processes, p)
	if b.url, err = url.Parse(orchestrator.URL); err != nil {
		return fmt.Errorf("scenario: %w", err)
	}
	return b.awaitNodes(ctx)
}

// startNodes starts all nodes at once.
func (b *Bed) startNodes(ctx context.Context, registry string) error {
	b.nodes = make([]devnet.Node, len(b.cfg.Sites))
	processes, errs := make([]*process, len(b.cfg.Sites)), make([]error, len(b.cfg.Sites))
	var all sync.WaitGroup
	for i, s := range b.cfg.Sites {
		all.Go(func() {
			listen := address(s.Host) + ":0"
			config := map[string]any{
				"network": "scenario", "key_file": b.cfg.Dir + "/" + s.Name + "/key", "listen": listen, "media_listen": []string{listen},
				"metrics_listen": listen, "registries": []string{registry}, "region": s.Region, "place": map[string]float64{"lat": s.Place.Lat, "lon": s.Place.Lon},
				"place_name": s.Name, "max_sessions": s.MaxSessions, "workers": 1, "admission": map[string]any{"mode": "anyone"}, "log_level": "info",
			}
			if s.RelayVersion != 0 {
				config["relay_max_version"] = s.RelayVersion
			}
			processes[i], errs[i] = launch(ctx, &b.cfg, s.Host, "medianode", s.Name, config, nil, &b.nodes[i])
		})
	}
	all.Wait()
	for _, p := range processes {
		if p != nil {
			b.processes = append(b.processes, p)
		}
	}
	return errors.Join(errs...)
}

// awaitNodes waits until the Orchestrator commands every node.
func (b *Bed) awaitNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		var health struct {
			Up int `json:"nodes_up"`
		}
		err := b.get(ctx, "/healthz", nil, &health)
		if err == nil && health.Up >= len(b.nodes) {
			return nil
		}
		if !pause(ctx, 5*pollEvery) {
			return fmt.Errorf("scenario: the orchestrator commands %d of %d nodes: %w", health.Up, len(b.nodes), errors.Join(ctx.Err(), err))
		}
	}
}

// Stop ends every process, the Orchestrator first.
func (b *Bed) Stop() {
	for _, p := range slices.Backward(b.processes) {
		p.stop(syscall.SIGTERM)
	}
	b.processes = nil
}

// sign makes a token of a room.
func (b *Bed) sign(room, identity string, grants ...string) (string, error) {
	return signal.Token(apiKey, b.secret, signal.Grants{Identity: identity, Room: room, Names: grants}, time.Hour)
}

// reach is the client for what is in a host.
func reach(host *netlink.Host) *http.Client {
	if host == nil {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{DialContext: host.DialContext}}
}

// get asks the Orchestrator for JSON.
func (b *Bed) get(ctx context.Context, path string, query url.Values, into any) error {
	body, err := fetch(ctx, reach(b.cfg.Host), b.url.JoinPath(path).String()+"?"+query.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(into)
}

// node returns the index of the node that carries somebody.
func (b *Bed) node(ctx context.Context, room, identity string) (int, error) {
	token, err := b.sign(room, identity)
	if err != nil {
		return 0, err
	}
	var session struct {
		Node struct {
			ID drtc.NodeID `json:"id"`
		} `json:"node"`
	}
	if err := b.get(ctx, "/drtc/v1/session", url.Values{"access_token": {token}}, &session); err != nil {
		return 0, err
	}
	if i := slices.IndexFunc(b.nodes, func(n devnet.Node) bool { return n.ID == session.Node.ID }); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("scenario: %s is on node %s, which is not of this network", identity, session.Node.ID)
}

// metrics reads a node's page: the sum of each metric over its labels, but the
// buckets of a histogram by le.
func (b *Bed) metrics(ctx context.Context, node int) (map[string]float64, error) {
	body, err := fetch(ctx, reach(b.cfg.Sites[node].Host), b.nodes[node].Metrics)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sums := map[string]float64{}
	for lines := bufio.NewScanner(body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if from := strings.IndexByte(name, '{'); from >= 0 {
			text, last := lines.Text(), strings.LastIndexByte(lines.Text(), ' ')
			name, value = text[:from], text[last+1:]
			if strings.HasSuffix(name, "_bucket") {
				name = text[:last]
			}
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			sums[strings.TrimPrefix(name, "drtc_medianode_")] += v
		}
	}
	return sums, nil
}

// orchestratorLog is what the Orchestrator has logged.
func (b *Bed) orchestratorLog() (string, error) {
	text, err := os.ReadFile(b.processes[len(b.processes)-1].logFile())
	return string(text), err
}

func fetch(ctx context.Context, through *http.Client, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	response, err := through.Do(request)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("scenario: %s answers %s", request.URL.Path, response.Status)
	}
	return response.Body, nil
}

// address is where a child in host listens.
func address(host *netlink.Host) string {
	if host == nil {
		return net.IPv4(127, 0, 0, 1).String()
	}
	return host.Addr4().String()
}

// pause waits, and reports false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
