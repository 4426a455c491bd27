package score

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// ErrInvalid is wrapped by every refusal. The text names the field and what it
// may be.
var ErrInvalid = errors.New("score: invalid")

// Rules are the parameters of governance that scores are computed by. All
// Registries of a network have the same.
type Rules struct {
	Window   uint16 // epochs whose results count, 1 to 64
	PerEpoch uint16 // results that a node may have in one epoch, at most MaxPerEpoch

	// Credibility of challengers (spec K4, K5).
	Iterations uint16   // times that medians and weights are computed anew, 1 to 16
	Spread     econ.Wad // least distance that counts as usual
	Tolerance  econ.Bps // distance that costs no weight, in parts of the usual one
	Lean       econ.Bps // one-sidedness that costs no weight, in parts of the usual distance

	// Who has few results (spec K7).
	FewResults    uint16
	FewPercentile uint16 // 1 to 100

	// Two stages to quarantine (spec K8 to K10).
	Credible      econ.Wad // credibility from which on a result counts here
	Suspect       econ.Wad // below it a result speaks against a node
	AlarmLast     uint16   // results that are looked at
	AlarmBelow    uint16   // of them, so many below Suspect raise the alarm
	AlarmTests    uint16   // further tests in the next epoch
	JointTests    uint16   // results without which there is no joint verdict
	AlarmEpochs   uint16   // epochs after which an alarm without verdict is quarantine
	RelapseTests  uint16   // further tests in each epoch of quarantine
	RecoverEpochs uint16   // good epochs that end it

	// Sessions (spec K11 to K13).
	MinSessions      uint32
	MinOrchestrators uint16
	SessionShare     econ.Bps // of a node's paid bytes, that speaks for it
	SessionMargin    econ.Wad
	Calibrate        uint16 // nodes from which on an Orchestrator is held against itself
	MaxReporters     uint16 // Orchestrators that are remembered of a node

	// Places (spec K14 to K17).
	KmPerMillisecond uint32
	SlackKm          uint32
	CellKm           uint32 // of a cell's middle to whatever is in it
	DemandPercentile uint16

	// Bytes supplied (spec K18).
	MinHistory       econ.Wad // h_min of the network's econ.Parameters
	SupplyDecay      uint16   // an epoch takes one part of so many; 0 forgets nothing
	SupplyPercentile uint16   // of an application's bytes at a node, beyond which more do not count

	Forget uint16 // epochs after which an absent node is forgotten
}

// MaxPerEpoch is the bound of Rules.PerEpoch.
const MaxPerEpoch = 32

// DefaultRules are those of a network at genesis.
func DefaultRules() Rules {
	return Rules{
		Window: 7, PerEpoch: 24,
		Iterations: 6, Spread: econ.One / 100, Tolerance: 9000, Lean: 2000,
		FewResults: 8, FewPercentile: 25,
		Credible: econ.One / 256,
		Suspect:  econ.One / 10 * 8, AlarmLast: 6, AlarmBelow: 3, AlarmTests: 8, JointTests: 4, AlarmEpochs: 3,
		RelapseTests: 2, RecoverEpochs: 2,
		MinSessions: 30, MinOrchestrators: 3, SessionShare: 2500, SessionMargin: econ.One / 10, Calibrate: 4, MaxReporters: 16,
		KmPerMillisecond: 100, SlackKm: 50, CellKm: 150, DemandPercentile: 95,
		MinHistory: econ.One / 2, SupplyDecay: 32, SupplyPercentile: 95,
		Forget: 90,
	}
}

// Validate names the first field that is out of range.
func (r Rules) Validate() error {
	for _, f := range []struct {
		name             string
		value, low, high uint64
	}{
		{"Window", uint64(r.Window), 1, 64},
		{"PerEpoch", uint64(r.PerEpoch), 1, MaxPerEpoch},
		{"Iterations", uint64(r.Iterations), 1, 16},
		{"Spread", uint64(r.Spread), uint64(nano), uint64(econ.One)},
		{"Tolerance", uint64(r.Tolerance), 1, 1000 * uint64(econ.Whole)},
		{"Lean", uint64(r.Lean), 1, uint64(econ.Whole)},
		{"FewResults", uint64(r.FewResults), 1, MaxPerEpoch},
		{"FewPercentile", uint64(r.FewPercentile), 1, 100},
		{"Credible", uint64(r.Credible), 1, uint64(econ.One)},
		{"Suspect", uint64(r.Suspect), 1, uint64(econ.One)},
		{"AlarmLast", uint64(r.AlarmLast), 1, MaxPerEpoch},
		{"AlarmBelow", uint64(r.AlarmBelow), 1, uint64(r.AlarmLast)},
		{"AlarmTests", uint64(r.AlarmTests), 1, uint64(r.PerEpoch)},
		{"JointTests", uint64(r.JointTests), 1, uint64(r.AlarmTests)},
		{"AlarmEpochs", uint64(r.AlarmEpochs), 1, 255},
		{"RelapseTests", uint64(r.RelapseTests), 1, uint64(r.PerEpoch)},
		{"RecoverEpochs", uint64(r.RecoverEpochs), 1, 255},
		{"MinSessions", uint64(r.MinSessions), 1, 1 << 20},
		{"MinOrchestrators", uint64(r.MinOrchestrators), 1, uint64(r.MaxReporters)},
		{"SessionShare", uint64(r.SessionShare), 1, uint64(econ.Whole)},
		{"SessionMargin", uint64(r.SessionMargin), 0, uint64(econ.One)},
		{"Calibrate", uint64(r.Calibrate), 1, 1 << 15},
		{"MaxReporters", uint64(r.MaxReporters), 1, 64},
		{"KmPerMillisecond", uint64(r.KmPerMillisecond), 1, 150}, // light in vacuum covers 300 km there and back
		{"SlackKm", uint64(r.SlackKm), 0, 10_000},
		{"CellKm", uint64(r.CellKm), 0, 10_000},
		{"DemandPercentile", uint64(r.DemandPercentile), 1, 100},
		{"MinHistory", uint64(r.MinHistory), 0, uint64(econ.One)},
		{"SupplyDecay", uint64(r.SupplyDecay), 0, 1 << 15},
		{"SupplyPercentile", uint64(r.SupplyPercentile), 1, 100},
		{"Forget", uint64(r.Forget), uint64(r.Window), 1 << 15},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("%w: rules: %s is %d, want %d to %d", ErrInvalid, f.name, f.value, f.low, f.high)
		}
	}
	return nil
}

// Hash names the rules among the inputs of a report.
func (r Rules) Hash() [32]byte {
	b, err := binary.Append([]byte("drtc/score/rules/1\n"), binary.BigEndian, r)
	if err != nil {
		panic("score: encoding rules: " + err.Error()) // all fields have a fixed size
	}
	return identity.Keccak256(b)
}
