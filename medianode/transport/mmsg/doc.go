// Package mmsg is a UDP socket that moves many datagrams per system call
// (recvmmsg, sendmmsg and UDP_SEGMENT of Linux). It is the only package of the
// Media Node with unsafe memory; on other systems it holds the types alone.
//
// Contract: what is sent arrives as if each datagram had been sent by itself,
// in the order given, and nothing is kept of it.
//
// The socket is out of sight of Go's network poller on purpose. The poller asks
// to hear when a socket becomes writable, so every datagram that the kernel
// frees wakes a thread: 40 % of the cost of sending. A Poller of this package
// asks about arrivals alone, and wakes for a time or a call too, so that one
// thread does all of a worker's work.
//
// Several sockets can share a port; the kernel then gives each flow, by its
// addresses, to one of them.
//
// Consecutive datagrams of one stream to one destination leave as one message
// that the kernel, or the network card, cuts into segments of equal size. Where
// a route cannot do that (a device without checksum offload answers EIO), the
// same datagrams are sent one by one and its destination is not asked again.
//
// One goroutine receives and one sends at a time, neither waits. Close may be
// called from anywhere.
package mmsg

import (
	"math/bits"
	"net/netip"
	"time"
)

// MaxReceive is how many datagrams one call of Receive returns at most.
const MaxReceive = 64

// Packet is a received datagram. Its payload belongs to the socket and changes
// with the next call of Receive.
type Packet struct {
	From    netip.AddrPort
	Payload []byte
	// Arrival is when the kernel took it from the network, by the wall clock;
	// zero if that is not known.
	Arrival time.Time
}

// SizeClasses is how many sizes of messages are told apart: those of 1 segment,
// 2, up to 4, 8, 16, 32 and 64.
const SizeClasses = 7

// Sent is what became of the datagrams of one call of Send. Every datagram is
// counted once: in Segments, Dropped or Failed.
type Sent struct {
	// Messages is how many messages the kernel took, each of one or more segments.
	Messages int
	// Sizes counts those messages by their segments.
	Sizes [SizeClasses]int
	// Segments is how many datagrams it took, in those messages.
	Segments int
	// Bytes is the sum of their payloads.
	Bytes int
	// Dropped is how many datagrams found the send buffer full.
	Dropped int
	// Failed is how many the kernel refused for another reason.
	Failed int
	// Fallbacks is how many segmented messages were refused and sent again as
	// plain datagrams.
	Fallbacks int
}

// Took counts a message of 1 to 64 segments that the kernel took, and the bytes
// of their payloads.
func (s *Sent) Took(segments, bytes int) {
	s.Messages++
	s.Sizes[bits.Len(uint(segments-1))]++
	s.Segments += segments
	s.Bytes += bytes
}

// Add adds what became of other datagrams.
func (s *Sent) Add(other Sent) {
	s.Messages += other.Messages
	for i := range s.Sizes {
		s.Sizes[i] += other.Sizes[i]
	}
	s.Segments += other.Segments
	s.Bytes += other.Bytes
	s.Dropped += other.Dropped
	s.Failed += other.Failed
	s.Fallbacks += other.Fallbacks
}
