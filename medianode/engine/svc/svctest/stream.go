// Package svctest makes scalable streams for tests: the frames of the modes
// L1T1 to L3T3 and their KEY variants (W3C WebRTC SVC), what each builds on, and
// how a dependency descriptor (AV1 RTP specification appendix A) and a VP9
// payload descriptor (RFC 9628) say so (whitepaper section 4.3).
//
// Contract: what a descriptor says is derived from the frames alone, and none of
// the code that reads descriptors is used to write them.
//
// Not safe for concurrent use.
package svctest

// Mode is a scalability mode.
type Mode struct {
	Spatial, Temporal int
	// Key says that spatial layers build on each other in key pictures alone.
	Key bool
}

// Frame is one spatial layer of one picture.
type Frame struct {
	Mode
	// Number counts frames, Picture pictures.
	Number, Picture int
	// S and T are the frame's layers.
	S, T int
	// KeyPicture says that no earlier picture is needed.
	KeyPicture bool
	// References are the numbers of the frames that it builds on.
	References []int
	// Chains are the numbers of the last frame of the chain of each spatial
	// layer, -1 for none.
	Chains []int
	// SwitchUp says that no later frame of a higher temporal layer builds on an
	// earlier one of such a layer.
	SwitchUp bool
	// References by picture and number of the base temporal layer, for VP9.
	pictures []int
	base     int
	inter    bool
}

// Stream makes the frames of one stream.
type Stream struct {
	Mode
	number, picture int
	base            int // pictures of the base temporal layer
	phase           int
	last            [][]Frame // newest of each spatial and temporal layer
	chains          []int
}

// New returns a stream. Its first picture must be a key picture.
func New(mode Mode) *Stream { return &Stream{Mode: mode} }

// pattern is the temporal layer of each picture after a key picture.
var pattern = map[int][]int{1: {0}, 2: {0, 1}, 3: {0, 2, 1, 2}}

// Next returns the frames of the next picture, the lowest layer first. active is
// how many spatial layers are produced.
func (s *Stream) Next(key bool, active int) []Frame {
	if key {
		s.phase = 0
		s.last = make([][]Frame, s.Spatial)
		s.chains = make([]int, s.Spatial)
		for i := range s.chains {
			s.chains[i] = -1
		}
	}
	temporal := pattern[s.Temporal][s.phase%len(pattern[s.Temporal])]
	s.phase++
	if temporal == 0 {
		s.base++
	}
	var out []Frame
	for spatial := range min(active, s.Spatial) {
		f := Frame{
			Mode: s.Mode, Number: s.number, Picture: s.picture, S: spatial, T: temporal, KeyPicture: key, SwitchUp: true,
			base: s.base,
		}
		if spatial > 0 && (key || !s.Key) {
			f.inter = true
			f.References = append(f.References, s.number-1)
		}
		if own, ok := s.builtOn(spatial, temporal); ok && !key {
			f.References = append(f.References, own.Number)
			f.pictures = append(f.pictures, own.Picture)
		}
		f.Chains = append(f.Chains, s.chains...)
		out = append(out, f)
		s.number++
		for len(s.last[spatial]) <= temporal {
			s.last[spatial] = append(s.last[spatial], Frame{Number: -1})
		}
		s.last[spatial][temporal] = f
		if temporal > 0 {
			continue
		}
		for chain := range s.chains {
			if chain == spatial || chain > spatial && (key || !s.Key) {
				s.chains[chain] = f.Number
			}
		}
	}
	s.picture++
	return out
}

// Skip leaves numbers of frames and pictures out, as if an encoder began anew.
// The next picture must be a key picture.
func (s *Stream) Skip(frames, pictures int) {
	s.number += frames
	s.picture += pictures
}

// builtOn is the newest frame of the layer that a frame may build on: of a lower
// temporal layer, or of the base layer for one of its own.
func (s *Stream) builtOn(spatial, temporal int) (newest Frame, ok bool) {
	newest.Number = -1
	for t, f := range s.last[spatial] {
		if (t < temporal || t == 0) && f.Number > newest.Number {
			newest = f
		}
	}
	return newest, newest.Number >= 0
}
