package orchestrator

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/orchestrator/billing"
	"github.com/drtc-network/drtc/orchestrator/moderate"
	"github.com/drtc-network/drtc/orchestrator/nodes"
	"github.com/drtc-network/drtc/orchestrator/policy"
	"github.com/drtc-network/drtc/orchestrator/reroute"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/roomservice"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/tenure"
	"github.com/drtc-network/drtc/orchestrator/webhook"
	"github.com/drtc-network/drtc/orchestrator/whip"
	"github.com/drtc-network/drtc/receipt"
)

// Parts are what an Orchestrator is put together with; each may be left out.
type Parts struct {
	// Discovery knows the nodes; without it Config.Registries are asked.
	Discovery Discovery
	// Store keeps the rooms; without it Config.State says where they are kept.
	Store state.Store
	// Policies decide for applications, by name, besides Config.Applications.
	Policies map[string]policy.Policy
	// Authorities knows what applications let this Orchestrator spend; without it
	// nobody is refused for that.
	Authorities billing.Authorities
	// Web serves what no other path does; without it / says that we are here.
	Web http.Handler
}

// Orchestrator is one Orchestrator process. Make one with New, then call Run once.
type Orchestrator struct {
	config    Config
	log       *slog.Logger
	key       *identity.Key
	discovery Discovery
	asking    *discovery.Discovery // run by us, or nil
	store     state.Store
	closer    io.Closer // of a store that we opened, or nil
	pool      *nodes.Pool
	signal    *signal.Server
	whip      *whip.Server
	keeper    *tenure.Keeper
	openings  openings
	dispatch  *dispatch
	rerouter  *reroute.Handler
	packer    *packer
	api       *roomservice.Server
	webhooks  *webhook.Sender
	policies  *policy.Policies
	moderate  *moderate.Server
	doors     *doors
	billing   *billing.Billing
	meter     *meter
	routes    *routes
	listener  net.Listener
	server    *http.Server
	conns     atomic.Uint64
	keeping   sync.Mutex // one at a time says which nodes are connected

	mu     sync.Mutex // guards what follows
	ctx    context.Context
	actors map[signal.RoomName]*actor
	byID   map[drtc.RoomID]*actor
	aims   map[drtc.NodeID]aim
	group  sync.WaitGroup // of actors and savers
}

// New opens the key and the listening socket, so that ID and URL are known. Run
// closes the socket.
func New(c Config, p Parts, log *slog.Logger) (*Orchestrator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	key, err := keyfile.LoadOrCreate(c.keyFile())
	if err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	log = log.With(slog.String("orchestrator", key.ID().Short()))
	o := &Orchestrator{
		config: c, log: log, key: key, discovery: p.Discovery, store: p.Store, routes: newRoutes(),
		actors: map[signal.RoomName]*actor{}, byID: map[drtc.RoomID]*actor{}, aims: map[drtc.NodeID]aim{},
	}
	o.dispatch = &dispatch{o: o, waiting: map[subject]*roomOrder{}}
	if err := o.assemble(p); err != nil {
		return nil, errors.Join(err, o.closeStore())
	}
	return o, nil
}

