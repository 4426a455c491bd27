package registry

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/api"
	"github.com/drtc-network/drtc/registry/liveness"
)

// keepAlive is one open stream. Its channel has room for the nonces that can be
// under way before the stream is ended.
type keepAlive struct {
	rounds *rounds
	id     liveness.StreamID
	node   drtc.NodeID
	nonces chan liveness.Nonce
}

// open starts a stream of somebody who claims to be node.
func (r *rounds) open(node drtc.NodeID) (api.KeepAlive, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.lastID++
	if err := r.table.Open(now, r.lastID, node); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	k := &keepAlive{rounds: r, id: r.lastID, node: node, nonces: make(chan liveness.Nonce, r.config.KeepAliveMisses+1)}
	r.streams[k.id] = k
	r.tick(now) // the first nonce is due
	return k, nil
}

// Nonces implements api.KeepAlive.
func (k *keepAlive) Nonces() <-chan liveness.Nonce { return k.nonces }

// Pong implements api.KeepAlive.
func (k *keepAlive) Pong(nonce []byte, sig identity.Signature) error {
	r := k.rounds
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	up, err := r.table.Pong(now, k.id, nonce, sig)
	if err != nil {
		return err
	}
	if up && r.prober != nil {
		r.prober.Proven(now, k.node)
		r.rouse()
	}
	return nil
}

// Close implements api.KeepAlive.
func (k *keepAlive) Close() {
	r := k.rounds
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if node, lost := r.table.Close(now, k.id); lost {
		r.lost(now, node)
	}
	delete(r.streams, k.id)
}

// keepAlives sends nonces and ends streams that do not answer.
func (r *rounds) keepAlives(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick(now)
}

// tick needs mu.
func (r *rounds) tick(now time.Time) {
	due := r.table.HandleTimeout(now, func() (n liveness.Nonce) {
		rand.Read(n[:])
		return n
	})
	for _, ask := range due.Asks {
		if k := r.streams[ask.Stream]; k != nil {
			select {
			case k.nonces <- ask.Nonce:
			default: // a stream that takes nothing counts as silent
			}
		}
	}
	for _, id := range due.End {
		r.end(id)
	}
	for _, node := range due.Down {
		r.lost(now, node)
	}
}

// lost has a node dialled whose keepalive ended. It needs mu.
func (r *rounds) lost(now time.Time, node drtc.NodeID) {
	if r.prober != nil {
		r.prober.Lost(now, node)
		r.rouse()
	}
}

// end closes a stream's channel, upon which its handler returns. It needs mu.
func (r *rounds) end(id liveness.StreamID) {
	if k := r.streams[id]; k != nil {
		close(k.nonces)
		delete(r.streams, id)
	}
}
