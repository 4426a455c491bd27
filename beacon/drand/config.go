package drand

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/drtc-network/drtc/beacon"
)

// Bounds of a Config and of an answer.
const (
	MaxSources = 16
	maxAnswer  = 4 << 10 // bytes; a round of the longest scheme has 0.6 KB
	maxHeader  = 16 << 10
)

// ErrConfig is returned by New and Config.Validate.
var ErrConfig = errors.New("drand: configuration")

// Config of a Client.
type Config struct {
	// Chain whose rounds are fetched.
	Chain beacon.Chain
	// Sources are base URLs, http or https, 1 to MaxSources, the preferred first.
	Sources []string
	// Timeout of one request to one source, its whole answer included.
	Timeout time.Duration
	// Hedge is how much later than the one before a source is asked.
	Hedge time.Duration
	// Retry is the time from a source's failure to the next request to it.
	Retry time.Duration
	// Log is told of sources that break the rules.
	Log *slog.Logger
}

// DefaultConfig is quicknet from the public relays. Log is missing.
func DefaultConfig() Config {
	return Config{
		Chain:   beacon.Quicknet(),
		Sources: []string{"https://api.drand.sh", "https://drand.cloudflare.com", "https://api2.drand.sh", "https://api3.drand.sh"},
		Timeout: 5 * time.Second,
		Hedge:   500 * time.Millisecond,
		Retry:   time.Second,
	}
}

// Validate names the field that is out of range. It wraps ErrConfig.
func (c Config) Validate() error {
	if err := c.Chain.Validate(); err != nil {
		return fmt.Errorf("%w: Chain: %w", ErrConfig, err)
	}
	if len(c.Sources) < 1 || len(c.Sources) > MaxSources {
		return fmt.Errorf("%w: Sources has %d URLs, want 1 to %d", ErrConfig, len(c.Sources), MaxSources)
	}
	for i, source := range c.Sources {
		u, err := url.Parse(source)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("%w: Sources[%d] is %q, want a URL like https://api.drand.sh", ErrConfig, i, source)
		}
	}
	switch {
	case c.Timeout <= 0:
		return fmt.Errorf("%w: Timeout must be above 0, is %s", ErrConfig, c.Timeout)
	case c.Hedge < 0:
		return fmt.Errorf("%w: Hedge must not be below 0, is %s", ErrConfig, c.Hedge)
	case c.Retry <= 0:
		return fmt.Errorf("%w: Retry must be above 0, is %s", ErrConfig, c.Retry)
	case c.Log == nil:
		return fmt.Errorf("%w: Log is missing", ErrConfig)
	}
	return nil
}

func (c Config) client() *http.Client {
	return &http.Client{
		Timeout: c.Timeout,
		Transport: &http.Transport{
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		},
		// A source is who it is: none sends us elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
