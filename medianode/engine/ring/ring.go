// Package ring keeps the last packets of one published layer, so that all its
// subscribers can have lost ones sent again from one copy (RFC 4585, RFC 4588;
// whitepaper section 4.3).
//
// Contract: Get returns a packet exactly as it was put, or nothing; it never
// returns one that is older than the configured age.
//
//	slots   |  seq mod n -> when, where, how long |
//	arena   | payload | payload | payload | head -> ... oldest payloads ... |
//
// Payloads lie in one arena that is written round and round. Slots and arena
// begin small and double only when a packet younger than the age would have to
// give way, up to the limits: memory follows the bit rate, and a layer that never
// sends costs none. After that nothing allocates. Not safe for concurrent use.
package ring

import "time"

// Config bounds a Ring. Zero fields take their defaults.
type Config struct {
	// Packets is the largest number of packets, rounded up to a power of two,
	// default 1024.
	Packets int
	// Bytes is the largest sum of payload bytes, default 1 MiB.
	Bytes int
	// Age is how long a packet can be asked for, default 1 s.
	Age time.Duration
}

const (
	firstPackets = 64
	firstBytes   = 16 << 10
	// blocks is into how many parts the arena is cut to know how old they are.
	blocks = 16
	// slotSize is the size of a slot, bytes.
	slotSize = 40
)

func (c Config) withDefaults() Config {
	if c.Packets <= 0 {
		c.Packets = 1024
	}
	size := 1
	for size < c.Packets {
		size <<= 1
	}
	c.Packets = size
	if c.Bytes <= 0 {
		c.Bytes = 1 << 20
	}
	if c.Age <= 0 {
		c.Age = time.Second
	}
	return c
}

// Packet is one packet without its sequence number.
type Packet struct {
	// Payload is the RTP payload without padding. What Get returns points into
	// the ring and is valid until the next Put.
	Payload []byte
	// Descriptor is a header extension value that must go with the payload, at
	// most 255 bytes; empty for none. It is kept beside the payload.
	Descriptor []byte
	Timestamp  uint32
	Marker     bool
	// KeyFrame says that a key frame starts with this packet.
	KeyFrame bool
}

// slot says where a packet lies. lap is the round of the arena it was written
// in, 0 for an empty slot.
type slot struct {
	seq       uint64
	at        time.Duration
	lap       uint64
	off, size uint32
	timestamp uint32
	// descriptor is how many of the size bytes come before the payload.
	descriptor uint8
	marker     bool
	key        bool
}

// Ring holds the last packets of one layer. Use New.
type Ring struct {
	cfg   Config
	epoch time.Time
	slots []slot
	arena []byte
	// head is where the next payload goes, lap counts from 1.
	head int
	lap  uint64
	// written is when each block of the arena was last written, plus one;
	// 0 for never.
	written [blocks]time.Duration

	highest  uint64
	left     uint64 // highest number of a packet whose slot was given up
	keySeq   uint64
	keyStamp uint32
	hasKey   bool

	roomy int // calls of Trim that found the ring too large
}

// New returns an empty ring.
func New(cfg Config) *Ring {
	return &Ring{cfg: cfg.withDefaults(), lap: 1}
}

// Put copies a packet in under its extended sequence number. Packets may come
// out of order. A packet that is there already, is older than all that the ring
// holds, or is larger than the whole ring is ignored.
func (r *Ring) Put(now time.Time, seq uint64, p Packet) {
	if r.slots == nil {
		r.epoch = now
		r.slots = make([]slot, min(firstPackets, r.cfg.Packets))
		r.arena = make([]byte, min(firstBytes, r.cfg.Bytes))
	}
	at := now.Sub(r.epoch)
	size := len(p.Descriptor) + len(p.Payload)
	if size > r.cfg.Bytes || len(p.Descriptor) > 255 || seq+uint64(r.cfg.Packets) <= r.highest {
		return
	}
	s := r.claim(at, seq)
	if s == nil {
		return
	}
	off := r.reserve(at, size)
	copy(r.arena[off:], p.Descriptor)
	copy(r.arena[off+len(p.Descriptor):], p.Payload)
	*s = slot{
		seq: seq, at: at, lap: r.lap, off: uint32(off), size: uint32(size),
		timestamp: p.Timestamp, descriptor: uint8(len(p.Descriptor)), marker: p.Marker, key: p.KeyFrame,
	}
	r.highest = max(r.highest, seq)
	// A key frame of several NAL units says so more than once: keep the first.
	if p.KeyFrame && (!r.hasKey || seq > r.keySeq && p.Timestamp != r.keyStamp) {
		r.keySeq, r.keyStamp, r.hasKey = seq, p.Timestamp, true
	}
}

// Get returns the packet with this extended sequence number.
func (r *Ring) Get(now time.Time, seq uint64) (Packet, bool) {
	if r.slots == nil {
		return Packet{}, false
	}
	s := &r.slots[seq&uint64(len(r.slots)-1)]
	if s.seq != seq || !r.holds(s, now.Sub(r.epoch)) {
		return Packet{}, false
	}
	payload, end := s.off+uint32(s.descriptor), s.off+s.size
	return Packet{
		Payload:    r.arena[payload:end:end],
		Descriptor: r.arena[s.off:payload:payload],
		Timestamp:  s.timestamp, Marker: s.marker, KeyFrame: s.key,
	}, true
}

// Left reports whether a packet that Get does not return may have been there: it
// is too old, or gave way to another. Else it never came.
func (r *Ring) Left(seq uint64) bool {
	return seq <= r.left || r.slots != nil && r.slots[seq&uint64(len(r.slots)-1)].seq == seq
}

// Highest returns the highest extended sequence number put, 0 if none was.
func (r *Ring) Highest() uint64 { return r.highest }

// KeyFrame returns where the last key frame starts, if the ring still holds
// that packet.
func (r *Ring) KeyFrame(now time.Time) (uint64, bool) {
	if !r.hasKey {
		return 0, false
	}
	_, ok := r.Get(now, r.keySeq)
	return r.keySeq, ok
}

// holds reports whether s is filled, young enough and not yet overwritten.
func (r *Ring) holds(s *slot, at time.Duration) bool {
	if s.lap == 0 || at-s.at > r.cfg.Age {
		return false
	}
	return s.lap == r.lap || s.lap+1 == r.lap && int(s.off) >= r.head
}

// claim returns the slot for seq, nil if the packet is there already or if the
// slot belongs to a later one. It doubles the slots if a young packet would
// have to go.
func (r *Ring) claim(at time.Duration, seq uint64) *slot {
	for {
		s := &r.slots[seq&uint64(len(r.slots)-1)]
		if !r.holds(s, at) {
			r.left = max(r.left, s.seq)
			return s
		}
		if s.seq == seq {
			return nil
		}
		if len(r.slots) == r.cfg.Packets {
			if s.seq > seq {
				return nil
			}
			r.left = max(r.left, s.seq)
			return s
		}
		r.growSlots(at)
	}
}

func (r *Ring) growSlots(at time.Duration) {
	r.forget(at)
	old := r.slots
	r.slots = make([]slot, 2*len(old))
	for i := range old {
		if s := &old[i]; r.holds(s, at) {
			r.slots[s.seq&uint64(len(r.slots)-1)] = *s
		}
	}
}

// forget notes which packets are too old before their slots are given up.
func (r *Ring) forget(at time.Duration) {
	for i := range r.slots {
		if s := &r.slots[i]; !r.holds(s, at) {
			r.left = max(r.left, s.seq)
		}
	}
}
