package ring

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

// payloadOf is a payload that tells its sequence number in every byte.
func payloadOf(seq uint64, size int) []byte {
	b := make([]byte, size)
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], seq*0x9e3779b97f4a7c15)
	for i := range b {
		b[i] = word[i%8]
	}
	return b
}

func TestRing_returnsWhatWasPut(t *testing.T) {
	r := New(Config{})
	r.Put(start, 70_000, Packet{Payload: []byte("hello"), Timestamp: 9, Marker: true, KeyFrame: true})
	p, ok := r.Get(start, 70_000)
	if !ok || string(p.Payload) != "hello" || p.Timestamp != 9 || !p.Marker || !p.KeyFrame {
		t.Errorf("got %+v %v", p, ok)
	}
	for _, seq := range []uint64{0, 69_999, 70_001, 70_000 + 65_536, 70_000 - 65_536} {
		if _, ok := r.Get(start, seq); ok {
			t.Errorf("packet %d was never put", seq)
		}
	}
}

func TestRing_emptyPayloadIsAPacket(t *testing.T) {
	r := New(Config{})
	r.Put(start, 5, Packet{Timestamp: 1})
	if p, ok := r.Get(start, 5); !ok || len(p.Payload) != 0 {
		t.Errorf("got %+v %v", p, ok)
	}
}

func TestRing_forgetsByAge(t *testing.T) {
	r := New(Config{Age: time.Second})
	r.Put(start, 1, Packet{Payload: []byte("a")})
	if _, ok := r.Get(start.Add(time.Second), 1); !ok {
		t.Error("gone before its age")
	}
	if _, ok := r.Get(start.Add(time.Second+1), 1); ok {
		t.Error("still there after its age")
	}
}

// What was there is told from what never came, whatever became of its slot.
func TestRing_knowsWhatLeft(t *testing.T) {
	const first, missing, count = 1 << 16, 1<<16 + 5, 20
	later := start.Add(1100 * time.Millisecond)
	for name, then := range map[string]func(r *Ring){
		"too old": func(*Ring) {},
		"overwritten": func(r *Ring) {
			for seq := uint64(first + firstPackets); seq < first+firstPackets+count; seq++ {
				r.Put(later, seq, Packet{})
			}
		},
		"grown": func(r *Ring) {
			r.Put(later, first+count, Packet{})
			r.Put(later, first+count+firstPackets, Packet{})
		},
		"shrunk": func(r *Ring) {
			for seq := uint64(first + count); seq < first+4*firstPackets; seq++ {
				r.Put(start, seq, Packet{})
			}
			r.Put(later, first+4*firstPackets, Packet{})
			for range patience {
				r.Trim(later)
			}
		},
		"trimmed": func(r *Ring) {
			for range patience {
				r.Trim(later)
			}
		},
	} {
		r := New(Config{})
		for seq := uint64(first); seq < first+count; seq++ {
			if seq != missing {
				r.Put(start, seq, Packet{Payload: []byte("x")})
			}
		}
		if r.Left(missing) || r.Left(first+count) {
			t.Errorf("%s: a packet that never came is said to have left", name)
		}
		then(r)
		for seq := uint64(first); seq < first+count; seq++ {
			if _, held := r.Get(later, seq); held || seq != missing && !r.Left(seq) {
				t.Errorf("%s: packet %d: held %v, left %v", name, seq, held, r.Left(seq))
			}
		}
	}
	r := New(Config{Packets: firstPackets})
	for seq := uint64(first); seq < first+2*firstPackets; seq++ { // all young
		r.Put(start, seq, Packet{})
	}
	if !r.Left(first + 1) {
		t.Error("a packet that gave way to another is said never to have come")
	}
}

func TestRing_boundedInPackets(t *testing.T) {
	r := New(Config{Packets: 100, Age: time.Hour})
	for seq := uint64(1); seq <= 1000; seq++ {
		r.Put(start, seq, Packet{Payload: []byte("x")})
	}
	for seq := uint64(1); seq <= 1000; seq++ {
		if _, ok := r.Get(start, seq); ok != (seq > 1000-128) {
			t.Errorf("packet %d held: %v", seq, ok)
		}
	}
}

func TestRing_boundedInBytes(t *testing.T) {
	r := New(Config{Packets: 1 << 14, Bytes: 100_000, Age: time.Hour})
	for seq := uint64(1); seq <= 1000; seq++ {
		r.Put(start, seq, Packet{Payload: payloadOf(seq, 1000)})
	}
	held := 0
	for seq := uint64(1); seq <= 1000; seq++ {
		if p, ok := r.Get(start, seq); ok {
			held++
			if !bytes.Equal(p.Payload, payloadOf(seq, 1000)) {
				t.Fatalf("packet %d is damaged", seq)
			}
		}
	}
	if held < 90 || held > 100 || len(r.arena) != 100_000 {
		t.Errorf("held %d packets in %d bytes, want about 100 in 100000", held, len(r.arena))
	}
	r.Put(start, 1001, Packet{Payload: make([]byte, 100_001)})
	if _, ok := r.Get(start, 1001); ok {
		t.Error("holds a packet larger than itself")
	}
}

