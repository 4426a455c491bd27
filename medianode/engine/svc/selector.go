package svc

import "github.com/drtc-network/drtc/medianode/engine/dependency"

const (
	// window is how many frame numbers are remembered, for frames that build on
	// them and for packets that come late.
	window = 512
	// maxTurns is how many changes of the target are remembered for the same.
	maxTurns = 8
	// patience is after how many pictures a key frame is asked for again.
	patience = 90
)

// AllLayers asks for every layer.
const AllLayers = 255

// Want is the highest spatial and temporal layer that a subscriber wants.
type Want struct{ Spatial, Temporal uint8 }

// Verdict says what becomes of a packet.
type Verdict struct {
	Forward bool
	// Ends says that the subscriber's picture ends with this packet.
	Ends bool
	// Targets are to be written into the dependency descriptor, unless 0.
	Targets dependency.Targets
	// NeedsKeyFrame says that what is wanted can be had after a key frame alone.
	// It is said once, and again if none helped for long.
	NeedsKeyFrame bool
}

// turn is the target from a picture on.
type turn struct {
	timestamp uint32
	target    uint8
	// tell says that the stream went on, so that its receiver must be told: with
	// the first picture that it gets, of timestamp toldAt once told is set.
	tell, told bool
	toldAt     uint32
}

// Selector follows one decode target for one subscriber. The zero value starts
// with the first frame that it sees.
type Selector struct {
	started    bool
	generation uint32
	targets    int            // that the structure has
	turns      [maxTurns]turn // oldest first
	count      int
	current    Want   // the layers of the newest
	timestamp  uint32 // of the newest picture

	// The target that is wanted, and for what it was found.
	desired uint8
	want    Want
	active  uint32
	asked   int // target for which a key frame was asked, plus one
	waited  int // pictures since then

	highest    uint32 // frame number
	seen, sent [window / 64]uint64
}

// Reset forgets everything: another stream begins.
func (s *Selector) Reset() { *s = Selector{} }

// Decide decides on a packet with the RTP timestamp given.
func (s *Selector) Decide(f *Frame, timestamp uint32, want Want) Verdict {
	if f.Structure == nil || f.Structure.Targets == 0 {
		if f.Number > 0 {
			s.record(f.Number, true)
		}
		return Verdict{Forward: true}
	}
	v := Verdict{}
	switch {
	case !s.started || s.generation != f.Generation:
		s.begin(f, timestamp, want)
	case int32(timestamp-s.timestamp) > 0:
		s.timestamp = timestamp
		v.NeedsKeyFrame = s.steer(f, timestamp, want)
	case timestamp == s.timestamp:
		s.quicken(f, timestamp)
	}
	now := s.at(timestamp)
	target := min(int(now.target), f.Structure.Targets-1)
	v.Forward = s.decide(f, timestamp, target)
	if !v.Forward {
		return v
	}
	v.Ends = f.Last && f.Spatial == f.Structure.Spatial[target]
	mask := f.Structure.Nested[target] & f.Active
	if now.tell && !now.told {
		now.told, now.toldAt = true, timestamp
	}
	if f.SaysActive && mask != f.Active || now.told && now.toldAt == timestamp {
		v.Targets = dependency.Mask(mask, f.Structure.Targets)
	}
	return v
}

// decide gives all packets of a frame the fate of the first. A frame from before
// the first turn has no use any more.
func (s *Selector) decide(f *Frame, timestamp uint32, target int) bool {
	if known, sent := s.fate(f.Number); known {
		return sent
	}
	forward := int32(timestamp-s.turns[0].timestamp) >= 0 && f.Indications.Of(target) != dependency.NotPresent
	s.record(f.Number, forward)
	return forward
}

// begin takes the wanted target: a key frame came, or nothing before this. If
// frames after it came first, the layers stay for the moment.
func (s *Selector) begin(f *Frame, timestamp uint32, want Want) {
	late := s.started && s.highest > f.Number
	if late && s.targets == f.Structure.Targets {
		s.generation = f.Generation
		return
	}
	s.desired = 0
	s.find(f, want)
	if late {
		s.find(f, s.current)
		s.active = 0 // what is wanted is found anew at the next picture
	}
	if !s.started || int32(timestamp-s.timestamp) > 0 {
		s.timestamp = timestamp
	}
	s.started, s.generation, s.targets, s.asked = true, f.Generation, f.Structure.Targets, 0
	s.turns[0], s.count = turn{timestamp: timestamp, target: s.desired}, 1
	s.follow(f.Structure)
}

// follow remembers the layers of the newest target.
func (s *Selector) follow(st *dependency.Structure) {
	target := s.turns[s.count-1].target
	s.current = Want{Spatial: st.Spatial[target], Temporal: st.Temporal[target]}
}

