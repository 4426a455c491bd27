package svc

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/codec"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// form is a way in which a stream tells of its frames.
type form string

const (
	descriptors form = "dependency descriptors"
	flexible    form = "VP9, flexible mode"
	fixed       form = "VP9, no references"
)

// fataler is a test, of this package's or of rapid's.
type fataler interface{ Fatal(args ...any) }

// packet is one packet of a frame.
type packet struct {
	svctest.Frame
	first, last bool
	active      int
}

func stamp(f *svctest.Frame) uint32 { return uint32(f.Picture)*3000 - 9000 } // wraps

// read reads a packet in one of the forms.
func (p *packet) read(t fataler, r *Reader, how form) Frame {
	if how == descriptors {
		mask := uint32(0)
		if p.active < p.Mode.Spatial {
			mask = 1<<(p.active*p.Mode.Temporal) - 1
		}
		return r.Descriptor(stamp(&p.Frame), p.Descriptor(p.first, p.last, mask))
	}
	payload := p.VP9(p.first, p.last, how == flexible, p.active)
	d, err := codec.ParseVP9(payload)
	if err != nil {
		t.Fatal(err)
	}
	return r.VP9(stamp(&p.Frame), d, payload)
}

// viewer is one subscriber of a stream without losses.
type viewer struct {
	t        testing.TB
	how      form
	stream   *svctest.Stream
	reader   Reader
	selector Selector
	want     Want
	active   int
	keys     int // key frames asked for
}

func watch(t testing.TB, how form, mode svctest.Mode, want Want) *viewer {
	return &viewer{t: t, how: how, stream: svctest.New(mode), want: want, active: mode.Spatial}
}

// picture sends one picture and says which layers the viewer gets; the frame
// that ends its picture has a dot.
func (v *viewer) picture(key bool) string {
	var got []string
	for _, f := range v.stream.Next(key, v.active) {
		p := packet{Frame: f, first: true, last: true, active: v.active}
		read := p.read(v.t, &v.reader, v.how)
		d := v.selector.Decide(&read, stamp(&f), v.want)
		if d.NeedsKeyFrame {
			v.keys++
		}
		if !d.Forward {
			continue
		}
		name := fmt.Sprintf("%d%d", f.S, f.T)
		if d.Ends {
			name += "."
		}
		got = append(got, name)
	}
	return strings.Join(got, " ")
}

// pictures sends n pictures, the first a key picture if key is set.
func (v *viewer) pictures(n int, key bool) string {
	var got []string
	for i := range n {
		got = append(got, v.picture(key && i == 0))
	}
	return strings.Join(got, " | ")
}

func (v *viewer) expect(n int, key bool, want string) {
	v.t.Helper()
	if got := v.pictures(n, key); got != want {
		v.t.Errorf("%s: got  %s\nwant %s", v.how, got, want)
	}
}

func (v *viewer) expectKeys(want int) {
	v.t.Helper()
	if v.keys != want {
		v.t.Errorf("%s: asked for %d key frames, want %d", v.how, v.keys, want)
	}
}

var forms = []form{descriptors, flexible, fixed}

var (
	full  = svctest.Mode{Spatial: 3, Temporal: 3}
	keyed = svctest.Mode{Spatial: 3, Temporal: 3, Key: true}
)

func TestSelector_lowestLayerOfEither(t *testing.T) {
	for _, how := range forms {
		for _, mode := range []svctest.Mode{full, keyed} {
			v := watch(t, how, mode, Want{Spatial: 0, Temporal: AllLayers})
			v.expect(5, true, "00. | 02. | 01. | 02. | 00.")
			v.expectKeys(0)
		}
	}
}

func TestSelector_highestLayer(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, full, Want{AllLayers, AllLayers})
		v.expect(3, true, "00 10 20. | 02 12 22. | 01 11 21.")
		v = watch(t, how, keyed, Want{AllLayers, AllLayers})
		v.expect(3, true, "00 10 20. | 22. | 21.") // the lower are needed in key pictures alone
	}
}

func TestSelector_downAtOnceWhereLowerLayersAreSent(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, full, Want{AllLayers, AllLayers})
		v.pictures(2, true)
		v.want.Spatial = 1
		v.expect(2, false, "01 11. | 02 12.")
		v.want.Spatial = 0
		v.expect(2, false, "00. | 02.")
		v.want.Temporal = 0
		v.expect(3, false, " |  | 00.")
		v.expectKeys(0)
	}
}

