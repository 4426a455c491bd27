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

// bench judges nodes by what challengers of known credibility found.
type bench struct {
	rules  Rules
	epoch  uint64
	weight func(held) uint32
	atWork bool // at least half of the nodes were tested in the epoch
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

// alarms reports whether those of the last results that are below Suspect weigh
// as much as AlarmBelow average ones (spec K8).
func (b bench) alarms(e *entry) bool {
	last := e.results[max(0, len(e.results)-int(b.rules.AlarmLast)):]
	var all, below uint64
	for _, h := range last {
		w := uint64(b.weight(h))
		all += w
		if h.quality < b.rules.Suspect {
			below += w
		}
	}
	return len(last) > 0 && below*uint64(len(last)) >= all*uint64(b.rules.AlarmBelow)
}

// confirm ends an alarm by the epoch's tests, if enough of them are the further
// ones, whose challengers were chosen by credibility (spec K9).
func (b bench) confirm(e *entry) {
	good, further := b.joint(e)
	verdict := further >= int(b.rules.JointTests)
	switch {
	case verdict && good, !verdict && !b.alarms(e):
		e.standing = Sound
	case verdict:
		e.standing, e.good = Quarantined, 0
	case b.atWork:
		if e.waited++; e.waited >= uint8(b.rules.AlarmEpochs) {
			e.standing, e.good = Quarantined, 0
		}
	}
}

// release ends a quarantine after good epochs in a row (spec K10).
func (b bench) release(e *entry) {
	good, _ := b.joint(e)
	switch {
	case b.tests(e) < int(b.rules.JointTests):
	case !good:
		e.good = 0
	default:
		if e.good++; e.good >= uint8(b.rules.RecoverEpochs) {
			e.standing = Sound
		}
	}
}

// joint weighs the epoch's results of a node against each other: good when those
// from Suspect on weigh at least as much as those below.
func (b bench) joint(e *entry) (good bool, further int) {
	var speaking, against uint64
	for _, h := range e.results[len(e.results)-b.tests(e):] {
		if h.further {
			further++
		}
		if h.quality < b.rules.Suspect {
			against += uint64(b.weight(h))
		} else {
			speaking += uint64(b.weight(h))
		}
	}
	return speaking >= against, further
}

// tests is the number of results that a node has of the epoch; they are its last.
func (b bench) tests(e *entry) int {
	n := 0
	for n < len(e.results) && e.results[len(e.results)-1-n].epoch == b.epoch {
		n++
	}
	return n
}
