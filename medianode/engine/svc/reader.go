package svc

import (
	"slices"

	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
)

// Frame is what a Reader says of a packet. It is good until the next call to
// the Reader.
type Frame struct {
	// Structure says which decode targets there are; nil if the packet could not
	// be understood.
	Structure *dependency.Structure
	// Generation names the structure: Readers that read the same packets agree on
	// it, wherever they began.
	Generation uint32
	// Number counts the frames of the stream in the order of decoding. Numbers
	// may leave holes. 0 if it is not known.
	Number  uint32
	Spatial uint8
	// Last says that the frame ends with this packet.
	Last        bool
	Indications dependency.Indications
	// References are the numbers of the frames that it builds on.
	References [dependency.MaxReferences]uint32
	Referred   int
	// Active has a bit for each target that is produced at the moment, and
	// SaysActive tells that the packet itself says so.
	Active     uint32
	SaysActive bool
}

// silence is after how many pictures without it a spatial layer counts as
// switched off by a sender that does not say so.
const silence = 60

// Reader understands the packets of one RTP stream. The zero value is ready.
type Reader struct {
	structure  dependency.Structure
	generation uint32 // number of the frame that the structure came with
	described  bool   // the stream has dependency descriptors
	numbers    number // of frames, or of VP9 pictures
	active     uint32 // as the sender says

	timestamp uint32 // of the newest picture
	pictures  uint32
	seen      [dependency.MaxSpatial]uint32 // picture in which a layer came last
	silent    uint32                        // targets of layers that come no more

	vp9 vp9State
}

// Rewound returns a Reader for packets that come again from a key frame on. It
// numbers frames as r does.
func (r *Reader) Rewound() *Reader { return &Reader{numbers: r.numbers} }

// Descriptor reads a packet with a dependency descriptor.
func (r *Reader) Descriptor(timestamp uint32, descriptor []byte) Frame {
	r.described = true
	f := Frame{}
	if dependency.Whole(descriptor) {
		f.Number = r.numbers.unwrap(dependency.Number(descriptor), 16)
	}
	if dependency.Begins(descriptor) && f.Number < r.generation {
		f.Structure, f.Generation = &r.structure, r.generation
		return f // late, and of no use after the key frame that came since
	}
	d, err := r.structure.Read(descriptor)
	if err != nil {
		return f
	}
	if d.Begins {
		r.generation = f.Number
	}
	if d.HasActive {
		r.active = d.Active
	}
	r.notice(timestamp, d.Spatial, d.Begins)
	f.Structure, f.Generation = &r.structure, r.generation
	f.Spatial, f.Last = d.Spatial, d.Last
	f.Indications = d.Indications
	f.Referred = d.Referred
	for i := range d.Referred {
		f.References[i] = f.Number - uint32(d.References[i])
	}
	f.Active, f.SaysActive = r.active&^r.silent, d.HasActive
	return f
}

// notice keeps count of the layers that come.
func (r *Reader) notice(timestamp uint32, spatial uint8, begins bool) {
	if ahead := int32(timestamp - r.timestamp); r.pictures == 0 || ahead > 0 {
		r.timestamp = timestamp
		r.pictures++
		r.silent = 0
		for target := range r.structure.Targets {
			if layer := r.structure.Spatial[target]; r.pictures-r.seen[layer] > silence {
				r.silent |= 1 << target
			}
		}
	}
	if begins {
		for i := range r.seen {
			r.seen[i] = r.pictures
		}
		r.silent = 0
	}
	r.seen[spatial] = r.pictures
}

// number unwraps a running number.
type number struct{ highest uint32 }

// firstNumber is far from 0, so that there is room for those before it.
const firstNumber = 1 << 17

// unwrap returns the number behind its low bits: near to firstNumber at first,
// whichever comes first.
func (n *number) unwrap(low uint16, bits int) uint32 {
	first := n.highest == 0
	if first {
		n.highest = firstNumber
	}
	ahead := (uint32(low) - n.highest) & (1<<bits - 1)
	if first && ahead >= 1<<(bits-1) {
		n.highest -= 1 << bits
	}
	if first || ahead < 1<<(bits-1) {
		n.highest += ahead
		return n.highest
	}
	return n.highest + ahead - 1<<bits
}

// VP9 temporal layers that are told apart.
const vp9Temporal = 4

// vp9State is what the payload descriptors of a stream do not repeat.
type vp9State struct {
	layers uint8 // in use
	// apart says that higher layers do without the lower, but for key pictures.
	apart bool
	// last are the frames that a frame may build on where it does not say: by
	// spatial and temporal layer.
	last [dependency.MaxSpatial][vp9Temporal]uint32
	// base is TL0PICIDX of the newest frame of the base temporal layer.
	base [dependency.MaxSpatial]uint8
}

