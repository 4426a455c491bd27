package devnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Network is a whole network on this machine.
type Network struct {
	cfg    Config
	listen netip.AddrPort
	term   *terminal
}

// New checks cfg. Nothing is started and no file is written before Run.
func New(cfg Config) (*Network, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	listen, err := cfg.listenAddr()
	if err != nil {
		return nil, err
	}
	return &Network{cfg: cfg, listen: listen, term: newTerminal(cfg.Out, cfg.Color)}, nil
}

// Run starts the network, tells when it is ready, and blocks until ctx ends
// and every child is gone. It fails when a child does not become ready; a
// child that dies later is reported and does not end Run.
func (n *Network) Run(ctx context.Context) (err error) {
	if n.listen.Port() != 0 {
		if err := checkFree(n.listen); err != nil {
			return err
		}
	}
	files, err := openLayout(n.cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.close()) }()
	if n.cfg.ReadyFile != "" { // of a run that was killed
		if err := removeReady(n.cfg.ReadyFile); err != nil {
			return err
		}
	}

	s := newSupervisor(n.cfg, n.term)
	begun := time.Now()
	ready, err := n.start(ctx, s, files)
	if err == nil && n.cfg.ReadyFile != "" {
		err = WriteReady(n.cfg.ReadyFile, ready)
	}
	if err == nil {
		n.term.block(n.summary(ready, time.Since(begun)))
		<-ctx.Done()
	}
	if ctx.Err() != nil { // being told to stop is no failure
		n.term.say("devnet", "stopping")
		err = nil
	}
	s.stop()
	if n.cfg.ReadyFile != "" && err == nil {
		err = removeReady(n.cfg.ReadyFile)
	}
	return err
}

// start brings up the stages one after the other.
func (n *Network) start(ctx context.Context, s *supervisor, files *layout) (*Ready, error) {
	key, err := files.apiKey()
	if err != nil {
		return nil, err
	}
	n.term.say("devnet", fmt.Sprintf("starting %s, %s and %s; Ctrl-C stops them",
		count(n.cfg.Registries, "registry", "registries"), count(n.cfg.Nodes, "media node", "media nodes"),
		count(n.cfg.Orchestrators, "orchestrator", "orchestrators")))
	ready := &Ready{APIKey: key.Key, APISecret: key.Secret, PID: os.Getpid()}

	members, err := files.members(n.cfg.Registries)
	if err != nil {
		return nil, err
	}
	if n.cfg.Chain {
		if ready.Chain, err = n.startChain(ctx, s, files); err != nil {
			return nil, err
		}
	}
	if ready.Registries, err = n.startRegistries(ctx, s, files, members, ready.Chain); err != nil {
		return nil, err
	}
	if ready.Nodes, err = n.startNodes(ctx, s, files, ready.Registries, members); err != nil {
		return nil, err
	}
	if err := n.startOrchestrators(ctx, s, files, ready); err != nil {
		return nil, err
	}
	return ready, nil
}

// startRegistries starts the first Registry alone: the others are told where it
// is and find each other through it.
func (n *Network) startRegistries(ctx context.Context, s *supervisor, files *layout, m members, c *Chain) ([]string, error) {
	var urls []string
	for _, stage := range [][2]int{{0, 1}, {1, n.cfg.Registries}} {
		from, to := stage[0], stage[1]
		if from == to {
			break // there is no other
		}
		children := make([]Child, to-from)
		servers := make([]Server, to-from)
		for i := range children {
			child, err := prepare(files, "registry", registryName(from+i), func(h home) any {
				file := registryFile{
					Network: networkName, KeyFile: h.key(), Dir: h.state(), LogLevel: n.cfg.LogLevel,
					Listen: "127.0.0.1:0", Bootstrap: urls[:from], GossipListen: "127.0.0.1:0",
					AllowPrivateTargets: true,
				}
				if c == nil {
					file.BondingFile = m.file
				} else {
					file.Chain = &bonds{RPC: c.URL, Addresses: c.Addresses, Finality: "safe", PollEvery: 2 * time.Second, AnyNode: true}
				}
				return file
			}, &servers[i], func() string { return servers[i].URL })
			if err != nil {
				return nil, err
			}
			children[i] = child
		}
		if _, err := s.startStage(ctx, children); err != nil {
			return nil, err
		}
		for _, server := range servers {
			urls = append(urls, server.URL)
		}
	}
	return urls, nil
}

// homes is how many Registries a node registers with.
const homes = 3

// homesOf are those of a node: each Registry gets some of the nodes.
func homesOf(node int, registries []string) []string {
	var urls []string
	for i := range min(homes, len(registries)) {
		urls = append(urls, registries[(node+i)%len(registries)])
	}
	return urls
}

