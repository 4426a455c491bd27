package loadtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/traffic"
)

// window is the id of the open measurement, 0 when none is, for every
// publisher of a run.
type window struct{ id atomic.Uint32 }

func (w *window) current() uint8 { return uint8(w.id.Load()) }

// publisherName is the identity of a publisher, numbered from 0.
func publisherName(n int) string { return fmt.Sprintf("publisher-%d", n) }

// publisher is one synthetic publisher over a session.
type publisher struct {
	name         string
	audio, video *webrtc.TrackLocalStaticRTP
	camera       *traffic.Camera
	microphone   *traffic.Microphone
	window       *window
	wantKey      atomic.Bool
	keyRequests  atomic.Uint64
	sent         atomic.Uint64 // in a window
}

func newPublisher(n int, mix traffic.Mix, w *window) (*publisher, error) {
	p := &publisher{
		name: publisherName(n), window: w,
		camera: traffic.NewCamera(mix, uint16(n)), microphone: traffic.NewMicrophone(mix, uint16(n)),
	}
	var err error
	p.video, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, fmt.Sprintf("video-%d", n), p.name)
	if err != nil {
		return nil, fmt.Errorf("loadtest: video of %s: %w", p.name, err)
	}
	p.audio, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, fmt.Sprintf("audio-%d", n), p.name)
	if err != nil {
		return nil, fmt.Errorf("loadtest: audio of %s: %w", p.name, err)
	}
	return p, nil
}

// client describes the publisher to a protocol.
func (p *publisher) client() client.Publisher {
	return client.Publisher{Name: p.name, Audio: p.audio, Video: p.video, KeyFrame: func() {
		p.keyRequests.Add(1)
		p.wantKey.Store(true)
	}}
}

// run sends until ctx ends.
func (p *publisher) run(ctx context.Context) {
	start := time.Now()
	var both sync.WaitGroup
	both.Go(func() {
		pace(ctx, start, p.camera.Due, func() {
			if p.wantKey.Swap(false) {
				p.camera.WantKeyFrame()
			}
			frame := p.camera.Frame(time.Now())
			for i := range frame {
				p.write(p.video, &frame[i])
			}
		})
	})
	both.Go(func() {
		pace(ctx, start, p.microphone.Due, func() { p.write(p.audio, p.microphone.Packet()) })
	})
	both.Wait()
}

func (p *publisher) write(track *webrtc.TrackLocalStaticRTP, packet *traffic.Packet) {
	id := p.window.current()
	packet.Stamp(id, time.Now())
	if track.WriteRTP(&packet.Packet) == nil && id != 0 {
		p.sent.Add(1)
	}
}

// pace calls turn whenever due says so, counted from start, and at once when it
// is behind, until ctx ends.
func pace(ctx context.Context, start time.Time, due func() time.Duration, turn func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for ctx.Err() == nil {
		if wait := time.Until(start.Add(due())); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
		turn()
	}
}
