package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/record"
)

func signed(t testing.TB, key byte, network string) envelope.Envelope {
	t.Helper()
	k, err := identity.ParseKey(fmt.Sprintf("0x%064x", int(key)+1))
	if err != nil {
		t.Fatal(err)
	}
	e := envelope.Envelope{
		Kind: record.KindNode, Network: network, Subject: k.ID(), Seq: 7,
		IssuedAt: time.UnixMilli(1790000000000).UTC(), TTL: 300 * time.Second, Body: []byte{key},
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

var backupTime = time.UnixMilli(1790000001234).UTC()

// filled is a Store of three facts and ten records, and its back-up.
func filled(t testing.TB) (*Store, []byte) {
	t.Helper()
	s, err := Open(t.TempDir(), "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := Batch{Facts: []Fact{{"contacts", []byte("a, b")}, {"empty", []byte{}}, {"seq", []byte("41")}}}
	for key := range byte(10) {
		b.Put = append(b.Put, signed(t, key, "devnet"))
	}
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	counts, err := s.Backup(t.Context(), backupTime, &file)
	if err != nil || counts != (Counts{Facts: 3, Records: 10}) {
		t.Fatalf("backed up %+v, %v", counts, err)
	}
	return s, file.Bytes()
}

func restore(t *testing.T, file []byte, dir, network string) (Header, Counts, error) {
	t.Helper()
	return Restore(t.Context(), bytes.NewReader(file), dir, network, slog.New(slog.DiscardHandler))
}

func TestBackup_restoresToTheSame(t *testing.T) {
	s, file := filled(t)
	want, err := allOf(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"new": filepath.Join(t.TempDir(), "a", "records"), "empty": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(filepath.Join(dir+".restoring", "left by one that was killed"), 0o700); err != nil {
				t.Fatal(err)
			}
			h, counts, err := restore(t, file, dir, "devnet")
			if err != nil || h != (Header{"devnet", backupTime}) || counts != (Counts{3, 10}) {
				t.Fatalf("got %+v, %+v, %v", h, counts, err)
			}
			if _, err := os.Stat(dir + ".restoring"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the temporary directory is still there: %v", err)
			}
			r := openAt(t, dir)
			defer r.Close()
			sameRecords(t, r, want...)
			if v, ok, err := r.Fact("empty"); len(v) != 0 || !ok || err != nil {
				t.Errorf("empty fact: got %q, %v, %v", v, ok, err)
			}
			var again bytes.Buffer
			if _, err := r.Backup(t.Context(), backupTime, &again); err != nil || !bytes.Equal(again.Bytes(), file) {
				t.Errorf("the back-up of what was restored is another file (%v)", err)
			}
		})
	}
}

// The state of one instant is written, whatever is written to the Store meanwhile.
func TestBackup_isOfOneInstant(t *testing.T) {
	s := openAt(t, t.TempDir())
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := s.Commit(Batch{Put: numbered(n), Facts: []Fact{{"last", fmt.Append(nil, n)}}, NoWait: true}); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 20 {
		var file bytes.Buffer
		if _, err := s.Backup(t.Context(), backupTime, &file); err != nil {
			t.Fatal(err)
		}
		in, err := NewBackupReader(&file)
		if err != nil {
			t.Fatal(err)
		}
		var last, newest uint64
		for {
			e, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Fact != "" {
				if _, err := fmt.Sscan(string(e.Value), &last); err != nil {
					t.Fatal(err)
				}
				continue
			}
			r, err := envelope.Parse(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			newest = max(newest, r.Seq)
		}
		if c := in.Counts(); newest != last || c.Records != min(last, writerSize)*writerKeys {
			t.Errorf("newest record is of batch %d and there are %d, but the last batch was %d", newest, c.Records, last)
		}
	}
	close(stop)
	if err := errors.Join(<-ended, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// craft makes a back-up with a true trailer.
func craft(t *testing.T, network string, write func(*backupWriter) error) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := newBackupWriter(&file, Header{network, backupTime})
	if err := errors.Join(err, write(w), w.end()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestRestore_refusesAndLeavesNothing(t *testing.T) {
	_, file := filled(t)
	one, two := signed(t, 1, "devnet"), signed(t, 2, "devnet")
	if string(keyBytes(record.KeyOf(&one))) > string(keyBytes(record.KeyOf(&two))) {
		one, two = two, one
	}
	forged, foreign := one, signed(t, 1, "main")
	forged.Seq++
	records := func(list ...envelope.Envelope) []byte {
		return craft(t, "devnet", func(w *backupWriter) error {
			for i := range list {
				if err := w.record(list[i].Bytes()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	tests := map[string]struct {
		file    []byte
		network string
		want    error
		says    string
	}{
		"another network":       {file, "main", ErrNetwork, `belongs to "devnet", not to "main"`},
		"record of another one": {records(foreign), "", ErrNetwork, `store: network: it belongs to "main" and the back-up to "devnet"`},
		"forged, twice":         {records(one, forged), "", ErrBackup, "record 2"},
		"forged alone":          {records(forged), "", envelope.ErrSignature, "record 1, node about " + one.Subject.String()},
		"twice":                 {records(one, one), "", ErrBackup, "record 2"},
		"wrong order":           {records(two, one), "", ErrBackup, "ascending order"},
		"no record":             {craft(t, "devnet", func(w *backupWriter) error { return w.record([]byte("x")) }), "", ErrBackup, "record 1: envelope"},
		"fact after records": {craft(t, "devnet", func(w *backupWriter) error {
			return errors.Join(w.record(one.Bytes()), w.fact("a", nil))
		}), "", ErrBackup, `fact "a"`},
		"facts out of order": {craft(t, "devnet", func(w *backupWriter) error {
			return errors.Join(w.fact("b", nil), w.fact("a", nil))
		}), "", ErrBackup, `fact "a"`},
		"wrong count":   {craft(t, "devnet", func(w *backupWriter) error { w.counts.Records++; return nil }), "", ErrBackup, "says to hold 0 facts and 1 records and holds 0 and 0"},
		"huge entry":    {craft(t, "devnet", func(w *backupWriter) error { return w.record(make([]byte, envelope.MaxSize+1)) }), "", ErrBackup, "at most"},
		"empty":         {nil, "", ErrBackup, "cut short"},
		"something":     {[]byte(strings.Repeat("something else ", 10)), "", ErrBackup, "does not begin with"},
		"later version": {bytes.Replace(file, []byte("backup\n\x01"), []byte("backup\n\x02"), 1), "", ErrBackup, "use the program that wrote it"},
		"more after it": {append(bytes.Clone(file), 0), "", ErrBackup, "more after its end"},
		"no network":    {bytes.Replace(file, []byte("\x06devnet"), []byte("\x00devnet"), 1), "", ErrBackup, "network: want 1 to"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			_, _, err := restore(t, tt.file, filepath.Join(parent, "records"), tt.network)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v that says %q", err, tt.want, tt.says)
			}
			if left := names(t, parent); len(left) > 0 {
				t.Errorf("it left %v behind", left)
			}
		})
	}
}

// Whichever byte is another, and wherever the file ends, it is noticed.
func TestBackupReader_noticesAnyDamage(t *testing.T) {
	_, file := filled(t)
	read := func(b []byte) error {
		in, err := NewBackupReader(bytes.NewReader(b))
		for err == nil {
			_, err = in.Next()
		}
		return err
	}
	if err := read(file); !errors.Is(err, io.EOF) {
		t.Fatalf("the file itself: %v", err)
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		if err := read(bad); !errors.Is(err, ErrBackup) {
			t.Errorf("byte %d changed: got %v, want ErrBackup", i, err)
		}
		if err := read(file[:i]); !errors.Is(err, ErrBackup) {
			t.Errorf("cut to %d bytes: got %v, want ErrBackup", i, err)
		}
	}
}

func TestRestore_refusesADirectoryWithSomethingIn(t *testing.T) {
	s, file := filled(t)
	want, err := allOf(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "records")
	if _, _, err := restore(t, file, dir, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := restore(t, file, dir, ""); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrNotEmpty that names the directory", err)
	}
	r := openAt(t, dir)
	defer r.Close()
	sameRecords(t, r, want...)
}

func TestBackupFile_replacesOnlyWithAWholeOne(t *testing.T) {
	s, want := filled(t)
	path := filepath.Join(t.TempDir(), "backup")
	for range 2 {
		if _, err := s.BackupFile(t.Context(), backupTime, path); err != nil {
			t.Fatal(err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.BackupFile(cancelled, backupTime, path); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes, want %d (%v)", len(got), len(want), err)
	}
	if left := names(t, filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

func TestBackupEvery_goesOnAfterAFailure(t *testing.T) {
	s, _ := filled(t)
	parent := filepath.Join(t.TempDir(), "later")
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.BackupEvery(ctx, filepath.Join(parent, "backup"), time.Millisecond, func(_ Counts, err error) { results <- err })
	}()
	if err := <-results; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: got %v", err)
	}
	if err := os.Mkdir(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	for err := range results { // one failure may be on its way
		if err == nil {
			break
		}
	}
	cancel()
	for {
		select {
		case <-results:
			continue
		case <-ended:
		}
		break
	}
	if in, err := os.ReadFile(filepath.Join(parent, "backup")); err != nil || !bytes.HasPrefix(in, []byte(backupMagic)) {
		t.Errorf("back-up: %d bytes, %v", len(in), err)
	}
}

// What the reader accepts it gives back in full: written again it is the same
// file.
func FuzzBackupReader(f *testing.F) {
	_, file := filled(f)
	f.Add(file)
	f.Add(file[:100])
	f.Add([]byte(backupMagic))
	f.Add(append([]byte(backupMagic+"\x01\x01x12345678r\xff\xff\xff\xff"), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A hash cannot be guessed, so the fuzzer gets a true one.
		if len(b) > sha256.Size {
			sum := sha256.Sum256(b[:len(b)-sha256.Size])
			b = append(bytes.Clone(b[:len(b)-sha256.Size]), sum[:]...)
		}
		in, err := NewBackupReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w, err := newBackupWriter(&again, in.Header())
		if err != nil {
			t.Fatalf("read a header that cannot be written: %v", err)
		}
		for {
			e, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			if e.Fact != "" {
				err = w.fact(e.Fact, e.Value)
			} else {
				err = w.record(e.Value)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Errorf("accepted %d bytes that are not what they would be written as (%v); header time %x", len(b), err, binary.BigEndian.AppendUint64(nil, uint64(in.Header().Time.UnixMilli())))
		}
	})
}
