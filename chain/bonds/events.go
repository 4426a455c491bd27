package bonds

import (
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
)

// events puts logs of the contract into a fold, by the hash of the event's name.
type events map[common.Hash]func(*fold, *types.Log) (changed bool, err error)

func newEvents(c *bindings.Bonds, declared *abi.ABI) events {
	named := func(name string) common.Hash { return declared.Events[name].ID }
	return events{
		named(bindings.BondsBondedEventName): event(c.UnpackBondedEvent, func(f *fold, l *types.Log, e *bindings.BondsBonded) (bool, error) {
			return f.bond(l, e.Kind, e.Identity, true)
		}),
		named(bindings.BondsUnbondingStartedEventName): event(c.UnpackUnbondingStartedEvent, func(f *fold, l *types.Log, e *bindings.BondsUnbondingStarted) (bool, error) {
			return f.bond(l, e.Kind, e.Identity, false)
		}),
		named(bindings.BondsForfeitedEventName): event(c.UnpackForfeitedEvent, func(f *fold, l *types.Log, e *bindings.BondsForfeited) (bool, error) {
			return f.bond(l, e.Kind, e.Identity, false)
		}),
		named(bindings.BondsReporterAdmittedEventName): event(c.UnpackReporterAdmittedEvent, func(f *fold, l *types.Log, e *bindings.BondsReporterAdmitted) (bool, error) {
			return f.reporter(l, e.Identity, true)
		}),
		named(bindings.BondsReporterRemovedEventName): event(c.UnpackReporterRemovedEvent, func(f *fold, l *types.Log, e *bindings.BondsReporterRemoved) (bool, error) {
			return f.reporter(l, e.Identity, false)
		}),
		named(bindings.BondsGenerationRaisedEventName): event(c.UnpackGenerationRaisedEvent, func(f *fold, _ *types.Log, e *bindings.BondsGenerationRaised) (bool, error) {
			return f.raise(e.Kind, e.Identity, e.Generation)
		}),
	}
}

func event[E any](unpack func(*types.Log) (*E, error), take func(*fold, *types.Log, *E) (bool, error)) func(*fold, *types.Log) (bool, error) {
	return func(f *fold, l *types.Log) (bool, error) {
		e, err := unpack(l)
		if err != nil {
			return false, fmt.Errorf("%w: an event of block %d cannot be read: %w", client.ErrUnavailable, l.BlockNumber, err)
		}
		return take(f, l, e)
	}
}

// names are the topics of all events that matter.
func (e events) names() []common.Hash {
	names := make([]common.Hash, 0, len(e))
	for name := range e {
		names = append(names, name)
	}
	return names
}

// apply takes the events of some blocks in. It reports whether anything changed.
// After an error the fold is of no more use.
func (e events) apply(f *fold, logs []types.Log, at client.Cursor) (changed bool, err error) {
	for i := range logs {
		l := &logs[i]
		if len(l.Topics) == 0 || e[l.Topics[0]] == nil {
			return false, fmt.Errorf("%w: an event that was not asked for, in block %d", client.ErrUnavailable, l.BlockNumber)
		}
		one, err := e[l.Topics[0]](f, l)
		if err != nil {
			return false, err
		}
		changed = changed || one
	}
	f.at = at
	return changed, nil
}
