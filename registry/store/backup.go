package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// A back-up is one file, all numbers big-endian:
//
//	"drtc registry backup\n"  version(1) = 1  len(1) network  time(8)
//	then, facts first, each sort in ascending order of its key,
//	  'f' len(1) name  size(4) value
//	  'r'              size(4) canonical envelope bytes
//	'.' facts(8) records(8) SHA-256(32) of everything before the hash
//
// and nothing after it. Time is of the back-up, Unix milliseconds. One state has
// one such file, but for the time.
const (
	backupMagic   = "drtc registry backup\n"
	backupVersion = 1

	entryFact   = 'f'
	entryRecord = 'r'
	entryEnd    = '.'
)

// ErrBackup says that the file is no back-up, is cut short, or is not what was
// written.
var ErrBackup = errors.New("store: not a whole back-up")

// Header is the beginning of a back-up.
type Header struct {
	Network string
	Time    time.Time // when it was made, whole milliseconds
}

// Counts is how much a back-up holds.
type Counts struct {
	Facts, Records uint64
}

// Backup writes the state of one instant to w, while others write to the Store.
func (s *Store) Backup(ctx context.Context, now time.Time, w io.Writer) (Counts, error) {
	snapshot := s.db.NewSnapshot()
	out, err := newBackupWriter(w, Header{s.network, now})
	if err == nil {
		err = each(ctx, snapshot, factPrefix, factEnd, func(key, value []byte) error {
			return out.fact(string(key[len(factPrefix):]), value)
		})
	}
	if err == nil {
		err = each(ctx, snapshot, recordPrefix, recordEnd, func(_, value []byte) error { return out.record(value) })
	}
	if err == nil {
		err = out.end()
	}
	if err = errors.Join(err, snapshot.Close()); err != nil {
		return Counts{}, fmt.Errorf("store: backing up: %w", err)
	}
	return out.counts, nil
}

func each(ctx context.Context, r pebble.Reader, from, to string, visit func(key, value []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte(from), UpperBound: []byte(to)})
	if err != nil {
		return damaged(err)
	}
	for it.First(); it.Valid() && err == nil; it.Next() {
		err = cmp.Or(ctx.Err(), visit(it.Key(), it.Value()))
	}
	return cmp.Or(err, damaged(it.Error()), it.Close())
}

type backupWriter struct {
	buffer *bufio.Writer // into both the file and the hash
	hash   hash.Hash
	file   io.Writer
	counts Counts
}

func newBackupWriter(file io.Writer, h Header) (*backupWriter, error) {
	if len(h.Network) < 1 || len(h.Network) > envelope.MaxName {
		return nil, fmt.Errorf("want a network of 1 to %d bytes, got %.40q", envelope.MaxName, h.Network)
	}
	w := &backupWriter{hash: sha256.New(), file: file}
	w.buffer = bufio.NewWriterSize(io.MultiWriter(file, w.hash), 64<<10)
	b := append([]byte(backupMagic), backupVersion, byte(len(h.Network)))
	b = append(b, h.Network...)
	_, err := w.buffer.Write(binary.BigEndian.AppendUint64(b, uint64(h.Time.UnixMilli())))
	return w, err
}

func (w *backupWriter) fact(name string, value []byte) error {
	w.counts.Facts++
	return w.entry(append([]byte{entryFact, byte(len(name))}, name...), value)
}

func (w *backupWriter) record(value []byte) error {
	w.counts.Records++
	return w.entry([]byte{entryRecord}, value)
}

func (w *backupWriter) entry(head, value []byte) error {
	_, err := w.buffer.Write(binary.BigEndian.AppendUint32(head, uint32(len(value))))
	if err != nil {
		return err
	}
	_, err = w.buffer.Write(value)
	return err
}

func (w *backupWriter) end() error {
	b := binary.BigEndian.AppendUint64([]byte{entryEnd}, w.counts.Facts)
	if _, err := w.buffer.Write(binary.BigEndian.AppendUint64(b, w.counts.Records)); err != nil {
		return err
	}
	if err := w.buffer.Flush(); err != nil {
		return err
	}
	_, err := w.file.Write(w.hash.Sum(nil))
	return err
}

// Entry is a fact if Fact is not empty, otherwise a record as it lies in the
// file, of which only the size is checked. Value is the receiver's.
type Entry struct {
	Fact  string
	Value []byte
}

// BackupReader reads a back-up from one end to the other. What Next has returned
// is only to be believed when Next has also returned io.EOF.
type BackupReader struct {
	in     *bufio.Reader
	hash   hash.Hash
	header Header
	counts Counts
	last   string // name of the last fact
}

// NewBackupReader reads the beginning. The error wraps ErrBackup, or is that of
// reading r.
func NewBackupReader(r io.Reader) (*BackupReader, error) {
	b := &BackupReader{in: bufio.NewReaderSize(r, 64<<10), hash: sha256.New()}
	magic, err := b.take(len(backupMagic) + 2)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(magic, []byte(backupMagic)) {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrBackup, backupMagic)
	}
	if v := magic[len(backupMagic)]; v != backupVersion {
		return nil, fmt.Errorf("%w: it has version %d and this program reads %d: use the program that wrote it", ErrBackup, v, backupVersion)
	}
	size := int(magic[len(backupMagic)+1])
	if size < 1 || size > envelope.MaxName {
		return nil, fmt.Errorf("%w: network: want 1 to %d bytes, got %d", ErrBackup, envelope.MaxName, size)
	}
	rest, err := b.take(size + 8)
	if err != nil {
		return nil, err
	}
	b.header = Header{string(rest[:size]), time.UnixMilli(int64(binary.BigEndian.Uint64(rest[size:]))).UTC()}
	return b, nil
}

