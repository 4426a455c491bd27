package tally

import (
	"sync"
	"time"

	"github.com/drtc-network/drtc/loadtest/traffic"
)

// remembered is how many sequence numbers back a duplicate is recognised: half
// a minute of video.
const remembered = 4096

// Counts is what became of the packets of a window. A packet is in one of the
// first three.
type Counts struct {
	// Unique packets arrived for the first time.
	Unique uint64
	// Duplicates arrived before.
	Duplicates uint64
	// Ancient packets are too old to know whether they arrived before.
	Ancient uint64
	// Bytes is the sum of the unique packets' sizes, with RTP headers.
	Bytes uint64
	// Span is how many packets lie between the lowest sequence number of a track
	// and the highest, both included: what came and the gaps within.
	Span uint64
}

// Add adds the counts of another track.
func (c *Counts) Add(o Counts) {
	c.Unique += o.Unique
	c.Duplicates += o.Duplicates
	c.Ancient += o.Ancient
	c.Bytes += o.Bytes
	c.Span += o.Span
}

// Track counts the packets of one received track.
type Track struct {
	window uint8 // what is counted

	mu      sync.Mutex // guards what follows
	counts  Counts
	delay   Histogram
	started bool
	high    uint64 // highest sequence number seen
	first   uint64 // lowest of the window
	last    uint64 // and highest
	seen    [remembered / 64]uint64
}

// NewTrack returns a track that counts the packets of a window, from 1.
func NewTrack(window uint8) *Track { return &Track{window: window} }

// Add counts a packet of so many bytes that arrived now.
func (t *Track) Add(p traffic.Trailer, size int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	verdict := t.note(p.Sequence)
	if p.Window != t.window {
		return
	}
	switch verdict {
	case fresh:
		if t.counts.Unique == 0 {
			t.first, t.last = p.Sequence, p.Sequence
		}
		t.first, t.last = min(t.first, p.Sequence), max(t.last, p.Sequence)
		t.counts.Unique++
		t.counts.Bytes += uint64(size)
		t.counts.Span = t.last - t.first + 1
		if p.Sent != 0 { // else it is not known
			t.delay.Add(p.Delay(now))
		}
	case duplicate:
		t.counts.Duplicates++
	case ancient:
		t.counts.Ancient++
	}
}

type verdict uint8

const (
	fresh verdict = iota
	duplicate
	ancient
)

// note remembers a sequence number and says whether it is new.
func (t *Track) note(sequence uint64) verdict {
	switch {
	case !t.started || sequence >= t.high+remembered:
		t.started, t.high = true, sequence
		clear(t.seen[:])
	case sequence > t.high:
		for q := t.high + 1; q <= sequence; q++ {
			t.seen[q%remembered/64] &^= 1 << (q % 64)
		}
		t.high = sequence
	case t.high-sequence >= remembered:
		return ancient
	}
	word, bit := &t.seen[sequence%remembered/64], uint64(1)<<(sequence%64)
	if *word&bit != 0 {
		return duplicate
	}
	*word |= bit
	return fresh
}

// Counts returns the counts so far.
func (t *Track) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// MergeDelay adds the delays of the unique packets to h.
func (t *Track) MergeDelay(h *Histogram) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.Merge(&t.delay)
}
