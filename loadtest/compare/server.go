package compare

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/loadtest"
)

// server is a target that runs.
type server struct {
	protocol loadtest.Protocol
	url      string
	pids     []int // measured
	beside   []int // shown apart
	key      string
	secret   string

	patience time.Duration
	children []*child // in order of their start
}

// stop ends the processes, the last one first.
func (s *server) stop() {
	for _, c := range slices.Backward(s.children) {
		c.stop(s.patience)
	}
}

// launcher starts servers with their files in dir.
type launcher struct {
	cfg Config
	dir string
}

// start starts a target. Whoever gets a server stops it; on an error nothing is
// left.
func (l *launcher) start(ctx context.Context, target Target) (*server, error) {
	s := &server{protocol: loadtest.WHIP, patience: l.cfg.Patience}
	var err error
	switch target {
	case Ours:
		err = l.startOurs(ctx, s)
	case Peer:
		err = l.startPeer(ctx, s, "")
	case PeerBatch:
		err = l.startPeer(ctx, s, "  batch_io: {batch_size: 128, max_flush_interval: 2ms}\n")
	case Floor:
		s.protocol = loadtest.Floor
		err = l.startSimple(ctx, s, "floor")
	default:
		err = l.startSimple(ctx, s, "reference")
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// launch starts one process of s and waits until it is ready.
func (l *launcher) launch(ctx context.Context, s *server, name, program string, args, env []string, ready func(context.Context) (bool, error)) (*child, error) {
	c, err := startChild(l.dir, name, program, args, env)
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, c)
	return c, c.await(ctx, l.cfg.Patience, ready)
}

// file is the path of a file in the folder, which is not there.
func (l *launcher) file(name string) (string, error) {
	path := filepath.Join(l.dir, name)
	if err := os.RemoveAll(path); err != nil {
		return "", fmt.Errorf("compare: %w", err)
	}
	return path, nil
}

func (l *launcher) write(name, text string) (string, error) {
	path, err := l.file(name)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("compare: %w", err)
	}
	return path, nil
}

// startSimple starts a server that is a command of this program.
func (l *launcher) startSimple(ctx context.Context, s *server, name string) error {
	path, err := l.file(name + ".ready")
	if err != nil {
		return err
	}
	var said devnet.Server
	c, err := l.launch(ctx, s, name, l.cfg.Program, []string{"loadtest", name, "--ready-file", path}, nil, readReady(path, &said))
	if err != nil {
		return err
	}
	s.url, s.pids = said.URL, []int{c.pid()}
	return nil
}

// startRole starts a role of this program with a configuration file.
func (l *launcher) startRole(ctx context.Context, s *server, role, config string, env []string, said any) (*child, error) {
	path, err := l.file(role + ".ready")
	if err != nil {
		return nil, err
	}
	file, err := l.write(role+".toml", config)
	if err != nil {
		return nil, err
	}
	return l.launch(ctx, s, role, l.cfg.Program, []string{role, "--config", file, "--ready-file", path}, env, readReady(path, said))
}

// startOurs starts the smallest network: one of each role. Limits that guard
// against strangers are lifted, for all load comes from one address.
func (l *launcher) startOurs(ctx context.Context, s *server) error {
	s.key, s.secret = "loadtest", rand.Text()+rand.Text()
	state, err := l.file("records")
	if err != nil {
		return err
	}
	const common = "network = \"loadtest\"\nlog_level = \"warn\"\nlisten = \"127.0.0.1:0\"\n"
	var registry, orchestrator devnet.Server
	var node devnet.Node
	_, err = l.startRole(ctx, s, "registry", common+
		fmt.Sprintf("dir = %q\nkey_file = %q\n", state, filepath.Join(l.dir, "registry.key")), nil, &registry)
	if err != nil {
		return err
	}
	measured, err := l.startRole(ctx, s, "medianode", common+
		fmt.Sprintf("registries = [%q]\nkey_file = %q\n", registry.URL, filepath.Join(l.dir, "medianode.key"))+
		"media_listen = [\"127.0.0.1:0\"]\nadvertise_ips = [\"127.0.0.1\"]\nmetrics_listen = \"127.0.0.1:0\"\n"+
		"region = \"EU\"\ncapacity_mbps = 100000\nmax_sessions = 20000\nadmission.mode = \"anyone\"\n", nil, &node)
	if err != nil {
		return err
	}
	commands, err := l.startRole(ctx, s, "orchestrator", common+
		fmt.Sprintf("registries = [%q]\nkey_file = %q\n", registry.URL, filepath.Join(l.dir, "orchestrator.key"))+
		"connect_rate = -1\nmax_participants = 20000\nmax_spectators = 20000\nmax_sockets = 50000\n",
		[]string{"DRTC_API_KEY=" + s.key, "DRTC_API_SECRET=" + s.secret}, &orchestrator)
	if err != nil {
		return err
	}
	s.url, s.pids, s.beside = orchestrator.URL, []int{measured.pid()}, []int{commands.pid()}
	return commands.await(ctx, l.cfg.Patience, func(ctx context.Context) (bool, error) { return commandsNode(ctx, s.url) })
}

// commandsNode reports whether an Orchestrator says that it has a Media Node.
func commandsNode(ctx context.Context, url string) (bool, error) {
	body, err := get(ctx, url+"/healthz")
	if err != nil {
		return false, nil // it may not serve yet
	}
	var health struct {
		NodesUp int `json:"nodes_up"`
	}
	if err := json.Unmarshal(body, &health); err != nil {
		return false, fmt.Errorf("compare: the orchestrator's health: %w", err)
	}
	return health.NodesUp > 0, nil
}

// startPeer starts a LiveKit server with one UDP port on loopback.
func (l *launcher) startPeer(ctx context.Context, s *server, batch string) error {
	ports, err := freePorts()
	if err != nil {
		return err
	}
	s.protocol, s.key, s.secret = loadtest.Signal, "loadtest", rand.Text()+rand.Text()
	config, err := l.write("peer.yaml", fmt.Sprintf(`port: %d
bind_addresses: ["127.0.0.1"]
keys: {%s: %s}
logging: {level: warn}
rtc:
  tcp_port: %d
  udp_port: %d
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces: {includes: [%s]}
%s`, ports.http, s.key, s.secret, ports.tcp, ports.udp, loopback(), batch))
	if err != nil {
		return err
	}
	s.url = fmt.Sprintf("http://127.0.0.1:%d", ports.http)
	c, err := l.launch(ctx, s, "peer", l.cfg.PeerServer, []string{"--config", config}, nil, func(ctx context.Context) (bool, error) {
		_, err := get(ctx, s.url)
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	s.pids = []int{c.pid()}
	return nil
}

// get returns the body of a page that is there.
func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, 1<<20))
}

// ports of the other server.
type ports struct{ http, tcp, udp int }

// freePorts finds three that nobody uses at the moment: the other server does
// not choose its own.
func freePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.http, &p.tcp} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("compare: %w", err)
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return ports{}, fmt.Errorf("compare: %w", err)
	}
	defer u.Close()
	p.udp = u.LocalAddr().(*net.UDPAddr).Port
	return p, nil
}
