package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/drtc-network/drtc/orchestrator/state"
)

const (
	format  = "drtc orchestrator backup"
	maxLine = 1 << 20 // a value of the greatest size in base64 and its key
)

// Why Read refuses. Compare with errors.Is.
var (
	// ErrFormat: this is no back-up, or one of another schema.
	ErrFormat = errors.New("backup: not a back-up that this version reads")
	// ErrDamaged: the file was cut or changed.
	ErrDamaged = errors.New("backup: the file is damaged")
	// ErrNotEmpty: the Store has a key of the file already.
	ErrNotEmpty = errors.New("backup: the store is not empty")
)

type header struct {
	Format string    `json:"format"`
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
}

type entry struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

type trailer struct {
	Entries int    `json:"entries"`
	SHA256  string `json:"sha256"`
}

// Write puts all entries into out, but for those under the prefixes of skip. It
// returns how many.
func Write(ctx context.Context, s state.KV, out io.Writer, schema int, at time.Time, skip ...string) (entries int, err error) {
	found, err := s.List(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("backup: listing the store: %w", err)
	}
	sum := sha256.New()
	buffered := bufio.NewWriter(out)
	lines := json.NewEncoder(io.MultiWriter(buffered, sum))
	if err := lines.Encode(header{Format: format, Schema: schema, At: at.UTC()}); err != nil {
		return 0, fmt.Errorf("backup: writing: %w", err)
	}
	for _, e := range found {
		if skipped(e.Key, skip) {
			continue
		}
		if err := lines.Encode(entry{Key: e.Key, Value: e.Value}); err != nil {
			return entries, fmt.Errorf("backup: writing: %w", err)
		}
		entries++
	}
	last := json.NewEncoder(buffered)
	err = last.Encode(trailer{Entries: entries, SHA256: hex.EncodeToString(sum.Sum(nil))})
	if err = errors.Join(err, buffered.Flush()); err != nil {
		return entries, fmt.Errorf("backup: writing: %w", err)
	}
	return entries, nil
}

func skipped(key string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// Read puts the entries of a file into a Store that has none of their keys. in
// is read twice: once to see that it is whole.
func Read(ctx context.Context, s state.KV, in io.ReadSeeker, schema int) (entries int, err error) {
	missing := func(e entry) error {
		if _, err := s.Get(ctx, e.Key); !errors.Is(err, state.ErrNotFound) {
			if err == nil {
				err = fmt.Errorf("%w: it has %s: restore into an empty one", ErrNotEmpty, e.Key)
			}
			return err
		}
		return nil
	}
	if _, err := scan(in, schema, missing); err != nil {
		return 0, err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("backup: reading again: %w", err)
	}
	return scan(in, schema, func(e entry) error {
		_, err := s.Create(ctx, e.Key, e.Value)
		return err
	})
}

// scan hands the entries to each and holds the file against its last line.
func scan(in io.Reader, schema int, each func(entry) error) (entries int, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	lines.Split(whole)
	sum := sha256.New()
	if err := first(lines, sum, schema); err != nil {
		return 0, err
	}
	for lines.Scan() {
		line := lines.Bytes()
		if bytes.HasPrefix(line, []byte(`{"entries":`)) {
			return entries, last(lines, line, entries, hex.EncodeToString(sum.Sum(nil)))
		}
		sum.Write(line)
		sum.Write([]byte("\n"))
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return entries, fmt.Errorf("%w: entry %d: %w", ErrDamaged, entries+1, err)
		}
		if err := errors.Join(state.CheckKey(e.Key), state.CheckValue(e.Value)); err != nil {
			return entries, fmt.Errorf("%w: entry %d: %w", ErrDamaged, entries+1, err)
		}
		if err := each(e); err != nil {
			return entries, fmt.Errorf("backup: entry %d: %w", entries+1, err)
		}
		entries++
	}
	if err := lines.Err(); err != nil {
		return entries, fmt.Errorf("%w: after entry %d: %w", ErrDamaged, entries, err)
	}
	return entries, fmt.Errorf("%w: it ends after entry %d", ErrDamaged, entries)
}

// whole splits into lines that end; a last one that does not is left out.
func whole(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

func first(lines *bufio.Scanner, sum io.Writer, schema int) error {
	if !lines.Scan() {
		return fmt.Errorf("%w: it has no first line", ErrFormat)
	}
	var h header
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Format != format {
		return fmt.Errorf("%w: the first line does not say %q", ErrFormat, format)
	}
	if h.Schema != schema {
		return fmt.Errorf("%w: it has schema %d and this version reads %d", ErrFormat, h.Schema, schema)
	}
	_, err := fmt.Fprintf(sum, "%s\n", lines.Bytes())
	return err
}

func last(lines *bufio.Scanner, line []byte, entries int, sum string) error {
	var t trailer
	if err := json.Unmarshal(line, &t); err != nil {
		return fmt.Errorf("%w: the last line: %w", ErrDamaged, err)
	}
	if t.Entries != entries || t.SHA256 != sum {
		return fmt.Errorf("%w: the last line names %d entries, there are %d, or the digest differs", ErrDamaged, t.Entries, entries)
	}
	if lines.Scan() {
		return fmt.Errorf("%w: it goes on after its last line", ErrDamaged)
	}
	return nil
}
