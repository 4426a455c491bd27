package discovery

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config of a Discovery. Start from DefaultConfig.
type Config struct {
	// Registries are base URLs, http or https. Ask at least three of different
	// owners where there are so many.
	Registries []string
	// Network is the name that records must carry.
	Network string
	// Learn is how many further Registries are asked beside those: ones whose
	// signed records more than half of Registries hold. 0 is none.
	Learn int
	// LearnEvery is the time between questions for them.
	LearnEvery time.Duration
	// Every is the time between questions to one Registry that offers no Watch
	// stream, give or take a fifth; it doubles with each failure up to MaxEvery.
	Every, MaxEvery time.Duration
	// Timeout bounds one request.
	Timeout time.Duration
	// Silence is how long a Watch stream may bring nothing before it is opened
	// again.
	Silence time.Duration
	// Remember is how long the last answer of a silent Registry counts.
	Remember time.Duration
	// MaxNodes bounds memory, about 2 kB each.
	MaxNodes int
	// CacheFile, if set, keeps what is known over a restart: it is written every
	// CacheEvery and at the end, and read by New.
	CacheFile  string
	CacheEvery time.Duration
	// Transport carries the requests; nil is the network.
	Transport http.RoundTripper
}

// MaxLearn bounds Config.Learn.
const MaxLearn = 16

// DefaultConfig returns the usual times; Registries and Network are to be filled
// in.
func DefaultConfig() Config {
	return Config{
		Learn: 4, LearnEvery: time.Minute,
		Every: 2 * time.Second, MaxEvery: 30 * time.Second, Timeout: 5 * time.Second, Silence: time.Minute,
		Remember: time.Minute, MaxNodes: 100_000, CacheEvery: 30 * time.Second,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if len(c.Registries) == 0 {
		return errors.New("discovery: Registries is empty: give at least one URL")
	}
	if err := checkURLs(c.Registries); err != nil {
		return err
	}
	switch {
	case c.Network == "":
		return errors.New("discovery: Network is empty: give the network's name, such as devnet")
	case c.Learn < 0 || c.Learn > MaxLearn:
		return fmt.Errorf("discovery: Learn must be 0 to %d, is %d", MaxLearn, c.Learn)
	case c.Learn > 0 && c.LearnEvery <= 0:
		return fmt.Errorf("discovery: LearnEvery must be above 0, is %s", c.LearnEvery)
	case c.Every <= 0:
		return fmt.Errorf("discovery: Every must be above 0, is %s", c.Every)
	case c.MaxEvery < c.Every:
		return fmt.Errorf("discovery: MaxEvery must be at least Every, is %s", c.MaxEvery)
	case c.Timeout <= 0:
		return fmt.Errorf("discovery: Timeout must be above 0, is %s", c.Timeout)
	case c.Silence <= 0:
		return fmt.Errorf("discovery: Silence must be above 0, is %s", c.Silence)
	case c.Remember < 0:
		return fmt.Errorf("discovery: Remember must not be negative, is %s", c.Remember)
	case c.MaxNodes < 1:
		return fmt.Errorf("discovery: MaxNodes must be at least 1, is %d", c.MaxNodes)
	case c.CacheFile != "" && c.CacheEvery <= 0:
		return fmt.Errorf("discovery: CacheEvery must be above 0, is %s", c.CacheEvery)
	}
	return nil
}

func checkURLs(registries []string) error {
	seen := map[string]bool{}
	for _, r := range registries {
		base, ok := baseURL(r)
		if !ok {
			return fmt.Errorf("discovery: Registries: want a URL such as https://registry.example, got %q", r)
		}
		if seen[base] {
			return fmt.Errorf("discovery: Registries: %s is listed twice", base)
		}
		seen[base] = true
	}
	return nil
}

// baseURL reports whether s is where a Registry may be, and returns it without
// a slash at its end.
func baseURL(s string) (string, bool) {
	u, err := url.Parse(s)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && len(s) <= maxURL
	return strings.TrimSuffix(s, "/"), ok
}

const maxURL = 256
