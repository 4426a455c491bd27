package medianode

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/medianode/admit"
	"github.com/drtc-network/drtc/medianode/control"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/enrol"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/till"
	"github.com/drtc-network/drtc/medianode/transport"
	"github.com/drtc-network/drtc/rpcauth"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// Node is a running Media Node.
type Node struct {
	cfg        Config
	logger     *slog.Logger
	key        *identity.Key
	registry   *prometheus.Registry
	transport  *transport.Transport
	service    *control.Service
	listener   net.Listener // control, TLS
	metrics    net.Listener // nil without metrics_listen
	handler    http.Handler
	pin        [sha256.Size]byte
	candidates []netip.AddrPort
	enrolment  *enrol.Enrolment // nil without registries
	gate       *admit.Gate      // nil unless the Registries say who may command the node
	load       atomic.Uint64    // bits per second
	usage      *usage
	till       *till.Till // nil where no receipts are asked for
	memory     memory
}

// reports hands the transport's reports to the service, which can only be made
// when the transport knows its port.
type reports struct{ to *control.Service }

func (r *reports) OnEvent(e engine.Event)                            { r.to.OnEvent(e) }
func (r *reports) OnData(peer engine.PeerID, label string, b []byte) { r.to.OnData(peer, label, b) }
func (r *reports) OnClosed(peer engine.PeerID, reason error)         { r.to.OnClosed(peer, reason) }

// New opens the node's ports. The error names the setting that is wrong.
func New(cfg Config, logger *slog.Logger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, logger: logger, registry: prometheus.NewRegistry(), usage: newUsage()}
	var err error
	if n.key, err = keyfile.LoadOrCreate(cfg.KeyFile); err != nil {
		return nil, fmt.Errorf("medianode: key_file: %w", err)
	}
	if err := n.openTill(); err != nil {
		return nil, err
	}
	handler := &reports{}
	if err := n.openMedia(handler); err != nil {
		return nil, err
	}
	fingerprint, err := negotiate.ParseFingerprint(n.transport.Fingerprint())
	if err != nil {
		return nil, fmt.Errorf("medianode: %w", err)
	}
	commands := control.Config{
		MaxSessions: cfg.MaxSessions, CapacityBps: uint64(cfg.CapacityMbps) * 1e6, Candidates: n.candidates,
		Fingerprint: fingerprint, Self: n.key.ID(), Instance: instance(), Refused: n.admissionRefusals(),
		Key: n.key, RelayMaxVersion: uint8(cfg.RelayMaxVersion),
	}
	if n.till != nil {
		commands.Receipts = n.till
	}
	n.service = control.New(commands, n.transport)
	handler.to = n.service
	if err := n.openGate(); err != nil {
		return nil, err
	}
	if err := n.openControl(); err != nil {
		return nil, err
	}
	n.registerLoad()
	n.registerRelays()
	if len(cfg.Registries) == 0 {
		return n, nil
	}
	membership := enrol.DefaultConfig()
	membership.Registries, membership.Network = cfg.Registries, cfg.Network
	if n.enrolment, err = enrol.New(membership, n.key, n.payload, logger); err != nil {
		return nil, fmt.Errorf("medianode: registries: %w", err)
	}
	return n, nil
}

// payload is what the node says of itself in its signed record (whitepaper
// 4.2.3.1 and 4.3.7).
func (n *Node) payload() enrol.Payload {
	place := n.cfg.Place
	p := enrol.Payload{
		Region: n.cfg.Region, Place: &place, PlaceName: n.cfg.PlaceName, Owner: n.cfg.Owner,
		URL: n.URL(), DiscoveryURL: n.URL(), MetricsURL: n.MetricsURL(), IP: n.candidates[0].Addr().String(),
		Version: drtc.Version, CapacityMbps: uint32(n.cfg.CapacityMbps), LoadMbps: uint32(n.load.Load() / 1_000_000),
		Cores: uint32(runtime.NumCPU()), MaxSessions: uint32(n.service.Capacity()), Sessions: uint32(n.service.Sessions()),
		Features: []string{"simulcast", "data"}, TLSFingerprint: n.pin, Draining: n.service.Draining(),
	}
	for _, a := range n.candidates {
		p.MediaAddresses = append(p.MediaAddresses, a.String())
	}
	return p
}

func instance() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (n *Node) openMedia(handler transport.Handler) error {
	t, err := transport.New(transport.Config{
		Listen: n.cfg.MediaListen, Workers: n.cfg.Workers, Together: n.cfg.WorkerRoomPeers, Portable: n.cfg.Portable,
		HoldProcessors: n.cfg.Alone, Handler: handler, Logger: n.logger, Metrics: n.registry,
		Engine: n.cfg.engine(),
	})
	if err != nil {
		return fmt.Errorf("medianode: media_listen: %w", err)
	}
	n.transport = t
	n.candidates, err = reachable(t.Addrs(), n.cfg.AdvertiseIPs)
	if err != nil {
		return fmt.Errorf("medianode: advertise_ips: %w", err)
	}
	return nil
}

