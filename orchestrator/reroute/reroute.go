package reroute

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"time"

	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/tenure"
)

const (
	ownerLimit = 2 * time.Second // of the question who the owner is
	lookEvery  = time.Second     // whether the owner of a connection is another
	// While a request waits for an owner that answers, it asks this often who that
	// is, and tries the same one again after that long.
	awaitEvery = 50 * time.Millisecond
	tryEvery   = 500 * time.Millisecond
	minSecret  = 32 // bytes
)

// Outcomes of a request, for Config.Report.
const (
	Served   = "served"  // here
	Sent     = "sent"    // to the owner
	Astray   = "astray"  // sent here by a member, but the room is not here
	Forged   = "forged"  // with a header that no member made
	Full     = "full"    // too many are under way
	Unknown  = "unknown" // the owner could not be found out
	Unheard  = "unheard" // the owner did not answer
	retrySec = "1"       // when to come again, seconds
)

// Config of a Handler. Self, Secret, Room, Owner and Next are required.
type Config struct {
	// Self is this member's name.
	Self string
	// Secret is the same for all members, at least 32 bytes: see Secret.
	Secret []byte
	// Room is the room of a request; false for one that any member can serve. It
	// must not read the body.
	Room func(*http.Request) (tenure.Key, bool)
	// Owner is who writes a room, as tenure.Keeper.Owner.
	Owner func(context.Context, tenure.Key) (tenure.Owner, error)
	// Next serves the requests that are for this member.
	Next http.Handler
	// Client is the address of who sent a request, by whatever rules there are
	// for proxies; nil for the address of the connection.
	Client func(*http.Request) netip.Addr
	// MaxRequests is how many may be under way to others at once, connections that
	// were upgraded among them; default 10,000.
	MaxRequests int
	// Hold is how long a request without a body waits when the owner does not
	// answer, until the room has another one: longer than it takes to find a member
	// dead. Default 5 s, negative for not at all.
	Hold time.Duration
	// Transport reaches the other members; nil for one of this package's.
	Transport http.RoundTripper
	Now       func() time.Time // default time.Now
	Log       *slog.Logger     // nil for none
	// Report, if set, hears of the outcome of every request with a room.
	Report func(outcome string)
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Self == "":
		return errors.New("reroute: Self: want the member's name, got none")
	case len(c.Secret) < minSecret:
		return fmt.Errorf("reroute: Secret: want at least %d bytes, got %d", minSecret, len(c.Secret))
	case c.Room == nil, c.Owner == nil, c.Next == nil:
		return errors.New("reroute: Room, Owner, Next: all are required")
	case c.MaxRequests < 0:
		return fmt.Errorf("reroute: MaxRequests: want more than 0, got %d", c.MaxRequests)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Client == nil {
		c.Client = connected
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 10_000
	}
	if c.Hold == 0 {
		c.Hold = 5 * time.Second
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			DialContext: (&net.Dialer{
				Timeout:         2 * time.Second,
				KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 3},
			}).DialContext,
			TLSHandshakeTimeout: 2 * time.Second, ResponseHeaderTimeout: 15 * time.Second,
			MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Report == nil {
		c.Report = func(string) {}
	}
	return c
}

