package sequence

import (
	"time"

	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
)

// MaxWindow is the largest window of a Map.
const MaxWindow = 1 << 14

// Entry says what was sent under one sequence number.
type Entry struct {
	// Source is the extended sequence number in the ring of the layer.
	Source uint64
	// Timestamp is the RTP timestamp as sent.
	Timestamp uint32
	// Active are the decode targets written into a dependency descriptor.
	Active dependency.Targets
	// Picture holds the picture ids as sent, for VP8 and VP9, or the frame number
	// of a dependency descriptor.
	Picture codec.Picture
	// Layer is the simulcast layer that the packet came from.
	Layer uint8
	// Retransmits counts how often Retransmit said yes.
	Retransmits uint8
	// Marker is the marker bit as sent.
	Marker bool

	valid bool
	sent  uint16
	// last is the time of the last retransmission since the Map's epoch, ms.
	last uint32
}

// firstWindow is what a Map has memory for at first, packets.
const firstWindow = 64

// Map remembers the last packets sent to one subscriber. It has memory for what
// was sent, not for the whole window from the start: most subscriptions of a
// large room are never used.
type Map struct {
	entries []Entry // a power of two that covers reach, at most window
	window  int
	reach   int // numbers from the oldest that was pushed to the highest, at most window
	epoch   time.Time
	highest uint16
	started bool
}

// NewMap returns a Map that remembers the last window packets; window is
// rounded up to a power of two of at most MaxWindow.
func NewMap(window int) *Map {
	size := 1
	for size < window && size < MaxWindow {
		size <<= 1
	}
	return &Map{window: size}
}

// Push remembers what was sent as sent. Numbers may come out of order and may
// leave holes. One that is older than the window is ignored.
func (m *Map) Push(sent uint16, e Entry) {
	if !m.started {
		m.started, m.highest = true, sent
	}
	ahead := int(int16(sent - m.highest))
	if -ahead >= m.window {
		return
	}
	m.grow(ahead)
	if ahead > 0 {
		m.forget(ahead)
		m.highest = sent
	}
	e.sent, e.valid, e.Retransmits, e.last = sent, true, 0, 0
	m.entries[m.slot(sent)] = e
}

// Warm reads what the next Push needs into the processor's caches. The result
// says nothing.
func (m *Map) Warm() uint64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[m.slot(m.highest+1)].Source
}

// grow makes room for a number so far ahead of the highest, or behind it.
func (m *Map) grow(ahead int) {
	if ahead > 0 {
		m.reach = min(m.reach+ahead, m.window)
	} else {
		m.reach = max(m.reach, 1-ahead)
	}
	if m.reach <= len(m.entries) {
		return
	}
	size := min(firstWindow, m.window)
	for size < m.reach {
		size = min(4*size, m.window)
	}
	old := m.entries
	m.entries = make([]Entry, size)
	for _, e := range old {
		if e.valid {
			m.entries[m.slot(e.sent)] = e
		}
	}
}

// forget clears the slots of the next n numbers, which held older ones.
func (m *Map) forget(n int) {
	if n > len(m.entries) {
		n = len(m.entries)
	}
	for i := 1; i <= n; i++ {
		m.entries[m.slot(m.highest+uint16(i))].valid = false
	}
}

// Lookup returns what was sent as sent, if it is still in the window.
func (m *Map) Lookup(sent uint16) (Entry, bool) {
	e := m.find(sent)
	if e == nil {
		return Entry{}, false
	}
	return *e, true
}

// Retransmit decides on one sequence number of a NACK. It returns the entry and
// true, and counts, if the packet is remembered, was retransmitted less than
// limit times, and not within the last interval (the subscriber's round trip,
// in which the previous copy may still arrive).
func (m *Map) Retransmit(now time.Time, sent uint16, interval time.Duration, limit uint8) (Entry, bool) {
	e := m.find(sent)
	if e == nil || e.Retransmits >= limit {
		return Entry{}, false
	}
	if m.epoch.IsZero() {
		m.epoch = now
	}
	at := uint32(now.Sub(m.epoch).Milliseconds())
	if e.Retransmits > 0 && time.Duration(at-e.last)*time.Millisecond < interval {
		return Entry{}, false
	}
	e.Retransmits++
	e.last = at
	return *e, true
}

func (m *Map) find(sent uint16) *Entry {
	if len(m.entries) == 0 {
		return nil
	}
	e := &m.entries[m.slot(sent)]
	if !e.valid || e.sent != sent {
		return nil
	}
	return e
}

func (m *Map) slot(sent uint16) int { return int(sent) & (len(m.entries) - 1) }
