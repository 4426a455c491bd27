package traffic

import (
	"fmt"
	"time"
)

// Mix is what one publisher sends.
type Mix struct {
	// FramesPerSecond of video, and VideoPackets per second in all, spread over
	// the frames as evenly as whole packets allow.
	FramesPerSecond int
	VideoPackets    int
	// VideoBytes and AudioBytes are RTP payload bytes of each packet.
	VideoBytes int
	// KeyFrameEvery is the time between key frames that nobody asked for.
	KeyFrameEvery time.Duration
	// AudioPackets per second.
	AudioPackets int
	AudioBytes   int
}

// DefaultMix is about a megabit of video, in packets of 1200 bytes with their
// header, and a talker's audio: 160 packets a second.
func DefaultMix() Mix {
	return Mix{
		FramesPerSecond: 30, VideoPackets: 110, VideoBytes: 1188, KeyFrameEvery: 3 * time.Second,
		AudioPackets: 50, AudioBytes: 80,
	}
}

// Validate names the first field that cannot be used.
func (m Mix) Validate() error {
	for _, f := range []struct {
		name      string
		value     int
		low, high int
	}{
		{"frames per second", m.FramesPerSecond, 1, 240},
		{"video packets per second", m.VideoPackets, m.FramesPerSecond, 10000},
		{"video bytes", m.VideoBytes, descriptorSize + frameHeaderSize + TrailerSize, 1400},
		{"audio packets per second", m.AudioPackets, 1, 1000},
		{"audio bytes", m.AudioBytes, 1 + TrailerSize, 1400},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("traffic: %s: want %d to %d, got %d", f.name, f.low, f.high, f.value)
		}
	}
	if m.KeyFrameEvery < time.Second/10 {
		return fmt.Errorf("traffic: time between key frames: want 100ms or more, got %v", m.KeyFrameEvery)
	}
	return nil
}

// PacketsPerSecond is how many packets one publisher sends.
func (m Mix) PacketsPerSecond() int { return m.VideoPackets + m.AudioPackets }

// schedule is when the turns of a track come: turn n at phase + n/rate after
// the start, without a rounding error that would add up.
type schedule struct {
	rate  int // turns per second
	phase time.Duration
	turn  int
}

func (s *schedule) due() time.Duration {
	whole, rest := s.turn/s.rate, s.turn%s.rate
	return s.phase + time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(s.rate)
}

// timestamp is the RTP timestamp of the current turn, from 0.
func (s *schedule) timestamp(clockRate int) uint32 {
	return uint32(uint64(s.turn) * uint64(clockRate) / uint64(s.rate))
}
