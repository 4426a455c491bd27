// Package clock ties RTP timestamps to NTP time, as sender reports do (RFC 3550
// sections 4 and 6.4.1; whitepaper section 4.3).
//
// Contract: differences of timestamps wrap, differences of NTP times do not
// lose more than a microsecond.
//
// Values are plain and safe for concurrent use.
package clock

import "time"

// ntpEpoch is 1 January 1970 in seconds since 1 January 1900.
const ntpEpoch = 2208988800

// NTP returns t as a 64-bit NTP timestamp: seconds and their 2^-32 parts.
func NTP(t time.Time) uint64 {
	seconds := uint64(t.Unix()+ntpEpoch) << 32
	return seconds | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// Middle returns the middle 32 bits of an NTP timestamp, as reports use them.
func Middle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// Between returns to - from for two NTP timestamps.
func Between(from, to uint64) time.Duration {
	d := int64(to - from)
	return time.Duration(d>>32)*time.Second + time.Duration(uint64(uint32(d))*uint64(time.Second)>>32)
}

// Add returns the NTP timestamp d after ntp.
func Add(ntp uint64, d time.Duration) uint64 {
	seconds, rest := d/time.Second, d%time.Second
	return ntp + uint64(int64(seconds)<<32) + uint64(int64(rest)<<32/int64(time.Second))
}

// Ticks returns d in units of an RTP clock, rounded to the nearest.
func Ticks(d time.Duration, rate uint32) int64 {
	seconds, rest := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second / 2)
	if rest < 0 {
		half = -half
	}
	return seconds*int64(rate) + (rest*int64(rate)+half)/int64(time.Second)
}

// Mapping says which RTP timestamp a sender's clock had at which NTP time. The
// zero value knows nothing.
type Mapping struct {
	// NTP is the sender's own time, not comparable between senders.
	NTP uint64
	// Timestamp is the RTP timestamp at that time.
	Timestamp uint32
	// At is when the report that said so arrived, by our clock.
	At time.Time
}

// IsZero reports whether m knows nothing.
func (m Mapping) IsZero() bool { return m.At.IsZero() }

// Advance returns the mapping as it must be at now, by the RTP clock's rate.
func (m Mapping) Advance(now time.Time, rate uint32) Mapping {
	d := now.Sub(m.At)
	return Mapping{NTP: Add(m.NTP, d), Timestamp: m.Timestamp + uint32(Ticks(d, rate)), At: now}
}

// Translate returns the timestamp that m's stream has at the moment when the
// stream of other has the timestamp given. Both come from one sender.
func (m Mapping) Translate(timestamp uint32, other Mapping, rate uint32) uint32 {
	since := timestamp - other.Timestamp
	return m.Timestamp + since + uint32(Ticks(Between(m.NTP, other.NTP), rate))
}