// steer moves towards the wanted target at the beginning of a picture and
// reports whether that needs a key frame.
func (s *Selector) steer(f *Frame, timestamp uint32, want Want) bool {
	if want != s.want || f.Active != s.active {
		s.find(f, want)
	}
	current, desired := int(s.turns[s.count-1].target), int(s.desired)
	if desired == current {
		s.asked = 0
		return false
	}
	st := f.Structure
	if st.Nested[current]>>desired&1 == 1 || f.Indications.Of(desired) == dependency.Switch && s.decodable(f) {
		s.turn(st, timestamp, desired)
		s.asked = 0 // the key frame may have come, and served this instead
		return false
	}
	if st.Spatial[desired] == st.Spatial[current] {
		return false // an indication will come
	}
	if slower := slowest(st, current, want); slower != current {
		s.turn(st, timestamp, slower)
	}
	s.waited++
	if s.asked == desired+1 && s.waited < patience {
		return false
	}
	s.asked, s.waited = desired+1, 0
	return true
}

// quicken takes a higher frame rate of the same size in the middle of a picture:
// the lower spatial layers of a picture do not indicate it.
func (s *Selector) quicken(f *Frame, timestamp uint32) {
	current, desired := int(s.turns[s.count-1].target), int(s.desired)
	if desired != current && f.Structure.Spatial[desired] == f.Structure.Spatial[current] &&
		f.Indications.Of(desired) == dependency.Switch && s.decodable(f) {
		s.turn(f.Structure, timestamp, desired)
	}
}

func (s *Selector) turn(st *dependency.Structure, timestamp uint32, target int) {
	if s.count == maxTurns {
		copy(s.turns[:], s.turns[1:])
		s.count--
	}
	s.turns[s.count] = turn{timestamp: timestamp, target: uint8(target), tell: true}
	s.count++
	s.follow(st)
}

// at is the turn in force at a timestamp.
func (s *Selector) at(timestamp uint32) *turn {
	for i := s.count - 1; i > 0; i-- {
		if int32(timestamp-s.turns[i].timestamp) >= 0 {
			return &s.turns[i]
		}
	}
	return &s.turns[0]
}

// find sets the desired target: the highest within what is wanted, else the
// lowest that there is.
func (s *Selector) find(f *Frame, want Want) {
	s.want, s.active = want, f.Active
	st, best := f.Structure, -1
	for target := range st.Targets {
		if f.Active>>target&1 == 1 && (best < 0 || better(st, target, best, want)) {
			best = target
		}
	}
	if best >= 0 {
		s.desired = uint8(best)
	}
}

// better reports whether target a is nearer to what is wanted than b: the
// spatial layer counts first.
func better(st *dependency.Structure, a, b int, want Want) bool {
	if x, y := st.Spatial[a], st.Spatial[b]; x != y {
		return nearer(x, y, want.Spatial)
	}
	return nearer(st.Temporal[a], st.Temporal[b], want.Temporal)
}

// nearer reports whether a is the better of two layers: the higher of those
// that are not above the limit, else the lower.
func nearer(a, b, limit uint8) bool {
	if a <= limit && b <= limit {
		return a > b
	}
	return a < b
}

// slowest returns a target that is part of the current one, has its size, and
// comes nearest to the wanted frame rate.
func slowest(st *dependency.Structure, current int, want Want) int {
	best := current
	for target := range st.Targets {
		if st.Nested[current]>>target&1 == 1 && st.Spatial[target] == st.Spatial[current] && better(st, target, best, want) {
			best = target
		}
	}
	return best
}

// decodable reports whether a frame can be decoded if it is selected: all that
// it builds on was. What was lost may have been of a layer that is not.
func (s *Selector) decodable(f *Frame) bool {
	if known, sent := s.fate(f.Number); known && !sent {
		return false // a packet of it was left out
	}
	for _, number := range f.References[:f.Referred] {
		if _, sent := s.fate(number); !sent {
			return false
		}
	}
	return true
}

// fate tells what was decided on a frame; known is false for one that did not
// come, or too long ago.
func (s *Selector) fate(number uint32) (known, sent bool) {
	if number > s.highest || s.highest-number >= window {
		return false, false
	}
	word, bit := number%window/64, uint64(1)<<(number%64)
	known = s.seen[word]&bit != 0
	return known, known && s.sent[word]&bit != 0
}

func (s *Selector) record(number uint32, sent bool) {
	switch {
	case number > s.highest && number-s.highest >= window:
		s.seen = [window / 64]uint64{}
		s.highest = number
	case number > s.highest:
		for n := s.highest + 1; n <= number; n++ {
			s.seen[n%window/64] &^= 1 << (n % 64)
		}
		s.highest = number
	case s.highest-number >= window:
		return
	}
	word, bit := number%window/64, uint64(1)<<(number%64)
	s.seen[word] |= bit
	s.sent[word] &^= bit
	if sent {
		s.sent[word] |= bit
	}
}
