package reroute

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc/orchestrator/tenure"
)

// Members also have things to tell each other of their own accord. A message is a
// POST to a path of the other member, whose header is no client's: the code in it
// is over another text than that of a request which is sent on, and covers the
// body.

const (
	messageHeader = "X-Drtc-Message"
	messageLimit  = 3 * time.Second
	maxMessage    = 1 << 20 // bytes, of an answer too
)

// ErrMessage says that a request is not a message of another member.
var ErrMessage = errors.New("reroute: this is no message of another member")

// Send hands a message to a member and returns what its handler answers, with
// status 200; any other status is an error.
func (h *Handler) Send(ctx context.Context, to tenure.Owner, path string, message []byte) ([]byte, error) {
	target, err := url.Parse(to.URL)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("reroute: member %s: its URL %q can't be called", to.Member, to.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, messageLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.JoinPath(path).String(), bytes.NewReader(message))
	if err != nil {
		return nil, fmt.Errorf("reroute: message to %s: %w", to.Member, err)
	}
	text := to.Member + ";" + strconv.FormatInt(h.config.Now().UnixMilli(), 10) + ";" + digest(message)
	r.Header.Set(messageHeader, text+";"+base64.RawURLEncoding.EncodeToString(h.messageMAC(text, path)))
	answer, err := h.config.Transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("reroute: message to %s: %w", to.Member, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxMessage))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reroute: answer of %s: %w", to.Member, err)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("reroute: message to %s: it answered %s", to.Member, answer.Status)
	}
	return body, nil
}

// Receive returns the message of a request that another member has made with
// Send, or ErrMessage.
func (h *Handler) Receive(r *http.Request) ([]byte, error) {
	values := r.Header.Values(messageHeader)
	if len(values) != 1 || len(values[0]) > maxToken || r.Method != http.MethodPost {
		return nil, ErrMessage
	}
	text, code, ok := cutLast(values[0])
	fields := strings.Split(text, ";")
	got, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if !ok || err != nil || len(fields) != 3 || !hmac.Equal(got, h.messageMAC(text, r.URL.Path)) {
		return nil, ErrMessage
	}
	at, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || fields[0] != h.config.Self {
		return nil, ErrMessage
	}
	if age := h.config.Now().Sub(time.UnixMilli(at)); age > lifetime || age < -lifetime {
		return nil, ErrMessage
	}
	message, err := io.ReadAll(io.LimitReader(r.Body, maxMessage+1))
	if err != nil || len(message) > maxMessage || digest(message) != fields[2] {
		return nil, ErrMessage
	}
	return message, nil
}

func (h *Handler) messageMAC(text, path string) []byte {
	m := hmac.New(sha256.New, h.config.Secret)
	fmt.Fprintf(m, "drtc message 1\n%s\n%s", text, path)
	return m.Sum(nil)
}

func digest(message []byte) string {
	sum := sha256.Sum256(message)
	return hex.EncodeToString(sum[:])
}
