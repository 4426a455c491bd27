package dependency

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// Descriptors as Chromium 156 sends them, the first of a camera of 960 by 540
// pixels in each mode, and two that say more than their template.
var chromium = map[string]string{
	"L3T3":                       "c1000180081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca8775300ef008601df010d03bf021b",
	"L3T3_KEY":                   "c0000180081485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157e001974ca864330e222396eca8655304224390eca8775300ef008601df010d03bf021b",
	"L2T2_KEY":                   "c000018003187aaa0100a0a014d1413451802190888a194077c04340efc086c0",
	"L1T3":                       "800001800214eaa860414d141020842703bf021b",
	"L1T1":                       "80000180003a4101813f80b380",
	"two of three layers active": "c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca8775300ef008601df010d03bf021b1f80",
	"own distances":              "c800041a2800604000",
}

func sent(t testing.TB, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(chromium[name])
	if err != nil || len(b) == 0 {
		t.Fatalf("no descriptor %q: %v", name, err)
	}
	return b
}

// letters writes indications as the specification does.
func letters(i Indications, targets int) string {
	var b strings.Builder
	for target := range targets {
		b.WriteByte("-DSR"[i.Of(target)])
	}
	return b.String()
}

func TestRead_keyFramesOfChromium(t *testing.T) {
	for _, c := range []struct {
		name, layers, indications, nested string
		chains                            string
		sizes                             []Size
	}{
		{
			"L3T3", "S0T0 S0T1 S0T2 S1T0 S1T1 S1T2 S2T0 S2T1 S2T2", "SSSSSSSSS", "1 3 7 9 1b 3f 49 db 1ff", "0 0 0 1 1 1 2 2 2",
			[]Size{{240, 135}, {480, 270}, {960, 540}},
		},
		{
			"L3T3_KEY", "S0T0 S0T1 S0T2 S1T0 S1T1 S1T2 S2T0 S2T1 S2T2", "SSSSSSSSS", "1 3 7 8 18 38 40 c0 1c0", "0 0 0 1 1 1 2 2 2",
			[]Size{{240, 135}, {480, 270}, {960, 540}},
		},
		{"L2T2_KEY", "S0T0 S0T1 S1T0 S1T1", "SSSS", "1 3 4 c", "0 0 1 1", []Size{{480, 270}, {960, 540}}},
		{"L1T3", "S0T0 S0T1 S0T2", "SSS", "1 3 7", "0 0 0", []Size{{960, 540}}},
		{"L1T1", "S0T0", "S", "1", "0", []Size{{640, 360}}},
	} {
		var s Structure
		f, err := s.Read(sent(t, c.name))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var layers, nested, chains []string
		for target := range s.Targets {
			layers = append(layers, fmt.Sprintf("S%dT%d", s.Spatial[target], s.Temporal[target]))
			nested = append(nested, fmt.Sprintf("%x", s.Nested[target]))
			chains = append(chains, fmt.Sprint(s.ProtectedBy[target]))
		}
		if got := strings.Join(layers, " "); got != c.layers {
			t.Errorf("%s: got targets %s, want %s", c.name, got, c.layers)
		}
		if got := strings.Join(nested, " "); got != c.nested {
			t.Errorf("%s: got nested %s, want %s", c.name, got, c.nested)
		}
		if got := strings.Join(chains, " "); got != c.chains || s.Chains != len(c.sizes) {
			t.Errorf("%s: got %d chains %s, want %d %s", c.name, s.Chains, got, len(c.sizes), c.chains)
		}
		if got := letters(f.Indications, s.Targets); got != c.indications {
			t.Errorf("%s: got indications %s, want %s", c.name, got, c.indications)
		}
		for i, want := range c.sizes {
			if s.Sizes[i] != want {
				t.Errorf("%s: got size %v of layer %d, want %v", c.name, s.Sizes[i], i, want)
			}
		}
		if !f.First || !f.Begins || f.Number != 1 || f.Referred != 0 || f.Spatial != 0 || f.Temporal != 0 || s.SpatialLayers != len(c.sizes) ||
			!f.HasActive || f.Active != 1<<s.Targets-1 || !Begins(sent(t, c.name)) || Number(sent(t, c.name)) != 1 {
			t.Errorf("%s: got %+v", c.name, f)
		}
	}
}

