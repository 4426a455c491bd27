package score

import "fmt"

// Standing says whether a node's tests speak against it.
type Standing uint8

const (
	// Sound: nothing is the matter.
	Sound Standing = iota
	// Alarmed: too many of its last results are bad; further tests are to find out.
	Alarmed
	// Quarantined: those confirmed it. The default allocator gives it no new
	// sessions; it is paid by V as measured.
	Quarantined
)

// String is the standing in a word.
func (s Standing) String() string {
	switch s {
	case Sound:
		return "sound"
	case Alarmed:
		return "alarmed"
	case Quarantined:
		return "quarantined"
	}
	return fmt.Sprintf("Standing(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Further is how many tests beyond the usual a node with this standing gets in the
// next epoch (spec K8 to K10).
func (r Rules) Further(s Standing) int {
	switch s {
	case Alarmed:
		return int(r.AlarmTests)
	case Quarantined:
		return int(r.RelapseTests)
	case Sound:
	}
	return 0
}

// bench judges nodes by what credible challengers found. Their results count one
// each: in a few results weights would be as random as what they weigh.
type bench struct {
	rules    Rules
	epoch    uint64
	credible func(held) bool
	atWork   bool // at least half of the nodes were tested in the epoch
}

// judge moves a node to its standing after the epoch.
func (b bench) judge(e *entry) {
	switch e.standing {
	case Sound:
		if b.alarms(e) {
			e.standing, e.waited = Alarmed, 0
		}
	case Alarmed:
		b.confirm(e)
	case Quarantined:
		b.release(e)
	}
}

// alarms reports whether of the last credible results too many are below Suspect
// (spec K8).
func (b bench) alarms(e *entry) bool {
	seen, below := 0, 0
	for i := len(e.results) - 1; i >= 0 && seen < int(b.rules.AlarmLast); i-- {
		if h := e.results[i]; b.credible(h) {
			seen++
			if h.quality < b.rules.Suspect {
				below++
			}
		}
	}
	return below >= int(b.rules.AlarmBelow)
}

// confirm ends an alarm by the epoch's tests, if enough of them are the further
// ones, whose challengers were chosen by credibility. While they are divided
// there are more of them (spec K9).
func (b bench) confirm(e *entry) {
	j := b.joint(e)
	verdict := j.further >= int(b.rules.JointTests)
	switch {
	case verdict && !j.good():
		e.standing, e.good = Quarantined, 0
	case verdict && j.clear(), !b.alarms(e):
		e.standing = Sound
	case b.atWork:
		if e.waited++; e.waited >= uint8(b.rules.AlarmEpochs) {
			e.standing, e.good = Quarantined, 0
		}
	}
}

// release ends a quarantine after good epochs in a row (spec K10).
func (b bench) release(e *entry) {
	j := b.joint(e)
	switch {
	case j.seen < int(b.rules.JointTests):
	case !j.good():
		e.good = 0
	default:
		if e.good++; e.good >= uint8(b.rules.RecoverEpochs) {
			e.standing = Sound
		}
	}
}

// joint counts the credible results of an epoch.
type joint struct{ seen, below, further int }

// good: the median of the results, the upper one of an even number, reaches
// Suspect.
func (j joint) good() bool { return 2*j.below <= j.seen }

// clear: at most a third speaks against the node.
func (j joint) clear() bool { return 3*j.below <= j.seen }

func (b bench) joint(e *entry) (j joint) {
	for i := len(e.results) - 1; i >= 0 && e.results[i].epoch == b.epoch; i-- {
		h := e.results[i]
		if !b.credible(h) {
			continue
		}
		j.seen++
		if h.further {
			j.further++
		}
		if h.quality < b.rules.Suspect {
			j.below++
		}
	}
	return j
}
