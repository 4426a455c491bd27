package gossip

import (
	"context"
	"errors"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// errUnbonded drops what somebody says who is not bonded.
var errUnbonded = errors.New("gossip: not bonded as a Registry")

// errCut drops what somebody says who has been cut off.
var errCut = errors.New("gossip: has used up a budget")

// tally is what the records of one message or step came to.
type tally struct {
	records  int
	stored   []envelope.Envelope
	useless  int // old ones that were known
	forged   int // that no honest Registry passes on
	unproven int // of which nobody looked at the signature
}

// inspect counts everything that a peer sends in gossip before it is looked at.
func (n *Network) inspect(p peer.ID, rpc *pubsub.RPC) error {
	now := time.Now()
	if _, banned := n.gater.ban(p, now); banned {
		return errCut
	}
	state := n.peers.of(p)
	if !n.bonding.Bonded(record.RoleRegistry, state.id) {
		return errUnbonded
	}
	size := 0
	for _, m := range rpc.GetPublish() {
		size += len(m.GetData()) + len(m.GetTopic())
	}
	reason := state.account.arrived(now, &n.config.Budget, max(1, len(rpc.GetPublish())), size)
	for _, m := range rpc.GetPublish() {
		if reason != "" {
			break
		}
		reason = state.account.repeated(now, &n.config.Budget, m.GetData())
	}
	if reason != "" {
		n.punish(p, reason)
		return errCut
	}
	return nil
}

// validator judges the messages of one topic.
func (n *Network) validator(topic string) pubsub.ValidatorEx {
	return func(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if from == n.host.ID() {
			return pubsub.ValidationAccept // ours is in the Ledger
		}
		if !n.enter() {
			return pubsub.ValidationIgnore
		}
		defer n.serving.Done()
		now, state := time.Now(), n.peers.of(from)
		t := n.judge(now, topic, m.GetData(), state)
		if reason := state.account.judged(now, &n.config.Budget, t); reason != "" {
			n.punish(from, reason)
		}
		result, outcome := pubsub.ValidationIgnore, "ignored"
		switch {
		case t.forged > 0:
			result, outcome = pubsub.ValidationReject, "rejected"
		case len(t.stored) == 0:
		case t.unproven > 0:
			// Beside the news is what looked old here and might be a forgery to
			// others, who would blame this Registry.
			for _, e := range t.stored {
				n.Publish(e)
			}
			outcome = "extracted"
		case !n.relays.allow(now, &n.config.Budget, &t, len(m.GetData())):
			n.dropped(dropRelay, len(t.stored))
			outcome = "kept"
		default:
			result, outcome = pubsub.ValidationAccept, "accepted"
		}
		n.meter.messages.WithLabelValues(topic, outcome).Inc()
		return result
	}
}

// judge hands the records of a message to the Ledger, unless one of them cannot
// be a record of this topic.
func (n *Network) judge(now time.Time, topic string, message []byte, state *peerState) tally {
	bad := func(reason string) tally {
		n.meter.records.WithLabelValues(topic, reason).Inc()
		return tally{records: 1, forged: 1}
	}
	raw, err := split(message)
	if err != nil {
		return bad("batch")
	}
	records := make([]envelope.Envelope, 0, len(raw))
	for _, b := range raw {
		e, err := envelope.Parse(b)
		if err != nil {
			return bad("malformed")
		}
		if of, ok := topicOf(e.Kind); !ok || of != topic {
			return bad("topic")
		}
		records = append(records, e)
	}
	return n.take(now, topic, records, record.Gossiped, state)
}

// take hands records to the Ledger and says what they came to.
func (n *Network) take(now time.Time, topic string, records []envelope.Envelope, p record.Path, state *peerState) tally {
	state.recordsIn.Add(uint64(len(records)))
	t := tally{records: len(records)}
	for i, r := range n.ledger.Take(now, records, p) {
		name, forged := weigh(r)
		n.meter.records.WithLabelValues(topic, name).Inc()
		switch {
		case forged:
			t.forged++
			n.log.Debug("record of a peer refused", slog.String("peer", state.name()), slog.Any("error", r.Err))
		case r.Outcome == record.Stored && r.Err == nil:
			t.stored = append(t.stored, records[i])
			n.news.add(now, n.config.Budget.Fresh, &records[i])
			continue
		case n.old(now, r, &records[i]):
			t.useless++
		}
		if r.Outcome != record.Known {
			t.unproven++
		}
	}
	return t
}

// old says of a record that it brought nothing, and that an honest Registry
// would have known that by now: it passes on what is new to it, which may have
// come here by another way, or have ended underway.
func (n *Network) old(now time.Time, r record.Result, e *envelope.Envelope) bool {
	fresh := n.config.Budget.Fresh
	if errors.Is(r.Err, record.ErrExpired) {
		return now.Sub(e.ExpiresAt()) > 2*fresh
	}
	return r.Err == nil && now.Sub(e.IssuedAt) > fresh && !n.news.has(now, fresh, e)
}

// weigh names what became of a record and says whether an honest Registry could
// have passed it on. It could when clocks, lists of bonds, rates or the room left
// differ between it and here.
func weigh(r record.Result) (name string, forged bool) {
	if r.Err == nil {
		return r.Outcome.String(), false
	}
	for _, reason := range []struct {
		err    error
		name   string
		forged bool
	}{
		{record.ErrExpired, "expired", false}, {record.ErrFuture, "future", false},
		{record.ErrRate, "rate", false}, {record.ErrQuota, "quota", false}, {record.ErrFull, "full", false},
		{record.ErrBond, "bond", false}, {record.ErrRevoked, "revoked", false},
		{record.ErrKind, "kind", true}, {record.ErrNetwork, "network", true}, {record.ErrIssuer, "issuer", true},
		{record.ErrSize, "size", true}, {record.ErrTTL, "ttl", true}, {record.ErrTombstone, "tombstone", true},
		{envelope.ErrSignature, "signature", true}, {envelope.ErrField, "field", true},
	} {
		if errors.Is(r.Err, reason.err) {
			return reason.name, reason.forged
		}
	}
	return "body", true
}