func TestRead_framesOfChromium(t *testing.T) {
	var s Structure
	if _, err := s.Read([]byte{0xc6, 0, 2}); !errors.Is(err, ErrTemplate) {
		t.Errorf("before a structure: got %v, want ErrTemplate", err)
	}
	if f, err := s.Read(sent(t, "two of three layers active")); err != nil || f.Active != 0x3f || f.Indications.Of(8) != Switch {
		t.Fatalf("got %+v %v, want targets 0 to 5 active", f, err)
	}
	for _, c := range []struct {
		descriptor        string
		number            uint16
		last              bool
		spatial, temporal uint8
		references        string
		indications       string
		chains            string
	}{
		{"860002", 2, false, 1, 0, "[1]", "---SSSSSS", "[1 1 1]"},
		{"460002", 2, true, 1, 0, "[1]", "---SSSSSS", "[1 1 1]"},
		{"c300031a20100800", 3, true, 0, 2, "[2]", "--D--R--R", "[2 1 0]"},
		{chromium["own distances"], 4, true, 1, 2, "[2 1]", "-----D--R", "[3 2 0]"},
	} {
		b, _ := hex.DecodeString(c.descriptor)
		f, err := s.Read(b)
		if err != nil {
			t.Errorf("%s: %v", c.descriptor, err)
			continue
		}
		if f.Number != c.number || f.Last != c.last || f.Spatial != c.spatial || f.Temporal != c.temporal ||
			fmt.Sprint(f.References[:f.Referred]) != c.references || letters(f.Indications, s.Targets) != c.indications ||
			fmt.Sprint(f.Chains[:s.Chains]) != c.chains || f.HasActive || f.Begins {
			t.Errorf("%s: got %+v with indications %s", c.descriptor, f, letters(f.Indications, s.Targets))
		}
	}
	if _, err := s.Read([]byte{0xff, 0, 2}); !errors.Is(err, ErrTemplate) {
		t.Errorf("template 63: got %v, want ErrTemplate", err)
	}
}

// A descriptor that is cut off is refused and leaves what is known alone.
func TestRead_cutOff(t *testing.T) {
	for name := range chromium {
		whole := sent(t, name)
		var known Structure
		if _, err := known.Read(sent(t, "L3T3")); err != nil {
			t.Fatal(err)
		}
		for n := range len(whole) - 1 {
			s := known
			_, err := s.Read(whole[:n])
			if n == mandatoryBytes {
				continue // a descriptor like any other
			}
			if err == nil || s != known {
				t.Errorf("%s: took the first %d of %d bytes, or changed what it knew", name, n, len(whole))
			}
		}
	}
}

// What goes beyond the bounds is refused. The structures have one decode target.
func TestRead_bounds(t *testing.T) {
	head := func(bits ...string) []byte {
		all := "10000000" + "0000000000000001" + "10000" + "000000" + "00000" + strings.Join(bits, "")
		var b []byte
		for i, c := range all {
			if i%8 == 0 {
				b = append(b, 0)
			}
			b[i/8] |= byte(c-'0') << (7 - i%8)
		}
		return append(b, make([]byte, 20)...)
	}
	for name, c := range map[string]struct {
		descriptor []byte
		ok         bool
	}{
		"one template":      {head("11", "10"), true},
		"8 spatial layers":  {head(strings.Repeat("10", 7), "11"), true},
		"9 spatial layers":  {head(strings.Repeat("10", 8), "11"), false},
		"9 temporal layers": {head(strings.Repeat("01", 8), "11"), false},
		"64 templates":      {head(strings.Repeat("00", 63), "11", strings.Repeat("10", 64), strings.Repeat("0", 64)), true},
		"65 templates":      {head(strings.Repeat("00", 64), "11"), false},
		"8 references":      {head("11", "10", strings.Repeat("10000", 8), "0"), true},
		"9 references":      {head("11", "10", strings.Repeat("10000", 9), "0"), false},
		"one chain":         {head("11", "10", "0", "1"), true},
	} {
		var s Structure
		if _, err := s.Read(c.descriptor); (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: got %v, want ok %v", name, err, c.ok)
		}
	}
}

// mode draws a scalability mode.
func mode(t *rapid.T) svctest.Mode {
	return svctest.Mode{
		Spatial: rapid.IntRange(1, 3).Draw(t, "spatial"), Temporal: rapid.IntRange(1, 3).Draw(t, "temporal"), Key: rapid.Bool().Draw(t, "key"),
	}
}

func TestRead_whatAnotherWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Structure
		stream := svctest.New(mode(t))
		for i := range rapid.IntRange(1, 12).Draw(t, "pictures") {
			key := i == 0 || rapid.IntRange(0, 5).Draw(t, "key picture") == 0
			for _, frame := range stream.Next(key, stream.Spatial) {
				f, err := s.Read(frame.Descriptor(true, false, 0))
				if err != nil {
					t.Fatal(err)
				}
				if int(f.Number) != frame.Number || int(f.Spatial) != frame.S || int(f.Temporal) != frame.T || !f.First || f.Last ||
					f.Begins != (key && frame.S == 0) || f.Referred != len(frame.References) {
					t.Fatalf("got %+v, want %+v", f, frame)
				}
				for i, reference := range frame.References {
					if frame.Number-int(f.References[i]) != reference {
						t.Fatalf("got references %v, want %v", f.References, frame.References)
					}
				}
				for chain, number := range frame.Chains {
					if got := frame.Number - int(f.Chains[chain]); number >= 0 && got != number || number < 0 && got != frame.Number {
						t.Fatalf("got chains %v, want %v", f.Chains, frame.Chains)
					}
				}
				if key && frame.S == 0 {
					if w, h := frame.Size(0); s.Sizes[0] != (Size{uint32(w), uint32(h)}) || s.Targets != frame.Spatial*frame.Temporal {
						t.Fatalf("got %d targets, size %v", s.Targets, s.Sizes[0])
					}
				}
			}
		}
	})
}

