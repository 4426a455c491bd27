package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// errFrame is wrapped for a frame that is longer than agreed.
var errFrame = errors.New("gossip: frame is too large")

// writeFrame writes the length of b in 4 bytes, big endian, and b.
func writeFrame(w io.Writer, b []byte) error {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(b)))
	if _, err := w.Write(size[:]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readFrame reads what writeFrame wrote, at most limit bytes. Memory grows with
// what arrives, not with what is announced. io.EOF means that no frame began.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(size[:]))
	if length > int64(limit) {
		return nil, fmt.Errorf("%w: want at most %d bytes, got %d", errFrame, limit, length)
	}
	b, err := io.ReadAll(io.LimitReader(r, length))
	if err == nil && int64(len(b)) < length {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// What these three do to a stream may fail when it has ended by itself. Then
// whoever reads or writes next is told.

func deadline(s network.Stream, at time.Time) { _ = s.SetDeadline(at) }

func finish(s network.Stream) { _ = s.Close() }

func abort(s network.Stream) { _ = s.Reset() }
