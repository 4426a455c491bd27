package rtpheader

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pion/rtp"
	"pgregory.net/rapid"
)

// packet is a pion packet with a one-byte extension of id 3.
func packet(t testing.TB) []byte {
	t.Helper()
	p := rtp.Packet{Header: rtp.Header{
		Version: 2, Marker: true, PayloadType: 96, SequenceNumber: 65535, Timestamp: 0xfffffff0,
		SSRC: 0xdeadbeef, CSRC: []uint32{1, 2},
	}, Payload: []byte{1, 2, 3, 4, 5}}
	if err := p.SetExtension(3, []byte{0xaa, 0xbb}); err != nil {
		t.Fatal(err)
	}
	if err := p.SetExtension(5, []byte{0xcc}); err != nil {
		t.Fatal(err)
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse_fields(t *testing.T) {
	b := packet(t)
	h, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Marker || h.PayloadType != 96 || h.SequenceNumber != 65535 || h.Timestamp != 0xfffffff0 || h.SSRC != 0xdeadbeef {
		t.Errorf("got %+v", h)
	}
	if got := h.Payload(b); !bytes.Equal(got, []byte{1, 2, 3, 4, 5}) {
		t.Errorf("payload %x", got)
	}
	if got := h.Extension(b, 3); !bytes.Equal(got, []byte{0xaa, 0xbb}) {
		t.Errorf("extension 3: %x", got)
	}
	if got := h.Extension(b, 5); !bytes.Equal(got, []byte{0xcc}) {
		t.Errorf("extension 5: %x", got)
	}
	if got := h.Extension(b, 4); got != nil {
		t.Errorf("extension 4: %x, want nil", got)
	}
}

func TestParse_twoByteExtension(t *testing.T) {
	b := []byte{0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x05, 0, 2, 20, 3, 'a', 'b', 'c', 0, 7, 0, 'p'}
	h, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Extension(b, 20); string(got) != "abc" {
		t.Errorf("extension 20: %q", got)
	}
	if got := h.Extension(b, 7); got == nil || len(got) != 0 {
		t.Errorf("extension 7: %v, want empty and not nil", got)
	}
	if string(h.Payload(b)) != "p" {
		t.Errorf("payload %q", h.Payload(b))
	}
}

func TestParse_padding(t *testing.T) {
	b := append(Append(nil, Outgoing{SSRC: 1, Padding: true}), 'x', 0, 0, 3)
	h, err := Parse(b)
	if err != nil || !h.Padding || h.PaddingSize != 3 || string(h.Payload(b)) != "x" {
		t.Errorf("got %+v %v", h, err)
	}
	for _, count := range []byte{0, 5, 255} {
		b[len(b)-1] = count
		if _, err := Parse(b); !errors.Is(err, ErrPadding) {
			t.Errorf("count %d: got %v, want %v", count, err, ErrPadding)
		}
		if _, err := Peek(b); err != nil {
			t.Errorf("Peek looks at the padding of an encrypted packet: %v", err)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	b := packet(t)
	for n := range len(b) - 5 {
		if _, err := Parse(b[:n]); err == nil {
			t.Errorf("accepted the first %d bytes", n)
		}
	}
	version := bytes.Clone(b)
	version[0] &^= 0xc0
	if _, err := Parse(version); !errors.Is(err, ErrVersion) {
		t.Errorf("version 0: got %v", err)
	}
	element := bytes.Clone(b)
	element[24] = 0x3f // 16 bytes in an extension of 8
	if _, err := Parse(element); !errors.Is(err, ErrExtension) {
		t.Errorf("long element: got %v", err)
	}
}

func TestAppend_pionReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Outgoing{
			SSRC: rapid.Uint32().Draw(t, "ssrc"), Timestamp: rapid.Uint32().Draw(t, "timestamp"),
			SequenceNumber: rapid.Uint16().Draw(t, "sequence"), PayloadType: rapid.Uint8Range(0, 127).Draw(t, "type"),
			Marker: rapid.Bool().Draw(t, "marker"), TwoByte: rapid.Bool().Draw(t, "two-byte"),
		}
		longest := 16
		if o.TwoByte {
			longest = 255
		}
		for id := range rapid.IntRange(0, 14).Draw(t, "extensions") {
			size := rapid.SampledFrom([]int{0, 1, 3, 16, 17, 100, 255, 256}).Draw(t, "size")
			value := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "value")
			o.Extensions = append(o.Extensions, Extension{ID: uint8(id + 1), Value: value})
		}
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		b := append(Append([]byte("before"), o), payload...)[len("before"):]

		var p rtp.Packet
		if err := p.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if p.SSRC != o.SSRC || p.Timestamp != o.Timestamp || p.SequenceNumber != o.SequenceNumber ||
			p.PayloadType != o.PayloadType || p.Marker != o.Marker || !bytes.Equal(p.Payload, payload) {
			t.Fatalf("got %+v", p)
		}
		for _, e := range o.Extensions {
			want := e.Value
			if len(want) > longest || len(want) == 0 {
				want = nil
			}
			if got := p.GetExtension(e.ID); !bytes.Equal(got, want) {
				t.Fatalf("extension %d: got %x, want %x", e.ID, got, want)
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	b := packet(t)
	dst := make([]byte, 0, 100)
	o := Outgoing{SSRC: 1, Extensions: []Extension{{ID: 1, Value: []byte{1, 2, 3}}, {ID: 2, Value: []byte{1, 2}}}}
	if n := testing.AllocsPerRun(100, func() {
		h, _ := Parse(b)
		h.Extension(b, 5)
		h.Payload(b)
		dst = Append(dst[:0], o)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzParse compares with pion: what both accept they read alike, and nothing
// that we accept is refused by pion, but for the two-byte form with
// application bits, which pion does not know.
func FuzzParse(f *testing.F) {
	f.Add(packet(f))
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x00, 0, 2, 20, 3, 'a', 'b', 'c', 0, 7, 0, 'p'})
	f.Add([]byte{0xb0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 0x00, 0xf0, 0x22, 0, 'p', 1})
	f.Add(make([]byte, 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		var p rtp.Packet
		foreign := p.Unmarshal(b)
		if err != nil {
			// A program that reads more than we do would be let down.
			if foreign == nil && p.Version == 2 && p.ExtensionProfile&0xfff0 != profileTwoByte {
				t.Fatalf("refused what pion accepts: %v", err)
			}
			return
		}
		payload := h.Payload(b)
		for id := range 256 {
			h.Extension(b, uint8(id))
		}
		if foreign != nil {
			t.Fatalf("accepted what pion refuses: %v", foreign)
		}
		if p.SSRC != h.SSRC || p.SequenceNumber != h.SequenceNumber || p.Timestamp != h.Timestamp || p.Marker != h.Marker ||
			p.PayloadType != h.PayloadType || int(p.PaddingSize) != h.PaddingSize || !bytes.Equal(p.Payload, payload) {
			t.Fatalf("got %+v, pion %+v", h, p)
		}
		if p.ExtensionProfile == profileOneByte || p.ExtensionProfile == profileTwoByte {
			for _, id := range p.GetExtensionIDs() {
				if got, want := h.Extension(b, id), p.GetExtension(id); !bytes.Equal(got, want) {
					t.Fatalf("extension %d: got %x, pion %x", id, got, want)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw := packet(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, 100)
	o := Outgoing{SSRC: 1, Extensions: []Extension{{ID: 1, Value: []byte{1, 2, 3}}, {ID: 2, Value: []byte{1, 2}}}}
	b.ReportAllocs()
	for b.Loop() {
		dst = Append(dst[:0], o)
	}
}
