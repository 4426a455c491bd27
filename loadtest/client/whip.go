package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	maxAnswer = 1 << 20 // bytes of SDP or of a refusal
	// playRetry is the pause before a WHEP session is asked for again when the
	// publisher's tracks are not there yet.
	playRetry = 200 * time.Millisecond
	playTries = 25
	byeLimit  = 5 * time.Second
)

// WHIP publishes and plays over HTTP: POST base/whip/room/identity with an
// offer, and base/whep/room/identity to play what that identity publishes.
type WHIP struct {
	API  *webrtc.API
	Base *url.URL
	Room string
	// Sign makes the bearer token of each session; nil sends none.
	Sign Sign
	HTTP *http.Client
}

// errNotYet is an answer that a later attempt may not get.
var errNotYet = errors.New("not yet")

// Publish opens a session for p.
func (w *WHIP) Publish(ctx context.Context, p Publisher) (*Session, error) {
	pc, err := newPeer(w.API, nil)
	if err != nil {
		return nil, err
	}
	if _, err := attach(pc, p); err != nil {
		return nil, closeOnError(pc, err)
	}
	resource, err := w.open(ctx, pc, "whip", p.Name, p.Name, true)
	if err != nil {
		return nil, closeOnError(pc, err)
	}
	return w.session(pc, resource), nil
}

// Play opens a session in which s plays a publisher. It waits up to five
// seconds for tracks that are not there yet.
func (w *WHIP) Play(ctx context.Context, s Subscriber, publisher string) (*Session, error) {
	pc, err := newPeer(w.API, s.Failed)
	if err != nil {
		return nil, err
	}
	pc.OnTrack(s.Track)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, closeOnError(pc, fmt.Errorf("client: adding a transceiver: %w", err))
		}
	}
	resource, err := w.open(ctx, pc, "whep", publisher, s.Name, false)
	if err != nil {
		return nil, closeOnError(pc, err)
	}
	return w.session(pc, resource), nil
}

// Subscribe opens a session of s for each publisher, one after the other.
func (w *WHIP) Subscribe(ctx context.Context, s Subscriber, publishers []string) ([]*Session, error) {
	var sessions []*Session
	for _, publisher := range publishers {
		one := s
		if len(publishers) > 1 { // sessions are participants, and names are unique
			one.Name = s.Name + "-" + publisher
		}
		session, err := w.Play(ctx, one, publisher)
		if err != nil {
			return sessions, err
		}
		sessions = append(sessions, session)
	}
	return sessions, nil
}

// resource is a session at the server.
type resource struct {
	location string // empty when the server named none
	token    string
}

// open offers, posts and takes the answer.
func (w *WHIP) open(ctx context.Context, pc *webrtc.PeerConnection, protocol, identity, self string, publishes bool) (resource, error) {
	var r resource
	sdp, err := offer(ctx, pc)
	if err != nil {
		return r, err
	}
	if w.Sign != nil {
		if r.token, err = w.Sign(self, publishes); err != nil {
			return r, err
		}
	}
	endpoint := w.Base.JoinPath(protocol, w.Room, identity)
	var reply string
	for try := 1; ; try++ {
		reply, r.location, err = w.post(ctx, endpoint, r.token, sdp)
		if publishes || !errors.Is(err, errNotYet) || try == playTries {
			break
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("client: waiting to play %s: %w", identity, ctx.Err())
		case <-time.After(playRetry):
		}
	}
	if err != nil {
		return r, err
	}
	return r, setAnswer(pc, reply)
}

// post sends an offer and returns the answer and where the session is.
func (w *WHIP) post(ctx context.Context, endpoint *url.URL, token, sdp string) (reply, location string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(sdp))
	if err != nil {
		return "", "", fmt.Errorf("client: POST %s: %w", endpoint, err)
	}
	request.Header.Set("Content-Type", "application/sdp")
	authorize(request, token)
	response, err := w.HTTP.Do(request)
	if err != nil {
		return "", "", fmt.Errorf("client: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return "", "", fmt.Errorf("client: POST %s: %w", endpoint, err)
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusConflict || response.StatusCode == http.StatusServiceUnavailable:
		return "", "", fmt.Errorf("client: POST %s: %s: %s: %w", endpoint, response.Status, firstLine(body), errNotYet)
	case response.StatusCode != http.StatusCreated:
		return "", "", fmt.Errorf("client: POST %s: %s: %s", endpoint, response.Status, firstLine(body))
	}
	if at := response.Header.Get("Location"); at != "" {
		u, err := endpoint.Parse(at)
		if err != nil {
			return "", "", fmt.Errorf("client: POST %s: Location: %w", endpoint, err)
		}
		location = u.String()
	}
	return string(body), location, nil
}

// session ends at the server with DELETE.
func (w *WHIP) session(pc *webrtc.PeerConnection, r resource) *Session {
	s := &Session{pc: pc}
	if r.location == "" {
		return s
	}
	s.leave = func() {
		ctx, cancel := context.WithTimeout(context.Background(), byeLimit)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, r.location, http.NoBody)
		if err != nil {
			return
		}
		authorize(request, r.token)
		// A server that is gone has forgotten the session, too.
		if response, err := w.HTTP.Do(request); err == nil {
			response.Body.Close()
		}
	}
	return s
}

func authorize(r *http.Request, token string) {
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line
}
