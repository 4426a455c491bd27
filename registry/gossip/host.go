package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// Ledger is what holds the records. It is safe for concurrent use.
type Ledger interface {
	// Take judges records from the network and returns a result for each. It
	// verifies what it would hold and does not wait for the disk.
	Take(now time.Time, records []envelope.Envelope, p record.Path) []record.Result
	reconcile.Source
}

// Network is one Registry's part in the network. Make one with New, then call
// Run once.
type Network struct {
	config  Config
	id      drtc.NodeID
	ledger  Ledger
	bonding record.Bonding
	log     *slog.Logger
	meter   *meter

	host     host.Host
	gater    *gater
	peers    *peerTable
	contacts *book
	traffic  *metrics.BandwidthCounter
	relays   relays
	news     news

	queue   chan envelope.Envelope // to be published
	fresh   chan peer.ID           // just connected from here
	soon    chan struct{}          // converse soon
	learned chan struct{}          // a conversation brought something
	dials   chan struct{}          // contacts have changed
	cut     chan peer.ID           // to be disconnected
	onProbe atomic.Pointer[func(ctx context.Context, from, node drtc.NodeID) (bool, error)]

	mu      sync.Mutex
	running context.Context // of Run, set before anybody may connect
	closed  bool
	serving sync.WaitGroup // handlers that entered before closed
}

// New opens the host, so that Addrs is known. Nobody may connect before Run.
// Call Close if Run will not be called.
func New(c Config, key *identity.Key, l Ledger, b record.Bonding, log *slog.Logger, m prometheus.Registerer) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	secret, err := secretKey(key)
	if err != nil {
		return nil, err
	}
	n := &Network{
		config: c, id: key.ID(), ledger: l, bonding: b, log: log,
		peers:   &peerTable{states: map[peer.ID]*peerState{}},
		traffic: metrics.NewBandwidthCounter(),
		queue:   make(chan envelope.Envelope, c.QueueSize),
		fresh:   make(chan peer.ID, 64),
		soon:    make(chan struct{}, 1),
		learned: make(chan struct{}, 1),
		dials:   make(chan struct{}, 1),
		cut:     make(chan peer.ID, 64),
	}
	n.gater = &gater{bonding: b, readers: n.readers, bans: map[peer.ID]Ban{}}
	if c.AllowReaders {
		n.gater.maxReaders = c.MaxReaders
	}
	n.gater.refused = func(reason string) { n.meter.refused.WithLabelValues(reason).Inc() }
	listen, err := listenAddr(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("gossip: Listen: %w", err)
	}
	n.contacts = &book{
		self: n.id, bonding: b, limit: c.MaxContacts, private: manet.IsIPLoopback(listen),
		contacts: map[drtc.NodeID]*contact{},
	}
	for _, s := range c.Bootstrap {
		if info, err := parseAddr(s); err == nil {
			n.contacts.fix(info)
		}
	}
	if n.meter, err = newMeter(m, n); err != nil {
		return nil, err
	}
	if n.host, err = n.open(secret, listen); err != nil {
		return nil, err
	}
	return n, nil
}

// open makes the host: TCP, noise and yamux, and nothing that a Registry does
// not need.
func (n *Network) open(secret crypto.PrivKey, listen ma.Multiaddr) (host.Host, error) {
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits()), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("gossip: resource limits: %w", err)
	}
	connections, err := connmgr.NewConnManager(connsLow, connsHigh)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gossip: connection limits: %w", err), resources.Close())
	}
	h, err := libp2p.New(
		libp2p.Identity(secret),
		libp2p.ListenAddrs(listen),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.AddrsFactory(n.announced),
		libp2p.ConnectionGater(n.gater),
		libp2p.ConnectionManager(connections),
		libp2p.ResourceManager(resources),
		libp2p.BandwidthReporter(n.traffic),
		libp2p.WithDialTimeout(n.config.DialTimeout),
		libp2p.ForceReachabilityPublic(), // asks nobody whether it can be reached
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
		libp2p.UserAgent("drtc/"+drtc.Version),
		libp2p.ProtocolVersion("drtc/1"),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gossip: opening the host: %w", err), connections.Close(), resources.Close())
	}
	return h, nil
}

// Connections are trimmed down to connsLow when they reach connsHigh; those that
// gossipsub uses stay longest. No more than connsMost are open at any time.
const (
	connsLow  = 128
	connsHigh = 192
	connsMost = 256
)

