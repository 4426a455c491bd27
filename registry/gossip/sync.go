package gossip

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// How a conversation ended.
const (
	syncEqual    = "equal"    // nothing differed
	syncRepaired = "repaired" // something did
	syncPartial  = "partial"  // more differs than one conversation may carry
	syncBroken   = "broken"   // the connection or the deadline
	syncHostile  = "hostile"  // the peer broke the protocol or sent forged records
	syncRefused  = "refused"  // too many, or one is under way
)

// topicSync is where records of conversations are counted.
const topicSync = "sync"

// maxAsking bounds the conversations opened here at one time.
const maxAsking = 8

// errForged ends a conversation in which a forged record was sent.
var errForged = errors.New("gossip: forged record")

func (n *Network) syncProtocol() protocol.ID {
	return protocol.ID("/drtc/" + n.config.Name + "/sync/1")
}

// hasten has the next conversation come soon.
func (n *Network) hasten() {
	select {
	case n.soon <- struct{}{}:
	default:
	}
}

// syncLoop converses with whoever was just connected, and every while with a
// random bonded peer, until ctx is done.
func (n *Network) syncLoop(ctx context.Context) {
	type end struct {
		peer    peer.ID
		outcome string
	}
	mean, ended := n.config.SyncEvery, make(chan end, maxAsking)
	timer := time.NewTimer(spread(mean))
	defer timer.Stop()
	asking := 0
	var rest peer.ID // has more for us, after wait
	var wait <-chan time.Time
	ask := func(p peer.ID) {
		if asking == maxAsking || !n.connected(p) || !n.gater.bonded(p) {
			return
		}
		asking++
		go func() { ended <- end{p, n.ask(ctx, p)} }() // one of maxAsking, awaited below
	}
	for {
		select {
		case <-ctx.Done():
			for ; asking > 0; asking-- {
				<-ended
			}
			return
		case p := <-n.fresh:
			ask(p)
		case <-wait: // the other side has noticed the end of the last one
			ask(rest)
		case <-n.soon:
			if mean > n.config.SyncEvery {
				mean = n.config.SyncEvery
				timer.Reset(spread(mean))
			}
		case <-n.learned: // others may lack it too, or have more
			mean = n.config.SyncEvery
			timer.Reset(spread(mean / 6))
		case e := <-ended:
			asking--
			switch e.outcome {
			case syncPartial:
				rest, wait = e.peer, time.After(spread(n.config.SyncEvery/20))
			case syncEqual:
				mean = min(2*mean, n.config.SyncIdle)
			case syncRepaired:
				mean = n.config.SyncEvery
			}
		case <-timer.C:
			if p, ok := n.partner(); ok {
				ask(p)
			}
			timer.Reset(spread(mean))
		}
	}
}

// spread is mean give or take half of it.
func spread(mean time.Duration) time.Duration {
	return mean/2 + rand.N(mean)
}

// partner draws among the bonded peers that are connected.
func (n *Network) partner() (peer.ID, bool) {
	var among []peer.ID
	for _, p := range n.host.Network().Peers() {
		if n.bonding.Bonded(record.RoleRegistry, n.peers.of(p).id) {
			among = append(among, p)
		}
	}
	if len(among) == 0 {
		return "", false
	}
	return among[rand.IntN(len(among))], true
}

// ask opens a conversation with p and returns how it ended.
func (n *Network) ask(ctx context.Context, p peer.ID) string {
	state := n.peers.of(p)
	if !state.asking.CompareAndSwap(false, true) {
		return syncRefused
	}
	defer state.asking.Store(false)
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "sync"), n.config.SyncTimeout)
	defer cancel()
	stream, err := n.host.NewStream(ctx, p, n.syncProtocol())
	if err != nil {
		n.meter.sessions.WithLabelValues("out", syncBroken).Inc()
		return syncBroken
	}
	stop := context.AfterFunc(ctx, func() { abort(stream) })
	defer stop()
	session, first := reconcile.Begin(n.ledger, n.config.SyncLimits)
	return n.converse(stream, session, first, state, "out")
}