// Header returns the beginning.
func (b *BackupReader) Header() Header { return b.header }

// Counts is how much Next has returned so far.
func (b *BackupReader) Counts() Counts { return b.counts }

// Next returns the next entry, and io.EOF after the last if the file is whole.
// Other errors wrap ErrBackup, or are those of reading.
func (b *BackupReader) Next() (Entry, error) {
	tag, err := b.take(1)
	if err != nil {
		return Entry{}, err
	}
	switch tag[0] {
	case entryFact:
		return b.fact()
	case entryRecord:
		b.counts.Records++
		value, err := b.sized(envelope.MaxSize)
		return Entry{Value: value}, err
	case entryEnd:
		return Entry{}, b.end()
	}
	return Entry{}, fmt.Errorf("%w: after %d records: unknown sort of entry %q", ErrBackup, b.counts.Records, tag)
}

// Network is whose records these are.
func (b *BackupReader) Network() string { return b.header.Network }

// EachRaw reads what is left and calls each with every record, damaged or not,
// from as many goroutines at once, in no order. Facts are left out. An error
// that wraps ErrBackup may come after every record.
func (b *BackupReader) EachRaw(ctx context.Context, workers int, each func(Raw) error) error {
	return fanOut(ctx, workers, inChunks(each), func(send func([]Raw) bool) error {
		return b.chunks(send, func(Fact) error { return nil })
	})
}

// chunks reads all that is left. send reports whether to go on.
func (b *BackupReader) chunks(send func([]Raw) bool, fact func(Fact) error) error {
	var c []Raw
	var last []byte
	for {
		e, err := b.Next()
		if errors.Is(err, io.EOF) {
			if len(c) > 0 {
				send(c)
			}
			return nil
		}
		if err == nil && e.Fact != "" {
			err = fact(Fact{e.Fact, e.Value})
		}
		if err != nil {
			return err
		}
		if e.Fact != "" {
			continue
		}
		r := Raw{Value: e.Value, number: b.counts.Records}
		if key, ok := keyOf(e.Value); ok {
			r.astray = string(key) <= string(last)
			last = key
		}
		if c = append(c, r); len(c) == chunkSize {
			if !send(c) {
				return nil
			}
			c = make([]Raw, 0, chunkSize)
		}
	}
}

func keyOf(value []byte) ([]byte, bool) {
	e, err := envelope.Parse(value)
	return keyBytes(record.KeyOf(&e)), err == nil
}

func (b *BackupReader) fact() (Entry, error) {
	size, err := b.take(1)
	if err != nil {
		return Entry{}, err
	}
	text, err := b.take(int(size[0]))
	if err != nil {
		return Entry{}, err
	}
	name := string(text)
	if len(name) < 1 || len(name) > MaxFactName || name <= b.last || b.counts.Records > 0 {
		return Entry{}, fmt.Errorf("%w: fact %.80q: want 1 to %d bytes, in ascending order, before all records", ErrBackup, name, MaxFactName)
	}
	b.last = name
	b.counts.Facts++
	value, err := b.sized(MaxFact)
	return Entry{Fact: name, Value: value}, err
}

// sized takes a size and as many bytes.
func (b *BackupReader) sized(limit int) ([]byte, error) {
	head, err := b.take(4)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > uint32(limit) {
		return nil, fmt.Errorf("%w: after %d records: an entry of %d bytes, at most %d are possible", ErrBackup, b.counts.Records, size, limit)
	}
	return b.take(int(size))
}

func (b *BackupReader) end() error {
	head, err := b.take(16)
	if err != nil {
		return err
	}
	if c := (Counts{binary.BigEndian.Uint64(head), binary.BigEndian.Uint64(head[8:])}); c != b.counts {
		return fmt.Errorf("%w: it says to hold %d facts and %d records and holds %d and %d", ErrBackup, c.Facts, c.Records, b.counts.Facts, b.counts.Records)
	}
	want := b.hash.Sum(nil)
	got, err := b.take(sha256.Size)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return fmt.Errorf("%w: its bytes have SHA-256 %x and it says %x", ErrBackup, want, got)
	}
	if _, err := b.in.ReadByte(); err == nil {
		return fmt.Errorf("%w: there is more after its end", ErrBackup)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("store: reading a back-up: %w", err)
	}
	return io.EOF
}

// take reads n bytes, at most MaxFact. Memory is taken as bytes arrive: a file
// that lies about a size costs nothing.
func (b *BackupReader) take(n int) ([]byte, error) {
	buffer := bytes.NewBuffer([]byte{})
	got, err := io.CopyN(io.MultiWriter(buffer, b.hash), b.in, int64(n))
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it is cut short after %d records: %d of %d bytes", ErrBackup, b.counts.Records, got, n)
	}
	if err != nil {
		return nil, fmt.Errorf("store: reading a back-up: %w", err)
	}
	return buffer.Bytes(), nil
}