func TestSelector_downByKeyFrameWhereTheyAreNot(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, keyed, Want{AllLayers, AllLayers})
		v.pictures(6, true)
		v.want.Spatial = 0
		v.expect(2, false, "21. | 22.")
		v.expectKeys(1)
		v.expect(2, true, "00. | 02.")
		v.expectKeys(1)
		// As long as the lower layer builds on what was sent of it, none is needed.
		v.want.Spatial = 2
		v.expect(2, true, "00 10 20. | 22.")
		v.want.Spatial = 0
		v.expect(2, false, "01. | 02.")
		v.expectKeys(1)
	}
}

func TestSelector_upByKeyFrame(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, full, Want{0, AllLayers})
		v.pictures(3, true)
		v.want.Spatial = 2
		v.expect(2, false, "02. | 00.")
		v.expectKeys(1)
		v.expect(2, true, "00 10 20. | 02 12 22.")
		// None helps: asked again, but not with each picture.
		v.want.Spatial = 0
		v.pictures(1, false)
		v.want.Spatial = 2
		v.pictures(patience-1, false)
		v.expectKeys(2)
		v.pictures(2, false)
		v.expectKeys(3)
	}
}

// Who did not want the larger size any more when its key frame came needs another
// one to return to it.
func TestSelector_asksAgainAfterAChangeOfMind(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, full, Want{0, AllLayers})
		v.pictures(3, true)
		v.want = Want{AllLayers, AllLayers}
		v.pictures(1, false)
		v.expectKeys(1)
		v.want = Want{0, 0}
		v.expect(1, true, "00.")
		v.want = Want{AllLayers, AllLayers}
		v.pictures(1, false)
		v.expectKeys(2)
	}
}

func TestSelector_frameRateByIndication(t *testing.T) {
	for _, how := range forms {
		for _, mode := range []svctest.Mode{{Spatial: 1, Temporal: 3}, full, keyed} {
			top := mode.Spatial - 1
			v := watch(t, how, mode, Want{AllLayers, 0})
			v.pictures(4, true)
			v.want.Temporal = 2
			for range 5 { // at the base layer at the latest
				v.picture(false)
			}
			if got, want := v.picture(false), fmt.Sprintf("%d2.", top); !strings.HasSuffix(got, want) {
				t.Errorf("%s: %+v: got %q, want it to end with %q", how, mode, got, want)
			}
			v.want.Temporal = 1
			if got, want := v.pictures(2, false), fmt.Sprintf("%d1. | ", top); !strings.HasSuffix(got, want) {
				t.Errorf("%s: %+v: got %q, want it to end with %q: half the frame rate", how, mode, got, want)
			}
			v.expectKeys(0)
		}
	}
}

// A slower stream of the size that is sent, as long as the other size needs a
// key frame.
func TestSelector_slowerWhileItWaits(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, keyed, Want{AllLayers, AllLayers})
		v.pictures(8, true)
		v.want = Want{Spatial: 0, Temporal: 0}
		v.expect(5, false, "20. |  |  |  | 20.")
		v.expect(2, true, "00. | ")
	}
}

func TestSelector_theSenderLeavesOutALayer(t *testing.T) {
	for _, how := range forms {
		v := watch(t, how, full, Want{AllLayers, AllLayers})
		v.pictures(4, true)
		v.active = 2
		v.expect(2, true, "00 10. | 02 12.")
		v.active = 3
		v.expect(2, true, "00 10 20. | 02 12 22.")
	}
	// Between key frames by the descriptor.
	v := watch(t, descriptors, keyed, Want{AllLayers, AllLayers})
	v.pictures(8, true)
	v.active = 1
	v.expect(2, false, " | ")
	v.expectKeys(1)
	v.expect(2, true, "00. | 02.")
}

// A sender that does not say that it left out a layer.
func TestSelector_aLayerFallsSilent(t *testing.T) {
	v := watch(t, flexible, keyed, Want{AllLayers, AllLayers})
	v.pictures(4, true)
	v.active = 2
	v.pictures(silence-1, false)
	v.expectKeys(0)
	v.pictures(3, false)
	v.expectKeys(1)
	v.expect(2, true, "00 10. | 12.")
}