func random() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// reachable lists the addresses at which clients reach the media sockets: the
// advertised ones, else what an unspecified address stands for on this machine.
func reachable(bound []netip.AddrPort, advertised []netip.Addr) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, b := range bound {
		switch {
		case len(advertised) > 0:
			for _, a := range advertised {
				if a.Unmap().Is4() == b.Addr().Unmap().Is4() {
					out = append(out, netip.AddrPortFrom(a.Unmap(), b.Port()))
				}
			}
		case !b.Addr().IsUnspecified():
			out = append(out, b)
		default:
			local, err := net.InterfaceAddrs()
			if err != nil {
				return nil, err
			}
			for _, l := range local {
				p, err := netip.ParsePrefix(l.String())
				if err == nil && p.Addr().Is4() == b.Addr().Unmap().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
					out = append(out, netip.AddrPortFrom(p.Addr(), b.Port()))
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no address that a client could reach: set advertise_ips")
	}
	return out, nil
}

// openGate makes what follows the network's list of who may command the node.
func (n *Node) openGate() error {
	if n.cfg.Admission.Mode != control.AdmitNetwork {
		return nil
	}
	c := admit.DefaultConfig()
	c.Registries, c.Network = n.cfg.Registries, n.cfg.Network
	c.Trusted, c.File, c.Grace = n.cfg.Admission.Registries, n.cfg.Admission.File, n.cfg.Admission.Grace
	var err error
	if n.gate, err = admit.New(c, n.logger, n.registry); err != nil {
		return fmt.Errorf("medianode: admission: %w", err)
	}
	return nil
}

func (n *Node) openControl() error {
	cert, err := selfSigned()
	if err != nil {
		return fmt.Errorf("medianode: TLS certificate: %w", err)
	}
	n.pin = sha256.Sum256(cert.Certificate[0])
	l, err := net.Listen("tcp", n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("medianode: listen: %w", err)
	}
	n.listener = tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	})
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "drtc_medianode_rpc_calls_total", Help: "Control calls by procedure and result of authentication.",
	}, []string{"procedure", "result"})
	n.registry.MustRegister(calls)
	guard, err := httpauth.New(httpauth.Config{
		Policy: rpcauth.Policy{
			Self: n.key.ID(), AllowBare: n.cfg.AllowBareAuth, Since: time.Now(),
			Admit: n.admit,
		},
		Report: func(procedure, reason string) { calls.WithLabelValues(procedure, reason).Inc() },
	})
	if err != nil {
		return fmt.Errorf("medianode: %w", err)
	}
	mux := http.NewServeMux()
	path, rpc := n.service.Handler()
	mux.Handle(path, guard.Middleware(rpc))
	n.handler = mux
	if n.cfg.MetricsListen == "" {
		return nil
	}
	if n.metrics, err = net.Listen("tcp", n.cfg.MetricsListen); err != nil {
		return fmt.Errorf("medianode: metrics_listen: %w", err)
	}
	return nil
}

// admit returns nil if somebody may command the node, or why not. What the
// node's own key may do is the service's to say.
func (n *Node) admit(caller drtc.NodeID) error {
	if caller == n.key.ID() {
		return nil
	}
	return n.cfg.Admission.Check(caller, n.gate.Check)
}

// ID is the node's identity.
func (n *Node) ID() drtc.NodeID { return n.key.ID() }

// URL is the base URL of the control service.
func (n *Node) URL() string {
	if n.cfg.URL != "" {
		return n.cfg.URL
	}
	return "https://" + n.listener.Addr().String()
}

// Pin is the SHA-256 of the control service's certificate.
func (n *Node) Pin() [sha256.Size]byte { return n.pin }

// MediaAddrs are the UDP addresses that clients are told.
func (n *Node) MediaAddrs() []netip.AddrPort { return n.candidates }

// MetricsURL is where /metrics and /healthz are, empty if nowhere.
func (n *Node) MetricsURL() string {
	if n.metrics == nil {
		return ""
	}
	return "http://" + n.metrics.Addr().String()
}

// Run serves until ctx ends: it leaves the Registries, ends every session and
// closes every port.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	media, stopMedia := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopMedia() // sessions say goodbye while the socket is still open
		defer n.takeUsage()
		return n.service.Run(ctx)
	})
	if n.cfg.Alone {
		before := runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(before + n.transport.Workers())
		defer runtime.GOMAXPROCS(before)
	}
	g.Go(func() error { return n.transport.Run(media) })
	if n.till != nil {
		g.Go(func() error { return n.keepTill(ctx, media) })
	}
	g.Go(func() error { return serve(ctx, n.listener, n.handler) })
	if n.metrics != nil {
		g.Go(func() error { return serve(ctx, n.metrics, n.observability()) })
	}
	g.Go(func() error { return n.measure(ctx) })
	if n.gate != nil {
		g.Go(func() error { return n.gate.Run(ctx) })
	}
	if n.enrolment != nil {
		g.Go(func() error { return n.enrolment.Run(ctx) })
	}
	n.logger.Info("media node is up", "id", n.ID(), "control", n.URL(), "media", n.candidates)
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("medianode: %w", err)
	}
	return nil
}

// serve runs one HTTP server until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil { // streams that did not end in time
			if err := server.Close(); err != nil {
				return err
			}
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// measure follows the egress rate for heartbeats and records.
func (n *Node) measure(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			sent := n.takeUsage()
			n.load.Store((sent - before) * 8)
			n.service.ReportEgress((sent - before) * 8)
			n.memory.observe(sent-before, n.service.Shedding().Ratio > 0)
			before = sent
		}
	}
}

// takeUsage moves what sessions counted to the accounts, and returns the bytes that
// were sent since the start.
func (n *Node) takeUsage() (sent uint64) {
	taken := map[string]meter.Counters{} // so that no core waits for the accounts
	n.transport.Each(func(_ time.Time, c *engine.Core, _ *engine.Batch) {
		sent += c.Counters().SentBytes
		c.TakeUsage(func(label string, counted meter.Counters) {
			sum := taken[label]
			sum.Add(counted)
			taken[label] = sum
		})
	})
	for label, counted := range taken {
		n.usage.add(label, counted)
	}
	return sent
}