func (n *Network) startNodes(ctx context.Context, s *supervisor, files *layout, registries []string, m members) ([]Node, error) {
	bind, advertise, err := mediaAddresses(n.listen.Addr())
	if err != nil {
		return nil, err
	}
	children := make([]Child, n.cfg.Nodes)
	nodes := make([]Node, n.cfg.Nodes)
	for i := range children {
		where := places[i%len(places)]
		owner, err := files.identity(fmt.Sprintf("owner-%d", i+1)) // nodes on this machine stand for strangers' nodes
		if err != nil {
			return nil, err
		}
		child, err := prepare(files, "medianode", nodeName(i), func(h home) any {
			return medianodeFile{
				Network: networkName, KeyFile: h.key(), LogLevel: n.cfg.LogLevel,
				Listen: "127.0.0.1:0", MediaListen: []string{bind}, AdvertiseIPs: advertise, MetricsListen: "127.0.0.1:0",
				Registries: homesOf(i, registries),
				Region:     where.region, Place: placeTable(where.at), PlaceName: where.name, Owner: owner,
				Admission: admission{Mode: "network", Registries: m.registries, File: h.admission(n.cfg.Chain)}, media: n.cfg.media(),
			}
		}, &nodes[i], func() string {
			return fmt.Sprintf("%s (%s), node %s, media udp %s", where.name, where.region, nodes[i].ID.Short(), nodes[i].UDP)
		})
		if err != nil {
			return nil, err
		}
		children[i] = child
	}
	if _, err := s.startStage(ctx, children); err != nil {
		return nil, err
	}
	for i := range nodes {
		nodes[i].Name = places[i%len(places)].name
	}
	return nodes, nil
}

// prepare makes the folder and the configuration of a child. Once the child is
// ready, what it says of itself is in said and detail describes it.
func prepare(files *layout, role, name string, config func(home) any, said any, detail func() string) (Child, error) {
	h, err := files.child(name)
	if err != nil {
		return Child{}, err
	}
	if err := writeConfig(h, config(h)); err != nil {
		return Child{}, err
	}
	return Child{
		Name: name,
		Args: []string{role, "--config", h.config(), "--ready-file", h.ready()},
		Ready: func(ctx context.Context) (string, error) {
			if err := awaitFile(ctx, h.ready(), said); err != nil {
				return "", err
			}
			return detail(), nil
		},
	}, nil
}

// summary is the final block: what a newcomer needs, and nothing else.
func (n *Network) summary(r *Ready, took time.Duration) string {
	client := "ws" + strings.TrimPrefix(r.URL, "http")
	var b strings.Builder
	fmt.Fprintf(&b, "\n  The network is running (ready in %s).\n\n", seconds(took))
	fmt.Fprintf(&b, "    Call page    %s   open it in two tabs\n", r.URL)
	fmt.Fprintf(&b, "    Client URL   %s   for LiveKit client SDKs\n", client)
	for i, other := range r.Orchestrators {
		if i > 0 {
			fmt.Fprintf(&b, "    the same at  %s\n", other.URL)
		}
	}
	fmt.Fprintf(&b, "    API key      %s\n", r.APIKey)
	fmt.Fprintf(&b, "    API secret   %s\n", r.APISecret)
	fmt.Fprintf(&b, "    Token        %s token create --api-key %s --api-secret %s --identity alice --room demo\n", cmp.Or(n.cfg.Command, "drtc"), r.APIKey, r.APISecret)
	if len(r.Registries) > 0 {
		fmt.Fprintf(&b, "    Status       %s/status   nodes, tests, epochs, payouts\n", r.Registries[0])
		fmt.Fprintf(&b, "    Nodes        %s registry nodes --registry %s\n", cmp.Or(n.cfg.Command, "drtc"), strings.Join(r.Registries, ","))
	}
	if r.Chain != nil {
		fmt.Fprintf(&b, "    Chain        %s   id %d, for Ethereum tools\n", r.Chain.URL, r.Chain.ChainID)
		fmt.Fprintf(&b, "    Keys         %s key list --devnet %s\n", cmp.Or(n.cfg.Command, "drtc"), filepath.Dir(filepath.Dir(r.Chain.Addresses)))
	}
	fmt.Fprintf(&b, "    Stop         Ctrl-C\n\n")
	if !n.listen.Addr().IsLoopback() {
		fmt.Fprintf(&b, "    Anybody who reaches %s may join: its page gives tokens to all.\n\n", n.listen.Addr())
	}
	return b.String()
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