func (o *Orchestrator) assemble(p Parts) error {
	var err error
	if o.meter, err = newMeter(o); err != nil {
		return err
	}
	if o.discovery == nil {
		c := discovery.DefaultConfig()
		c.Registries, c.Network = o.config.Registries, o.config.Network
		c.Learn, c.CacheFile = o.config.LearnRegistries, o.config.cacheFile()
		if o.asking, err = discovery.New(c, o.log, o.meter.registry); err != nil {
			return fmt.Errorf("orchestrator: %w", err)
		}
		o.discovery = o.asking
	}
	if o.store == nil {
		if o.store, o.closer, err = openStore(context.Background(), o.config, o.log); err != nil {
			return err
		}
	}
	if o.packer, err = newPacker(); err != nil {
		return err
	}
	o.keeper, err = tenure.New(tenure.Config{Store: o.store, Member: o.config.Member, URL: o.config.MemberURL, Log: o.log})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	o.pool, err = nodes.New(nodes.Config{
		Member: o.config.Member,
		Key:    o.key, Now: time.Now, Rand: rand.Reader, Emit: o.nodeEvent, Log: o.log, Report: o.meter.call,
		Accounts: func(application string) receipt.Application { return o.billing.Account(application) }, Count: o.count,
	})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	if o.billing, err = o.bills(p.Authorities); err != nil {
		return err
	}
	c := o.config
	o.signal, err = signal.New(signal.Config{
		Keys: c.signalKeys(), Rooms: o, Log: o.log, Version: drtc.Version, Region: string(c.Region),
		MaxSockets: c.MaxSockets, ConnectRate: c.ConnectRate, ConnectBurst: c.ConnectBurst,
		TrustedProxies: c.TrustedProxies, Drills: c.TestDrills, Report: o.meter.connection,
	})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	o.whip, err = whip.New(whip.Config{
		Gate: o.signal, Rooms: o, Log: o.log, ICEServers: c.ICEServers, MaxSessions: c.MaxSockets, Report: o.meter.whip,
	})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	o.api, err = roomservice.New(roomservice.Config{Keys: c.signalKeys(), Rooms: o, Log: o.log, RemoteUnmute: c.RemoteUnmute, Elsewhere: o.elsewhere, Host: o.host})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	o.webhooks, err = webhook.New(webhook.Config{
		Hooks: c.Webhooks, Keys: c.signalKeys(), Log: o.log,
		Report: func(outcome string) { o.meter.webhooks.WithLabelValues(outcome).Inc() },
	})
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	if err = o.decide(p.Policies); err != nil {
		return err
	}
	if o.listener, err = o.listen(); err != nil {
		return err
	}
	if o.rerouter, err = o.reroute(o.handler(p.Web)); err != nil {
		return err
	}
	o.server = &http.Server{
		Handler:           o.rerouter,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10, // a join request travels in the URL
		ErrorLog:          slog.NewLogLogger(o.log.Handler(), slog.LevelDebug),
	}
	return nil
}

func (o *Orchestrator) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", o.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("orchestrator: listen: %w", err)
	}
	if o.config.TLSCert == "" {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(o.config.TLSCert, o.config.TLSKey)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("orchestrator: tls_cert, tls_key: %w", err), l.Close())
	}
	// WebSocket upgrades need HTTP/1.1.
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), nil
}

// closeStore closes a store that we opened.
func (o *Orchestrator) closeStore() error {
	if o.closer == nil {
		return nil
	}
	if err := o.closer.Close(); err != nil {
		return fmt.Errorf("orchestrator: closing the store: %w", err)
	}
	return nil
}

// ID is the Orchestrator's identity.
func (o *Orchestrator) ID() drtc.NodeID { return o.key.ID() }

// Addr is where clients connect.
func (o *Orchestrator) Addr() net.Addr { return o.listener.Addr() }

// URL is the base URL for clients, without a slash at the end.
func (o *Orchestrator) URL() string {
	scheme := "http://"
	if o.config.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + o.listener.Addr().String()
}

// Run serves until ctx is done or serving fails. It returns when everything that
// New and Run started has ended; nil after ctx is done. Rooms stay in the store.
func (o *Orchestrator) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rooms, stopRooms := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRooms()
	o.mu.Lock()
	o.ctx = rooms
	o.mu.Unlock()
	var loops, connections, pool, bills, tenures sync.WaitGroup
	tenureCtx, stopTenures := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTenures()
	tenures.Go(func() {
		if err := o.keeper.Run(tenureCtx); err != nil {
			cancel(fmt.Errorf("orchestrator: %w", err))
		}
	})
	tenures.Go(func() { o.keepTenures(tenureCtx) })
	if err := o.billing.Load(ctx); err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	// Before nodes are asked: sessions that no room knows are closed.
	if err := o.restore(ctx); err != nil {
		o.log.Error("rooms of an earlier run can't be restored", slog.Any("error", err))
	}
	poolCtx, stopPool := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPool()
	billsCtx, stopBills := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBills()
	pool.Go(func() { _ = o.pool.Run(poolCtx) })
	if o.asking != nil {
		loops.Go(func() { _ = o.asking.Run(ctx) }) // nil when ctx ends
	}
	loops.Go(func() { o.keepNodes(ctx) })
	loops.Go(func() { o.balance(ctx) })
	bills.Go(func() { _ = o.billing.Run(billsCtx) }) // nil when ctx ends
	connections.Go(func() { _ = o.signal.Run(ctx) })
	connections.Go(func() { _ = o.whip.Run(ctx) })
	loops.Go(func() { _ = o.webhooks.Run(ctx) })
	loops.Go(func() { _ = o.policies.Run(ctx) })
	loops.Go(func() { o.recheck(ctx) })
	loops.Go(func() {
		if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("orchestrator: serving: %w", err))
		}
	})
	o.log.Info("orchestrator serves", slog.String("url", o.URL()), slog.String("id", o.ID().String()))

	<-ctx.Done()
	o.keeper.Retire() // before others that end as well choose whom to hand rooms
	// Connections end first and tell their rooms, which then end and with them
	// what they asked of nodes.
	connections.Wait()
	if err := o.server.Close(); err != nil {
		o.log.Debug("closing the server", slog.Any("error", err))
	}
	loops.Wait()
	stopRooms()
	o.group.Wait()
	o.handOver()
	stopTenures()
	tenures.Wait()
	stopBills() // while nodes can still be told
	bills.Wait()
	stopPool()
	pool.Wait()
	if err := o.closeStore(); err != nil {
		o.log.Warn("the store did not close", slog.Any("error", err))
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// Enter implements signal.Rooms.
func (o *Orchestrator) Enter(ctx context.Context, name signal.RoomName, out signal.Outlet, first func(room.Conn) room.Command) (room.Conn, error) {
	conn := room.Conn(o.conns.Add(1))
	command, err := o.admitted(ctx, name, first(conn))
	if err != nil {
		return 0, err
	}
	l := letter{command: command, conn: conn, outlet: out}
	for {
		a, err := o.actor(ctx, name, true)
		if err != nil {
			return 0, err
		}
		if err := a.deliver(ctx, l); !errors.Is(err, errEnded) {
			return conn, err
		}
		// The room ended at this moment: there is a new one of that name now,
		// unless we are ending.
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("orchestrator: %w", err)
		}
	}
}

