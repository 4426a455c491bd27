package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/liveness"
)

// keepAlive is one open stream. Its channel has room for the two nonces that
// can be under way before the stream is ended.
type keepAlive struct {
	ledger *ledger
	id     liveness.StreamID
	node   drtc.NodeID
	nonces chan liveness.Nonce
}

// OpenKeepAlive implements api.Nodes.
func (l *ledger) OpenKeepAlive(node drtc.NodeID) (api.KeepAlive, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if _, live := l.set.Live(now, nodeKey(node)); !live {
		return nil, fmt.Errorf("%w: call RegisterNode first", api.ErrUnknownNode)
	}
	l.lastID++
	if err := l.alive.Open(now, l.lastID, node); err != nil {
		return nil, err
	}
	k := &keepAlive{ledger: l, id: l.lastID, node: node, nonces: make(chan liveness.Nonce, l.config.KeepAliveMisses+1)}
	l.streams[k.id] = k
	l.tick(now) // the first nonce is due
	return k, nil
}

// Nonces implements api.KeepAlive.
func (k *keepAlive) Nonces() <-chan liveness.Nonce { return k.nonces }

// Pong implements api.KeepAlive.
func (k *keepAlive) Pong(nonce []byte, sig identity.Signature) error {
	l := k.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	up, err := l.alive.Pong(time.Now(), k.id, nonce, sig)
	if err != nil {
		return err
	}
	if up {
		l.changed([]drtc.NodeID{k.node})
	}
	return nil
}

// Close implements api.KeepAlive.
func (k *keepAlive) Close() {
	l := k.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alive.Close(time.Now(), k.id)
	delete(l.streams, k.id)
}

// keepAliveLoop sends nonces and takes out who does not answer.
func (l *ledger) keepAliveLoop(ctx context.Context) {
	ticker := time.NewTicker(l.config.KeepAliveEvery / 20)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			l.mu.Lock()
			l.tick(now)
			l.mu.Unlock()
		}
	}
}

// tick needs mu.
func (l *ledger) tick(now time.Time) {
	due := l.alive.HandleTimeout(now, func() (n liveness.Nonce) {
		rand.Read(n[:])
		return n
	})
	for _, ask := range due.Asks {
		if k := l.streams[ask.Stream]; k != nil {
			select {
			case k.nonces <- ask.Nonce:
			default: // a stream that takes nothing counts as silent
			}
		}
	}
	for _, id := range due.End {
		l.end(id)
	}
	for _, node := range due.Down {
		l.log.Info("node stopped answering", slog.String("node", node.String()))
	}
	l.changed(due.Down)
}

// end closes a stream's channel, upon which its handler returns. It needs mu.
func (l *ledger) end(id liveness.StreamID) {
	if k := l.streams[id]; k != nil {
		close(k.nonces)
		delete(l.streams, id)
	}
}

// forget drops the keepalive of a node whose record has ended. It needs mu.
func (l *ledger) forget(node drtc.NodeID) {
	for _, id := range l.alive.Forget(node) {
		l.end(id)
	}
}

// changed publishes nodes that went up or down. It needs mu.
func (l *ledger) changed(nodes []drtc.NodeID) {
	now := time.Now()
	var changes []index.Change
	for _, id := range nodes {
		changes = append(changes, l.change(now, nodeKey(id)))
	}
	l.publish(changes)
}
