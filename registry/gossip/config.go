package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/drtc-network/drtc/registry/reconcile"
)

// Config of a Network. Start from DefaultConfig and fill in Name.
type Config struct {
	// Name is the network that records belong to, such as "devnet".
	Name string
	// Listen is the TCP address, an IP and a port; port 0 picks a free one.
	Listen string
	// Announce is what others are told to dial, as multiaddresses or host:port;
	// empty is what the host finds out by itself.
	Announce []string
	// Bootstrap is how the first Registries are found: multiaddresses that end in
	// /p2p/ID, or base URLs of Registries' APIs.
	Bootstrap []string
	// AllowReaders lets at most MaxReaders hosts that are not bonded as
	// Registries connect and copy records.
	AllowReaders bool
	MaxReaders   int

	// Below KeepAll known Registries each is kept connected; from there on at
	// least MinOutbound connections are opened from here.
	MinOutbound, KeepAll int
	// MaxContacts bounds the Registries that are remembered.
	MaxContacts int
	// DialTimeout bounds one attempt; after a failure the next one waits from
	// RetryMin on, twice as long each time, up to RetryMax.
	DialTimeout, RetryMin, RetryMax time.Duration

	// A batch is sent when its first record is BatchDelay old, when it holds
	// BatchRecords or BatchBytes, or at once as long as no more than
	// EagerPerSecond batches a second have been sent in its topic.
	BatchDelay     time.Duration
	BatchRecords   int
	BatchBytes     int
	EagerPerSecond float64
	// QueueSize bounds the records that wait to be sent.
	QueueSize int

	// SyncEvery is the mean time between conversations with a random peer,
	// which grows up to SyncIdle while nothing differs. SyncTimeout bounds one.
	SyncEvery, SyncIdle, SyncTimeout time.Duration
	// SyncLimits bound what a conversation takes.
	SyncLimits reconcile.Limits

	// ProbeTimeout bounds a question about a node, on both sides.
	ProbeTimeout time.Duration

	// Budget is what every peer may do, BanFor how long one is refused who did
	// more.
	Budget Budget
	BanFor time.Duration
}

// DefaultConfig returns the configuration of a Registry that others on the same
// machine can reach; Name is to be filled in.
func DefaultConfig() Config {
	return Config{
		Listen:     "127.0.0.1:0",
		MaxReaders: 64, MinOutbound: 4, KeepAll: 16, MaxContacts: 1024,
		DialTimeout: 5 * time.Second, RetryMin: time.Second, RetryMax: time.Minute,
		BatchDelay: 50 * time.Millisecond, BatchRecords: 64, BatchBytes: 200 << 10, EagerPerSecond: 50,
		QueueSize: 8192,
		SyncEvery: 3 * time.Second, SyncIdle: 30 * time.Second, SyncTimeout: time.Minute,
		SyncLimits:   reconcile.DefaultLimits(),
		ProbeTimeout: 5 * time.Second,
		Budget:       DefaultBudget(), BanFor: 10 * time.Minute,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if c.Name == "" {
		return errors.New("gossip: Name is empty: give the network's name, such as devnet")
	}
	if _, err := listenAddr(c.Listen); err != nil {
		return fmt.Errorf("gossip: Listen: %w", err)
	}
	for i, a := range c.Announce {
		if _, err := announceAddr(a); err != nil {
			return fmt.Errorf("gossip: Announce[%d]: %w", i, err)
		}
	}
	for i, b := range c.Bootstrap {
		if err := checkBootstrap(b); err != nil {
			return fmt.Errorf("gossip: Bootstrap[%d]: %w", i, err)
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"MinOutbound", c.MinOutbound}, {"KeepAll", c.KeepAll}, {"MaxContacts", c.MaxContacts},
		{"BatchRecords", c.BatchRecords}, {"BatchBytes", c.BatchBytes}, {"QueueSize", c.QueueSize},
	} {
		if f.value < 1 {
			return fmt.Errorf("gossip: %s must be at least 1, is %d", f.name, f.value)
		}
	}
	if c.BatchRecords > maxBatch || c.BatchBytes > MaxMessage {
		return fmt.Errorf("gossip: BatchRecords must be at most %d and BatchBytes at most %d, are %d and %d", maxBatch, MaxMessage, c.BatchRecords, c.BatchBytes)
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", c.DialTimeout}, {"RetryMin", c.RetryMin}, {"BatchDelay", c.BatchDelay},
		{"SyncEvery", c.SyncEvery}, {"SyncTimeout", c.SyncTimeout}, {"ProbeTimeout", c.ProbeTimeout}, {"BanFor", c.BanFor},
	} {
		if f.value <= 0 {
			return fmt.Errorf("gossip: %s must be above 0, is %s", f.name, f.value)
		}
	}
	switch {
	case c.RetryMax < c.RetryMin:
		return fmt.Errorf("gossip: RetryMax must be at least RetryMin, is %s", c.RetryMax)
	case c.SyncIdle < c.SyncEvery:
		return fmt.Errorf("gossip: SyncIdle must be at least SyncEvery, is %s", c.SyncIdle)
	case c.EagerPerSecond < 0:
		return fmt.Errorf("gossip: EagerPerSecond must not be negative, is %g", c.EagerPerSecond)
	case c.MaxReaders < 0:
		return fmt.Errorf("gossip: MaxReaders must not be negative, is %d", c.MaxReaders)
	}
	if err := errors.Join(c.SyncLimits.Validate(), c.Budget.Validate()); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	return nil
}

// listenAddr reads an IP and a port.
func listenAddr(s string) (ma.Multiaddr, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("want an IP and a port, such as 0.0.0.0:7901: %w", err)
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return nil, fmt.Errorf("want an IP and a port, such as 0.0.0.0:7901, got %q", s)
	}
	return tcpAddr(ip, host, port)
}

// announceAddr reads a multiaddress or host:port.
func announceAddr(s string) (ma.Multiaddr, error) {
	if strings.HasPrefix(s, "/") {
		return ma.NewMultiaddr(s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("want host:port or a multiaddress such as /dns4/registry.example.org/tcp/7901: %w", err)
	}
	return tcpAddr(net.ParseIP(host), host, port)
}

func tcpAddr(ip net.IP, host, port string) (ma.Multiaddr, error) {
	kind := "dns"
	switch {
	case ip.To4() != nil:
		kind = "ip4"
	case ip != nil:
		kind = "ip6"
	}
	return ma.NewMultiaddr("/" + kind + "/" + host + "/tcp/" + port)
}

func checkBootstrap(s string) error {
	if strings.HasPrefix(s, "/") {
		_, err := parseAddr(s)
		return err
	}
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("want a multiaddress that ends in /p2p/ID or an http or https URL, got %q", s)
	}
	return nil
}
