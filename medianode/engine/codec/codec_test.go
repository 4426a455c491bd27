package codec

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/pion/rtp/codecs"
	"pgregory.net/rapid"
)

func TestOf(t *testing.T) {
	for mime, want := range map[string]Kind{
		"video/VP8": VP8, "video/h264": H264, "VIDEO/VP9": VP9, "video/AV1": AV1, "audio/opus": Opus,
		"audio/red": RED, "opus": Opus, "video/H265": Unknown, "": Unknown, "unknown": Unknown,
	} {
		if got := Of(mime); got != want {
			t.Errorf("Of(%q) = %v, want %v", mime, got, want)
		}
		if got := Of(mime).Video(); got != (want >= VP8) {
			t.Errorf("Of(%q).Video() = %v", mime, got)
		}
	}
}

func TestParseVP8(t *testing.T) {
	full := []byte{0xb0, 0xf0, 0x92, 0x34, 0x56, 0x7f, 0x00}
	d, err := ParseVP8(full)
	if err != nil {
		t.Fatal(err)
	}
	if d.ID != 0x1234 || !d.LongPictureID || d.TL0PicIdx != 0x56 || d.TID != 1 || !d.Sync || d.KeyIdx != 0x1f ||
		!d.Start || !d.KeyFrame || !d.Discardable || d.Size != 6 {
		t.Errorf("got %+v", d)
	}
	for n := range len(full) {
		if _, err := ParseVP8(full[:n]); err == nil {
			t.Errorf("accepted the first %d bytes", n)
		}
	}
	for name, c := range map[string]struct {
		b          []byte
		start, key bool
	}{
		"bare key frame":        {[]byte{0x10, 0x00}, true, true},
		"bare delta frame":      {[]byte{0x10, 0x01}, true, false},
		"rest of a frame":       {[]byte{0x00, 0x00}, false, false},
		"second partition":      {[]byte{0x11, 0x00}, false, false},
		"short id, key frame":   {[]byte{0x90, 0x80, 0x7f, 0x00}, true, true},
		"short id, delta frame": {[]byte{0x90, 0x80, 0x7f, 0x01}, true, false},
	} {
		d, err := ParseVP8(c.b)
		if err != nil || d.Start != c.start || d.KeyFrame != c.key || StartsKeyFrame(VP8, c.b) != c.key {
			t.Errorf("%s: %+v %v", name, d, err)
		}
	}
}

// descriptor draws any well-formed VP8 payload.
func descriptor(t *rapid.T) []byte {
	b := []byte{rapid.Byte().Draw(t, "first") | vp8Extended, rapid.Byte().Draw(t, "fields")}
	return append(b, rapid.SliceOfN(rapid.Byte(), 6, 20).Draw(t, "rest")...)
}

func TestAppendVP8_pionReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := descriptor(t)
		d, err := ParseVP8(payload)
		if err != nil {
			t.Fatal(err)
		}
		want := Picture{
			ID:        rapid.Uint16Range(0, 1<<15-1).Draw(t, "id"),
			TL0PicIdx: rapid.Byte().Draw(t, "tl0"), KeyIdx: rapid.Uint8Range(0, 31).Draw(t, "keyidx"),
		}
		kept := bytes.Clone(payload)
		out := append(AppendVP8([]byte("before"), payload, d, want), payload[d.Size:]...)[len("before"):]
		if !bytes.Equal(payload, kept) {
			t.Fatal("changed the shared payload")
		}
		var before, after codecs.VP8Packet
		if _, err := before.Unmarshal(payload); err != nil {
			t.Fatal(err)
		}
		if _, err := after.Unmarshal(out); err != nil {
			t.Fatal(err)
		}
		expect := before
		if before.I == 1 {
			expect.PictureID = want.ID
			if !d.LongPictureID {
				expect.PictureID &= 0x7f
			}
		}
		if before.L == 1 {
			expect.TL0PICIDX = want.TL0PicIdx
		}
		if before.K == 1 {
			expect.KEYIDX = want.KeyIdx
		}
		if len(out) != len(payload) || !reflect.DeepEqual(after, expect) {
			t.Fatalf("got %+v, want %+v", after, expect)
		}
	})
}

