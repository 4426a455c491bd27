package rewrite

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
)

const (
	// maxIntervals is how many changes of the offset are remembered for
	// packets that come late.
	maxIntervals = 64
	// window is how many sent numbers are remembered to send none twice.
	window = 1024
	// maxClockError is how far the sender reports of two layers may lead the
	// timestamp away from the wall clock before they are not believed.
	maxClockError = 2 * time.Second
	// maxStep keeps a timestamp after a long pause ahead of the one before it:
	// a receiver takes a step of 2^31 or more as one back.
	maxStep = 1 << 30
)

// Source is one packet of a source as it arrived.
type Source struct {
	// Sequence is the extended sequence number.
	Sequence  uint64
	Timestamp uint32
	Marker    bool
	// HasFrame says that the packet has a dependency descriptor, and Frame is
	// the number in it.
	HasFrame bool
	// VP8 is the descriptor of a VP8 payload, zero for other codecs. It is
	// parsed once for all subscribers.
	VP8   codec.VP8Descriptor
	Frame uint16
	// VP9 is the same of a VP9 payload, nil for other codecs.
	VP9 *codec.VP9Descriptor
}

// picture returns the running numbers of the source's picture, and the bits
// that its picture id has.
func (s *Source) picture() (p codec.Picture, mask uint16) {
	long := s.VP8.LongPictureID
	switch {
	case s.HasFrame:
		return codec.Picture{ID: s.Frame}, 0xffff
	case s.VP9 != nil:
		p, long = s.VP9.Picture, s.VP9.LongPictureID
	case s.VP8.Size > 0:
		p = s.VP8.Picture
	default:
		return codec.Picture{}, 0
	}
	if long {
		return p, 0x7fff
	}
	return p, 0x7f
}

// Sent says how a packet leaves.
type Sent struct {
	Sequence uint16
	// Extended is Sequence in 64 bits; the first is at 2^16 or above.
	Extended  uint64
	Timestamp uint32
	Marker    bool
	// Picture holds the numbers to patch into a VP8 or VP9 descriptor. Its ID is
	// the frame number of the dependency descriptor if the source has one.
	Picture codec.Picture
}

// interval maps the source numbers from `from` on. Offsets are subtracted.
type interval struct {
	from     uint64
	offset   uint64
	pictures uint16
}

// Stream is the state of one outgoing SSRC. Use New.
type Stream struct {
	rate uint32
	// frame is the least step of the timestamp at a switch.
	frame uint32

	intervals []interval // at most maxIntervals
	// first and highest are source numbers since the last switch.
	first, highest uint64
	stamps         uint32 // timestamp offset
	squeeze        squeeze
	tl0, keys      uint8 // offsets of TL0PICIDX and KEYIDX

	started, sentAny bool
	last             uint64 // highest extended number sent or left as a hole
	lastStamp        uint32
	lastAt           time.Time
	lastPicture      codec.Picture
	sent             [window / 64]uint64
	dropped          uint16 // picture id of the last frame left out
	dropping         bool
}

// New returns a stream whose first packet will have the sequence number and
// timestamp given. clockRate is in Hz; kind decides the least step of the
// timestamp at a switch: one frame of 1/30 s of video, 20 ms of audio.
func New(sequence uint16, timestamp uint32, kind codec.Kind, clockRate uint32) *Stream {
	s := &Stream{rate: clockRate, frame: max(clockRate/50, 1)}
	if kind.Video() {
		s.frame = max(clockRate/30, 1)
	}
	s.last = 1<<16 + uint64(sequence) - 1
	s.lastStamp = timestamp
	return s
}

// Switch makes src, which must be passed to Next right after, the first packet
// of the stream's source from now on: the start of a key frame of another
// layer, or the first packet after a pause. Packets of the source from before
// src will not be sent.
//
// from and to are what the sender reports of the source before and of this one
// said (both the same for one source that paused). If both are known, the
// timestamp goes on as the sender's clock did, else as the wall clock did.
func (s *Stream) Switch(now time.Time, src Source, from, to clock.Mapping) {
	stamp := s.lastStamp
	if s.sentAny {
		stamp = s.continued(now, src, from, to)
	}
	s.stamps, s.squeeze = src.Timestamp-stamp, squeeze{}
	s.first, s.highest = src.Sequence, src.Sequence-1
	first := interval{from: src.Sequence, offset: src.Sequence - (s.last + 1)}
	if s.sentAny {
		p, _ := src.picture()
		first.pictures = p.ID - (s.lastPicture.ID + 1)
		s.tl0 = p.TL0PicIdx - (s.lastPicture.TL0PicIdx + 1)
		s.keys = p.KeyIdx - (s.lastPicture.KeyIdx + 1)
	}
	s.intervals = append(s.intervals[:0], first)
	s.started, s.dropping = true, false
}

// continued returns the timestamp for the first packet of the new source.
func (s *Stream) continued(now time.Time, src Source, from, to clock.Mapping) uint32 {
	step := min(clock.Ticks(max(now.Sub(s.lastAt), 0), s.rate), maxStep)
	if !from.IsZero() && !to.IsZero() {
		aligned := from.Translate(src.Timestamp, to, s.rate) - s.stamps
		told := int64(int32(aligned - s.lastStamp))
		if off := told - step; max(off, -off) <= clock.Ticks(maxClockError, s.rate) {
			step = told
		}
	}
	return s.lastStamp + uint32(max(step, int64(s.frame)))
}

