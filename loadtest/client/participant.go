package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

// Quality is which layer of a camera one wants to see.
type Quality uint8

// The qualities.
const (
	Low Quality = iota
	Medium
	High
)

// Participant publishes and plays over one connection, by version 1 of the
// client protocol: the client makes every offer.
type Participant struct {
	Name string
	// Place says where it is, "lat,lon"; empty says nothing.
	Place string
	// Publish is what it publishes; nil for who plays alone.
	Publish *Publisher
	// Play has it play everybody else of the room; nil for nobody. Its Name is
	// not used.
	Play *Subscriber
	// Quality is wanted of every camera.
	Quality Quality
	// Ended is called once, when the server ends the conversation or is gone; nil
	// for nobody. What was played may go on for a while.
	Ended func(error)
}

// Join opens the session of p. It returns when what it publishes is negotiated,
// or for who only plays when there is an answer at all.
func (s *Signal) Join(ctx context.Context, p Participant) (*Session, error) {
	token, err := s.Sign(p.Name, p.Publish != nil)
	if err != nil {
		return nil, err
	}
	var failed func()
	if p.Play != nil {
		failed = p.Play.Failed
	}
	pc, err := newPeer(s.API, failed)
	if err != nil {
		return nil, err
	}
	endpoint := s.Base.JoinPath("rtc", "v1")
	query := url.Values{"join_request": {base64.StdEncoding.EncodeToString(encodeJoin(p.Play != nil))}}
	if p.Place != "" {
		query.Set("place", p.Place)
	}
	endpoint.RawQuery = query.Encode()
	socket, refusal, err := websocket.Dial(ctx, endpoint.String(), &websocket.DialOptions{
		HTTPClient: s.HTTP, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if refusal != nil && refusal.Body != nil {
		refusal.Body.Close()
	}
	if err != nil {
		return nil, closeOnError(pc, fmt.Errorf("client: connecting to %s: %w", s.Base, err))
	}
	socket.SetReadLimit(maxMessage)
	d := &dialogue{
		conversation: conversation{pc: pc, target: targetPublisher, socket: socket, done: make(chan error, 1)},
		who:          p, settled: map[string]bool{},
	}
	d.conversation.handle = d.handle
	if p.Play != nil {
		pc.OnTrack(p.Play.Track)
	}
	session, err := d.begin(ctx)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return session, nil
}

// dialogue is a conversation in which the client makes every offer, one after
// the other.
type dialogue struct {
	conversation
	who     Participant
	video   *webrtc.RTPTransceiver // that publishes; nil until then
	offers  uint64
	pending bool            // an offer waits for its answer
	again   bool            // and another is to follow
	settled map[string]bool // cameras whose quality was asked for
}

// begin returns when the first answer has come that the participant waits for.
func (d *dialogue) begin(ctx context.Context) (*Session, error) {
	alive, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		err := d.readAll(alive)
		d.report.Do(func() { d.done <- err })
		if d.who.Ended != nil && alive.Err() == nil {
			d.who.Ended(err)
		}
	})
	ended.Go(func() { d.ping(alive) })
	session := &Session{pc: d.pc, leave: func() {
		bye, cancel := context.WithTimeout(alive, byeLimit)
		_ = d.send(bye, encodeLeave()) // a server that is gone has forgotten the session, too
		cancel()
		stop()
		_ = d.socket.CloseNow()
		ended.Wait()
	}}
	select {
	case err := <-d.done:
		return session, err
	case <-ctx.Done():
		return session, fmt.Errorf("client: waiting for the server's answer: %w", ctx.Err())
	}
}

func (d *dialogue) handle(ctx context.Context, r response) error {
	switch r.kind {
	case responseJoin:
		return d.joined(ctx)
	case responseTrackPublished:
		return d.publish(ctx)
	case responseSections:
		if err := d.grow(r.sections); err != nil {
			return err
		}
		return d.offer(ctx)
	case responseAnswer:
		return d.answered(ctx, r.description)
	}
	return nil
}

// joined announces what will be published, and offers to play.
func (d *dialogue) joined(ctx context.Context) error {
	if p := d.who.Publish; p != nil {
		if err := d.send(ctx, encodeAudio(p.Audio.ID())); err != nil {
			return err
		}
		if len(p.Layers) > 0 {
			return d.send(ctx, encodeLayers(p.Layers[0].ID(), p.Sizes))
		}
		return d.send(ctx, encodeVideo(p.Video.ID(), 640, 480))
	}
	if err := d.grow(sections{audio: 1, video: 1}); err != nil {
		return err
	}
	return d.offer(ctx)
}

// publish offers once the server knows both tracks.
func (d *dialogue) publish(ctx context.Context) error {
	if d.published++; d.who.Publish == nil || d.published != 2 {
		return nil
	}
	var err error
	if d.video, err = attach(d.pc, *d.who.Publish); err != nil {
		return err
	}
	return d.offer(ctx)
}

// grow adds sections to receive with.
func (d *dialogue) grow(s sections) error {
	const most = 1000 // of what a server may ask for
	for kind, count := range map[webrtc.RTPCodecType]uint64{webrtc.RTPCodecTypeAudio: s.audio, webrtc.RTPCodecTypeVideo: s.video} {
		for range min(count, most) {
			if _, err := d.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				return fmt.Errorf("client: adding a section: %w", err)
			}
		}
	}
	return nil
}

// offer sends an offer, or has one follow the one that is under way.
func (d *dialogue) offer(ctx context.Context) error {
	if d.pending {
		d.again = true
		return nil
	}
	d.pending, d.again = true, false
	d.offers++
	sdp, err := offer(ctx, d.pc)
	if err != nil {
		return err
	}
	if d.video != nil {
		mid := d.video.Mid()
		for _, l := range d.who.Publish.Layers {
			l.mid.Store(&mid)
		}
	}
	return d.send(ctx, encodeDescription(requestOffer, description{kind: "offer", sdp: sdp, id: d.offers}))
}

func (d *dialogue) answered(ctx context.Context, answer description) error {
	if answer.id != d.offers || !d.pending {
		return nil
	}
	d.pending = false
	if err := setAnswer(d.pc, answer.sdp); err != nil {
		return err
	}
	if d.who.Publish == nil || d.video != nil {
		if err := d.negotiated(nil); err != nil {
			return err
		}
	}
	if err := d.settle(ctx, answer.tracks); err != nil {
		return err
	}
	if d.again {
		return d.offer(ctx)
	}
	return nil
}

// settle asks for the quality of cameras that are new.
func (d *dialogue) settle(ctx context.Context, tracks map[string]string) error {
	for _, section := range d.pc.GetTransceivers() {
		track, bound := tracks[section.Mid()]
		if !bound || section.Kind() != webrtc.RTPCodecTypeVideo || d.settled[track] {
			continue
		}
		d.settled[track] = true
		if err := d.send(ctx, encodeQuality(track, d.who.Quality)); err != nil {
			return err
		}
	}
	return nil
}