func connected(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// Secret derives what members of one key share.
func Secret(key *identity.Key) ([]byte, error) {
	secret, err := hkdf.Key(sha256.New, []byte(key.Hex()), nil, "drtc reroute between members", minSecret)
	if err != nil {
		return nil, fmt.Errorf("reroute: deriving the secret: %w", err)
	}
	return secret, nil
}

// Handler stands before a member's own handler.
type Handler struct {
	config Config
	places chan struct{}
}

// New makes a Handler, or returns the error of Config.Validate.
func New(c Config) (*Handler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	return &Handler{config: c, places: make(chan struct{}, c.MaxRequests)}, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent := r.Header.Values(header)
	if len(sent) > 0 {
		client, err := h.verify(r, sent)
		if err != nil {
			h.config.Report(Forged)
			h.config.Log.Warn("request was sent on by nobody", slog.String("from", r.RemoteAddr), slog.Any("error", err))
			http.Error(w, "this request was sent on by nobody", http.StatusForbidden)
			return
		}
		// It comes from the client for all that follows.
		r = r.Clone(r.Context())
		r.Header.Del(header)
		r.Header.Del("X-Forwarded-For")
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	room, ok := h.config.Room(r)
	if !ok {
		h.config.Next.ServeHTTP(w, r)
		return
	}
	h.serve(w, r, room, len(sent) > 0)
}

// serve answers a request about a room: here, or by its owner. One whose owner
// has just died waits for the next one.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, room tenure.Key, sent bool) {
	way := &way{until: time.Now().Add(h.config.Hold)}
	defer way.leave(h)
	for {
		owner, err := h.owner(r.Context(), room)
		switch {
		case err != nil:
			h.later(w, Unknown, "it is not known which server has this room")
		case owner.Member == "" || owner.Member == h.config.Self:
			way.leave(h)
			h.config.Report(Served)
			h.config.Next.ServeHTTP(w, r)
		case sent:
			h.later(w, Astray, "this room has just moved to another server")
		case !way.enter(h):
			h.later(w, Full, "too many requests are on their way to other servers")
		case !h.send(w, r, room, owner, way):
			h.await(r.Context(), room, owner.Member)
			continue
		}
		return
	}
}

// way is what a request keeps while it is sent on, maybe more than once.
type way struct {
	until time.Time // then it waits no longer
	taken bool      // it has one of the places
}

func (y *way) enter(h *Handler) bool {
	if y.taken {
		return true
	}
	select {
	case h.places <- struct{}{}:
		y.taken = true
		h.config.Report(Sent)
		return true
	default:
		return false
	}
}

func (y *way) leave(h *Handler) {
	if y.taken {
		y.taken = false
		<-h.places
	}
}

// await returns when the room may have another owner, or its owner may answer.
func (h *Handler) await(ctx context.Context, room tenure.Key, member string) {
	again := time.NewTimer(tryEvery)
	defer again.Stop()
	look := time.NewTicker(awaitEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			return
		case <-look.C:
			if owner, err := h.owner(ctx, room); err != nil || owner.Member != member {
				return
			}
		}
	}
}

func (h *Handler) owner(ctx context.Context, room tenure.Key) (tenure.Owner, error) {
	ctx, cancel := context.WithTimeout(ctx, ownerLimit)
	defer cancel()
	return h.config.Owner(ctx, room)
}

// later refuses for now.
func (h *Handler) later(w http.ResponseWriter, outcome, text string) {
	h.config.Report(outcome)
	w.Header().Set("Retry-After", retrySec)
	http.Error(w, text, http.StatusServiceUnavailable)
}

// send hands a request to the owner and carries what comes back, for as long as
// the room has that owner. It reports false when the owner did not answer and the
// request may wait for one that does.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, room tenure.Key, owner tenure.Owner, y *way) (done bool) {
	target, err := url.Parse(owner.URL)
	if err != nil || target.Host == "" {
		h.later(w, Unknown, "the server that has this room can't be reached")
		return true
	}
	ctx, cancel := context.WithCancel(r.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		h.watch(ctx, cancel, room, owner.Member)
	}()
	defer func() {
		cancel()
		<-watched
	}()
	client := h.config.Client(r)
	done, answered := true, false
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.Out.Header.Set(header, h.sign(owner.Member, client, p.Out.Method, p.Out.URL))
		},
		Transport: h.config.Transport, FlushInterval: -1,
		ErrorLog: slog.NewLogLogger(h.config.Log.Handler(), slog.LevelDebug),
		ModifyResponse: func(*http.Response) error {
			answered = true
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			h.config.Log.Debug("the owner of a room did not answer", slog.String("member", owner.Member), slog.Any("error", err))
			if !answered && r.ContentLength == 0 && r.Context().Err() == nil && time.Now().Before(y.until) {
				done = false
				return
			}
			h.later(w, Unheard, "the server that has this room does not answer")
		},
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	return done
}

// watch ends a request when the room's owner is not the one that it went to.
func (h *Handler) watch(ctx context.Context, end context.CancelFunc, room tenure.Key, member string) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if owner, err := h.owner(ctx, room); err == nil && owner.Member != member {
				end()
				return
			}
		}
	}
}