func TestRing_memoryFollowsBitRate(t *testing.T) {
	r := New(Config{})
	for seq := range uint64(5000) { // 50 packets a second of 160 bytes: audio
		r.Put(start.Add(time.Duration(seq)*20*time.Millisecond), 70_000+seq, Packet{Payload: payloadOf(seq, 160)})
	}
	if len(r.arena) > firstBytes || len(r.slots) > firstPackets {
		t.Errorf("audio took %d bytes and %d slots, want no growth", len(r.arena), len(r.slots))
	}
}

func TestRing_keyFrame(t *testing.T) {
	r := New(Config{Age: time.Second})
	if _, ok := r.KeyFrame(start); ok {
		t.Error("an empty ring has a key frame")
	}
	r.Put(start, 10, Packet{KeyFrame: true, Timestamp: 1})
	r.Put(start, 11, Packet{KeyFrame: true, Timestamp: 1}) // a second NAL unit of it
	r.Put(start, 12, Packet{Timestamp: 2})
	if seq, ok := r.KeyFrame(start); !ok || seq != 10 {
		t.Errorf("got %d %v, want 10", seq, ok)
	}
	r.Put(start, 20, Packet{KeyFrame: true, Timestamp: 3})
	if seq, ok := r.KeyFrame(start); !ok || seq != 20 {
		t.Errorf("got %d %v, want 20", seq, ok)
	}
	if _, ok := r.KeyFrame(start.Add(time.Minute)); ok {
		t.Error("names a key frame that it no longer holds")
	}
}

// TestRing_likeAModel compares with a map that never forgets: what the ring
// returns is right, and what is young and within half of the bounds it returns.
func TestRing_likeAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const packets, size, age = 256, 64 << 10, 500 * time.Millisecond
		r := New(Config{Packets: packets, Bytes: size, Age: age})
		type put struct {
			at      time.Time
			payload []byte
			before  []byte // the descriptor
			after   int    // bytes put after it
		}
		model := map[uint64]*put{}
		now, head := start, rapid.Uint64Range(1<<16-50, 1<<17).Draw(t, "first")
		highest := head
		for range rapid.IntRange(1, 400).Draw(t, "packets") {
			now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "ms")) * time.Millisecond)
			head += rapid.Uint64Range(0, 3).Draw(t, "step")
			seq := head - rapid.Uint64Range(0, 20).Draw(t, "late")
			payload := payloadOf(seq, rapid.IntRange(0, 1200).Draw(t, "size"))
			descriptor := payloadOf(^seq, rapid.SampledFrom([]int{0, 0, 3, 255}).Draw(t, "descriptor"))
			if _, there := r.Get(now, seq); !there {
				for _, p := range model {
					p.after += len(payload) + len(descriptor)
				}
				model[seq] = &put{at: now, payload: payload, before: descriptor}
			}
			r.Put(now, seq, Packet{Payload: payload, Descriptor: descriptor, Timestamp: uint32(seq)})
			highest = max(highest, seq)
		}
		for seq, want := range model {
			p, ok := r.Get(now, seq)
			if ok && (!bytes.Equal(p.Payload, want.payload) || !bytes.Equal(p.Descriptor, want.before) || p.Timestamp != uint32(seq)) {
				t.Fatalf("packet %d is damaged", seq)
			}
			young := now.Sub(want.at) <= age
			if ok && !young {
				t.Fatalf("packet %d is too old", seq)
			}
			if !ok && young && highest-seq < packets && want.after < size/2 {
				t.Fatalf("packet %d is gone, %d bytes after it", seq, want.after)
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	r := New(Config{})
	payload := make([]byte, 1200)
	now, seq := start, uint64(1<<16)
	put := func() {
		now, seq = now.Add(3*time.Millisecond), seq+1
		r.Put(now, seq, Packet{Payload: payload})
		r.Get(now, seq-5)
	}
	for range 5000 {
		put()
	}
	if n := testing.AllocsPerRun(5000, put); n != 0 {
		t.Errorf("got %v allocations a packet, want 0", n)
	}
}

func BenchmarkPut(b *testing.B) {
	r := New(Config{})
	payload := make([]byte, 1200)
	now, seq := start, uint64(1<<16)
	b.ReportAllocs()
	for b.Loop() {
		now, seq = now.Add(3*time.Millisecond), seq+1
		r.Put(now, seq, Packet{Payload: payload})
	}
}

func BenchmarkGet(b *testing.B) {
	r := New(Config{})
	for seq := range uint64(200) {
		r.Put(start, 1<<16+seq, Packet{Payload: make([]byte, 1200)})
	}
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		if _, ok := r.Get(start, 1<<16+seq%200); !ok {
			b.Fatal("gone")
		}
	}
}
