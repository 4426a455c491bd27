package codec

import "encoding/binary"

// The mandatory part of a dependency descriptor (AV1 RTP specification section
// A.8.2): one byte of flags and template id, then the frame number. Everything
// else in it is relative to the frame number, so that a receiver takes a
// descriptor with another number as that of another frame with the same needs.
const (
	frameNumberAt  = 1
	mandatoryBytes = 3
)

// HasFrameNumber reports whether a dependency descriptor is whole enough to be
// read and patched.
func HasFrameNumber(descriptor []byte) bool { return len(descriptor) >= mandatoryBytes }

// FrameNumber returns the number of the frame that a dependency descriptor is
// of, 0 for one that is cut off.
func FrameNumber(descriptor []byte) uint16 {
	if !HasFrameNumber(descriptor) {
		return 0
	}
	return binary.BigEndian.Uint16(descriptor[frameNumberAt:])
}

// PatchFrameNumber writes another frame number into a dependency descriptor.
func PatchFrameNumber(descriptor []byte, number uint16) {
	if HasFrameNumber(descriptor) {
		binary.BigEndian.PutUint16(descriptor[frameNumberAt:], number)
	}
}
