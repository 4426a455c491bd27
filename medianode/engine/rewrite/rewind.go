package rewrite

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/clock"
)

// squeeze draws together the timestamps of frames that are sent later than
// they were made, so that they are shown at once and not one after the other as
// if they were new: span ticks of the source before live become room ticks.
type squeeze struct {
	live       uint32 // source timestamp from which on nothing is squeezed
	span, room uint32 // span is 0 without squeezing
}

// Rewind is Switch for a source whose packets from src on are still there,
// while the newest has the timestamp live. Live packets continue the stream as
// after a Switch; the older ones find room between what was sent last and those.
// Of the frames before live no packet may come later than its followers.
func (s *Stream) Rewind(now time.Time, src Source, live uint32, from, to clock.Mapping) {
	span := live - src.Timestamp
	if int32(span) <= 0 {
		s.Switch(now, src, from, to)
		return
	}
	first := src.Timestamp
	src.Timestamp = live
	last, before := s.lastStamp, s.sentAny
	s.Switch(now, src, from, to)
	room := s.frame
	if before {
		room = s.Timestamp(live) - last - 1
	} else {
		s.stamps -= room // the first packet gets the first timestamp
	}
	if room < span {
		s.squeeze = squeeze{live: live, span: live - first, room: room}
	}
}

// stamp returns the timestamp with which a packet of the source is sent.
func (s *Stream) stamp(source uint32) uint32 {
	if s.squeeze.span == 0 || int32(source-s.squeeze.live) >= 0 {
		return source - s.stamps
	}
	ago := min(s.squeeze.live-source, s.squeeze.span)
	ago = uint32((uint64(ago)*uint64(s.squeeze.room) + uint64(s.squeeze.span) - 1) / uint64(s.squeeze.span))
	return s.squeeze.live - s.stamps - ago
}
