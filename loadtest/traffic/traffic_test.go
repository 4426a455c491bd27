package traffic

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"pgregory.net/rapid"
)

var epoch = time.Unix(1_700_000_000, 0)

func marshal(t testing.TB, p *Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTrailer_survivesWhatServersDo(t *testing.T) {
	m := NewMicrophone(DefaultMix(), 7)
	m.Packet()
	p := m.Packet()
	p.Stamp(200, epoch)
	want := Trailer{Kind: Audio, Window: 200, Publisher: 7, Sequence: 1, Sent: epoch.UnixNano()}
	plain := marshal(t, p)

	p.Header.PaddingSize = 11
	p.Header.Padding = true
	padded := marshal(t, p)
	p.Header.Padding, p.Header.PaddingSize = false, 0
	if err := p.Header.SetExtension(3, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	p.Header.SSRC, p.Header.SequenceNumber = 99, 12345
	for name, b := range map[string][]byte{"plain": plain, "padded": padded, "rewritten": marshal(t, p)} {
		if got, ok := ReadTrailer(b); !ok || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, ok, want)
		}
	}
	if got := want.Delay(epoch.Add(3 * time.Millisecond)); got != 3*time.Millisecond {
		t.Errorf("delay is %v, want 3ms", got)
	}
}

func TestReadTrailer_refusesWhatNobodyOfOursSent(t *testing.T) {
	p := NewMicrophone(DefaultMix(), 0).Packet()
	p.Stamp(1, epoch)
	good := marshal(t, p)
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[(at+len(b))%len(b)] = to
		return b
	}
	for name, b := range map[string][]byte{
		"empty":             {},
		"a header alone":    good[:12],
		"cut":               good[:30],
		"another magic":     change(-TrailerSize, 'X'),
		"no kind":           change(-TrailerSize+4, 0),
		"unknown kind":      change(-TrailerSize+4, 4),
		"padding only":      {0xa0, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4},
		"too much padding":  {0xa0, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200},
		"padded to nothing": append(append([]byte(nil), 0xb0), good[1:len(good)-1]...),
	} {
		if got, ok := ReadTrailer(b); ok {
			t.Errorf("%s: got %+v, want none", name, got)
		}
	}
}

func FuzzReadTrailer(f *testing.F) {
	p := NewMicrophone(DefaultMix(), 0).Packet()
	p.Stamp(1, epoch)
	f.Add(marshal(f, p))
	f.Add([]byte{0xa0, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		trailer, ok := ReadTrailer(b)
		if !ok {
			return
		}
		again := make([]byte, 12+TrailerSize)
		trailer.put(again)
		if got, ok := ReadTrailer(again); !ok || got != trailer {
			t.Errorf("%+v read again is %+v, %v", trailer, got, ok)
		}
	})
}

func TestCamera_sendsTheAgreedPacketsAtTheAgreedTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mix := DefaultMix()
		mix.FramesPerSecond = rapid.IntRange(1, 120).Draw(t, "fps")
		mix.VideoPackets = rapid.IntRange(mix.FramesPerSecond, 1000).Draw(t, "packets")
		const seconds = 7
		c := NewCamera(mix, uint16(rapid.IntRange(0, 999).Draw(t, "publisher")))
		first, sent := c.Due(), 0
		if first < 0 || first >= time.Second/time.Duration(mix.FramesPerSecond) {
			t.Fatalf("the first frame is due after %v, want within one frame", first)
		}
		least, most := mix.VideoPackets, 0
		for range seconds * mix.FramesPerSecond {
			n := len(c.Frame(epoch.Add(c.Due())))
			sent, least, most = sent+n, min(least, n), max(most, n)
		}
		if want := seconds * mix.VideoPackets; sent != want {
			t.Errorf("%d packets in %d s, want %d", sent, seconds, want)
		}
		if most-least > 1 {
			t.Errorf("frames have %d to %d packets, want as even as can be", least, most)
		}
		if got := c.Due() - first; got != seconds*time.Second {
			t.Errorf("%d frames take %v, want %d s", seconds*mix.FramesPerSecond, got, seconds)
		}
	})
}

