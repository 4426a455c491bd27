package ring

import (
	"testing"
	"time"
)

func TestRing_group(t *testing.T) {
	r := New(Config{})
	put := func(seq uint64, stamp uint32, key bool) {
		r.Put(start, seq, Packet{Payload: payloadOf(seq, 100), Timestamp: stamp, KeyFrame: key})
	}
	want := func(when string, first, last uint64, bytes int, ok bool) {
		t.Helper()
		f, l, b, o := r.Group(start)
		if f != first || l != last || b != bytes || o != ok {
			t.Errorf("%s: got %d to %d, %d bytes, %v; want %d to %d, %d bytes, %v", when, f, l, b, o, first, last, bytes, ok)
		}
	}
	want("empty", 0, 0, 0, false)
	put(100, 1, false)
	want("no key frame", 0, 0, 0, false)
	put(102, 2, true)
	put(103, 2, false)
	want("a key frame", 102, 103, 200, true)
	put(106, 3, false)
	want("a hole", 0, 0, 0, false)
	put(104, 3, false)
	r.Put(start, 105, Packet{Timestamp: 3}) // padding fills a hole too
	want("filled", 102, 106, 400, true)
	put(101, 2, true) // the parameter set, overtaken by its picture
	want("earlier start", 101, 106, 500, true)
	put(108, 4, true)
	want("a newer key frame", 108, 108, 100, true)
	if _, _, _, ok := r.Group(start.Add(2 * time.Second)); ok {
		t.Error("a group that is too old is still there")
	}
}
