package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/drtc-network/drtc/envelope"
)

const (
	// MaxMessage is the size of a gossip message in bytes; larger ones are
	// invalid.
	MaxMessage = 256 << 10
	// maxBatch bounds the records of a message, ours and those of others.
	maxBatch = 512
)

// errBatch is what is wrong with the bytes of a message.
var errBatch = errors.New("gossip: message")

// appendRecord adds one record to a message.
func appendRecord(message, record []byte) []byte {
	message = binary.AppendUvarint(message, uint64(len(record)))
	return append(message, record...)
}

// split cuts a message into records, which share its memory.
func split(message []byte) ([][]byte, error) {
	if len(message) > MaxMessage {
		return nil, fmt.Errorf("%w: want at most %d bytes, got %d", errBatch, MaxMessage, len(message))
	}
	var records [][]byte
	for len(message) > 0 {
		size, n := binary.Uvarint(message)
		if n <= 0 || size > envelope.MaxSize || size > uint64(len(message)-n) {
			return nil, fmt.Errorf("%w: record %d is cut short or too large", errBatch, len(records))
		}
		if len(records) == maxBatch {
			return nil, fmt.Errorf("%w: want at most %d records", errBatch, maxBatch)
		}
		records = append(records, message[n:n+int(size)])
		message = message[n+int(size):]
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: is empty", errBatch)
	}
	return records, nil
}

// count is how many records a message that we made or accepted holds.
func count(message []byte) int {
	n := 0
	for len(message) > 0 {
		size, m := binary.Uvarint(message)
		if m <= 0 || size > uint64(len(message)-m) {
			break
		}
		message = message[m+int(size):]
		n++
	}
	return n
}

// batch is what waits to be sent in one topic.
type batch struct {
	topic   string
	message []byte
	records int
	since   time.Time // of the first record
	urgent  bool      // holds a tombstone
	sent    debt      // of EagerPerSecond
}

// add takes a record in, for which there must be room.
func (b *batch) add(now time.Time, e *envelope.Envelope, record []byte) {
	if b.records == 0 {
		b.since = now
	}
	b.message = appendRecord(b.message, record)
	b.records++
	b.urgent = b.urgent || e.IsTombstone()
}

// room reports whether a record of so many bytes may be added.
func (b *batch) room(bytes int, c *Config) bool {
	return b.records < c.BatchRecords && len(b.message)+bytes+binary.MaxVarintLen32 <= c.BatchBytes
}

// due is when b is to be sent, at the latest now for one that need not wait.
func (b *batch) due(now time.Time, c *Config) time.Time {
	if b.urgent {
		return now
	}
	if c.EagerPerSecond > 0 {
		b.sent.add(now, Rate{PerSecond: c.EagerPerSecond}, 0)
		if b.sent.owed < eagerBurst {
			return now
		}
	}
	return b.since.Add(c.BatchDelay)
}

// eagerBurst is how many batches may go at once after a silence.
const eagerBurst = 8

// take empties b.
func (b *batch) take(now time.Time, c *Config) (message []byte) {
	b.sent.add(now, Rate{PerSecond: c.EagerPerSecond}, 1)
	b.sent.owed = min(b.sent.owed, eagerBurst)
	message = b.message
	b.message, b.records, b.urgent = nil, 0, false
	return message
}

// pace holds what this Registry publishes to its share of half the budget that
// it grants to others: each of them passes on what all Registries publish and
// must not be cut off for it. What goes beyond is left to anti-entropy.
type pace struct{ records, bytes debt }

func (p *pace) allow(now time.Time, b *Budget, registries, bytes int) bool {
	part := func(r Rate) Rate {
		return Rate{PerSecond: r.PerSecond / 2 / float64(registries), Burst: r.Burst / 2 / float64(registries)}
	}
	return p.records.allow(now, part(b.Records), 1) && p.bytes.allow(now, part(b.Bytes), float64(bytes))
}

// Publish tells the network of e. It never blocks: when too many wait to be sent
// e is dropped, and anti-entropy brings it to the others.
func (n *Network) Publish(e envelope.Envelope) {
	if _, ok := topicOf(e.Kind); !ok {
		n.log.Error("record of a kind that has no topic", slog.String("kind", e.Kind))
		return
	}
	n.news.add(time.Now(), n.config.Budget.Fresh, &e)
	select {
	case n.queue <- e:
	default:
		n.dropped(dropQueue, 1)
	}
}

// publishLoop forms batches until ctx is done.
func (n *Network) publishLoop(ctx context.Context, topics map[string]*pubsub.Topic) {
	var own pace
	batches := map[string]*batch{}
	for topic := range topics {
		batches[topic] = &batch{topic: topic}
	}
	send := func(now time.Time, b *batch) {
		records := b.records
		if err := topics[b.topic].Publish(ctx, b.take(now, &n.config)); err != nil {
			n.dropped(dropPublish, records)
			return
		}
		n.meter.messages.WithLabelValues(b.topic, "published").Inc()
		n.meter.records.WithLabelValues(b.topic, "published").Add(float64(records))
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.queue:
			n.fill(e, batches, &own, send)
		case <-timer.C:
		}
		now, next := time.Now(), time.Hour
		for _, b := range batches {
			if b.records == 0 {
				continue
			}
			if due := b.due(now, &n.config); due.After(now) {
				next = min(next, due.Sub(now))
			} else {
				send(now, b)
			}
		}
		timer.Reset(next)
	}
}

// fill takes e and what waits behind it, up to a batch.
func (n *Network) fill(e envelope.Envelope, batches map[string]*batch, own *pace, send func(time.Time, *batch)) {
	share := n.contacts.known() + 1
	for taken := 1; ; taken++ {
		topic, _ := topicOf(e.Kind) // Publish let no other kind in
		now, b, record := time.Now(), batches[topic], e.Bytes()
		if b.records > 0 && !b.room(len(record), &n.config) {
			send(now, b)
		}
		if own.allow(now, &n.config.Budget, share, len(record)) {
			b.add(now, &e, record)
		} else {
			n.dropped(dropPace, 1)
		}
		if taken == n.config.BatchRecords {
			return
		}
		select {
		case e = <-n.queue:
		default:
			return
		}
	}
}