// The payload descriptor is read by pion's depacketizer.
func TestCamera_framesAreVP8(t *testing.T) {
	c := NewCamera(DefaultMix(), 1)
	var last rtp.Header
	var picture uint16
	var pictures, keys []int
	for frame := range 200 {
		packets := c.Frame(epoch.Add(c.Due()))
		for i := range packets {
			p := &packets[i]
			var vp8 codecs.VP8Packet
			payload, err := vp8.Unmarshal(p.Payload)
			if err != nil {
				t.Fatalf("frame %d, packet %d: %v", frame, i, err)
			}
			if got, want := vp8.S == 1, i == 0; got != want {
				t.Errorf("frame %d, packet %d: starts a partition: %v, want %v", frame, i, got, want)
			}
			if got, want := p.Marker, i == len(packets)-1; got != want {
				t.Errorf("frame %d, packet %d: marker %v, want %v", frame, i, got, want)
			}
			if frame+i > 0 && p.SequenceNumber != last.SequenceNumber+1 {
				t.Errorf("frame %d, packet %d: sequence %d after %d", frame, i, p.SequenceNumber, last.SequenceNumber)
			}
			if i == 0 {
				if frame > 0 && p.Timestamp-last.Timestamp != 3000 {
					t.Errorf("frame %d: timestamp %d later, want 3000", frame, p.Timestamp-last.Timestamp)
				}
				if frame > 0 && vp8.PictureID != (picture+1)&0x7fff {
					t.Errorf("frame %d: picture %d after %d", frame, vp8.PictureID, picture)
				}
				picture = vp8.PictureID
				if payload[0]&1 == 0 {
					keys = append(keys, frame)
				}
			} else if p.Timestamp != last.Timestamp || vp8.PictureID != picture {
				t.Errorf("frame %d, packet %d belongs to another frame", frame, i)
			}
			last = p.Header
		}
		pictures = append(pictures, len(packets))
	}
	if len(keys) != 3 || keys[0] != 0 || keys[1] != 90 || keys[2] != 180 {
		t.Errorf("key frames are %v, want one every 3 s: [0 90 180] (frames of %v packets)", keys, pictures[:3])
	}
}

func TestCamera_obeysRequestsForKeyFramesButNotTooOften(t *testing.T) {
	c := NewCamera(DefaultMix(), 1)
	isKey := func() bool {
		p := &c.Frame(epoch.Add(c.Due()))[0]
		p.Stamp(0, epoch)
		trailer, ok := ReadTrailer(marshal(t, p))
		return ok && trailer.Kind == KeyFrame
	}
	if !isKey() {
		t.Fatal("the first frame is no key frame")
	}
	c.WantKeyFrame()
	for frame := 1; frame <= 9; frame++ {
		if isKey() {
			t.Fatalf("frame %d is a key frame, %d ms after the last", frame, frame*1000/30)
		}
	}
	if !isKey() {
		t.Error("the frame after 333 ms is no key frame, though one is wanted")
	}
	if isKey() {
		t.Error("one request made two key frames")
	}
}

func TestTracks_doNotAllocate(t *testing.T) {
	c, m := NewCamera(DefaultMix(), 1), NewMicrophone(DefaultMix(), 1)
	if n := testing.AllocsPerRun(100, func() {
		frame := c.Frame(epoch)
		for i := range frame {
			frame[i].Stamp(1, epoch)
		}
		m.Packet().Stamp(1, epoch)
	}); n != 0 {
		t.Errorf("a frame and an audio packet take %v allocations, want 0", n)
	}
}

func TestMicrophone_countsFromZero(t *testing.T) {
	m := NewMicrophone(DefaultMix(), 3)
	first := m.Due()
	for n := range uint64(50) {
		p := m.Packet()
		p.Stamp(0, epoch)
		trailer, _ := ReadTrailer(marshal(t, p))
		if trailer.Sequence != n || p.Marker != (n == 0) {
			t.Errorf("packet %d has sequence %d, marker %v", n, trailer.Sequence, p.Marker)
		}
	}
	if got := m.Due() - first; got != time.Second {
		t.Errorf("50 packets take %v, want 1s", got)
	}
}

func TestMix_validateNamesTheField(t *testing.T) {
	if err := DefaultMix().Validate(); err != nil {
		t.Fatal(err)
	}
	if got := DefaultMix().PacketsPerSecond(); got != 160 {
		t.Errorf("the default is %d packets per second, want 160", got)
	}
	for want, change := range map[string]func(*Mix){
		"traffic: frames per second: want 1 to 240, got 0":            func(m *Mix) { m.FramesPerSecond = 0 },
		"traffic: video packets per second: want 30 to 10000, got 29": func(m *Mix) { m.VideoPackets = 29 },
		"traffic: video bytes: want 38 to 1400, got 37":               func(m *Mix) { m.VideoBytes = 37 },
		"traffic: audio packets per second: want 1 to 1000, got 0":    func(m *Mix) { m.AudioPackets = 0 },
		"traffic: audio bytes: want 25 to 1400, got 24":               func(m *Mix) { m.AudioBytes = 24 },
		"traffic: time between key frames: want 100ms or more, got 0": func(m *Mix) { m.KeyFrameEvery = 0 },
	} {
		m := DefaultMix()
		change(&m)
		if err := m.Validate(); err == nil || err.Error() != want && err.Error() != want+"s" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