// Next returns how src is to be sent, or false if it must not be: it was sent
// before, is from before the switch or too old to tell, or no source was
// chosen yet.
func (s *Stream) Next(now time.Time, src Source) (Sent, bool) {
	if !s.started || src.Sequence < s.first {
		return Sent{}, false
	}
	via := s.find(src.Sequence)
	if via == nil {
		return Sent{}, false
	}
	out := Sent{
		Extended:  src.Sequence - via.offset,
		Timestamp: s.stamp(src.Timestamp),
		Marker:    src.Marker,
	}
	if !s.take(out.Extended) {
		return Sent{}, false
	}
	out.Sequence = uint16(out.Extended)
	out.Picture = s.picture(&src, via)
	s.highest = max(s.highest, src.Sequence)
	// By the timestamp, not by the number: the newest frame may be overtaken by
	// a packet that is left out.
	if !s.sentAny || int32(out.Timestamp-s.lastStamp) > 0 {
		s.lastStamp, s.lastAt = out.Timestamp, now
		s.sentAny = true
	}
	return out, true
}

// Drop leaves src out on purpose, a packet of a layer that the subscriber does
// not get: the packets after it close up. It reports false and has no effect on
// packets that come late, whose hole is already made.
//
// The picture ids of VP8 close up too. Those of VP9 and frame numbers do not:
// frames name what they build on by the distance.
func (s *Stream) Drop(src Source) bool {
	if !s.started || src.Sequence <= s.highest {
		return false
	}
	last := &s.intervals[len(s.intervals)-1]
	next := interval{from: src.Sequence + 1, offset: last.offset + 1, pictures: last.pictures}
	if src.VP8.HasPictureID() && (!s.dropping || src.VP8.ID != s.dropped) {
		next.pictures++
		s.dropping, s.dropped = true, src.VP8.ID
	}
	s.highest = src.Sequence
	if last.from == src.Sequence && len(s.intervals) > 1 {
		*last = next
		return true
	}
	if len(s.intervals) == maxIntervals {
		s.intervals = append(s.intervals[:0], s.intervals[maxIntervals/2:]...)
		s.first = s.intervals[0].from
	}
	s.intervals = append(s.intervals, next)
	return true
}

// Timestamp returns how a timestamp of the source is sent now, for sender
// reports.
func (s *Stream) Timestamp(source uint32) uint32 { return source - s.stamps }

// Last returns the timestamp of the newest frame sent and when it began to
// leave, a zero time if nothing was sent.
func (s *Stream) Last() (timestamp uint32, at time.Time) { return s.lastStamp, s.lastAt }

// Follow makes s, before its first packet, go on with the sequence numbers of
// the stream that it replaces on the same SSRC.
func (s *Stream) Follow(before *Stream) { s.last = before.last }

// Warm reads what the next packet needs into the processor's caches. The result
// says nothing.
func (s *Stream) Warm() uint64 {
	sum := uint64(s.rate) + s.highest + s.last + uint64(s.lastPicture.ID) + s.sent[(s.last+1)%window/64]
	if n := len(s.intervals); n > 0 {
		sum += s.intervals[n-1].offset
	}
	return sum
}

// find returns the interval of a source number, nil if the number was left out.
func (s *Stream) find(seq uint64) *interval {
	for i := len(s.intervals) - 1; i >= 0; i-- {
		via := &s.intervals[i]
		if seq < via.from {
			continue
		}
		if i+1 < len(s.intervals) {
			after := &s.intervals[i+1]
			if seq-via.offset >= after.from-after.offset {
				return nil
			}
		}
		return via
	}
	return nil
}

// take marks an extended number as sent; false if it was before or is too old
// to know.
func (s *Stream) take(extended uint64) bool {
	if extended > s.last {
		if extended-s.last >= window {
			s.sent = [window / 64]uint64{}
		} else {
			for n := s.last + 1; n < extended; n++ {
				s.sent[n%window/64] &^= 1 << (n % 64)
			}
		}
		s.last = extended
		s.sent[extended%window/64] |= 1 << (extended % 64)
		return true
	}
	if s.last-extended >= window || extended < s.floor() {
		return false
	}
	bit := uint64(1) << (extended % 64)
	word := &s.sent[extended%window/64]
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// floor is the first extended number of this source.
func (s *Stream) floor() uint64 { return s.intervals[0].from - s.intervals[0].offset }

// picture maps the numbers of a picture and remembers the highest.
func (s *Stream) picture(src *Source, via *interval) codec.Picture {
	p, mask := src.picture()
	if mask == 0 {
		return codec.Picture{}
	}
	p = codec.Picture{
		ID:        (p.ID - via.pictures) & mask,
		TL0PicIdx: p.TL0PicIdx - s.tl0,
		KeyIdx:    (p.KeyIdx - s.keys) & 0x1f,
	}
	if ahead := (p.ID - s.lastPicture.ID) & mask; !s.sentAny || ahead <= mask/2 {
		s.lastPicture = p
	}
	return p
}

// Highest returns the highest number of the source since the last switch, 0
// before the first.
func (s *Stream) Highest() uint64 { return s.highest }
