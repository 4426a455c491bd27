package dependency

import "errors"

// Bounds of what is read.
const (
	// MaxTargets is the largest number of decode targets, and of chains.
	MaxTargets = 32
	// MaxReferences is how many frames a frame may build on: one more than the
	// reference frames of AV1.
	MaxReferences = 8
	// MaxSpatial and MaxTemporal are how many layers are told apart.
	MaxSpatial  = 8
	MaxTemporal = 8

	maxTemplates = 64
)

// ErrDescriptor is returned for a descriptor that ends early, leaves the bounds
// or contradicts itself.
var ErrDescriptor = errors.New("dependency: descriptor cannot be read")

// ErrTemplate is returned for a descriptor of which the template is not known:
// the key frame with its structure was lost, is late, or is over.
var ErrTemplate = errors.New("dependency: template of the descriptor is not known")

// Indication is what a frame is to a decode target.
type Indication uint8

// The indications (table A.1).
const (
	NotPresent Indication = iota
	Discardable
	Switch // from here on all frames of the target can be decoded, if this one can
	Required
)

// Indications holds one Indication per decode target, two bits each, target 0
// lowest.
type Indications uint64

// Of returns the indication for a target, below MaxTargets.
func (i Indications) Of(target int) Indication { return Indication(i >> (2 * target) & 3) }

// With returns i with another indication for a target.
func (i Indications) With(target int, v Indication) Indications {
	return i&^(3<<(2*target)) | Indications(v)<<(2*target)
}

// Present returns a bit for each target that the frame belongs to.
func (i Indications) Present() uint32 {
	var mask uint32
	for target := 0; i != 0; target++ {
		if i&3 != 0 {
			mask |= 1 << target
		}
		i >>= 2
	}
	return mask
}

// Size of a picture in pixels, zero if it is not known.
type Size struct{ Width, Height uint32 }

// Structure is what the key frame of a coded video sequence says of all its
// frames. The zero value knows no template.
type Structure struct {
	// Targets is the number of decode targets, 0 before the first key frame.
	Targets int
	// Spatial and Temporal are the highest layers of each target.
	Spatial, Temporal [MaxTargets]uint8
	// Nested has, for each target, a bit for each target of which it has all
	// frames. Its own bit is among them.
	Nested [MaxTargets]uint32
	// SpatialLayers is the number of spatial layers, and Sizes what they measure.
	SpatialLayers int
	Sizes         [MaxSpatial]Size
	// Chains is the number of chains, and ProtectedBy the chain of each target.
	Chains      int
	ProtectedBy [MaxTargets]uint8

	offset    uint8 // id of the first template
	templates int
	template  [maxTemplates]template
}

type template struct {
	spatial, temporal uint8
	indications       Indications
	references        [MaxReferences]uint8
	count             uint8
	chains            [MaxTargets]uint8
}

// read reads template_dependency_structure (section A.8.2).
func (s *Structure) read(r *bits) error {
	s.offset = uint8(r.f(6))
	s.Targets = int(r.f(5)) + 1
	if !s.readLayers(r) {
		return ErrDescriptor
	}
	for i := range s.templates {
		for target := range s.Targets {
			s.template[i].indications = s.template[i].indications.With(target, Indication(r.f(2)))
		}
	}
	for i := range s.templates {
		t := &s.template[i]
		for r.flag() {
			if t.count == MaxReferences {
				return ErrDescriptor
			}
			t.references[t.count] = uint8(r.f(4)) + 1
			t.count++
		}
	}
	if !s.readChains(r) {
		return ErrDescriptor
	}
	if r.flag() {
		for i := range s.SpatialLayers {
			s.Sizes[i] = Size{Width: r.f(16) + 1, Height: r.f(16) + 1}
		}
	}
	if r.over {
		return ErrDescriptor
	}
	s.derive()
	return nil
}

func (s *Structure) readLayers(r *bits) bool {
	spatial, temporal := uint8(0), uint8(0)
	for {
		if s.templates == maxTemplates || spatial == MaxSpatial || temporal == MaxTemporal || r.over {
			return false
		}
		s.template[s.templates].spatial, s.template[s.templates].temporal = spatial, temporal
		s.templates++
		switch r.f(2) {
		case 1:
			temporal++
		case 2:
			temporal = 0
			spatial++
		case 3:
			s.SpatialLayers = int(spatial) + 1
			return true
		}
	}
}

func (s *Structure) readChains(r *bits) bool {
	s.Chains = int(r.ns(uint32(s.Targets) + 1))
	if s.Chains == 0 {
		return true
	}
	for target := range s.Targets {
		s.ProtectedBy[target] = uint8(r.ns(uint32(s.Chains)))
		if int(s.ProtectedBy[target]) >= s.Chains {
			return false
		}
	}
	for i := range s.templates {
		for chain := range s.Chains {
			s.template[i].chains[chain] = uint8(r.f(4))
		}
	}
	return true
}

// derive sets what follows from the templates: the layers of the targets, and
// which target has all frames of which other.
func (s *Structure) derive() {
	for target := range s.Targets {
		s.Nested[target] = 1<<s.Targets - 1
	}
	for i := range s.templates {
		t := &s.template[i]
		present := t.indications.Present()
		for target := range s.Targets {
			if present>>target&1 == 0 {
				s.Nested[target] &^= present
				continue
			}
			s.Spatial[target] = max(s.Spatial[target], t.spatial)
			s.Temporal[target] = max(s.Temporal[target], t.temporal)
		}
	}
}
