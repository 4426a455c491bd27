package registry

import (
	"context"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/probe"
	"github.com/drtc-network/drtc/registry/wire"
)

// dial calls a node where its record says that it is.
func (r *Registry) dial(ctx context.Context, id drtc.NodeID) liveness.Answer {
	e, live := r.ledger.Live(time.Now(), nodeKey(id))
	if !live {
		return liveness.Answer{Outcome: liveness.Skipped}
	}
	payload, err := wire.HeldNode(e.Body)
	if err != nil { // written under other rules
		return liveness.Answer{Outcome: liveness.Skipped}
	}
	target := probe.Target{Node: id, URL: payload.URL}
	if _, err := hex.Decode(target.Fingerprint[:], []byte(payload.TLSFingerprint)); err != nil {
		return liveness.Answer{Outcome: liveness.Skipped}
	}
	result := r.dialer.Dial(ctx, target)
	answer := result.Answer()
	if answer.Outcome == liveness.Missed {
		r.log.Debug("node missed a dial", slog.String("node", id.String()), slog.Any("error", result.Err))
	}
	return answer
}
