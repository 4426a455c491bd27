package scenario

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/tally"
	"github.com/drtc-network/drtc/loadtest/traffic"
)

// streams is how many numbers each publisher has for its streams: one for each
// layer of its camera, and one for its microphone.
const (
	streams    = client.MaxLayers + 1
	microphone = client.MaxLayers
	window     = 1 // the id of the one measurement of a run
)

// media is what publishers send: a mix for each layer, lowest first.
type media []traffic.Mix

// bits is the rate of a layer with RTP headers, bit/s.
func (m media) bits(layer int) int { return m[layer].VideoPackets * (m[layer].VideoBytes + 12) * 8 }

// talker publishes synthetic media, stamped with where and when it was sent.
type talker struct {
	number int // from 0
	media  media
	open   *atomic.Uint32 // the measurement that is on, 0 for none
	audio  *voice
	camera *webrtc.TrackLocalStaticRTP // of one layer; nil where there are several
	layers []*client.Layer
	want   [client.MaxLayers]atomic.Bool // a key frame
	sent   [streams]atomic.Uint64        // packets in a measurement
	bytes  atomic.Uint64                 // RTP headers and payloads of those
}

func newTalker(number int, name string, m media, open *atomic.Uint32) (*talker, error) {
	t := &talker{number: number, media: m, open: open}
	var err error
	if len(m) > 1 {
		t.layers, err = client.NewLayers(len(m), "cam-"+name, name)
	} else {
		t.camera, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam-"+name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	t.audio, err = newVoice("mic-"+name, name)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return t, nil
}

// publisher is the talker to a protocol.
func (t *talker) publisher() *client.Publisher {
	p := &client.Publisher{Audio: t.audio, Video: t.camera, Layers: t.layers, KeyFrame: func() {
		for i := range t.want {
			t.want[i].Store(true)
		}
	}}
	for i := range t.layers {
		p.Sizes = append(p.Sizes, client.Size{Width: 320 << i, Height: 180 << i, Bitrate: uint64(t.media.bits(i))}) //nolint:gosec // positive
	}
	return p
}

// run sends until ctx ends.
func (t *talker) run(ctx context.Context) {
	start := time.Now()
	var all sync.WaitGroup
	for i, mix := range t.media {
		write := func(p *rtp.Packet) error { return t.camera.WriteRTP(p) }
		if t.camera == nil {
			write = t.layers[i].WriteRTP
		}
		camera := traffic.NewCamera(mix, t.stream(i))
		all.Go(func() {
			pace(ctx, start, camera.Due, func() {
				if t.want[i].Swap(false) {
					camera.WantKeyFrame()
				}
				frame := camera.Frame(time.Now())
				for k := range frame {
					t.write(i, &frame[k], write)
				}
			})
		})
	}
	mic := traffic.NewMicrophone(t.media[0], t.stream(microphone))
	all.Go(func() {
		pace(ctx, start, mic.Due, func() { t.write(microphone, mic.Packet(), t.audio.WriteRTP) })
	})
	all.Wait()
}

func (t *talker) stream(i int) uint16 { return uint16(t.number*streams + i) } //nolint:gosec // few publishers

func (t *talker) write(stream int, p *traffic.Packet, write func(*rtp.Packet) error) {
	open := t.open.Load()
	p.Stamp(uint8(open), time.Now()) //nolint:gosec // 0 or 1
	if write(&p.Packet) == nil && open != 0 {
		t.sent[stream].Add(1)
		t.bytes.Add(uint64(12 + len(p.Payload)))
	}
}

// pace calls turn when due says so, counted from start, until ctx ends.
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

// voice is a microphone's track, which says how loud it is where that was
// negotiated (client.Options.Levels).
type voice struct {
	*webrtc.TrackLocalStaticRTP
	level     atomic.Uint32 // -dBov, 0 to 127
	extension atomic.Uint32 // 0 is none
}

func newVoice(id, stream string) (*voice, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, id, stream)
	return &voice{TrackLocalStaticRTP: track}, err
}

// Bind implements webrtc.TrackLocal.
func (v *voice) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, x := range c.HeaderExtensions() {
		if x.URI == client.ExtensionLevel {
			v.extension.Store(uint32(x.ID)) //nolint:gosec // 1 to 14
		}
	}
	return v.TrackLocalStaticRTP.Bind(c)
}

// WriteRTP sends a packet, whose header extension it sets.
func (v *voice) WriteRTP(p *rtp.Packet) error {
	if id := v.extension.Load(); id != 0 {
		if err := p.SetExtension(uint8(id), []byte{byte(v.level.Load())}); err != nil { //nolint:gosec // in range
			return err
		}
	}
	return v.TrackLocalStaticRTP.WriteRTP(p)
}

// listener counts what one participant gets of each stream.
type listener struct {
	name    string
	quality client.Quality
	node    int // that carries it
	failed  atomic.Bool

	mu      sync.Mutex // guards streams
	streams map[uint16]*tally.Track
}

func newListener(name string, quality client.Quality) *listener {
	return &listener{name: name, quality: quality, streams: map[uint16]*tally.Track{}}
}

func (l *listener) subscriber() *client.Subscriber {
	return &client.Subscriber{Name: l.name, Track: l.play, Failed: func() { l.failed.Store(true) }}
}

// play counts a track until it ends. The tracks of one publisher's layers come
// as one.
func (l *listener) play(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	const largest = 1700
	go func() {
		for buffer := make([]byte, largest); ; {
			if _, _, err := receiver.Read(buffer); err != nil {
				return
			}
		}
	}()
	go func() {
		for buffer := make([]byte, largest); ; {
			n, _, err := track.Read(buffer)
			if err != nil {
				return
			}
			if trailer, ours := traffic.ReadTrailer(buffer[:n]); ours {
				l.stream(trailer.Publisher).Add(trailer, n, time.Now())
			}
		}
	}()
}

func (l *listener) stream(number uint16) *tally.Track {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.streams[number]
	if t == nil {
		t = tally.NewTrack(window)
		l.streams[number] = t
	}
	return t
}

// plays reports whether a stream has come.
func (l *listener) plays(number uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams[number] != nil
}

// wanted are the streams of a publisher that l should get: one layer, and audio.
func (l *listener) wanted(t *talker) []int {
	return []int{min(int(l.quality), len(t.media)-1), microphone}
}

// account adds what l got of a publisher, beside what it should have got, both
// in packets, and the delays.
func (l *listener) account(t *talker, delay *tally.Histogram) (got, want uint64) {
	for _, i := range l.wanted(t) {
		track := l.stream(t.stream(i))
		got += track.Counts().Unique
		want += t.sent[i].Load()
		track.MergeDelay(delay)
	}
	return got, want
}