func TestStartsKeyFrame_h264(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"IDR":                   {[]byte{0x65, 1}, true},
		"SPS":                   {[]byte{0x67, 1}, true},
		"PPS":                   {[]byte{0x68, 1}, false},
		"slice":                 {[]byte{0x61, 1}, false},
		"STAP-A SPS PPS":        {[]byte{0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1}, true},
		"STAP-A AUD IDR":        {[]byte{0x78, 0, 2, 0x09, 1, 0, 2, 0x65, 1}, true},
		"STAP-A slices":         {[]byte{0x78, 0, 2, 0x61, 1, 0, 2, 0x61, 1}, false},
		"STAP-A cut":            {[]byte{0x78, 0, 9, 0x65, 1}, false},
		"FU-A IDR first":        {[]byte{0x7c, 0x85, 1}, true},
		"FU-A IDR middle":       {[]byte{0x7c, 0x05, 1}, false},
		"FU-A slice first":      {[]byte{0x7c, 0x81, 1}, false},
		"empty":                 {nil, false},
		"one byte of nothing":   {[]byte{0x65}, false},
		"STAP-A of size 0 unit": {[]byte{0x78, 0, 0, 0x65, 1}, false},
	} {
		if got := StartsKeyFrame(H264, c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestStartsKeyFrame_h264Pion packs whole frames with pion and expects a key
// frame to begin in the first packet that carries one of its units.
func TestStartsKeyFrame_h264Pion(t *testing.T) {
	big := make([]byte, 3000)
	unit := func(header byte, n int) []byte { return append([]byte{0, 0, 0, 1, header}, big[:n]...) }
	key := append(append(unit(0x67, 20), unit(0x68, 4)...), unit(0x65, 2900)...)
	p := &codecs.H264Payloader{}
	packets := p.Payload(1200, key)
	if !StartsKeyFrame(H264, packets[0]) {
		t.Errorf("key frame not seen in its first packet %x", packets[0][:4])
	}
	for _, b := range p.Payload(1200, unit(0x61, 2900)) {
		if StartsKeyFrame(H264, b) {
			t.Errorf("delta frame taken for a key frame: %x", b[:4])
		}
	}
}

func TestStartsKeyFrame_vp9(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"key, no fields":              {[]byte{0x08, 0}, true},
		"key, long id":                {[]byte{0x88, 0x81, 0x02, 0}, true},
		"key, long id, layer 0":       {[]byte{0xa8, 0x81, 0x02, 0x10, 0, 0}, true},
		"key, short id, layer 1":      {[]byte{0xa8, 0x01, 0x12, 0, 0}, false},
		"rest of a key frame":         {[]byte{0x80, 0x01, 0}, false},
		"predicted":                   {[]byte{0xc8, 0x01, 0}, false},
		"layer byte missing":          {[]byte{0xa8, 0x81, 0x02}, false},
		"key, flexible, id and layer": {[]byte{0xb8, 0x01, 0x00, 0}, true},
	} {
		if got := StartsKeyFrame(VP9, c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestStartsKeyFrame_av1(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"W=1 header":                {[]byte{0x18, 0x08, 1, 2}, true},
		"W=2 header and frame":      {[]byte{0x28, 2, 0x08, 1, 0x30, 9}, true},
		"W=0 delimiter and header":  {[]byte{0x08, 1, 0x10, 2, 0x08, 1}, true},
		"frame only":                {[]byte{0x18, 0x30, 1}, false},
		"no N":                      {[]byte{0x10, 0x08, 1}, false},
		"continued":                 {[]byte{0x98, 0x08, 1}, false},
		"size leaves the packet":    {[]byte{0x28, 9, 0x08, 1}, false},
		"size of four bytes":        {[]byte{0x28, 0x80, 0x80, 0x80, 0x01, 0x08}, false},
		"empty elements, then none": {[]byte{0x08, 0, 0, 0}, false},
	} {
		if got := StartsKeyFrame(AV1, c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestStartsKeyFrame_av1Pion packs a key frame with pion's payloader.
func TestStartsKeyFrame_av1Pion(t *testing.T) {
	// OBUs with sizes: sequence header of 3 bytes, frame of 2000.
	stream := append([]byte{0x0a, 3, 1, 2, 3}, 0x32, 0xd0, 0x0f)
	stream = append(stream, make([]byte, 2000)...)
	packets := (&codecs.AV1Payloader{}).Payload(1200, stream)
	if len(packets) < 2 || !StartsKeyFrame(AV1, packets[0]) {
		t.Fatalf("first of %d packets is %x", len(packets), packets[0][:4])
	}
	for _, b := range packets[1:] {
		if StartsKeyFrame(AV1, b) {
			t.Errorf("later packet taken for a start: %x", b[:4])
		}
	}
}

func TestAllocations(t *testing.T) {
	vp8 := []byte{0x90, 0xf0, 0x92, 0x34, 0x56, 0x7f, 0x00, 1, 2, 3}
	dst := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		for kind := Unknown; kind <= AV1; kind++ {
			StartsKeyFrame(kind, vp8)
		}
		d, _ := ParseVP8(vp8)
		dst = AppendVP8(dst[:0], vp8, d, Picture{ID: 1})
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func FuzzVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x92, 0x34, 0x56, 0x7f, 0x00})
	f.Add([]byte{0x10, 0x00})
	f.Add([]byte{0x90, 0x80, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseVP8(b)
		var p codecs.VP8Packet
		rest, foreign := p.Unmarshal(b)
		if err != nil {
			if foreign == nil && len(rest) > 0 {
				t.Fatalf("refused what pion accepts: %v", err)
			}
			return
		}
		if foreign != nil {
			t.Fatalf("accepted what pion refuses: %v", foreign)
		}
		if d.ID != p.PictureID || d.TL0PicIdx != p.TL0PICIDX || d.TID != p.TID || d.KeyIdx != p.KEYIDX ||
			d.Sync != (p.Y == 1) || len(b)-int(d.Size) != len(rest) {
			t.Fatalf("got %+v, pion %+v", d, p)
		}
		if out := AppendVP8(nil, b, d, d.Picture); !bytes.Equal(out, b[:d.Size]) {
			t.Fatalf("rewriting with the same numbers changed %x to %x", b[:d.Size], out)
		}
	})
}

func FuzzH264(f *testing.F) {
	f.Add([]byte{0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1})
	f.Add([]byte{0x7c, 0x85, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		key := StartsKeyFrame(H264, b)
		if key && len(b) > 0 && b[0]&0x1f != nalSTAPA && b[0]&0x1f != nalFUA {
			if kind := b[0] & 0x1f; kind != nalIDR && kind != nalSPS {
				t.Fatalf("NAL unit of type %d taken for a key frame", kind)
			}
		}
	})
}

func FuzzVP9(f *testing.F) {
	f.Add([]byte{0xa8, 0x81, 0x02, 0x10, 0, 0})
	f.Add([]byte{0x08, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		key := StartsKeyFrame(VP9, b)
		var p codecs.VP9Packet
		if _, err := p.Unmarshal(b); err != nil || len(p.Payload) == 0 {
			return
		}
		if want := p.B && !p.P && (!p.L || p.SID == 0); key != want {
			t.Fatalf("got %v, pion %+v", key, p)
		}
	})
}

func FuzzAV1(f *testing.F) {
	f.Add([]byte{0x28, 2, 0x08, 1, 0x30, 9})
	f.Add([]byte{0x18, 0x08, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if StartsKeyFrame(AV1, b) && (b[0]&0x80 != 0 || b[0]&0x08 == 0) {
			t.Fatal("a continued or unmarked packet taken for a start")
		}
	})
}

func TestHasParameterSet(t *testing.T) {
	for _, test := range []struct {
		name    string
		payload []byte
		want    bool
	}{
		{"parameter set", []byte{0x67, 0x42}, true},
		{"slice", []byte{0x65, 0x88}, false},
		{"aggregate of a parameter set and a slice", []byte{0x78, 0, 1, 0x65, 0, 1, 0x67}, true},
		{"aggregate of slices", []byte{0x78, 0, 1, 0x65, 0, 1, 0x65}, false},
		{"first fragment of a parameter set", []byte{0x7c, 0x87}, true},
		{"first fragment of a slice", []byte{0x7c, 0x85}, false},
		{"cut off", []byte{0x67}, false},
	} {
		if got := HasParameterSet(test.payload); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
