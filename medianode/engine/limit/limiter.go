// Package limit bounds how many unauthenticated STUN messages a node looks at,
// for each source and in all, so that nobody can make it spend its time on
// integrity checks or use it to amplify (RFC 8489 section 16; whitepaper
// section 4.3).
//
// Contract: no source gets more than its rate, and all together no more than
// the global rate, whatever the number of sources; memory is fixed.
//
// A source is an IPv4 address or an IPv6 /64. Buckets lie in sets of four,
// found by a keyed hash. A new source takes a bucket of its set that is full
// again, so that nothing is forgotten that limits anybody; if there is none it
// shares the fullest.
//
// Allow does not allocate. Not safe for concurrent use.
package limit

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Config tunes a Limiter. Zero fields take their defaults.
type Config struct {
	// Rate is messages a second from one source, default 50; Burst how many may
	// come at once, default 200: a whole office may join behind one address.
	Rate, Burst float64
	// GlobalRate and GlobalBurst bound all sources together, default 5000 and
	// 10000.
	GlobalRate, GlobalBurst float64
	// Sources is the number of buckets, rounded up to a power of two, default
	// 4096.
	Sources int
	// Key is the secret of the hash: random bytes that no sender knows.
	Key [16]byte
}

func (c Config) withDefaults() Config {
	for _, v := range []struct {
		field *float64
		value float64
	}{{&c.Rate, 50}, {&c.Burst, 200}, {&c.GlobalRate, 5000}, {&c.GlobalBurst, 10000}} {
		if *v.field <= 0 {
			*v.field = v.value
		}
	}
	if c.Sources <= 0 {
		c.Sources = 4096
	}
	size := ways
	for size < c.Sources {
		size <<= 1
	}
	c.Sources = size
	return c
}

const ways = 4

// bucket holds tokens as of a time since the epoch.
type bucket struct {
	source uint64
	tokens float64
	at     time.Duration
}

// Limiter is a table of token buckets. Use New.
type Limiter struct {
	cfg    Config
	k0, k1 uint64
	epoch  time.Time
	table  []bucket
	global bucket
}

// New returns a Limiter whose buckets are full.
func New(cfg Config) *Limiter {
	cfg = cfg.withDefaults()
	l := &Limiter{
		cfg:   cfg,
		k0:    binary.LittleEndian.Uint64(cfg.Key[:]),
		k1:    binary.LittleEndian.Uint64(cfg.Key[8:]),
		table: make([]bucket, cfg.Sources),
	}
	for i := range l.table {
		l.table[i].tokens = cfg.Burst
	}
	l.global.tokens = cfg.GlobalBurst
	return l
}

// Allow reports whether to look at a message from addr, and counts it if so.
func (l *Limiter) Allow(now time.Time, addr netip.Addr) bool {
	if l.epoch.IsZero() {
		l.epoch = now
	}
	at := now.Sub(l.epoch)
	b := l.find(at, sourceOf(addr))
	if b.tokens < 1 {
		return false
	}
	l.global.refill(at, l.cfg.GlobalRate, l.cfg.GlobalBurst)
	if l.global.tokens < 1 {
		return false
	}
	b.tokens--
	l.global.tokens--
	return true
}

// find returns the refilled bucket of a source.
func (l *Limiter) find(at time.Duration, source uint64) *bucket {
	sets := uint64(len(l.table) / ways)
	first := int(siphash(l.k0, l.k1, source)%sets) * ways
	set := l.table[first : first+ways]
	fullest := &set[0]
	for i := range set {
		b := &set[i]
		b.refill(at, l.cfg.Rate, l.cfg.Burst)
		if b.source == source {
			return b
		}
		if b.tokens > fullest.tokens {
			fullest = b
		}
	}
	if fullest.tokens >= l.cfg.Burst {
		fullest.source = source
	}
	return fullest
}

func (b *bucket) refill(at time.Duration, rate, burst float64) {
	if at > b.at {
		b.tokens = min(b.tokens+(at-b.at).Seconds()*rate, burst)
		b.at = at
	}
}

// sourceOf names the network that one sender can be held to.
func sourceOf(addr netip.Addr) uint64 {
	addr = addr.Unmap()
	if addr.Is4() {
		ip := addr.As4()
		return 1<<63 | uint64(binary.BigEndian.Uint32(ip[:]))
	}
	ip := addr.As16()
	// The top bit tells the families apart: no global unicast address has it.
	return binary.BigEndian.Uint64(ip[:]) &^ (1 << 63)
}
