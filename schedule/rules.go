package schedule

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc/beacon"
	"github.com/drtc-network/drtc/econ"
)

// ErrInvalid is returned for rules and agreed data that nobody may plan by. The
// text names the field.
var ErrInvalid = errors.New("schedule: invalid")

// Rules are the parameters of the plan. All Registries and nodes of a network
// have the same; they are part of the seed of every slot (spec T10).
type Rules struct {
	// Genesis is when epoch 0 begins.
	Genesis time.Time
	// Slot is the length of a slot, in which a node takes part in one test at most.
	Slot time.Duration
	// Slots of an epoch, at least 2.
	Slots uint32
	// SetUp and Length of a quality or extra test.
	SetUp, Length time.Duration
	// CapacityLength of a capacity test.
	CapacityLength time.Duration
	// Wait is how long after a slot's beginning its tests may still be ordered.
	Wait time.Duration

	// PerRole is k: quality tests that a node has in each role in an epoch. A
	// network that is too small for it has fewer (Target).
	PerRole uint32
	// FewResults: a node with fewer results than this is tested sooner.
	FewResults uint32
	// RepeatEpochs: a pair is not tested again within so many epochs, this one
	// counted.
	RepeatEpochs uint32
	// QualityKbps is the rate of the stream of a quality or extra test.
	QualityKbps uint32
	// Credible is the credibility from which on a node may challenge in extra tests.
	Credible econ.Wad

	// CapacityEpochs is how long a capacity test counts; 0 plans none.
	CapacityEpochs uint32
	// MaxChallengers of a capacity test, at least 1.
	MaxChallengers uint32
	// TrustedMbps is the rate that a challenger is trusted with before it has shown it.
	TrustedMbps uint32

	// Witnesses of a test: the Registries that may order it.
	Witnesses uint32
	// Turn is how much later than the one before a witness may order it.
	Turn time.Duration
}

// DefaultRules are those of a public network: an epoch of a day from genesis on,
// 48 slots, tests of 20 minutes after 2 minutes of set-up.
func DefaultRules(genesis time.Time) Rules {
	return Rules{
		Genesis: genesis,
		Slot:    30 * time.Minute, Slots: 48,
		SetUp: 2 * time.Minute, Length: 20 * time.Minute, CapacityLength: 30 * time.Second,
		Wait:    5 * time.Minute,
		PerRole: 4, FewResults: 8, RepeatEpochs: 7, QualityKbps: 2500, Credible: 8 * econ.One / 10,
		CapacityEpochs: 7, MaxChallengers: 8, TrustedMbps: 100,
		Witnesses: 5, Turn: 20 * time.Second,
	}
}

// DevelopmentRules are those of a network on one machine, whose epochs take a
// minute and whose tests take ten seconds. Scores from them say nothing about a node.
func DevelopmentRules(genesis time.Time) Rules {
	r := DefaultRules(genesis)
	r.Slot, r.Slots = 15*time.Second, 4
	r.SetUp, r.Length, r.CapacityLength = time.Second, 10*time.Second, 2*time.Second
	r.Wait, r.Turn = 3*time.Second, 500*time.Millisecond
	return r
}

// Validate names the field that is out of range. It wraps ErrInvalid.
func (r Rules) Validate() error {
	bad := func(field, want string) error { return fmt.Errorf("%w: Rules.%s: want %s", ErrInvalid, field, want) }
	switch {
	case r.Slot < time.Millisecond || r.Slot > 24*time.Hour:
		return bad("Slot", "1 ms to 24 h")
	case r.Slots < 2 || r.Slots > 10_000:
		return bad("Slots", "2 to 10000")
	case r.SetUp < 0 || r.Length <= 0 || r.Wait < 0 || r.Wait+r.SetUp+r.Length > r.Slot:
		return bad("Length", "above 0, and no more than Slot together with Wait and SetUp")
	case r.CapacityLength <= 0 || r.CapacityLength > r.Length:
		return bad("CapacityLength", "above 0, at most Length")
	case r.PerRole < 1 || r.PerRole > 1000:
		return bad("PerRole", "1 to 1000")
	case r.FewResults > 1000:
		return bad("FewResults", "at most 1000")
	case r.RepeatEpochs > 1000:
		return bad("RepeatEpochs", "at most 1000")
	case r.QualityKbps < 1:
		return bad("QualityKbps", "at least 1")
	case r.Credible > econ.One:
		return bad("Credible", "a wad, at most 10^18")
	case r.CapacityEpochs > 1000:
		return bad("CapacityEpochs", "at most 1000")
	case r.MaxChallengers < 1 || r.MaxChallengers > 64:
		return bad("MaxChallengers", "1 to 64")
	case r.TrustedMbps < 1 || r.TrustedMbps > maxMbps:
		return bad("TrustedMbps", "1 to 4000000")
	case r.Witnesses < 1 || r.Witnesses > 64:
		return bad("Witnesses", "1 to 64")
	case r.Turn < 0 || time.Duration(r.Witnesses-1)*r.Turn > r.Wait:
		return bad("Turn", "not negative, and the last witness's turn within Wait")
	}
	return nil
}

// Epoch is the length of an epoch.
func (r Rules) Epoch() time.Duration { return time.Duration(r.Slots) * r.Slot }

// Start is when a slot of an epoch begins.
func (r Rules) Start(epoch uint64, slot uint32) time.Time {
	return r.Genesis.Add(time.Duration(epoch)*r.Epoch() + time.Duration(slot)*r.Slot)
}

// Round is the number of the round that plans a slot: the first that is published
// when the slot begins or later (spec T2).
func (r Rules) Round(c beacon.Clock, epoch uint64, slot uint32) uint64 {
	return c.First(r.Start(epoch, slot))
}

// At is the epoch and slot of t; t is not before Genesis.
func (r Rules) At(t time.Time) (epoch uint64, slot uint32) {
	n := uint64(max(0, t.Sub(r.Genesis)) / r.Slot)
	return n / uint64(r.Slots), uint32(n % uint64(r.Slots))
}

// Target is how many quality tests a node has in each role in an epoch with n
// eligible nodes: PerRole, or what fits when of n nodes at most two in two can be
// busy in a slot (spec T16).
func (r Rules) Target(n int) uint32 {
	if n < 2 {
		return 0
	}
	fits := uint64(r.Slots) * uint64(n/2) / uint64(n)
	return uint32(max(1, min(uint64(r.PerRole), fits)))
}

// append writes the rules in the form that the root covers (spec T11).
func (r Rules) append(b []byte) []byte {
	for _, v := range []uint64{
		uint64(r.Genesis.UnixMilli()), uint64(r.Slot), uint64(r.Slots), uint64(r.SetUp), uint64(r.Length), uint64(r.CapacityLength), uint64(r.Wait),
		uint64(r.PerRole), uint64(r.FewResults), uint64(r.RepeatEpochs), uint64(r.QualityKbps), uint64(r.Credible),
		uint64(r.CapacityEpochs), uint64(r.MaxChallengers), uint64(r.TrustedMbps), uint64(r.Witnesses), uint64(r.Turn),
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
