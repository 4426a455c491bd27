package policy

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// SignatureHeader is the header that proves who asks: t=SECONDS,v1=HEX, where HEX
// is the HMAC-SHA256 with the shared secret of SECONDS, a dot and the body.
const SignatureHeader = "X-Drtc-Signature"

const (
	maxAnswer = 64 << 10 // bytes
	maxOrders = 100      // of one answer
)

// errAnswer: the server's answer is not one.
var errAnswer = errors.New("policy: webhook: the answer")

// Webhook asks a server of the application's own. With events it is a Watcher.
type Webhook struct {
	settings WebhookSettings
	base     plan.Policy
	spread   Spread
	client   *http.Client
	now      func() time.Time
	seats    chan struct{} // one token for each question under way
}

// watching is a Webhook that is told of changes.
type watching struct{ *Webhook }

func newWebhook(s WebhookSettings, base plan.Policy, spread Spread, now func() time.Time) (Policy, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	s.Deadline, s.MaxAtOnce = or(s.Deadline, 800*time.Millisecond), or(s.MaxAtOnce, 64)
	w := &Webhook{
		settings: s, base: base, spread: spread, now: now, seats: make(chan struct{}, s.MaxAtOnce),
		client: &http.Client{
			Transport: &http.Transport{
				MaxIdleConnsPerHost: s.MaxAtOnce, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.Events {
		return watching{w}, nil
	}
	return w, nil
}

// Admit implements Policy.
func (w *Webhook) Admit(ctx context.Context, q Request) (Verdict, error) {
	var a answer
	if err := w.ask(ctx, questionOf(q), &a); err != nil {
		return Verdict{}, err
	}
	return a.verdict(q, w.base, w.spread)
}

// Changed implements Watcher.
func (w watching) Changed(ctx context.Context, c Change) ([]room.Order, error) {
	var a reaction
	if err := w.ask(ctx, newsOf(c), &a); err != nil {
		return nil, err
	}
	return a.orders(w.now())
}

// ask sends a question and reads the answer.
func (w *Webhook) ask(ctx context.Context, question, into any) error {
	select {
	case w.seats <- struct{}{}:
		defer func() { <-w.seats }()
	default:
		return errors.New("policy: webhook: too many questions are open")
	}
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("policy: webhook: writing a question: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, w.settings.Deadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.settings.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("policy: webhook: url can't be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(SignatureHeader, Sign(w.settings.Secret, w.now(), body))
	resp, err := w.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("policy: webhook: no answer within %v", w.settings.Deadline)
		}
		return errors.New("policy: webhook: the server can't be reached") // the error would quote the URL
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("policy: webhook: no whole answer within %v", w.settings.Deadline)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: want status 200, got %d", errAnswer, resp.StatusCode)
	case len(text) > maxAnswer:
		return fmt.Errorf("%w: want at most %d bytes", errAnswer, maxAnswer)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	return nil
}

// Sign is the value of SignatureHeader for a body.
func Sign(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
