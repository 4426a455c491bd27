package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc/loadtest/tally"
	"github.com/drtc-network/drtc/loadtest/traffic"
)

const (
	askKeyEvery = 500 * time.Millisecond
	askKeyTimes = 10
	maxPacket   = 1700 // bytes
)

// subscriber counts what one client plays.
type subscriber struct {
	ctx    context.Context // ends requests for key frames
	window uint8
	pli    bool
	others *window   // set where others publish: packets count by when they come
	begun  time.Time // when it began to join

	// Nanoseconds after begun; 0 until then.
	firstPacket, firstVideo, firstKey atomic.Int64
	// received counts packets with a trailer, foreign those without: probes and
	// padding of the server.
	received, foreign atomic.Uint64
	failed            atomic.Bool

	mu      sync.Mutex // guards what follows
	tracks  []*tally.Track
	audio   []*tally.Track  // those of tracks that are audio
	playing map[uint16]bool // publishers of whom video came
}

func newSubscriber(ctx context.Context, window uint8, pli bool, others *window) *subscriber {
	return &subscriber{ctx: ctx, window: window, pli: pli, others: others, playing: map[uint16]bool{}}
}

// publishers is of how many publishers video came.
func (s *subscriber) publishers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.playing)
}

// play counts the packets of a track until it ends.
func (s *subscriber) play(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	count := tally.NewTrack(s.window)
	s.mu.Lock()
	foreign := foreignTrack{video: track.Kind() == webrtc.RTPCodecTypeVideo, publisher: uint16(len(s.tracks))}
	s.tracks = append(s.tracks, count)
	if track.Kind() == webrtc.RTPCodecTypeAudio {
		s.audio = append(s.audio, count)
	}
	s.mu.Unlock()
	go drain(receiver)
	go func() {
		buffer := make([]byte, maxPacket)
		video := false
		for first := true; ; {
			n, _, err := track.Read(buffer)
			if err != nil {
				return
			}
			trailer, ours := traffic.ReadTrailer(buffer[:n])
			if s.others != nil {
				trailer, ours = foreign.trailer(buffer[:n], s.others.current())
			}
			if !ours {
				s.foreign.Add(1)
				continue
			}
			now := time.Now()
			if first {
				first, video = false, trailer.Kind != traffic.Audio
				s.begin(now, trailer.Publisher, video)
				if video && s.pli && s.others == nil {
					go s.askKey(track.SSRC(), receiver)
				}
			}
			if trailer.Kind == traffic.KeyFrame {
				s.firstKey.CompareAndSwap(0, int64(now.Sub(s.begun)))
			}
			s.received.Add(1)
			count.Add(trailer, n, now)
		}
	}()
}

// begin notes the first packet of a track.
func (s *subscriber) begin(now time.Time, publisher uint16, video bool) {
	after := int64(now.Sub(s.begun))
	s.firstPacket.CompareAndSwap(0, after)
	if !video {
		return
	}
	s.firstVideo.CompareAndSwap(0, after)
	s.mu.Lock()
	s.playing[publisher] = true
	s.mu.Unlock()
}

// askKey requests key frames until one is there, as a decoder would.
func (s *subscriber) askKey(ssrc webrtc.SSRC, receiver *webrtc.RTPReceiver) {
	tick := time.NewTicker(askKeyEvery)
	defer tick.Stop()
	for range askKeyTimes {
		if s.firstKey.Load() != 0 {
			return
		}
		if _, err := receiver.Transport().WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// drain reads a receiver's RTCP, which is how pion's interceptors get it.
func drain(receiver *webrtc.RTPReceiver) {
	buffer := make([]byte, maxPacket)
	for {
		if _, _, err := receiver.Read(buffer); err != nil {
			return
		}
	}
}

// heard sums the tracks with audio.
func (s *subscriber) heard() tally.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum tally.Counts
	for _, t := range s.audio {
		sum.Add(t.Counts())
	}
	return sum
}

// counts sums the tracks.
func (s *subscriber) counts(delay *tally.Histogram) tally.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum tally.Counts
	for _, t := range s.tracks {
		sum.Add(t.Counts())
		t.MergeDelay(delay)
	}
	return sum
}
