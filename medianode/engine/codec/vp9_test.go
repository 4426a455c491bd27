package codec

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/pion/rtp/codecs"
)

func TestParseVP9(t *testing.T) {
	// First packets as Chromium 156 sends them, L3T3_KEY but the last.
	for name, c := range map[string]struct {
		payload string
		want    VP9Descriptor
	}{
		"key picture, two layers": {"bec70e103000f0008701e0010e83", VP9Descriptor{
			Picture: Picture{ID: 0x470e}, Size: 13, SwitchUp: true, Begins: true, Ends: true, Flexible: true, Layers: 2,
		}},
		"key picture, second layer": {"b8c70e13870202", VP9Descriptor{
			Picture: Picture{ID: 0x470e}, Size: 4, SID: 1, SwitchUp: true, Begins: true, Flexible: true, InterLayer: true,
		}},
		"another picture": {"fdc70f5202870020", VP9Descriptor{
			Picture: Picture{ID: 0x470f}, Size: 5, SID: 1, TID: 2, SwitchUp: true, Begins: true, Ends: true,
			Flexible: true, Predicted: true, NotReference: true, References: [3]uint8{1}, Referred: 1,
		}},
	} {
		b, err := hex.DecodeString(c.payload)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseVP9(b)
		c.want.pictureAt, c.want.sizesAt = got.pictureAt, got.sizesAt
		c.want.HasLayer, c.want.LongPictureID = true, true
		if err != nil || got != c.want || !got.HasPictureID() {
			t.Errorf("%s: got %+v %v, want %+v", name, got, err, c.want)
		}
		if w, h := got.LayerSize(b, 1); c.want.Layers == 2 && (w != 480 || h != 270) || c.want.Layers == 0 && w+h != 0 {
			t.Errorf("%s: got size %dx%d of layer 1", name, w, h)
		}
		if w, h := got.LayerSize(b, 2); w+h != 0 {
			t.Errorf("%s: got size %dx%d of a layer that is not there", name, w, h)
		}
		for n := range int(got.Size) {
			if _, err := ParseVP9(b[:n]); err == nil {
				t.Errorf("%s: accepted the first %d bytes", name, n)
			}
		}
	}
	for name, b := range map[string][]byte{
		"four references":             {0xf0, 1, 0, 3, 3, 3, 2},
		"flexible without picture id": {0x10, 0},
	} {
		if d, err := ParseVP9(b); err == nil {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

func TestPatchVP9(t *testing.T) {
	for name, c := range map[string]struct{ b, want []byte }{
		"long id and TL0PICIDX":  {[]byte{0xa8, 0x81, 0x02, 0x10, 7, 9}, []byte{0xa8, 0xff, 0xfe, 0x10, 0x55, 9}},
		"short id":               {[]byte{0x88, 0x01, 9}, []byte{0x88, 0x7e, 9}},
		"flexible, no TL0PICIDX": {[]byte{0xb8, 0x81, 0x02, 0x10, 7}, []byte{0xb8, 0xff, 0xfe, 0x10, 7}},
		"no id":                  {[]byte{0x08, 9}, []byte{0x08, 9}},
	} {
		d, err := ParseVP9(c.b)
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(c.b)
		PatchVP9(got, d, Picture{ID: 0x7ffe, TL0PicIdx: 0x55})
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s: got %x, want %x", name, got, c.want)
		}
	}
}

func FuzzVP9Descriptor(f *testing.F) {
	f.Add([]byte{0xbe, 0xc7, 0x0e, 0x10, 0x30, 0, 0xf0, 0, 0x87, 1, 0xe0, 1, 0x0e, 0x83})
	f.Add([]byte{0xaa, 0x81, 0x02, 0x10, 7, 0x08, 2, 0x14, 1, 0x08, 1, 2, 9})
	f.Add([]byte{0xfd, 0xc7, 0x0f, 0x52, 0x02, 0x87})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseVP9(b)
		var p codecs.VP9Packet
		rest, foreign := p.Unmarshal(b)
		if err != nil {
			if foreign == nil && len(rest) > 0 && p.I {
				t.Fatalf("refused what pion accepts: %x", b)
			}
			return
		}
		for sid := range d.Layers {
			w, h := d.LayerSize(b, sid)
			if foreign == nil && p.Y && (w != p.Width[sid] || h != p.Height[sid]) {
				t.Fatalf("got size %dx%d, pion %dx%d", w, h, p.Width[sid], p.Height[sid])
			}
		}
		same := bytes.Clone(b)
		if PatchVP9(same, d, d.Picture); !bytes.Equal(same, b) {
			t.Fatalf("rewriting with the same numbers changed %x to %x", b, same)
		}
		if foreign != nil {
			return // pion bounds layers and references differently
		}
		if d.ID != p.PictureID || d.SID != p.SID || d.TID != p.TID || d.Begins != p.B || d.Ends != p.E || d.Predicted != p.P ||
			d.Flexible != p.F || d.NotReference != p.Z || d.SwitchUp != p.U || d.InterLayer != p.D || d.TL0PicIdx != p.TL0PICIDX ||
			int(d.Referred) != len(p.PDiff) || len(b)-int(d.Size) != len(p.Payload) {
			t.Fatalf("got %+v, pion %+v", d, p)
		}
	})
}
