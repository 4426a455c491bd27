package devnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// orchestratorName is the folder of one of several; the first has the key of all.
func (n *Network) orchestratorName(i int) string {
	if i == 0 {
		return orchestratorName
	}
	return fmt.Sprintf("%s-%d", orchestratorName, i+1)
}

// startOrchestrators fills in what r has of them.
func (n *Network) startOrchestrators(ctx context.Context, s *supervisor, files *layout, r *Ready) error {
	var shared *state
	if n.cfg.Orchestrators > 1 {
		r.StateToken = random(32)
		store, err := n.startStore(ctx, s, files, r.StateToken)
		if err != nil {
			return err
		}
		r.Store, shared = &store, &state{Kind: "nats", URLs: []string{store.URL}}
	}
	addresses, err := n.orchestratorAddresses()
	if err != nil {
		return err
	}
	key := home("")
	children := make([]Child, n.cfg.Orchestrators)
	r.Orchestrators = make([]Server, n.cfg.Orchestrators)
	for i := range children {
		server := &r.Orchestrators[i]
		child, err := prepare(files, "orchestrator", n.orchestratorName(i), func(h home) any {
			if i == 0 {
				key = h
			}
			file := orchestratorFile{
				Network: networkName, KeyFile: key.key(), Dir: h.state(), LogLevel: n.cfg.LogLevel,
				Listen: addresses[i].String(), Registries: r.Registries, State: shared,
			}
			if shared != nil {
				file.Member, file.MemberURL = memberName(i), "http://"+reachable(addresses[i]).String()
			}
			return file
		}, server, func() string { return server.URL })
		if err == nil {
			err = n.configureFurther(files, n.orchestratorName(i))
		}
		if err != nil {
			return err
		}
		child.Ready = n.commandsAll(child.Ready, server)
		child.Args = append(child.Args, "--dev-tokens")
		child.Env = []string{"DRTC_API_KEY=" + r.APIKey, "DRTC_API_SECRET=" + r.APISecret, "DRTC_STATE_TOKEN=" + r.StateToken}
		children[i] = child
	}
	if _, err := s.startStage(ctx, children); err != nil {
		return err
	}
	r.Orchestrator = r.Orchestrators[0]
	r.URL = r.Orchestrator.URL
	return nil
}

// commandsAll waits for an Orchestrator to listen, then to reach every node.
func (n *Network) commandsAll(listens func(context.Context) (string, error), server *Server) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		detail, err := listens(ctx)
		if err == nil {
			err = awaitNodes(ctx, server.URL, n.cfg.Nodes)
		}
		return fmt.Sprintf("%s, commands %s", detail, count(n.cfg.Nodes, "media node", "media nodes")), err
	}
}

func (n *Network) startStore(ctx context.Context, s *supervisor, files *layout, token string) (Store, error) {
	h, err := files.child("store")
	if err != nil {
		return Store{}, err
	}
	var store Store
	_, err = s.startStage(ctx, []Child{{
		Name: "store",
		Args: []string{"orchestrator", "store", "--dir", h.state(), "--listen", "127.0.0.1:0", "--log-level", n.cfg.LogLevel, "--ready-file", h.ready()},
		Env:  []string{"DRTC_STATE_TOKEN=" + token},
		Ready: func(ctx context.Context) (string, error) {
			return "keeps the rooms of all orchestrators", awaitFile(ctx, h.ready(), &store)
		},
	}})
	return store, err
}

// memberName is a, b, c...
func memberName(i int) string { return string(rune('a' + i)) }

// reachable is where something that listens on all addresses is reached from here.
func reachable(at netip.AddrPort) netip.AddrPort {
	switch {
	case at.Addr().Is4() && at.Addr().IsUnspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	case at.Addr().IsUnspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	return at
}

// orchestratorAddresses is where they listen. Several are told of each other
// before they run, so ports are picked here for them: another program may take
// one in the moment before it is used, which ends the start with an error.
func (n *Network) orchestratorAddresses() ([]netip.AddrPort, error) {
	all := []netip.AddrPort{n.listen}
	if n.cfg.Orchestrators == 1 {
		return all, nil
	}
	var held []net.Listener // all at once, so that no two get the same
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for i := range n.cfg.Orchestrators {
		if i == 0 && n.listen.Port() != 0 {
			continue
		}
		l, err := net.Listen("tcp", netip.AddrPortFrom(n.listen.Addr(), 0).String())
		if err != nil {
			return nil, fmt.Errorf("devnet: a port for %s: %w", n.orchestratorName(i), err)
		}
		held = append(held, l)
		at := netip.AddrPortFrom(n.listen.Addr(), uint16(l.Addr().(*net.TCPAddr).Port))
		if i == 0 {
			all[0] = at
			continue
		}
		all = append(all, at)
	}
	return all, nil
}
