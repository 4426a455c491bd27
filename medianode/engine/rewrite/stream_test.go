package rewrite

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/clock"
	"github.com/drtc-network/drtc/medianode/engine/codec"
)

var start = time.Unix(1_700_000_000, 0)

const videoRate = 90_000

// vp8 is the descriptor of a packet with all numbers.
func vp8(t testing.TB, id uint16, tl0, keyIdx uint8) codec.VP8Descriptor {
	t.Helper()
	d, err := codec.ParseVP8([]byte{0x90, 0xf0, 0x80 | byte(id>>8), byte(id), tl0, keyIdx & 0x1f, 0})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// send passes one packet and checks what leaves.
func send(t *testing.T, s *Stream, now time.Time, src Source, sequence uint16, timestamp uint32) Sent {
	t.Helper()
	got, ok := s.Next(now, src)
	if !ok || got.Sequence != sequence || got.Timestamp != timestamp {
		t.Errorf("source %d: got sequence %d timestamp %d %v, want %d %d",
			src.Sequence, got.Sequence, got.Timestamp, ok, sequence, timestamp)
	}
	return got
}

func refuse(t *testing.T, s *Stream, now time.Time, src Source, why string) {
	t.Helper()
	if got, ok := s.Next(now, src); ok {
		t.Errorf("source %d left as %d, but it is %s", src.Sequence, got.Sequence, why)
	}
}

func TestStream_keepsHolesOfLostPackets(t *testing.T) {
	s := New(65534, 1000, codec.H264, videoRate)
	at := func(seq uint64) Source { return Source{Sequence: seq, Timestamp: 50_000} }
	refuse(t, s, start, at(70_000), "from no source that was chosen")
	s.Switch(start, at(70_000), clock.Mapping{}, clock.Mapping{})
	send(t, s, start, at(70_000), 65534, 1000)
	send(t, s, start, at(70_003), 1, 1000) // over the wrap
	send(t, s, start, at(70_001), 65535, 1000)
	refuse(t, s, start, at(70_001), "a duplicate")
	refuse(t, s, start, at(70_003), "a duplicate")
	refuse(t, s, start, at(69_999), "from before the switch")
	send(t, s, start, at(70_002), 0, 1000)
}

func TestStream_closesHolesOfDroppedPackets(t *testing.T) {
	s := New(100, 0, codec.H264, videoRate)
	at := func(seq uint64) Source { return Source{Sequence: seq} }
	s.Switch(start, at(10), clock.Mapping{}, clock.Mapping{})
	send(t, s, start, at(10), 100, 0)
	// 11 is lost, 12 and 13 are left out, 14 goes on, 11 comes late.
	s.Drop(at(12))
	s.Drop(at(13))
	send(t, s, start, at(14), 102, 0)
	send(t, s, start, at(11), 101, 0)
	refuse(t, s, start, at(12), "left out")
	refuse(t, s, start, at(13), "left out")
	s.Drop(at(11)) // too late to have an effect
	send(t, s, start, at(15), 103, 0)
}

func TestStream_dropsWholePictures(t *testing.T) {
	s := New(0, 0, codec.VP8, videoRate)
	at := func(seq uint64, id uint16) Source { return Source{Sequence: seq, VP8: vp8(t, id, 0, 0)} }
	s.Switch(start, at(10, 0x7fff), clock.Mapping{}, clock.Mapping{})
	for _, c := range []struct {
		seq  uint64
		id   uint16
		drop bool
		want uint16
	}{
		{10, 0x7fff, false, 0x7fff}, {11, 0, true, 0}, {12, 0, true, 0}, {13, 1, false, 0},
		{14, 1, false, 0}, {15, 2, true, 0}, {16, 3, true, 0}, {17, 4, false, 1},
	} {
		if c.drop {
			s.Drop(at(c.seq, c.id))
		} else if got, ok := s.Next(start, at(c.seq, c.id)); !ok || got.Picture.ID != c.want {
			t.Errorf("packet %d: got picture %d %v, want %d", c.seq, got.Picture.ID, ok, c.want)
		}
	}
}

func TestSwitch_wallClockWithoutReports(t *testing.T) {
	s := New(1, 900, codec.VP8, videoRate)
	a := Source{Sequence: 70_000, Timestamp: 4_000_000_000}
	s.Switch(start, a, clock.Mapping{}, clock.Mapping{})
	send(t, s, start, a, 1, 900)
	later := start.Add(time.Second)
	b := Source{Sequence: 90_000, Timestamp: 5}
	s.Switch(later, b, clock.Mapping{}, clock.Mapping{})
	send(t, s, later, b, 2, 900+videoRate)
	refuse(t, s, later, Source{Sequence: 89_999, Timestamp: 4}, "from before the switch")
	// Again at once: one frame at least.
	c := Source{Sequence: 70_009, Timestamp: 4_000_000_000}
	s.Switch(later, c, clock.Mapping{}, clock.Mapping{})
	send(t, s, later, c, 3, 900+videoRate+3000)
	// Opus steps by one packet.
	o := New(1, 0, codec.Opus, 48_000)
	o.Switch(start, a, clock.Mapping{}, clock.Mapping{})
	send(t, o, start, a, 1, 0)
	o.Switch(start, b, clock.Mapping{}, clock.Mapping{})
	send(t, o, start, b, 2, 960)
}

func TestSwitch_longPauseStepsForward(t *testing.T) {
	s := New(1, 0, codec.VP8, videoRate)
	a := Source{Sequence: 70_000}
	s.Switch(start, a, clock.Mapping{}, clock.Mapping{})
	send(t, s, start, a, 1, 0)
	later := start.Add(10 * time.Hour) // more than 2^31 ticks
	a.Sequence++
	s.Switch(later, a, clock.Mapping{}, clock.Mapping{})
	send(t, s, later, a, 2, maxStep)
}

func TestSwitch_followsSenderReports(t *testing.T) {
	s := New(1, 0, codec.VP8, videoRate)
	ntp := clock.NTP(start)
	// Layer a had timestamp 1000 when layer b had 7000: one moment of the sender.
	from := clock.Mapping{NTP: ntp, Timestamp: 1000, At: start}
	to := clock.Mapping{NTP: clock.Add(ntp, time.Second), Timestamp: 7000 + videoRate, At: start.Add(time.Second)}
	a := Source{Sequence: 70_000, Timestamp: 1000}
	s.Switch(start, a, clock.Mapping{}, clock.Mapping{})
	send(t, s, start, a, 1, 0)
	// 500 ms later by the sender, 520 ms by the network.
	later := start.Add(520 * time.Millisecond)
	b := Source{Sequence: 80_000, Timestamp: 7000 + videoRate/2}
	s.Switch(later, b, from, to)
	send(t, s, later, b, 2, videoRate/2)
	if got := s.Timestamp(7000 + videoRate); got != videoRate {
		t.Errorf("sender report maps to %d, want %d", got, videoRate)
	}
	// Reports that contradict the wall clock are not believed.
	to.NTP = clock.Add(to.NTP, time.Hour)
	c := Source{Sequence: 70_100, Timestamp: 1000 + videoRate}
	again := later.Add(480 * time.Millisecond)
	s.Switch(again, c, to, from)
	send(t, s, again, c, 3, videoRate/2+videoRate*48/100)
}

func TestSwitch_pauseOfOneSource(t *testing.T) {
	s := New(1, 0, codec.VP8, videoRate)
	m := clock.Mapping{NTP: clock.NTP(start), Timestamp: 400, At: start}
	a := Source{Sequence: 70_000, Timestamp: 500}
	s.Switch(start, a, m, m)
	send(t, s, start, a, 1, 0)
	later := start.Add(10 * time.Second)
	b := Source{Sequence: 73_000, Timestamp: 500 + 10*videoRate + 17}
	s.Switch(later, b, m, m)
	send(t, s, later, b, 2, 10*videoRate+17) // the sender's own count
}

func TestSwitch_picturesGoOn(t *testing.T) {
	s := New(1, 0, codec.VP8, videoRate)
	a := Source{Sequence: 70_000, VP8: vp8(t, 0x7ffe, 254, 30)}
	s.Switch(start, a, clock.Mapping{}, clock.Mapping{})
	first, _ := s.Next(start, a)
	if first.Picture != a.VP8.Picture {
		t.Errorf("got %+v, want %+v", first.Picture, a.VP8.Picture)
	}
	a = Source{Sequence: 70_001, Timestamp: 3000, VP8: vp8(t, 0x7fff, 255, 30)}
	s.Next(start, a)
	b := Source{Sequence: 80_000, VP8: vp8(t, 77, 5, 3)}
	s.Switch(start, b, clock.Mapping{}, clock.Mapping{})
	got, _ := s.Next(start, b)
	if want := (codec.Picture{ID: 0, TL0PicIdx: 0, KeyIdx: 31}); got.Picture != want {
		t.Errorf("at the switch: got %+v, want %+v", got.Picture, want)
	}
	b = Source{Sequence: 80_001, VP8: vp8(t, 79, 6, 4)}
	got, _ = s.Next(start, b)
	if want := (codec.Picture{ID: 2, TL0PicIdx: 1, KeyIdx: 0}); got.Picture != want {
		t.Errorf("after it: got %+v, want %+v", got.Picture, want)
	}
}

func TestSwitch_frameNumbersGoOn(t *testing.T) {
	s := New(1, 0, codec.AV1, videoRate)
	next := func(seq uint64, frame uint16, begins bool) uint16 {
		src := Source{Sequence: seq, Timestamp: uint32(seq) * 3000, Frame: frame, HasFrame: true}
		if begins {
			s.Switch(start, src, clock.Mapping{}, clock.Mapping{})
		}
		out, _ := s.Next(start, src)
		return out.Picture.ID
	}
	var got []uint16
	got = append(got, next(70_000, 0xfffe, true), next(70_002, 0, false), next(70_001, 0xffff, false))
	got = append(got, next(5_000, 40_000, true), next(5_001, 40_002, false))
	if want := []uint16{0xfffe, 0, 0xffff, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d: one after the highest at the switch, whatever came late", got, want)
	}
}

// vp9 is the descriptor of a packet with all numbers that are rewritten.
func vp9(t testing.TB, id uint16, tl0 uint8) *codec.VP9Descriptor {
	t.Helper()
	d, err := codec.ParseVP9([]byte{0xa8, 0x80 | byte(id>>8), byte(id), 0x10, tl0})
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// Frames of VP9 name what they build on by the distance between picture ids.
func TestStream_keepsTheDistanceOfPictures(t *testing.T) {
	s := New(0, 0, codec.VP9, videoRate)
	at := func(seq uint64, id uint16, tl0 uint8) Source { return Source{Sequence: seq, VP9: vp9(t, id, tl0)} }
	next := func(src Source) codec.Picture {
		out, ok := s.Next(start, src)
		if !ok {
			t.Fatalf("packet %d was refused", src.Sequence)
		}
		out.Picture.KeyIdx = 0 // VP9 has none
		return out.Picture
	}
	s.Switch(start, at(10, 0x7ffe, 9), clock.Mapping{}, clock.Mapping{})
	got := []codec.Picture{next(at(10, 0x7ffe, 9))}
	if !s.Drop(at(11, 0x7fff, 9)) {
		t.Error("a packet in order was not left out")
	}
	got = append(got, next(at(12, 0, 10)))
	s.Switch(start, at(500, 77, 200), clock.Mapping{}, clock.Mapping{}) // another encoder
	got = append(got, next(at(500, 77, 200)), next(at(502, 79, 201)))
	if s.Drop(at(501, 78, 200)) {
		t.Error("a late packet was left out: its hole is made")
	}
	want := []codec.Picture{{ID: 0x7ffe, TL0PicIdx: 9}, {ID: 0, TL0PicIdx: 10}, {ID: 1, TL0PicIdx: 11}, {ID: 3, TL0PicIdx: 12}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Late packets find their place behind many pictures of which layers were left out.
func TestDrop_remembersManyChanges(t *testing.T) {
	s := New(0, 0, codec.AV1, videoRate)
	at := func(seq uint64) Source { return Source{Sequence: seq} }
	const first = 1 << 16
	s.Switch(start, at(first), clock.Mapping{}, clock.Mapping{})
	s.Next(start, at(first))
	for seq := uint64(first + 1); seq < first+600; seq += 3 { // one is late, one is left out, one is sent
		s.Drop(at(seq + 1))
		s.Next(start, at(seq+2))
	}
	kept := 0
	for seq := uint64(first + 598); s.first <= seq; seq -= 3 {
		if _, ok := s.Next(start, at(seq)); !ok {
			t.Fatalf("packet %d was refused, the first that is known is %d", seq, s.first)
		}
		kept++
	}
	if kept < maxIntervals/2-1 {
		t.Errorf("only %d late packets found their place, want at least %d", kept, maxIntervals/2-1)
	}
}

// The newest frame sent may be older by number than a packet left out: the next
// source must not step behind it.
func TestSwitch_afterLatePacket(t *testing.T) {
	s := New(1, 0, codec.VP8, videoRate)
	a := Source{Sequence: 10}
	s.Switch(start, a, clock.Mapping{}, clock.Mapping{})
	send(t, s, start, a, 1, 0)
	s.Drop(Source{Sequence: 12, Timestamp: 12_000})
	send(t, s, start, Source{Sequence: 11, Timestamp: 9000}, 2, 9000)
	b := Source{Sequence: 500}
	s.Switch(start, b, clock.Mapping{}, clock.Mapping{})
	send(t, s, start, b, 3, 9000+3000)
}

// layer generates one simulcast layer: frames of several packets in order.
type layer struct {
	next, stamp uint64
	id          uint16
	tl0, key    uint8
}

// TestStream_anyHistory runs random sources with loss, reordering, duplicates,
// dropped pictures and switches, and checks the contract on all that leaves.
func TestStream_anyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		layers := make([]*layer, 3)
		for i := range layers {
			layers[i] = &layer{
				next:  1<<16 + uint64(rapid.Uint16().Draw(rt, "sequence")),
				stamp: uint64(rapid.Uint32().Draw(rt, "timestamp")),
				id:    rapid.Uint16Range(0, 1<<15-1).Draw(rt, "picture"),
				tl0:   rapid.Byte().Draw(rt, "tl0"),
			}
		}
		s := New(rapid.Uint16().Draw(rt, "start"), rapid.Uint32().Draw(rt, "startTS"), codec.VP8, videoRate)
		now := start
		type key struct {
			turn int
			seq  uint64
		}
		var (
			used     = map[uint64]key{}    // extended sent -> source
			sentAs   = map[key]uint64{}    // source -> extended sent
			dropped  = map[key]bool{}      //
			stamps   = map[uint64]uint32{} // extended -> timestamp
			pictures = map[uint64]uint16{}
			order    []key
			turn     int
		)
		for turn = 0; turn < rapid.IntRange(1, 6).Draw(rt, "switches"); turn++ {
			l := layers[rapid.IntRange(0, 2).Draw(rt, "layer")]
			var batch []Source
			drops := map[uint64]bool{}
			l.next += rapid.Uint64Range(0, 5000).Draw(rt, "skipped")
			for frame := range rapid.IntRange(1, 12).Draw(rt, "frames") {
				drop := frame > 0 && rapid.IntRange(0, 3).Draw(rt, "drop") == 0
				for range rapid.IntRange(1, 4).Draw(rt, "packets") {
					batch = append(batch, Source{Sequence: l.next, Timestamp: uint32(l.stamp), VP8: vp8(t, l.id, l.tl0, l.key)})
					drops[l.next] = drop
					l.next++
				}
				l.stamp += 3000
				l.id = (l.id + 1) & 0x7fff
				l.tl0++
			}
			s.Switch(now, batch[0], clock.Mapping{}, clock.Mapping{})
			// The network: the first stays first, others move, vanish, repeat.
			arrived := []Source{batch[0]}
			for _, p := range batch[1:] {
				switch rapid.IntRange(0, 9).Draw(rt, "fate") {
				case 0: // lost
				case 1:
					arrived = append(arrived, p, p)
				default:
					arrived = append(arrived, p)
				}
			}
			for range rapid.IntRange(0, 5).Draw(rt, "swaps") {
				if len(arrived) > 2 {
					i := rapid.IntRange(1, len(arrived)-2).Draw(rt, "at")
					arrived[i], arrived[i+1] = arrived[i+1], arrived[i]
				}
			}
			for _, p := range arrived {
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "ms")) * time.Millisecond)
				k := key{turn, p.Sequence}
				if drops[p.Sequence] {
					s.Drop(p)
					dropped[k] = true
					continue
				}
				out, ok := s.Next(now, p)
				if !ok {
					if _, before := sentAs[k]; !before {
						rt.Fatalf("packet %d of turn %d was refused", p.Sequence, turn)
					}
					continue
				}
				if other, taken := used[out.Extended]; taken {
					rt.Fatalf("number %d used for %v and %v", out.Extended, other, k)
				}
				if out.Sequence != uint16(out.Extended) {
					rt.Fatalf("sequence %d of %d", out.Sequence, out.Extended)
				}
				used[out.Extended], sentAs[k] = k, out.Extended
				stamps[out.Extended], pictures[out.Extended] = out.Timestamp, out.Picture.ID
				order = append(order, k)
			}
		}
		for _, a := range order {
			for _, b := range order {
				outA, outB := sentAs[a], sentAs[b]
				before := a.turn < b.turn || a.turn == b.turn && a.seq < b.seq
				if !before {
					continue
				}
				if outA >= outB {
					rt.Fatalf("%v left as %d, %v as %d", a, outA, b, outB)
				}
				if int32(stamps[outB]-stamps[outA]) < 0 {
					rt.Fatalf("timestamp of %v steps back from %v", b, a)
				}
				if ahead := (pictures[outB] - pictures[outA]) & 0x7fff; ahead >= 1<<14 {
					rt.Fatalf("picture of %v steps back from %v", b, a)
				}
				if a.turn != b.turn {
					continue
				}
				gap := b.seq - a.seq
				for seq := a.seq; seq < b.seq; seq++ {
					// What was dropped in order leaves no hole.
					if dropped[key{a.turn, seq}] {
						gap--
					}
				}
				if outB-outA < gap || outB-outA > b.seq-a.seq {
					rt.Fatalf("%v to %v: gap of %d, want %d to %d", a, b, outB-outA, gap, b.seq-a.seq)
				}
			}
		}
	})
}