func TestSelector_unknownFramesAreSent(t *testing.T) {
	var r Reader
	var s Selector
	for name, f := range map[string]Frame{
		"no structure": r.Descriptor(0, []byte{0xc1, 0, 1}), "cut off": r.Descriptor(0, []byte{0xc1}), "no layers": r.VP9(0, codec.VP9Descriptor{}, nil),
	} {
		if got := s.Decide(&f, 0, Want{}); got != (Verdict{Forward: true}) {
			t.Errorf("%s: got %+v, want it to be sent as it is", name, got)
		}
	}
}

func TestSelector_tellsReceiversTheirTargets(t *testing.T) {
	v := watch(t, descriptors, full, Want{1, AllLayers})
	decide := func(key bool) (out []dependency.Targets) {
		for _, f := range v.stream.Next(key, 3) {
			p := packet{Frame: f, first: true, last: true, active: 3}
			read := p.read(t, &v.reader, descriptors)
			if d := v.selector.Decide(&read, stamp(&f), v.want); d.Forward {
				out = append(out, d.Targets)
			}
		}
		return out
	}
	for _, c := range []struct {
		why  string
		key  bool
		want Want
		told []dependency.Targets
	}{
		{"with the structure", true, Want{1, AllLayers}, []dependency.Targets{0x23f, 0}},
		{"then no more", false, Want{1, AllLayers}, []dependency.Targets{0, 0}},
		{"at a change", false, Want{0, AllLayers}, []dependency.Targets{0x207}},
		{"then no more", false, Want{0, AllLayers}, []dependency.Targets{0}},
		{"all of them need no words", true, Want{2, AllLayers}, []dependency.Targets{0, 0, 0}},
	} {
		v.want = c.want
		if got := decide(c.key); fmt.Sprint(got) != fmt.Sprint(c.told) {
			t.Errorf("%s: got %x, want %x", c.why, got, c.told)
		}
	}
}

func TestNumber_unwrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SampledFrom([]int{7, 15, 16}).Draw(t, "bits")
		truth := 1<<20 + rapid.IntRange(0, 1<<16).Draw(t, "first")
		var n number
		first := int64(n.unwrap(uint16(truth&(1<<bits-1)), bits)) - int64(truth)
		for _, step := range rapid.SliceOf(rapid.IntRange(-20, 40)).Draw(t, "steps") {
			number := truth + step // of the highest so far
			if got := int64(n.unwrap(uint16(number&(1<<bits-1)), bits)) - int64(number); got != first {
				t.Fatalf("got %d off, want %d", got, first)
			}
			truth = max(truth, number)
		}
	})
}

// What comes again from the last key picture on is read as it was at first, with
// the same numbers, though the one who reads it again knew nothing of it.
func TestReader_rewoundReadsTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		how := rapid.SampledFrom(forms).Draw(rt, "form")
		stream := svctest.New(svctest.Mode{
			Spatial: rapid.IntRange(1, 3).Draw(rt, "spatial"), Temporal: rapid.IntRange(1, 3).Draw(rt, "temporal"), Key: rapid.Bool().Draw(rt, "key"),
		})
		r := &Reader{}
		var group []packet // since the last key picture
		var read []Frame
		for i := range rapid.IntRange(1, 50).Draw(rt, "pictures") {
			key := i == 0 || rapid.IntRange(0, 9).Draw(rt, "key picture") == 0
			if key {
				group, read = group[:0], read[:0]
				stream.Skip(rapid.IntRange(0, 30000).Draw(rt, "frames"), rapid.IntRange(0, 15000).Draw(rt, "pictures between"))
			}
			for _, f := range stream.Next(key, stream.Spatial) {
				p := packet{Frame: f, first: true, last: true, active: f.Mode.Spatial}
				group, read = append(group, p), append(read, p.read(rt, r, how))
			}
		}
		again := r.Rewound()
		for i := range group {
			got, want := group[i].read(rt, again, how), read[i]
			if got.Structure == nil || got.Structure.SpatialLayers != want.Structure.SpatialLayers {
				rt.Fatalf("frame %d of %d: structure %+v, want %+v", i, len(group), got.Structure, want.Structure)
			}
			if got.Structure = want.Structure; got != want {
				rt.Fatalf("frame %d of %d: got %+v, want %+v", i, len(group), got, want)
			}
		}
	})
}

