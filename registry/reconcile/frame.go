package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// version of the protocol, in the first frame.
const version = 1

// The first byte of a frame.
const (
	frameRoot    = 1  // version, root
	frameSame    = 2  // nothing differs
	frameGroups  = 3  // the hash of every group
	frameNeed    = 4  // a bit for each group
	frameLeaves  = 5  // group, the hash of its leaves; several
	frameRecords = 6  // length, canonical bytes; several
	frameOffer   = 7  // ranges of ids and the items held in them
	frameWant    = 8  // ids of offered items, perhaps none
	frameMore    = 9  // ends a turn that will go on
	frameGo      = 10 // lets it go on
	frameBye     = 11 // why: finished or cut short
)

// Why a session ends.
const (
	byeFinished = 0
	byeCut      = 1
)

const (
	leavesPerGroup = record.Leaves / record.Groups
	// partial is set in the number of a leaf of which an offer covers a part.
	partial = 1 << 15
)

// span is a range of ids, both ends included, that an offer covers.
type span struct {
	first, last record.ItemID
	items       []record.Item // ascending
}

// wholeLeaf is the span of all ids of leaf l.
func wholeLeaf(l int) span {
	var s span
	for i := range s.last {
		s.last[i] = 0xff
	}
	binary.BigEndian.PutUint16(s.first[:], uint16(l)<<4)
	binary.BigEndian.PutUint16(s.last[:], uint16(l)<<4|0xf)
	return s
}

func (s *span) isWhole() bool {
	w := wholeLeaf(s.first.Leaf())
	return s.first == w.first && s.last == w.last
}

func appendSpan(b []byte, s span) []byte {
	l := uint16(s.first.Leaf())
	if s.isWhole() {
		b = binary.BigEndian.AppendUint16(b, l)
	} else {
		b = binary.BigEndian.AppendUint16(b, l|partial)
		b = append(b, s.first[:]...)
		b = append(b, s.last[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(s.items)))
	for i := range s.items {
		b = appendItem(b, s.items[i])
	}
	return b
}

func appendItem(b []byte, it record.Item) []byte {
	b = append(b, it.ID[:]...)
	b = binary.AppendUvarint(b, it.Version.Generation)
	b = binary.AppendUvarint(b, it.Version.Seq)
	return append(b, it.Hash[:]...)
}

var (
	errShort  = errors.New("is cut short")
	errOrder  = errors.New("names ids out of order")
	errVarint = errors.New("holds a number that is not in its shortest form")
)

// reader takes a frame apart. After an error it yields zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) more() bool { return r.err == nil && len(r.b) > 0 }

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.b) {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) hash() (h [32]byte) {
	copy(h[:], r.take(len(h)))
	return h
}

func (r *reader) id() (id record.ItemID) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	switch {
	case n <= 0:
		r.err = errShort
		return 0
	case n > 1 && r.b[n-1] == 0:
		r.err = errVarint
		return 0
	}
	r.b = r.b[n:]
	return v
}

// end is the error of a frame that should be used up.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		return fmt.Errorf("has %d bytes too many", len(r.b))
	}
	return r.err
}

// readSpan reads one span of an offer. It allocates no more than the frame holds.
func (r *reader) readSpan() span {
	l := r.uint16()
	s := wholeLeaf(int(l &^ partial))
	if l&^partial >= record.Leaves {
		r.fail(fmt.Errorf("names leaf %d, which does not exist", l&^partial))
	}
	if l&partial != 0 {
		whole := s
		s.first, s.last = r.id(), r.id()
		if less(s.first, whole.first) || less(whole.last, s.last) || less(s.last, s.first) {
			r.fail(fmt.Errorf("names a part of leaf %d that is not in it", l&^partial))
		}
	}
	count := r.uvarint()
	if count > uint64(len(r.b)) {
		r.fail(errShort)
	}
	for range count {
		it := record.Item{ID: r.id(), Version: envelope.Version{Generation: r.uvarint(), Seq: r.uvarint()}, Hash: r.hash()}
		if r.err != nil {
			break
		}
		if n := len(s.items); less(it.ID, s.first) || less(s.last, it.ID) || n > 0 && !less(s.items[n-1].ID, it.ID) {
			r.fail(errOrder)
			break
		}
		s.items = append(s.items, it)
	}
	return s
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// readRecord reads one record of a page.
func (r *reader) readRecord() envelope.Envelope {
	n := r.uvarint()
	if n > envelope.MaxSize {
		r.fail(fmt.Errorf("holds a record of %d bytes", n))
	}
	b := r.take(int(n))
	if r.err != nil {
		return envelope.Envelope{}
	}
	e, err := envelope.Parse(b)
	if err != nil {
		r.fail(fmt.Errorf("holds a bad record: %w", err))
	}
	return e
}
