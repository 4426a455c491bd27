package receipt

import (
	"encoding/binary"
	"fmt"
)

// reader takes fields off bytes. After the first error it gives zeroes.
type reader struct {
	left []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.left) {
		if r.err == nil {
			r.err = fmt.Errorf("%w: it ends early", ErrMalformed)
		}
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint16() int {
	if b := r.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// number is a varint below 2^62.
func (r *reader) number() uint64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.left)
	if size <= 0 || n >= MaxBytes {
		r.err = fmt.Errorf("%w: a number is cut off or out of range", ErrMalformed)
		return 0
	}
	r.left = r.left[size:]
	return n
}

func (r *reader) address() (a [20]byte) {
	copy(a[:], r.take(len(a)))
	return a
}

func (r *reader) text(limit int) string {
	n := r.number()
	if r.err == nil && n > uint64(limit) {
		r.err = fmt.Errorf("%w: a text has %d bytes, at most %d", ErrMalformed, n, limit)
	}
	return string(r.take(int(min(n, MaxBytes))))
}

func (r *reader) counters() Counters { return Counters{Client: r.number(), Relay: r.number()} }

func (r *reader) signed() (s Signed) {
	s.Application, s.Orchestrator, s.Node = r.address(), r.address(), r.address()
	s.Epoch, s.Sequence, s.Client, s.Relay = r.uint64(), r.uint64(), r.uint64(), r.uint64()
	copy(s.Signature[:], r.take(len(s.Signature)))
	if r.err == nil && !s.valid() {
		r.err = fmt.Errorf("%w: bytes of a receipt: want below 2^62 each, got %d and %d", ErrMalformed, s.Client, s.Relay)
	}
	return s
}

// end fails if something is left.
func (r *reader) end() error {
	if r.err == nil && len(r.left) > 0 {
		r.err = fmt.Errorf("%w: %d bytes too many", ErrMalformed, len(r.left))
	}
	return r.err
}

func appendNumber(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func appendText(b []byte, s string) []byte { return append(appendNumber(b, uint64(len(s))), s...) }

func appendCounters(b []byte, c Counters) []byte {
	return appendNumber(appendNumber(b, c.Client), c.Relay)
}
