package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/probe"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/status"
	"github.com/drtc-network/drtc/registry/wire"
)

// Config of a Registry. Start from DefaultConfig.
type Config struct {
	// Listen is the TCP address of the API; port 0 picks a free one.
	Listen string `toml:"listen"`
	// Dir holds the records and, unless KeyFile says otherwise, the key.
	Dir     string `toml:"dir"`
	KeyFile string `toml:"key_file"`
	// Network is the name that every record must carry.
	Network string `toml:"network"`
	// URL is how others reach the API, http or https; empty means http:// and the
	// address that Listen got.
	URL string `toml:"url"`
	// Place is where this Registry is. Without it the round trips that it
	// measures say nothing about where a node is.
	Place *drtc.Place `toml:"place"`

	// GossipListen is the TCP address for other Registries, an IP and a port;
	// GossipAnnounce what they are told to dial instead of what the machine finds
	// out by itself, as host:port or multiaddresses.
	GossipListen   string   `toml:"gossip_listen"`
	GossipAnnounce []string `toml:"gossip_announce"`
	// Bootstrap is how the first other Registries are found: URLs of their APIs
	// or multiaddresses that end in /p2p/ID.
	Bootstrap []string `toml:"bootstrap"`
	// BondingFile says who may take part, as docs/ops/registry.md describes;
	// without one everybody may.
	BondingFile string `toml:"bonding_file"`
	// Bonding says it instead of BondingFile; the Registry runs it. Nil for none.
	Bonding bonding.Source `toml:"-"`
	// Pages are the status pages, and Chain what they show of a chain, which the
	// Registry runs; nil for none.
	Pages http.Handler `toml:"-"`
	Chain Chain        `toml:"-"`
	// AllowReaders lets hosts copy the records that may not take part.
	AllowReaders bool `toml:"allow_readers"`

	// Probing has this Registry dial nodes and say what it sees of them. One
	// without is a mirror.
	Probing bool `toml:"probing"`
	// Probers is how many Registries watch over one node, the same in the whole
	// network, and so is Epoch, over which availability is taken.
	Probers int           `toml:"probers"`
	Epoch   time.Duration `toml:"epoch"`
	// Receipts says what the network's receipts are; without a contract there are
	// none, and records of them are refused.
	Receipts receipt.Network `toml:"receipts"`
	// ProbeEvery is the time between two dials of a node, give or take a fifth.
	ProbeEvery time.Duration `toml:"probe_every"`
	// AllowPrivateTargets lets nodes be at private and loopback addresses, for
	// development: else nobody can have this Registry dial its own network.
	AllowPrivateTargets bool `toml:"allow_private_targets"`
	// GeoIPFile is a database of addresses in MaxMind's format, for advice to
	// this Registry's operator alone.
	GeoIPFile string `toml:"geoip_file"`

	// BackupFile is written anew every BackupEvery; none when empty.
	BackupFile  string        `toml:"backup_file"`
	BackupEvery time.Duration `toml:"backup_every"`

	// MaxRecords and MaxConnections bound memory; of the latter one client
	// address may have MaxConnectionsPerAddress.
	MaxRecords               int `toml:"max_records"`
	MaxConnections           int `toml:"max_connections"`
	MaxConnectionsPerAddress int `toml:"max_connections_per_address"`
	// UpdateEvery and UpdateBurst bound how often one node may change its record.
	UpdateEvery time.Duration `toml:"update_every"`
	UpdateBurst int           `toml:"update_burst"`
	// RequestsPerSecond and RequestBurst bound one client address.
	RequestsPerSecond float64 `toml:"requests_per_second"`
	RequestBurst      int     `toml:"request_burst"`
	// KeepAliveEvery is the time between nonces, KeepAliveMisses how many
	// unanswered in a row take a node out, KeepAliveReopen how long after its
	// stream broke a node may open another.
	KeepAliveEvery  time.Duration `toml:"keepalive_every"`
	KeepAliveMisses int           `toml:"keepalive_misses"`
	KeepAliveReopen time.Duration `toml:"keepalive_reopen"`
	// ExpireEvery is how often expired records are looked for.
	ExpireEvery time.Duration `toml:"expire_every"`
	// ShutdownTimeout bounds the end of requests under way.
	ShutdownTimeout time.Duration `toml:"shutdown_timeout"`
}

// Chain is a chain that is read for everybody who looks.
type Chain interface {
	status.Economy
	// Run reads until ctx is done.
	Run(ctx context.Context)
}

