package bonds

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/client"
)

// Kind is what a bond stands behind, as the contract numbers it.
type Kind uint8

// The kinds of bonds.
const (
	Registry Kind = iota
	Orchestrator
	NodeOperator
	kinds
)

func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return [...]string{"registry", "orchestrator", "node"}[k]
}

// Bounds of what is held in memory.
const (
	maxBonded      = 100_000 // identities of one kind
	maxGenerations = 500_000 // identities with a generation above 0
	maxReporters   = 1024    // the contract has a lower one of its own
)

// State is what the contract says at the end of one settled block.
type State struct {
	// Block is that block; Time is when it was made.
	Block client.Cursor
	Time  time.Time
	// Changed is the last block in which a reporter or an Orchestrator came or
	// went: the same for everybody who reads the chain up to Block.
	Changed uint64
	// Reporters are the Registries that may sign for all; they are among the bonded.
	// All lists are ascending.
	Reporters, Registries, Orchestrators, Nodes []drtc.NodeID
	// Generations are the lowest that hold, where that is above 0. A key that is
	// bonded as several things has the highest.
	Generations map[drtc.NodeID]uint64
}

// fold is the state while events are put into it.
type fold struct {
	at          client.Cursor
	changed     uint64
	active      [kinds]set
	reporters   set
	generations map[generationKey]uint64
}

type set map[common.Address]struct{}

type generationKey struct {
	kind     Kind
	identity common.Address
}

func newFold() *fold {
	f := &fold{reporters: set{}, generations: map[generationKey]uint64{}}
	for k := range f.active {
		f.active[k] = set{}
	}
	return f
}

// put adds or takes out, and reports whether that made a difference.
func (s set) put(id common.Address, in bool) bool {
	if _, was := s[id]; was == in {
		return false
	}
	if in {
		s[id] = struct{}{}
	} else {
		delete(s, id)
	}
	return true
}

func (s set) ids() []drtc.NodeID {
	ids := make([]drtc.NodeID, 0, len(s))
	for id := range s {
		ids = append(ids, drtc.NodeID(id))
	}
	slices.SortFunc(ids, func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// state copies what is folded.
func (f *fold) state(at time.Time) State {
	s := State{
		Block: f.at, Time: at, Changed: f.changed, Reporters: f.reporters.ids(), Registries: f.active[Registry].ids(),
		Orchestrators: f.active[Orchestrator].ids(), Nodes: f.active[NodeOperator].ids(),
		Generations: make(map[drtc.NodeID]uint64, len(f.generations)),
	}
	for k, g := range f.generations {
		id := drtc.NodeID(k.identity)
		s.Generations[id] = max(g, s.Generations[id])
	}
	return s
}

func (f *fold) clone() *fold {
	c := &fold{at: f.at, changed: f.changed, reporters: maps.Clone(f.reporters), generations: maps.Clone(f.generations)}
	for k := range f.active {
		c.active[k] = maps.Clone(f.active[k])
	}
	return c
}

// bond adds or takes out an identity's bond. A bond that is only raised changes
// nothing.
func (f *fold) bond(l *types.Log, kind uint8, id common.Address, stands bool) (bool, error) {
	k, err := kindOf(kind)
	if err != nil || !f.active[k].put(id, stands) {
		return false, err
	}
	if k == Orchestrator {
		f.changed = l.BlockNumber
	}
	return true, bounded(len(f.active[k]), maxBonded, k.String())
}

func (f *fold) reporter(l *types.Log, id common.Address, reports bool) (bool, error) {
	if !f.reporters.put(id, reports) {
		return false, nil
	}
	f.changed = l.BlockNumber
	return true, bounded(len(f.reporters), maxReporters, "reporter")
}

func (f *fold) raise(kind uint8, id common.Address, generation uint64) (bool, error) {
	k, err := kindOf(kind)
	if err != nil {
		return false, err
	}
	f.generations[generationKey{k, id}] = generation
	return true, bounded(len(f.generations), maxGenerations, "generation")
}

func kindOf(kind uint8) (Kind, error) {
	if k := Kind(kind); k < kinds {
		return k, nil
	}
	return 0, fmt.Errorf("%w: a bond of kind %d, which this version does not know: update", ErrContract, kind)
}

func bounded(n, most int, what string) error {
	if n > most {
		return fmt.Errorf("%w: more than %d of kind %s", ErrTooMany, most, what)
	}
	return nil
}