func TestAppend_changesNumberAndTargetsAlone(t *testing.T) {
	for name := range chromium {
		var s Structure
		if _, err := s.Read(sent(t, "L3T3")); err != nil {
			t.Fatal(err)
		}
		whole := sent(t, name)
		kept := bytes.Clone(whole)
		want, err := s.Read(whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, mask := range []uint32{0, 1, 0x15 & (1<<s.Targets - 1), 1<<s.Targets - 1} {
			out := Append([]byte("before"), whole, 0xfedc, Mask(mask, s.Targets))[len("before"):]
			other := s
			got, err := other.Read(out)
			if err != nil {
				t.Errorf("%s with targets %x: %v", name, mask, err)
				continue
			}
			if mask != 0 && (!got.HasActive || got.Active != mask) {
				t.Errorf("%s: got targets %x, want %x", name, got.Active, mask)
			}
			got.Number, got.Active, got.HasActive = want.Number, want.Active, want.HasActive
			if got != want || other != s || Number(out) != 0xfedc {
				t.Errorf("%s with targets %x: got %+v, want %+v", name, mask, got, want)
			}
			if extra := len(out) - len(whole); extra > 3 {
				t.Errorf("%s with targets %x grew by %d bytes", name, mask, extra)
			}
		}
		if !bytes.Equal(whole, kept) {
			t.Errorf("%s: the shared descriptor was changed", name)
		}
	}
}

func TestAppend_whatCannotTakeTargetsKeepsItsOwn(t *testing.T) {
	long := append(sent(t, "L3T3"), make([]byte, MaxBytes-len(sent(t, "L3T3")))...)
	for name, c := range map[string]struct {
		descriptor []byte
		targets    Targets
	}{
		"another number of targets": {sent(t, "L1T3"), Mask(1, 9)},
		"no room":                   {long, Mask(1, 9)},
		"cut off":                   {[]byte{0xc1, 1}, Mask(1, 9)},
		"cut off in the structure":  {sent(t, "L3T3")[:20], Mask(1, 9)},
		"no target":                 {sent(t, "L3T3"), Mask(0, 9)},
		"more than can be said":     {sent(t, "L3T3"), Mask(1, 32)},
	} {
		want := bytes.Clone(c.descriptor)
		if Whole(want) {
			want[1], want[2] = 7, 8
		}
		if got := Append(nil, c.descriptor, 0x0708, c.targets); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", name, got, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	var s Structure
	key, delta := sent(t, "L3T3"), sent(t, "own distances")
	dst := make([]byte, 0, 2*MaxBytes)
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{key, delta} {
			if _, err := s.Read(b); err != nil {
				t.Fatal(err)
			}
			dst = Append(dst[:0], b, 1, Mask(5, 9))
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func FuzzRead(f *testing.F) {
	for name := range chromium {
		f.Add(sent(f, "L3T3"), sent(f, name))
	}
	f.Add([]byte{}, []byte{0x80, 0, 1, 0x80})
	f.Fuzz(func(t *testing.T, before, b []byte) {
		if len(before) > MaxBytes || len(b) > MaxBytes {
			return
		}
		var s Structure
		_, _ = s.Read(before)
		known := s
		want, err := s.Read(b)
		if err != nil {
			if s != known {
				t.Fatal("an unreadable descriptor changed the structure")
			}
			return
		}
		if want.Referred > MaxReferences || s.Targets < 1 || s.Targets > MaxTargets || s.Chains > s.Targets || s.SpatialLayers > MaxSpatial {
			t.Fatalf("out of bounds: %+v, %d targets, %d chains", want, s.Targets, s.Chains)
		}
		for target := range s.Targets {
			if s.Nested[target]>>target&1 == 0 {
				t.Fatalf("target %d is not part of itself", target)
			}
		}
		targets := Mask(1, s.Targets)
		out := Append(nil, b, want.Number, targets)
		got, err := s.Read(out)
		if err != nil {
			t.Fatalf("%x became %x, which cannot be read: %v", b, out, err)
		}
		if targets != 0 && len(b) <= MaxBytes-5 && got.Active != 1 {
			t.Fatalf("%x became %x with targets %x, want 1", b, out, got.Active)
		}
		got.Active, got.HasActive = want.Active, want.HasActive
		if got != want {
			t.Fatalf("%x became %x: got %+v, want %+v", b, out, got, want)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var s Structure
	if _, err := s.Read(sent(b, "L3T3")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Read([]byte{0x86, 0, 2}); err != nil {
			b.Fatal(err)
		}
	}
}
