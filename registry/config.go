package registry

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
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

// DefaultConfig returns the configuration of a public Registry; Dir and Network
// are to be filled in.
func DefaultConfig() Config {
	rules, keepalive, limits := record.DefaultRules(""), liveness.DefaultConfig(), api.DefaultConfig()
	return Config{
		Listen:                   "127.0.0.1:7900",
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
	case c.ExpireEvery <= 0:
		return fmt.Errorf("registry: expire_every must be above 0, is %s", c.ExpireEvery)
	case c.ShutdownTimeout <= 0:
		return fmt.Errorf("registry: shutdown_timeout must be above 0, is %s", c.ShutdownTimeout)
	}
	if err := errors.Join(c.rules().Validate(), c.liveness().Validate(), c.api().Validate()); err != nil {
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

func (c Config) rules() record.Rules {
	r := record.DefaultRules(c.Network)
	r.Kinds = []record.Kind{record.NodeKind(wire.CheckNode)}
	r.RateEvery, r.RateBurst, r.MaxRecords = c.UpdateEvery, c.UpdateBurst, c.MaxRecords
	return r
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
