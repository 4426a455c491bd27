package dependency

import "encoding/binary"

const (
	numberAt       = 1
	mandatoryBytes = 3
	flagBits       = 5
)

// Frame is what one descriptor says of its packet and of the frame that the
// packet belongs to.
type Frame struct {
	// Number counts the frames in the order of decoding.
	Number uint16
	// First and Last say that the frame begins and ends with this packet.
	First, Last bool
	// Begins says that a structure came with it: a coded video sequence begins.
	Begins            bool
	Spatial, Temporal uint8
	// Indications says to which targets it belongs.
	Indications Indications
	// References are the distances to the frames that it builds on, in frames.
	References [MaxReferences]uint16
	Referred   int
	// Chains are the distances to the last frame of each chain, 0 for none.
	Chains [MaxTargets]uint8
	// Active has a bit for each target that the sender still produces, if
	// HasActive.
	Active    uint32
	HasActive bool
}

// Whole reports whether a descriptor has its mandatory part.
func Whole(descriptor []byte) bool { return len(descriptor) >= mandatoryBytes }

// Number returns the number of the frame that a descriptor is of, 0 for one
// that is cut off.
func Number(descriptor []byte) uint16 {
	if !Whole(descriptor) {
		return 0
	}
	return binary.BigEndian.Uint16(descriptor[numberAt:])
}

// Begins reports whether a descriptor is of the first packet of a coded video
// sequence, where a receiver can begin to decode.
func Begins(descriptor []byte) bool {
	return len(descriptor) > mandatoryBytes && descriptor[0]&0x80 != 0 && descriptor[mandatoryBytes]&0x80 != 0
}

// Read reads a descriptor. A structure that it carries replaces s.
func (s *Structure) Read(descriptor []byte) (Frame, error) {
	if !Whole(descriptor) {
		return Frame{}, ErrDescriptor
	}
	r := bits{b: descriptor}
	f := Frame{First: r.flag(), Last: r.flag()}
	id := uint8(r.f(6))
	f.Number = uint16(r.f(16))
	var structure, active, dtis, fdiffs, chains bool
	if len(descriptor) > mandatoryBytes {
		structure, active, dtis, fdiffs, chains = r.flag(), r.flag(), r.flag(), r.flag(), r.flag()
	}
	if structure {
		var next Structure
		if err := next.read(&r); err != nil {
			return Frame{}, err
		}
		f.Begins, f.HasActive, f.Active = true, true, uint32(1<<next.Targets-1)
		if err := next.readFrame(&r, &f, id, active, dtis, fdiffs, chains); err != nil {
			return Frame{}, err
		}
		*s = next
		return f, nil
	}
	err := s.readFrame(&r, &f, id, active, dtis, fdiffs, chains)
	return f, err
}

// readFrame reads what comes after the structure: the active targets and
// frame_dependency_definition (section A.8.2).
func (s *Structure) readFrame(r *bits, f *Frame, id uint8, active, dtis, fdiffs, chains bool) error {
	index := int(id-s.offset) & (maxTemplates - 1)
	if index >= s.templates {
		return ErrTemplate
	}
	if active {
		f.Active, f.HasActive = s.readActive(r), true
	}
	t := &s.template[index]
	f.Spatial, f.Temporal = t.spatial, t.temporal
	f.Indications = t.indications
	if dtis {
		for target := range s.Targets {
			f.Indications = f.Indications.With(target, Indication(r.f(2)))
		}
	}
	if !fdiffs {
		f.Referred = int(t.count)
		for i := range f.Referred {
			f.References[i] = uint16(t.references[i])
		}
	} else if !f.readReferences(r) {
		return ErrDescriptor
	}
	f.Chains = t.chains
	if chains {
		for chain := range s.Chains {
			f.Chains[chain] = uint8(r.f(8))
		}
	}
	if r.over {
		return ErrDescriptor
	}
	return nil
}

// readActive reads the bitmask, the highest target first.
func (s *Structure) readActive(r *bits) uint32 {
	var mask uint32
	for range s.Targets {
		mask = mask<<1 | r.f(1)
	}
	return mask
}

func (f *Frame) readReferences(r *bits) bool {
	for size := r.f(2); size != 0; size = r.f(2) {
		if f.Referred == MaxReferences {
			return false
		}
		f.References[f.Referred] = uint16(r.f(int(4*size))) + 1
		f.Referred++
	}
	return true
}