// TestStream_gapsAreTheSources leaves nothing out: each gap is the source's.
func TestStream_gapsAreTheSources(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(rapid.Uint16().Draw(t, "start"), 0, codec.H264, videoRate)
		seq := 1<<16 + uint64(rapid.Uint16().Draw(t, "first"))
		first := Source{Sequence: seq}
		s.Switch(start, first, clock.Mapping{}, clock.Mapping{})
		last, _ := s.Next(start, first)
		for _, step := range rapid.SliceOf(rapid.Uint64Range(1, 3000)).Draw(t, "steps") {
			seq += step
			got, ok := s.Next(start, Source{Sequence: seq})
			if !ok || got.Extended-last.Extended != step {
				t.Fatalf("got a gap of %d %v, want %d", got.Extended-last.Extended, ok, step)
			}
			last = got
		}
	})
}

func TestAllocations(t *testing.T) {
	s := New(1, 0, codec.VP8, videoRate)
	src := Source{Sequence: 70_000, VP8: vp8(t, 1, 1, 1)}
	s.Switch(start, src, clock.Mapping{}, clock.Mapping{})
	if n := testing.AllocsPerRun(1000, func() {
		s.Next(start, src)
		src.Sequence++
		s.Drop(src)
		src.Sequence++
	}); n != 0 {
		t.Errorf("got %v allocations a packet, want 0", n)
	}
}

func BenchmarkNext(b *testing.B) {
	s := New(1, 0, codec.VP8, videoRate)
	src := Source{Sequence: 70_000, VP8: vp8(b, 1, 1, 1)}
	s.Switch(start, src, clock.Mapping{}, clock.Mapping{})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Next(start, src); !ok {
			b.Fatal("refused")
		}
		src.Sequence++
	}
}
