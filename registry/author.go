package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/ledger"
	"github.com/drtc-network/drtc/registry/record"
)

// author signs what this Registry itself says and puts it into the ledger, from
// where it goes out to the others. One goroutine at a time issues about one
// subject.
type author struct {
	key     *identity.Key
	network string
	ledger  *ledger.Ledger
	bonding record.Bonding
}

// errReader is returned by issue while this Registry is not on the list of those
// that may attest: it copies what others say and says nothing itself.
var errReader = errors.New("registry: not on the list of Registries")

// statement is what is said.
type statement struct {
	kind    string
	subject drtc.NodeID
	ttl     time.Duration
	flags   envelope.Flags
	body    []byte
}

// issue signs s as the newest of its key: the version goes on from what is
// held, which survives a restart, and is not less than the clock, which survives
// the loss of the disk (spec REG-15).
func (a *author) issue(ctx context.Context, now time.Time, s statement) error {
	id := a.key.ID()
	if !a.bonding.Bonded(record.RoleRegistry, id) {
		return errReader
	}
	e := envelope.Envelope{
		Kind: s.kind, Network: a.network, Subject: s.subject, IssuedAt: now, TTL: s.ttl, Flags: s.flags, Body: s.body,
		Seq: uint64(now.UnixMilli()),
	}
	if held, ok := a.ledger.Get(record.Key{Kind: s.kind, Subject: s.subject, Issuer: id}); ok && !held.Version().Less(e.Version()) {
		next := held.Version().Next()
		e.Generation, e.Seq = next.Generation, next.Seq
	}
	if err := e.Sign(a.key); err != nil {
		return fmt.Errorf("registry: signing a %s record: %w", s.kind, err)
	}
	if _, _, err := a.ledger.Submit(ctx, e); err != nil {
		return fmt.Errorf("registry: issuing a %s record: %w", s.kind, err)
	}
	return nil
}