// DefaultConfig returns the configuration of a public Registry; Dir and Network
// are to be filled in.
func DefaultConfig() Config {
	rules, keepalive, limits := record.DefaultRules(""), liveness.DefaultConfig(), api.DefaultConfig()
	verdicts := liveness.DefaultVerdictsConfig(drtc.NodeID{})
	return Config{
		Listen:                   "127.0.0.1:7900",
		GossipListen:             "0.0.0.0:7901",
		Probing:                  true,
		Probers:                  verdicts.Probers,
		Epoch:                    verdicts.Epoch,
		Receipts:                 receipt.DefaultNetwork(),
		ProbeEvery:               liveness.DefaultProberConfig().Every,
		BackupEvery:              time.Hour,
		MaxRecords:               rules.MaxRecords,
		MaxConnections:           8192,
		MaxConnectionsPerAddress: 512,
		UpdateEvery:              rules.RateEvery,
		UpdateBurst:              rules.RateBurst,
		RequestsPerSecond:        limits.RequestsPerSecond,
		RequestBurst:             limits.Burst,
		KeepAliveEvery:           keepalive.Interval,
		KeepAliveMisses:          keepalive.Misses,
		KeepAliveReopen:          keepalive.Reopen,
		ExpireEvery:              time.Second,
		ShutdownTimeout:          5 * time.Second,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Listen == "":
		return errors.New("registry: listen is empty: give host:port")
	case c.Dir == "":
		return errors.New("registry: dir is empty: give a directory for the records")
	case c.Network == "":
		return errors.New("registry: network is empty: give the network's name, such as devnet")
	case c.MaxConnections < 1:
		return fmt.Errorf("registry: max_connections must be at least 1, is %d", c.MaxConnections)
	case c.MaxConnectionsPerAddress < 1:
		return fmt.Errorf("registry: max_connections_per_address must be at least 1, is %d", c.MaxConnectionsPerAddress)
	case c.URL != "" && (!node.ValidURL(c.URL) || strings.Contains(c.URL, "?")):
		return fmt.Errorf("registry: url: want http or https, a host and nothing behind it, got %.60q", c.URL)
	case c.Place != nil && !c.Place.Valid():
		return fmt.Errorf("registry: place: want lat -90..90 and lon -180..180, got %s", c.Place)
	case c.Bonding != nil && c.BondingFile != "":
		return errors.New("registry: bonding_file: the chain says who may take part: give one of the two")
	case c.BackupFile != "" && c.BackupEvery < time.Second:
		return fmt.Errorf("registry: backup_every must be at least 1s, is %s", c.BackupEvery)
	case c.ExpireEvery <= 0:
		return fmt.Errorf("registry: expire_every must be above 0, is %s", c.ExpireEvery)
	case c.ShutdownTimeout <= 0:
		return fmt.Errorf("registry: shutdown_timeout must be above 0, is %s", c.ShutdownTimeout)
	}
	if err := c.Receipts.Validate(); err != nil {
		return fmt.Errorf("registry: receipts: %w", err)
	}
	if err := errors.Join(c.ledger(bonding.AllowAll{}).Validate(), c.liveness().Validate(), c.prober().Validate(),
		c.verdicts(drtc.NodeID{1}).Validate(), c.gossip().Validate(), c.api().Validate()); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

func (c Config) keyFile() string {
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(c.Dir, "key")
}

func (c Config) ledger(b record.Bonding) ledger.Config {
	r := record.DefaultRules(c.Network)
	r.Kinds, r.Bonding, r.RateEvery, r.RateBurst, r.MaxRecords = wire.Kinds(c.Receipts), b, c.UpdateEvery, c.UpdateBurst, c.MaxRecords
	l := ledger.DefaultConfig(r)
	l.ExpireEvery = c.ExpireEvery
	return l
}

func (c Config) gossip() gossip.Config {
	g := gossip.DefaultConfig()
	g.Name, g.Listen, g.Announce, g.Bootstrap, g.AllowReaders = c.Network, c.GossipListen, c.GossipAnnounce, c.Bootstrap, c.AllowReaders
	return g
}

func (c Config) prober() liveness.ProberConfig {
	p := liveness.DefaultProberConfig()
	p.Every = c.ProbeEvery
	return p
}

func (c Config) probe() probe.Config {
	p := probe.DefaultConfig()
	p.Guard.AllowPrivate = c.AllowPrivateTargets
	return p
}

func (c Config) verdicts(self drtc.NodeID) liveness.VerdictsConfig {
	v := liveness.DefaultVerdictsConfig(self)
	v.Probers, v.Epoch = c.Probers, c.Epoch
	return v
}

func (c Config) liveness() liveness.Config {
	l := liveness.DefaultConfig()
	l.Interval, l.Misses, l.Reopen = c.KeepAliveEvery, c.KeepAliveMisses, c.KeepAliveReopen
	return l
}

func (c Config) api() api.Config {
	a := api.DefaultConfig()
	a.RequestsPerSecond, a.Burst = c.RequestsPerSecond, c.RequestBurst
	a.Silence = time.Duration(c.KeepAliveMisses+2) * c.KeepAliveEvery
	return a
}
