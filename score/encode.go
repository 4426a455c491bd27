package score

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

const bookHead = "drtc/score/book/1\n"

// Hash is that of Encode (spec K19).
func (b Book) Hash() [32]byte {
	if b.hash != [32]byte{} {
		return b.hash
	}
	return identity.Keccak256(b.Encode())
}

// Encode is the book in bytes, the same everywhere (spec K19):
//
//	head, next, challengers (count, ids), entries (count, then each:
//	id, seen, standing, waited, good, up, life, supplied,
//	results (count, then each: challenger's place, age, further, quality),
//	reports (count, then each: orchestrator, count, bytes, quality))
//
// Numbers are big endian. Entries, challengers and reports are by id, results
// oldest first.
func (b Book) Encode() []byte {
	places := map[drtc.NodeID]uint32{}
	for _, e := range b.entries {
		for _, h := range e.results {
			places[h.challenger] = 0
		}
	}
	challengers := slices.SortedFunc(maps.Keys(places), compareIDs)
	out := binary.BigEndian.AppendUint64([]byte(bookHead), b.next)
	out = binary.BigEndian.AppendUint32(out, uint32(len(challengers)))
	for i, id := range challengers {
		places[id] = uint32(i)
		out = append(out, id[:]...)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.entries)))
	for _, e := range b.entries {
		out = binary.BigEndian.AppendUint64(append(out, e.id[:]...), e.seen)
		out = append(out, byte(e.standing), e.waited, e.good)
		for _, n := range []uint64{e.up, e.life, e.supplied} {
			out = binary.BigEndian.AppendUint64(out, n)
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(e.results)))
		for _, h := range e.results {
			out = binary.BigEndian.AppendUint32(out, places[h.challenger])
			out = append(out, byte(b.next-h.epoch), bit(h.further))
			out = binary.BigEndian.AppendUint64(out, uint64(h.quality))
		}
		out = append(out, byte(len(e.reports)))
		for _, p := range e.reports {
			out = append(out, p.orchestrator[:]...)
			for _, n := range []uint64{p.count, p.bytes, uint64(p.quality)} {
				out = binary.BigEndian.AppendUint64(out, n)
			}
		}
	}
	return out
}

// Decode reads what Encode wrote and refuses every other spelling. The error wraps
// ErrInvalid.
func Decode(encoded []byte) (Book, error) {
	rest, ok := bytes.CutPrefix(encoded, []byte(bookHead))
	if !ok {
		return Book{}, fmt.Errorf("%w: book: want %q at the start", ErrInvalid, bookHead)
	}
	r := reader{rest: rest}
	b := Book{next: r.uint64()}
	challengers := make([]drtc.NodeID, r.count(20))
	for i := range challengers {
		challengers[i] = r.id()
	}
	for range r.count(20 + 8 + 3 + 24 + 2 + 1) {
		b.entries = append(b.entries, r.entry(b.next, challengers))
	}
	if r.failed {
		return Book{}, fmt.Errorf("%w: book: it ends early or has a value out of range", ErrInvalid)
	}
	for i, e := range b.entries {
		if i > 0 && compareIDs(b.entries[i-1].id, e.id) >= 0 {
			return Book{}, fmt.Errorf("%w: book: entry %s is out of order", ErrInvalid, e.id)
		}
	}
	if !bytes.Equal(b.Encode(), encoded) {
		return Book{}, fmt.Errorf("%w: book: not in its one encoding", ErrInvalid)
	}
	b.hash = identity.Keccak256(encoded)
	return b, nil
}

// reader reads until something does not fit; then it only gives zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || len(r.rest) < n {
		r.failed = true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) id() (id drtc.NodeID) {
	copy(id[:], r.take(len(id)))
	return id
}

// count of elements that have at least so many bytes each.
func (r *reader) count(size int) int {
	n := int(binary.BigEndian.Uint32(r.take(4)))
	if r.check(n <= len(r.rest)/size); r.failed {
		return 0
	}
	return n
}

func (r *reader) check(ok bool) { r.failed = r.failed || !ok }

func (r *reader) bounded(most uint64) uint64 {
	n := r.uint64()
	r.check(n <= most)
	return n
}

func (r *reader) entry(next uint64, challengers []drtc.NodeID) entry {
	e := entry{id: r.id(), seen: r.uint64(), standing: Standing(r.byte()), waited: r.byte(), good: r.byte()}
	r.check(e.seen < next && e.standing <= Quarantined)
	e.up, e.life, e.supplied = r.uint64(), r.bounded(maxCarried), r.bounded(maxCarried)
	r.check(e.up <= e.life)
	results := int(binary.BigEndian.Uint16(r.take(2)))
	for range results {
		if r.failed {
			return e
		}
		place, age, further := binary.BigEndian.Uint32(r.take(4)), uint64(r.byte()), r.byte()
		h := held{further: further == 1, quality: econ.Wad(r.bounded(uint64(econ.One)))}
		r.check(uint64(place) < uint64(len(challengers)) && 0 < age && age <= next && further <= 1)
		if r.failed {
			return e
		}
		h.challenger, h.epoch = challengers[place], next-age
		r.check(len(e.results) == 0 || e.results[len(e.results)-1].epoch <= h.epoch)
		e.results = append(e.results, h)
	}
	for range r.byte() {
		p := report{r.id(), r.bounded(maxCarried), r.bounded(maxCarried), econ.Wad(r.bounded(uint64(econ.One)))}
		n := len(e.reports)
		r.check(p.count > 0 && p.bytes > 0 && (n == 0 || compareIDs(e.reports[n-1].orchestrator, p.orchestrator) < 0))
		if r.failed {
			return e
		}
		e.reports = append(e.reports, p)
	}
	return e
}
