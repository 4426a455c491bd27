package challenge

import (
	"encoding/binary"
	"errors"
)

// Every message is a version byte and then fixed fields, big endian, so that a
// value has one form (spec Q10).
const version = 1

var errShort = errors.New("cut short")

// reader takes fields off a message. After the first that is not there, all read
// as zero and err is set.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.err = errShort
	}
	if r.err != nil {
		return make([]byte, n)
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) fill(to []byte) { copy(to, r.take(len(to))) }
func (r *reader) u8() uint8      { return r.take(1)[0] }
func (r *reader) u16() uint16    { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32    { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64    { return binary.BigEndian.Uint64(r.take(8)) }

// flag reads a byte that is 0 or 1.
func (r *reader) flag() bool {
	b := r.u8()
	if b > 1 && r.err == nil {
		r.err = errors.New("a flag is neither 0 nor 1")
	}
	return b == 1
}

// begin reads the version.
func (r *reader) begin() {
	if v := r.u8(); v != version && r.err == nil {
		r.err = errors.New("another version")
	}
}

// end says what was wrong, bytes that nothing took included.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("bytes are left over")
	}
	return r.err
}

func appendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}