// answer is the handler of conversations that others open.
func (n *Network) answer(stream network.Stream) {
	if !n.enter() {
		abort(stream)
		return
	}
	defer n.serving.Done()
	state := n.peers.of(stream.Conn().RemotePeer())
	if !state.answering.CompareAndSwap(false, true) {
		n.refuse(stream, state)
		return
	}
	defer state.answering.Store(false)
	if !state.account.session(time.Now(), &n.config.Budget) {
		n.refuse(stream, state)
		return
	}
	n.converse(stream, reconcile.Answer(n.ledger, n.config.SyncLimits), nil, state, "in")
}

func (n *Network) refuse(stream network.Stream, state *peerState) {
	n.meter.sessions.WithLabelValues("in", syncRefused).Inc()
	n.blame(state)
	abort(stream)
}

// blame counts a request that was refused.
func (n *Network) blame(state *peerState) {
	if reason := state.account.refused(time.Now(), &n.config.Budget); reason != "" {
		n.punish(state.peer, reason)
	}
}

// converse drives session over stream to its end.
func (n *Network) converse(stream network.Stream, session *reconcile.Session, first [][]byte, state *peerState, direction string) string {
	deadline(stream, time.Now().Add(n.config.SyncTimeout))
	stored, err := n.exchange(stream, session, first, state)
	if stored > 0 {
		select {
		case n.learned <- struct{}{}:
		default:
		}
	}
	outcome, stats := syncEqual, session.Stats()
	switch {
	case errors.Is(err, errForged):
		outcome = syncHostile
		n.punish(state.peer, banForged)
	case err != nil && !broken(err):
		outcome = syncHostile
		n.log.Debug("conversation broken off", slog.String("peer", state.name()), slog.Any("error", err))
		if reason := state.account.judged(time.Now(), &n.config.Budget, tally{forged: 1}); reason != "" {
			n.punish(state.peer, reason)
		}
	case err != nil:
		outcome = syncBroken
	case !stats.Complete:
		outcome = syncPartial
	case stats.Leaves > 0:
		outcome = syncRepaired
	}
	if err != nil {
		abort(stream)
	} else {
		finish(stream)
	}
	state.synced(time.Now(), outcome)
	n.meter.sessions.WithLabelValues(direction, outcome).Inc()
	n.meter.syncBytes.WithLabelValues("in").Add(float64(stats.BytesIn))
	n.meter.syncBytes.WithLabelValues("out").Add(float64(stats.BytesOut))
	n.meter.syncRecords.WithLabelValues("in").Add(float64(stats.RecordsIn))
	n.meter.syncRecords.WithLabelValues("out").Add(float64(stats.RecordsOut))
	state.recordsOut.Add(uint64(stats.RecordsOut))
	return outcome
}

// broken tells errors of the connection from those of the conversation.
func broken(err error) bool {
	var s *streamError
	return errors.As(err, &s)
}

// streamError is an error of reading or writing.
type streamError struct{ err error }

func (e *streamError) Error() string { return "gossip: stream: " + e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// exchange writes and reads frames until the session is done. stored counts the
// records that it brought.
func (n *Network) exchange(stream network.Stream, session *reconcile.Session, frames [][]byte, state *peerState) (stored int, err error) {
	r, w := bufio.NewReader(stream), bufio.NewWriter(stream)
	for done := false; ; {
		for _, f := range frames {
			if err := writeFrame(w, f); err != nil {
				return stored, &streamError{err}
			}
		}
		if err := w.Flush(); err != nil {
			return stored, &streamError{err}
		}
		if done {
			return stored, nil
		}
		frame, err := readFrame(r, reconcile.MaxFrame)
		if err != nil {
			if errors.Is(err, errFrame) {
				return stored, err
			}
			return stored, &streamError{err}
		}
		step, err := session.Handle(frame)
		if err != nil {
			return stored, err
		}
		// A reader may copy records and has none to give.
		if len(step.Records) > 0 && n.bonding.Bonded(record.RoleRegistry, state.id) {
			t := n.take(time.Now(), topicSync, step.Records, record.Synced, state)
			stored += len(t.stored)
			if t.forged > 0 {
				return stored, errForged
			}
		}
		frames, done = step.Send, step.Done
	}
}