// limits hold every peer to a share of memory, streams and connections.
func limits() rcmgr.ConcreteLimitConfig {
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: connsMost, ConnsInbound: connsHigh, ConnsOutbound: connsHigh, FD: connsMost,
			Streams: 8192, StreamsInbound: 4096, StreamsOutbound: 4096, Memory: 512 << 20,
		},
		Transient: rcmgr.ResourceLimits{Conns: 64, ConnsInbound: 32, ConnsOutbound: 32},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: 4, ConnsInbound: 2, ConnsOutbound: 4,
			Streams: 512, StreamsInbound: 256, StreamsOutbound: 256, Memory: 32 << 20,
		},
	}
	return partial.Build(rcmgr.DefaultLimits.AutoScale())
}

// announced is what others are told to dial.
func (n *Network) announced(found []ma.Multiaddr) []ma.Multiaddr {
	if len(n.config.Announce) > 0 {
		var all []ma.Multiaddr
		for _, s := range n.config.Announce {
			if a, err := announceAddr(s); err == nil { // Validate read it
				all = append(all, a)
			}
		}
		return all
	}
	if n.contacts.private {
		return found
	}
	return ma.FilterAddrs(found, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) })
}

// ID is the Registry's identity.
func (n *Network) ID() drtc.NodeID { return n.id }

// Addrs are the multiaddresses that others can dial, each ending in /p2p/ID.
func (n *Network) Addrs() []string { return full(n.host.ID(), n.host.Addrs()) }

// Run takes part until ctx is done. It returns when everything that it started
// and every handler has ended; nil after ctx is done.
func (n *Network) Run(ctx context.Context) error {
	defer n.Close() //nolint:errcheck // closed below; this is for errors on the way
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.running = ctx
	n.host.RemoveStreamHandler(identify.IDPush) // what a host offers does not change
	n.host.SetStreamHandler(n.syncProtocol(), n.answer)
	n.host.SetStreamHandler(n.probeProtocol(), n.probe)
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: n.greet})
	joined, err := n.startTopics(ctx)
	if err != nil {
		return err
	}
	n.gater.open.Store(true)
	n.log.Info("gossip runs", slog.String("addresses", strings.Join(n.Addrs(), " ")))

	var loops sync.WaitGroup
	loops.Go(func() { n.publishLoop(ctx, joined) })
	loops.Go(func() { n.syncLoop(ctx) })
	loops.Go(func() { n.contactLoop(ctx) })
	loops.Go(func() { n.cutLoop(ctx) })
	for _, b := range n.config.Bootstrap {
		if !strings.HasPrefix(b, "/") {
			loops.Go(func() { n.directoryLoop(ctx, b) })
		}
	}
	<-ctx.Done()
	err = n.Close()
	loops.Wait()
	n.serving.Wait()
	return err
}

// Close ends all connections. Run does it by itself.
func (n *Network) Close() error {
	n.gater.open.Store(false)
	n.mu.Lock()
	closed := n.closed
	n.closed = true
	n.mu.Unlock()
	if closed {
		return nil
	}
	if err := n.host.Close(); err != nil {
		return fmt.Errorf("gossip: closing: %w", err)
	}
	return nil
}

// enter reports whether a handler may begin; it then calls serving.Done.
func (n *Network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.serving.Add(1)
	return true
}

// greet has the side that dialled open a conversation at once.
func (n *Network) greet(_ network.Network, c network.Conn) {
	n.peers.of(c.RemotePeer())
	if c.Stat().Direction != network.DirOutbound {
		return
	}
	select {
	case n.fresh <- c.RemotePeer():
	default:
		n.hasten()
	}
}

// punish refuses p for a time and cuts it off.
func (n *Network) punish(p peer.ID, reason string) {
	now := time.Now()
	if !n.gater.punish(p, Ban{Until: now.Add(n.config.BanFor), Reason: reason}, now) {
		return
	}
	n.meter.bans.WithLabelValues(reason).Inc()
	n.log.Warn("registry cut off", slog.String("registry", n.peers.of(p).name()), slog.String("reason", reason))
	select {
	case n.cut <- p:
	default: // watch does it within a second
	}
}

// cutLoop closes the connections of the punished until ctx is done.
func (n *Network) cutLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-n.cut:
			n.disconnect(p)
		}
	}
}

func (n *Network) disconnect(p peer.ID) {
	if err := n.host.Network().ClosePeer(p); err != nil {
		n.log.Debug("closing a connection", slog.Any("error", err))
	}
}