// TestSelector_anyHistory lets a network lose, repeat and reorder the packets of
// any stream while a viewer changes its mind, and checks the contract.
func TestSelector_anyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		how := rapid.SampledFrom(forms).Draw(rt, "form")
		mode := svctest.Mode{
			Spatial: rapid.IntRange(1, 3).Draw(rt, "spatial"), Temporal: rapid.IntRange(1, 3).Draw(rt, "temporal"), Key: rapid.Bool().Draw(rt, "key"),
		}
		lossy := rapid.Bool().Draw(rt, "lossy")
		stream, frames := svctest.New(mode), map[int]svctest.Frame{}
		var arriving []packet
		for i := range rapid.IntRange(1, 60).Draw(rt, "pictures") {
			key := i == 0 || rapid.IntRange(0, 14).Draw(rt, "key picture") == 0
			for _, f := range stream.Next(key, mode.Spatial) {
				frames[f.Number] = f
				n := rapid.IntRange(1, 3).Draw(rt, "packets")
				for i := range n {
					p := packet{Frame: f, first: i == 0, last: i == n-1, active: mode.Spatial}
					if !lossy || f.Number == 0 || rapid.IntRange(0, 19).Draw(rt, "lost") > 0 {
						arriving = append(arriving, p)
					}
				}
			}
		}
		if lossy {
			for range rapid.IntRange(0, 20).Draw(rt, "swaps") {
				if len(arriving) > 12 {
					i := rapid.IntRange(1, len(arriving)-9).Draw(rt, "at")
					j := i + rapid.IntRange(1, 8).Draw(rt, "by")
					p := arriving[i]
					copy(arriving[i:], arriving[i+1:j+1])
					arriving[j] = p
				}
			}
		}
		var r Reader
		var s Selector
		fates, newestKey := map[int]bool{}, 0
		keyAt := map[int]int{} // newest key picture when the frame came
		want := Want{AllLayers, AllLayers}
		for i := range arriving {
			p := &arriving[i]
			if rapid.IntRange(0, 19).Draw(rt, "changes") == 0 {
				want = Want{uint8(rapid.IntRange(0, 2).Draw(rt, "want spatial")), uint8(rapid.IntRange(0, 2).Draw(rt, "want temporal"))}
			}
			if p.KeyPicture {
				newestKey = max(newestKey, p.Picture)
			}
			read := p.read(rt, &r, how)
			d := s.Decide(&read, stamp(&p.Frame), want)
			if before, came := fates[p.Number]; came && before != d.Forward {
				rt.Fatalf("packets of frame %d have two fates", p.Number)
			}
			if _, came := fates[p.Number]; !came {
				fates[p.Number], keyAt[p.Number] = d.Forward, newestKey
			}
		}
		for number, sent := range fates {
			if !sent {
				continue
			}
			for _, reference := range frames[number].References {
				got, came := fates[reference]
				overtaken := keyAt[reference] > frames[reference].Picture
				if came && !got && !overtaken {
					rt.Fatalf("%s: frame %d (S%d T%d) was sent but builds on %d (S%d T%d), which was not", how,
						number, frames[number].S, frames[number].T, reference, frames[reference].S, frames[reference].T)
				}
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	stream := svctest.New(full)
	var packets []packet
	for i := range 8 {
		for _, f := range stream.Next(i == 0, 3) {
			packets = append(packets, packet{Frame: f, first: true, last: true, active: 3})
		}
	}
	var written [][]byte
	for i := range packets {
		written = append(written, packets[i].Descriptor(true, true, 0))
	}
	var r Reader
	var s Selector
	if n := testing.AllocsPerRun(100, func() {
		for i, b := range written {
			f := r.Descriptor(stamp(&packets[i].Frame), b)
			s.Decide(&f, stamp(&packets[i].Frame), Want{1, 1})
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	var r Reader
	var s Selector
	stream := svctest.New(full)
	key := stream.Next(true, 3)[0]
	f := r.Descriptor(stamp(&key), key.Descriptor(true, true, 0))
	at := stamp(&key)
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(&f, at, Want{1, AllLayers})
		f.Number += 3
		at += 3000
	}
}
