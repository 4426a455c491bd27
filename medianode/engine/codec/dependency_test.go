package codec

import (
	"bytes"
	"testing"
)

func TestPatchFrameNumber(t *testing.T) {
	descriptor := []byte{0xc5, 0xff, 0xfe, 0xaa, 0xbb}
	if got := FrameNumber(descriptor); got != 0xfffe {
		t.Errorf("got number %#x, want 0xfffe", got)
	}
	PatchFrameNumber(descriptor, 0x0102)
	if want := []byte{0xc5, 0x01, 0x02, 0xaa, 0xbb}; !bytes.Equal(descriptor, want) {
		t.Errorf("got %x, want %x", descriptor, want)
	}
}

func TestFrameNumber_cutOff(t *testing.T) {
	for _, descriptor := range [][]byte{nil, {0xc5}, {0xc5, 1}} {
		was := bytes.Clone(descriptor)
		PatchFrameNumber(descriptor, 0x0203)
		if HasFrameNumber(descriptor) || FrameNumber(descriptor) != 0 || !bytes.Equal(descriptor, was) {
			t.Errorf("%x: got a number of a descriptor that has none, or %x", was, descriptor)
		}
	}
}
