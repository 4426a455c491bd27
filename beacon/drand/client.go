package drand

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/drtc-network/drtc/beacon"
)

// Errors of Round.
var (
	// ErrMissing: no source had the round before the context ended. It wraps the
	// last failure of each source, and the context's.
	ErrMissing = errors.New("drand: no source had the round in time")
	// ErrSource: a source failed to answer as it should.
	ErrSource = errors.New("drand: source")
	// errLie: what a source gave is not the round.
	errLie = errors.New("drand: not the round asked for")
)

// Client fetches rounds. Make one with New.
type Client struct {
	cfg      Config
	verifier *beacon.Verifier
	http     *http.Client
}

// New returns a Client, or an error that names the field.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	verifier, err := beacon.NewVerifier(cfg.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: Chain: %w", ErrConfig, err)
	}
	return &Client{cfg: cfg, verifier: verifier, http: cfg.client()}, nil
}

// Round returns the round of number n, verified. It waits for the round's time,
// then asks the sources, each Hedge later than the one before, and every source
// again after Retry, until one gives the round or ctx ends: then the error wraps
// ErrMissing. So the caller's context holds the limit of spec T4.
func (c *Client) Round(ctx context.Context, n uint64) (beacon.Round, error) {
	if n == 0 {
		return beacon.Round{}, fmt.Errorf("%w: rounds count from 1, got 0", beacon.ErrInvalid)
	}
	if !wait(ctx, time.Until(c.cfg.Chain.Time(n))) {
		return beacon.Round{}, fmt.Errorf("%w: round %d: %w", ErrMissing, n, ctx.Err())
	}
	asking, stop := context.WithCancel(ctx)
	found := make(chan beacon.Round, len(c.cfg.Sources))
	failures := make([]error, len(c.cfg.Sources))
	var askers sync.WaitGroup
	for i, source := range c.cfg.Sources {
		askers.Go(func() {
			if !wait(asking, time.Duration(i)*c.cfg.Hedge) {
				return
			}
			round, err := c.ask(asking, source, n)
			if err != nil {
				failures[i] = err
				return
			}
			found <- round
			stop()
		})
	}
	askers.Wait()
	stop()
	select {
	case round := <-found:
		return round, nil
	default:
		return beacon.Round{}, fmt.Errorf("%w: round %d: %w", ErrMissing, n, errors.Join(append(failures, ctx.Err())...))
	}
}

// ask asks one source until it gives the round or ctx ends: then the error is
// that of the last answer.
func (c *Client) ask(ctx context.Context, source string, n uint64) (beacon.Round, error) {
	var last error
	for {
		round, err := c.fetch(ctx, source, n)
		if err == nil {
			return round, nil
		}
		if last == nil || ctx.Err() == nil { // not that we stopped asking
			last = fmt.Errorf("%w %s: %w", ErrSource, source, err)
		}
		if errors.Is(err, errLie) {
			c.cfg.Log.Warn("a source of randomness gave what is not the round", slog.String("source", source), slog.Uint64("round", n), slog.Any("err", err))
		}
		if !wait(ctx, c.cfg.Retry) {
			return beacon.Round{}, last
		}
	}
}

func (c *Client) fetch(ctx context.Context, source string, n uint64) (beacon.Round, error) {
	hash := c.cfg.Chain.Hash()
	target, err := url.JoinPath(source, hex.EncodeToString(hash[:]), "public", strconv.FormatUint(n, 10))
	if err != nil {
		return beacon.Round{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return beacon.Round{}, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return beacon.Round{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return beacon.Round{}, fmt.Errorf("reading the answer: %w", err)
	case res.StatusCode != http.StatusOK:
		return beacon.Round{}, fmt.Errorf("status %d", res.StatusCode)
	case len(body) > maxAnswer:
		return beacon.Round{}, fmt.Errorf("%w: an answer above %d bytes", errLie, maxAnswer)
	}
	round, err := parse(body)
	switch {
	case err != nil:
		return beacon.Round{}, err
	case round.Number != n:
		return beacon.Round{}, fmt.Errorf("%w: it is round %d", errLie, round.Number)
	}
	if err := c.verifier.Verify(round); err != nil {
		return beacon.Round{}, fmt.Errorf("%w: %w", errLie, err)
	}
	return round, nil
}

// parse reads an answer in drand's JSON.
func parse(body []byte) (beacon.Round, error) {
	var answer struct {
		Round      uint64 `json:"round"`
		Randomness string `json:"randomness"`
		Signature  string `json:"signature"`
		Previous   string `json:"previous_signature"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return beacon.Round{}, fmt.Errorf("%w: reading JSON: %w", errLie, err)
	}
	r := beacon.Round{Number: answer.Round}
	randomness, err := hex.DecodeString(answer.Randomness)
	if err != nil || len(randomness) != len(r.Randomness) {
		return beacon.Round{}, fmt.Errorf("%w: randomness: want 64 hexadecimal digits", errLie)
	}
	r.Randomness = [32]byte(randomness)
	if r.Signature, err = hex.DecodeString(answer.Signature); err != nil {
		return beacon.Round{}, fmt.Errorf("%w: signature: want hexadecimal digits", errLie)
	}
	if r.Previous, err = hex.DecodeString(answer.Previous); err != nil {
		return beacon.Round{}, fmt.Errorf("%w: previous_signature: want hexadecimal digits", errLie)
	}
	return r, nil
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
