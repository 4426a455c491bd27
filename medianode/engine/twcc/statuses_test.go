package twcc

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// symbolsOf are the statuses that pion reads, in a row.
func symbolsOf(p *rtcp.TransportLayerCC) (symbols []uint16) {
	for _, c := range p.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				symbols = append(symbols, c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			symbols = append(symbols, c.SymbolList...)
		}
	}
	return symbols
}

// likePion fails if pion reads other statuses from b.
func likePion(t *testing.T, b []byte) {
	t.Helper()
	s, err := ReadFeedback(b)
	if err != nil {
		if _, ok := s.Next(); ok {
			t.Fatalf("%x is refused and yields a status", b)
		}
		return
	}
	var p rtcp.TransportLayerCC
	if p.Unmarshal(b) != nil { // pion wants a byte after the last chunk
		for _, ok := s.Next(); ok; _, ok = s.Next() {
			continue
		}
		return
	}
	symbols, deltas, at := symbolsOf(&p), p.RecvDeltas, time.Duration(0)
	if want := int32(p.ReferenceTime<<8) >> 8; s.reference != want {
		t.Fatalf("reference time of %x: got %d, want %d", b, s.reference, want)
	}
	for i := range p.PacketStatusCount {
		got, ok := s.Next()
		if !ok {
			t.Fatalf("status %d of %x is missing", i, b)
		}
		want := Status{Sequence: p.BaseSequenceNumber + i}
		if symbols[i] != rtcp.TypeTCCPacketNotReceived {
			at += time.Duration(deltas[0].Delta) * time.Microsecond
			deltas = deltas[1:]
			want.Received, want.At = true, at
		}
		if got != want {
			t.Fatalf("status %d of %x: got %+v, want %+v", i, b, got, want)
		}
	}
	if got, ok := s.Next(); ok {
		t.Fatalf("one status too many of %x: %+v", b, got)
	}
}

func TestReadFeedback_readsWhatTheRecorderWrites(t *testing.T) {
	r := New()
	for i := range 600 {
		if i%7 != 0 && i/40%3 != 1 {
			r.Record(start.Add(time.Duration(i*i)*731*time.Microsecond), uint16(65_000+i))
		}
	}
	for r.Pending() > 0 {
		b := r.Feedback(nil, 1, 2)
		if _, err := ReadFeedback(b); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		likePion(t, b)
	}
}

func TestReadFeedback_refuses(t *testing.T) {
	r := New()
	for i := range 30 {
		r.Record(start.Add(time.Duration(i)*100*time.Millisecond), uint16(2*i))
	}
	whole := r.Feedback(nil, 1, 2)
	many := append([]byte(nil), whole...)
	binary.BigEndian.PutUint16(many[14:], maxStatuses+1)
	odd := append([]byte(nil), whole...)
	odd[headerSize] |= 0x60 | 0x80
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"half a header":       whole[:headerSize-1],
		"no chunks":           whole[:headerSize],
		"no deltas":           whole[:headerSize+10],
		"too many":            many,
		"reserved status":     odd,
		"reserved status (1)": {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 1, 0, 0},
	} {
		if s, err := ReadFeedback(b); !errors.Is(err, ErrFeedback) {
			t.Errorf("%s: got %v, want ErrFeedback", name, err)
		} else if _, ok := s.Next(); ok {
			t.Errorf("%s: yields a status", name)
		}
	}
}

func FuzzReadFeedback(f *testing.F) {
	r := New()
	for i := range 100 {
		if i%5 != 0 {
			r.Record(start.Add(time.Duration(i*i)*time.Millisecond), uint16(i))
		}
	}
	for r.Pending() > 0 {
		f.Add(r.Feedback(nil, 1, 2))
	}
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(likePion)
}