// Post implements signal.Rooms.
func (o *Orchestrator) Post(ctx context.Context, name signal.RoomName, c room.Command) error {
	a := o.running(name)
	if a == nil {
		return nil
	}
	select {
	case a.inbox <- letter{command: c}:
	case <-a.done:
	case <-ctx.Done():
		return fmt.Errorf("orchestrator: waiting for the room: %w", ctx.Err())
	}
	return nil
}

// start runs an actor. The caller holds mu.
func (o *Orchestrator) start(a *actor) *actor {
	o.actors[a.name], o.byID[a.id] = a, a
	ctx := o.ctx
	o.group.Go(func() { a.run(ctx) })
	o.group.Go(func() { a.saver.run(a.done) })
	return a
}

// forget takes an actor whose room has ended out of the lists.
func (o *Orchestrator) forget(a *actor) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.actors[a.name] == a {
		delete(o.actors, a.name)
		delete(o.byID, a.id)
	}
	return true
}

// nodeEvent hands an event of a node to the rooms that it concerns.
func (o *Orchestrator) nodeEvent(e nodes.Event) {
	switch c := e.Command.(type) {
	case nil:
	case room.NodeLost:
		o.meter.lost.Inc()
		o.billing.Lost(e.Node)
		for _, a := range o.routes.on(e.Node) {
			a.post(c)
		}
	case room.SessionReport:
		if a := o.routes.find(e.Session, e.Node); a != nil && o.routes.reported(e.Session) {
			a.post(c)
		}
	case room.NodeDraining:
		for _, a := range o.routes.on(e.Node) {
			a.post(c)
		}
	case room.RelayReported:
		o.meter.relay(c.Figures)
		if a := o.routes.over(c.Link); a != nil {
			a.post(c)
		}
	case room.NodeSynced:
		for _, a := range o.routes.on(e.Node) {
			a.post(c)
		}
		// What we don't know of is left over from a time when we could not
		// reach the node.
		for _, s := range c.Sessions {
			if o.routes.find(s, e.Node) == nil {
				end := nodes.Order{Node: e.Node, Session: s, Command: room.CloseSession{}}
				end.Fenced = func(term uint64) { // the node has it from us, of a term that we don't remember
					o.pool.Send(nodes.Order{Node: e.Node, Session: s, Command: room.CloseSession{}, Term: term})
				}
				o.pool.Send(end)
			}
		}
	default:
		a := o.routes.find(e.Session, e.Node)
		if e.Room != "" {
			o.mu.Lock()
			a = o.byID[e.Room]
			o.mu.Unlock()
		}
		if a != nil {
			a.post(c)
		}
	}
}

func (o *Orchestrator) now() time.Time { return time.Now() }

// newRoomID returns a fresh id with 80 random bits.
func newRoomID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return drtc.RoomPrefix + base32.StdEncoding.EncodeToString(b[:])
}
