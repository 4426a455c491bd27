package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

const (
	maxMessage = 4 << 20 // bytes: a join answer names everybody in the room
	pingEvery  = 10 * time.Second
)

// errLeft is why a session ended that the server told to leave.
var errLeft = errors.New("client: the server told the client to leave")

// Signal publishes and plays by the client protocol of LiveKit SDKs, version 0:
// one PeerConnection that the client offers to publish, or one that the server
// offers to play everything in the room.
type Signal struct {
	API  *webrtc.API
	Base *url.URL // http, https, ws or wss
	Room string
	Sign Sign
	HTTP *http.Client // that Join connects with; nil for the usual one
}

// Publish opens a session for p.
func (s *Signal) Publish(ctx context.Context, p Publisher) (*Session, error) {
	pc, err := newPeer(s.API, nil)
	if err != nil {
		return nil, err
	}
	c := &conversation{pc: pc, target: targetPublisher}
	c.handle = func(ctx context.Context, r response) error {
		switch r.kind {
		case responseJoin:
			if err := c.send(ctx, encodeAudio(p.Audio.ID())); err != nil {
				return err
			}
			return c.send(ctx, encodeVideo(p.Video.ID(), 640, 480))
		case responseTrackPublished:
			if c.published++; c.published < 2 {
				return nil
			}
			if _, err := attach(pc, p); err != nil {
				return err
			}
			sdp, err := offer(ctx, pc)
			if err != nil {
				return err
			}
			return c.send(ctx, encodeDescription(requestOffer, description{kind: "offer", sdp: sdp, id: 1}))
		case responseAnswer:
			return c.negotiated(setAnswer(pc, r.description.sdp))
		}
		return nil
	}
	return s.converse(ctx, c, p.Name, true)
}

// Subscribe opens a session that plays all publishers of the room.
func (s *Signal) Subscribe(ctx context.Context, sub Subscriber, _ []string) ([]*Session, error) {
	pc, err := newPeer(s.API, sub.Failed)
	if err != nil {
		return nil, err
	}
	pc.OnTrack(sub.Track)
	c := &conversation{pc: pc, target: targetSubscriber}
	c.handle = func(ctx context.Context, r response) error {
		if r.kind != responseOffer {
			return nil
		}
		sdp, err := Answer(ctx, pc, r.description.sdp)
		if err != nil {
			return err
		}
		answer := description{kind: "answer", sdp: sdp, id: r.description.id}
		return c.negotiated(c.send(ctx, encodeDescription(requestAnswer, answer)))
	}
	session, err := s.converse(ctx, c, sub.Name, false)
	if err != nil {
		return nil, err
	}
	return []*Session{session}, nil
}

// conversation is one WebSocket. handle is called with one response after the
// other.
type conversation struct {
	pc        *webrtc.PeerConnection
	target    uint64 // which of the server's two connections is meant
	handle    func(context.Context, response) error
	published int // tracks that the server has announced to their publisher

	socket  *websocket.Conn
	pending []webrtc.ICECandidateInit // until the first description
	ready   bool
	done    chan error // capacity 1: the first negotiation, or why there is none
	report  sync.Once
}

// converse connects, and returns when the first negotiation has ended.
func (s *Signal) converse(ctx context.Context, c *conversation, identity string, publishes bool) (*Session, error) {
	token, err := s.Sign(identity, publishes)
	if err != nil {
		return nil, closeOnError(c.pc, err)
	}
	endpoint := s.Base.JoinPath("rtc")
	subscribe := "1"
	if publishes {
		subscribe = "0"
	}
	endpoint.RawQuery = url.Values{"auto_subscribe": {subscribe}, "protocol": {"13"}, "sdk": {"go"}, "version": {"2.4.0"}}.Encode()
	socket, refusal, err := websocket.Dial(ctx, endpoint.String(), &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if refusal != nil && refusal.Body != nil {
		refusal.Body.Close()
	}
	if err != nil {
		return nil, closeOnError(c.pc, fmt.Errorf("client: connecting to %s: %w", s.Base, err))
	}
	socket.SetReadLimit(maxMessage)
	c.socket, c.done = socket, make(chan error, 1)

	alive, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { c.read(alive) })
	ended.Go(func() { c.ping(alive) })
	session := &Session{pc: c.pc, leave: func() {
		bye, cancel := context.WithTimeout(alive, byeLimit)
		_ = c.send(bye, encodeLeave()) // a server that is gone has forgotten the session, too
		cancel()
		stop()
		_ = socket.CloseNow()
		ended.Wait()
	}}
	select {
	case err = <-c.done:
	case <-ctx.Done():
		err = fmt.Errorf("client: waiting for the server's description: %w", ctx.Err())
	}
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return session, nil
}

// negotiated reports the end of the first negotiation and takes the candidates
// that came before.
func (c *conversation) negotiated(err error) error {
	if err != nil {
		return err
	}
	c.ready = true
	for _, candidate := range c.pending {
		// One of several that does not fit is no reason to fail.
		_ = c.pc.AddICECandidate(candidate)
	}
	c.pending = nil
	c.report.Do(func() { c.done <- nil })
	return nil
}

func (c *conversation) read(ctx context.Context) {
	err := c.readAll(ctx)
	c.report.Do(func() { c.done <- err })
}

func (c *conversation) readAll(ctx context.Context) error {
	for {
		_, message, err := c.socket.Read(ctx)
		if err != nil {
			return fmt.Errorf("client: reading from the server: %w", err)
		}
		r, err := decodeResponse(message)
		if err != nil {
			return err
		}
		switch r.kind {
		case responseLeave:
			return errLeft
		case responseTrickle:
			err = c.trickle(r.trickle)
		default:
			err = c.handle(ctx, r)
		}
		if err != nil {
			return err
		}
	}
}

func (c *conversation) trickle(t trickle) error {
	var candidate webrtc.ICECandidateInit
	if err := json.Unmarshal(t.candidate, &candidate); err != nil {
		return fmt.Errorf("client: the server's candidate: %w", err)
	}
	switch {
	case t.target != c.target || candidate.Candidate == "":
	case !c.ready:
		c.pending = append(c.pending, candidate)
	default:
		_ = c.pc.AddICECandidate(candidate)
	}
	return nil
}

// ping keeps the server from giving up.
func (c *conversation) ping(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if c.send(ctx, encodePing(now.UnixMilli())) != nil {
				return
			}
		}
	}
}

func (c *conversation) send(ctx context.Context, message []byte) error {
	if err := c.socket.Write(ctx, websocket.MessageBinary, message); err != nil {
		return fmt.Errorf("client: writing to the server: %w", err)
	}
	return nil
}
