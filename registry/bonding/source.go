package bonding

import (
	"context"
	"log/slog"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

// Source says who may take part, from memory.
type Source interface {
	record.Bonding
	// List is what holds now. It is shared: do not change it.
	List() *List
	// Status is how the source itself is.
	Status() Status
	// Run keeps the list current until ctx is done.
	Run(ctx context.Context, log *slog.Logger) error
}

// Kinds of sources, as Status has them.
const (
	Everybody = "everybody"
	OnDisk    = "file"
	OnChain   = "chain"
)

// Status of a Source.
type Status struct {
	Source string
	// Problem says why the list may be old and is not changed; empty while it is
	// current. Whoever is not in it may have come since. It is for everybody: the
	// log has the details.
	Problem string
	// CheckedAt is when the list was last known to be current.
	CheckedAt time.Time
	// Block is the settled block that the list was last known to hold at, and
	// BlockTime when it was made; 0 where there is no chain.
	Block     uint64
	BlockTime time.Time
}

// AllowAll lets everybody take part in every role, at any generation.
type AllowAll struct{}

// Bonded implements record.Bonding.
func (AllowAll) Bonded(record.Role, drtc.NodeID) bool { return true }

// MinGeneration implements record.Bonding.
func (AllowAll) MinGeneration(drtc.NodeID) uint64 { return 0 }

// List returns a list that admits everybody.
func (AllowAll) List() *List {
	return &List{Serial: 1, AnyNode: true, AnyOrchestrator: true, AnyRegistry: true}
}

// Status is always good.
func (AllowAll) Status() Status { return Status{Source: Everybody, CheckedAt: time.Now()} }

// Run waits until ctx is done.
func (AllowAll) Run(ctx context.Context, _ *slog.Logger) error {
	<-ctx.Done()
	return nil
}
