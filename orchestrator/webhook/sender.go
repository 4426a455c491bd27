package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/livekit/protocol/auth"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// tokenLife is how long a request's signature counts.
const tokenLife = 5 * time.Minute

// maxBackoff is the longest wait between two attempts.
const maxBackoff = 30 * time.Second

// Sender sends events.
type Sender struct {
	config    Config
	receivers []*receiver
}

// receiver is one URL.
type receiver struct {
	Hook
	secret      string
	application string
	host        string // for logs: the rest of a URL may be secret
	queue       *queue
}

// New makes a Sender.
func New(c Config) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s := &Sender{config: c}
	for _, h := range c.Hooks {
		u, err := url.Parse(h.URL)
		if err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
		key := c.Keys[h.Key]
		r := &receiver{Hook: h, secret: key.Secret, application: key.Application, host: u.Host, queue: newQueue(c.MaxQueue)}
		if r.application == "" {
			r.application = h.Key
		}
		s.receivers = append(s.receivers, r)
	}
	return s, nil
}

// Wants reports whether any receiver hears of this application's rooms
// (room.Config.Notify).
func (s *Sender) Wants(application string) bool {
	for _, r := range s.receivers {
		if r.application == application {
			return true
		}
	}
	return false
}

// Notify queues an event of an application's room for all who want it. It does
// not block. Events of one room must come in order.
func (s *Sender) Notify(application string, e room.Event) {
	if !s.Wants(application) {
		return
	}
	message := eventTo(e)
	message.Id = newID()
	body, err := encode(message)
	if err != nil {
		s.config.Log.Error("event can't be written", slog.Any("error", err))
		return
	}
	i := item{room: e.Room.ID, event: message.GetEvent(), id: message.GetId(), body: body}
	for _, r := range s.receivers {
		if r.application == application && r.queue.put(i) {
			s.config.Report("dropped")
		}
	}
}

// Waiting returns how many events wait to be sent.
func (s *Sender) Waiting() int {
	n := 0
	for _, r := range s.receivers {
		n += r.queue.len()
	}
	return n
}

// Run sends until ctx ends, and returns when all requests have ended. What waits
// then is lost.
func (s *Sender) Run(ctx context.Context) error {
	var lanes sync.WaitGroup
	for _, r := range s.receivers {
		for range s.config.Lanes {
			lanes.Go(func() { s.serve(ctx, r) })
		}
	}
	<-ctx.Done()
	lanes.Wait()
	s.config.Client.CloseIdleConnections()
	return nil
}

// serve is one lane of a receiver.
func (s *Sender) serve(ctx context.Context, r *receiver) {
	for {
		i, ok := r.queue.take()
		if !ok {
			select {
			case <-r.queue.news:
				continue
			case <-ctx.Done():
				return
			}
		}
		s.deliver(ctx, r, i)
		r.queue.done(i)
		if ctx.Err() != nil {
			r.queue.wake() // for the other lanes
			return
		}
	}
}

// deliver sends one event until it has been taken, or gives it up.
func (s *Sender) deliver(ctx context.Context, r *receiver, i item) {
	wait := s.config.Backoff
	for attempt := 1; ; attempt++ {
		err, final := s.post(ctx, r, i)
		switch {
		case err == nil:
			s.config.Report("sent")
			return
		case ctx.Err() != nil:
			return
		case final || attempt >= s.config.Attempts:
			s.config.Report("failed")
			s.config.Log.Warn("webhook was given up", slog.String("host", r.host), slog.String("event", i.event),
				slog.String("id", i.id), slog.Int("attempts", attempt), slog.Any("error", err))
			return
		}
		s.config.Report("retried")
		// Half of it at random, so that many do not come back at one moment.
		timer := time.NewTimer(wait/2 + mathrand.N(wait/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, maxBackoff)
	}
}

// post makes one request. A final error is the same however often it is tried.
func (s *Sender) post(ctx context.Context, r *receiver, i item) (failure error, final bool) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	token, err := r.sign(i.body)
	if err != nil {
		return err, true
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(i.body))
	if err != nil {
		return fmt.Errorf("webhook: making a request: %w", err), true
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/webhook+json")
	request.Header.Set("User-Agent", "drtc/"+drtc.Version)
	response, err := s.config.Client.Do(request)
	if err != nil {
		return fmt.Errorf("webhook: %w", withoutURL(err)), false
	}
	defer response.Body.Close()
	// A body that is read to its end leaves the connection for the next request.
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		return nil, false
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		status >= 500 && status != http.StatusNotImplemented:
		return fmt.Errorf("webhook: the receiver answered %d", status), false
	default:
		return fmt.Errorf("webhook: the receiver answered %d", status), true
	}
}

// sign makes the token that vouches for a body.
func (r *receiver) sign(body []byte) (string, error) {
	sum := sha256.Sum256(body)
	token, err := auth.NewAccessToken(r.Key, r.secret).SetValidFor(tokenLife).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).ToJWT()
	if err != nil {
		return "", fmt.Errorf("webhook: signing: %w", err)
	}
	return token, nil
}

// withoutURL takes the URL out of an error of a request.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok { //nolint:errorlint // as net/http returns it
		return e.Err
	}
	return err
}

// newID returns a fresh id with 80 random bits.
func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return "EV_" + base32.StdEncoding.EncodeToString(b[:])
}