// VP9 reads a packet without dependency descriptor by its payload descriptor.
// Each pair of layers is a decode target.
func (r *Reader) VP9(timestamp uint32, d codec.VP9Descriptor, payload []byte) Frame {
	if r.described || !d.HasLayer || !d.HasPictureID() {
		return Frame{}
	}
	bits := 7
	if d.LongPictureID {
		bits = 15
	}
	temporal := min(d.TID, vp9Temporal-1)
	f := Frame{
		Number:  r.numbers.unwrap(d.ID, bits)<<3 | uint32(d.SID),
		Spatial: d.SID, Last: d.Ends, Generation: 1,
	}
	key := d.SID == 0 && !d.Predicted
	r.learnVP9(d, payload, key)
	r.notice(timestamp, d.SID, key)
	f.Structure = &r.structure
	f.Active = r.active &^ r.silent
	f.Indications = vp9Indications(d, temporal, key)
	r.refer(&f, d, temporal)
	if f.Number > r.vp9.last[d.SID][temporal] {
		r.vp9.last[d.SID][temporal] = f.Number
		if temporal == 0 {
			r.vp9.base[d.SID] = d.TL0PicIdx
		}
	}
	return f
}

// learnVP9 keeps the number of layers, their sizes, and whether the higher need
// the lower.
func (r *Reader) learnVP9(d codec.VP9Descriptor, payload []byte, key bool) {
	s, was := &r.structure, r.vp9
	if s.Targets == 0 {
		s.Targets = dependency.MaxTargets
		for target := range s.Targets {
			s.Spatial[target], s.Temporal[target] = uint8(target/vp9Temporal), uint8(target%vp9Temporal)
		}
	}
	if d.Layers > 0 {
		r.vp9.layers = d.Layers
		for i := range d.Layers {
			if w, h := d.LayerSize(payload, i); w > 0 && h > 0 {
				s.Sizes[i] = dependency.Size{Width: uint32(w), Height: uint32(h)}
			}
		}
	}
	r.vp9.layers = max(r.vp9.layers, d.SID+1)
	switch {
	case key:
		r.vp9.apart = d.NotReference && r.vp9.layers > 1
	case d.NotReference && d.SID+1 < r.vp9.layers, d.SID > 0 && !d.InterLayer:
		r.vp9.apart = true
	}
	if s.SpatialLayers > 0 && was.layers == r.vp9.layers && was.apart == r.vp9.apart {
		return
	}
	s.SpatialLayers = int(r.vp9.layers)
	r.active = uint32(1<<(vp9Temporal*s.SpatialLayers) - 1)
	for target := range s.Targets {
		same := uint32(2<<(target%vp9Temporal)-1) << (target / vp9Temporal * vp9Temporal)
		s.Nested[target] = same
		if !r.vp9.apart && target >= vp9Temporal {
			s.Nested[target] |= s.Nested[target-vp9Temporal]
		}
	}
}

// vp9Indications says what a frame is to each target.
func vp9Indications(d codec.VP9Descriptor, temporal uint8, key bool) dependency.Indications {
	var all dependency.Indications
	for target := range dependency.MaxTargets {
		s, t := uint8(target/vp9Temporal), uint8(target%vp9Temporal)
		if d.SID > s || temporal > t || d.SID < s && d.NotReference && !key {
			continue
		}
		v := dependency.Required
		if key || d.SID == s && (t == 0 || t > temporal && d.SwitchUp) {
			v = dependency.Switch
		}
		all = all.With(target, v)
	}
	return all
}

// refer sets what a frame builds on: what it says, or the last frame of its
// layer that it may build on, if that did come.
func (r *Reader) refer(f *Frame, d codec.VP9Descriptor, temporal uint8) {
	add := func(number uint32) {
		f.References[f.Referred] = number
		f.Referred++
	}
	if d.InterLayer && d.SID > 0 {
		add(f.Number - 1)
	}
	switch {
	case d.Flexible:
		for _, distance := range d.References[:d.Referred] {
			add(f.Number - uint32(distance)<<3)
		}
	case d.Predicted:
		base := d.TL0PicIdx // the frame's own, if it is of the base layer
		if temporal == 0 {
			base--
		}
		newest := uint32(0) // which is never sent
		if f.Number > r.vp9.last[d.SID][0] && base == r.vp9.base[d.SID] {
			newest = slices.Max(r.vp9.last[d.SID][:temporal+1])
		}
		add(newest)
	}
}
