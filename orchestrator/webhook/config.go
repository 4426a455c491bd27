package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/drtc-network/drtc/orchestrator/signal"
)

// Hook is one receiver.
type Hook struct {
	URL string `toml:"url"` // http or https
	// Key is the API key whose secret signs, and whose application's rooms the
	// receiver hears of.
	Key string `toml:"key"`
}

// Config of a Sender. Keys and Log are required; without Hooks nothing is sent.
type Config struct {
	Hooks []Hook
	Keys  map[string]signal.Key // by API key
	Log   *slog.Logger

	MaxQueue int           // events waiting for one URL; default 1000
	Lanes    int           // requests at once to one URL; default 8
	Attempts int           // for one event, 1 to 20; default 6
	Backoff  time.Duration // before the second attempt, doubled for each further; default 500 ms
	Timeout  time.Duration // of one attempt; default 5 s
	// Report, if set, hears of every event "sent", "dropped" (from a full queue)
	// and "failed" (given up), and of every further attempt "retried".
	Report func(outcome string)
	// Client, if set, makes the requests. It must not follow redirects.
	Client *http.Client
}

func (c Config) withDefaults() Config {
	set := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&c.MaxQueue, 1000)
	set(&c.Lanes, 8)
	set(&c.Attempts, 6)
	if c.Backoff == 0 {
		c.Backoff = 500 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Report == nil {
		c.Report = func(string) {}
	}
	if c.Client == nil {
		c.Client = &http.Client{
			Transport: &http.Transport{
				MaxIdleConnsPerHost: c.Lanes, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: c.Timeout,
				MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return c
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Log == nil:
		return errors.New("webhook: config: Log: required")
	case c.MaxQueue < 0, c.Lanes < 0, c.Backoff < 0, c.Timeout < 0:
		return errors.New("webhook: config: MaxQueue, Lanes, Backoff, Timeout: want 0 or more")
	case c.Attempts < 0 || c.Attempts > 20:
		return fmt.Errorf("webhook: config: Attempts: want 1 to 20, got %d", c.Attempts)
	case len(c.Hooks) > 100:
		return fmt.Errorf("webhook: config: webhooks: want at most 100, got %d", len(c.Hooks))
	}
	for i, h := range c.Hooks {
		if err := h.validate(c.Keys); err != nil {
			return fmt.Errorf("webhook: config: webhooks[%d]: %w", i, err)
		}
	}
	return nil
}

func (h Hook) validate(keys map[string]signal.Key) error {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil:
		return errors.New("url: can't be read") // the error would quote it
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("url: want http:// or https://, got scheme %q", u.Scheme)
	case u.Hostname() == "":
		return errors.New("url: want a host, got none")
	case u.User != nil:
		return errors.New("url: must hold no user and password: the signature says who sends")
	case u.Fragment != "":
		return errors.New("url: must hold no fragment")
	}
	if keys[h.Key].Secret == "" {
		return fmt.Errorf("key: want one of the API keys, got %q", h.Key)
	}
	return nil
}
