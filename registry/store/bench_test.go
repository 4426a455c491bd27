package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// likeReal makes a record of about 420 bytes that compresses as badly as a
// signed one: keys, fingerprints and signatures are random.
func likeReal(random *rand.ChaCha8, id drtc.NodeID, seq uint64) envelope.Envelope {
	var key [33]byte
	var fingerprint [32]byte
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "devnet", Subject: id, Issuer: id, Seq: seq,
		IssuedAt: time.UnixMilli(1790000000000 + int64(seq)).UTC(), TTL: 300 * time.Second,
	}
	random.Read(key[:])
	random.Read(fingerprint[:])
	random.Read(e.Signature[:])
	e.Body = fmt.Appendf(nil, "0x%x EU 50.1109,8.6821 https://203.0.113.%d:7443 %s %s 0.9.1 vp8 h264 opus 203.0.113.%d:7882 Frankfurt",
		id, id[0], hex.EncodeToString(key[:]), fingerprint, id[0])
	return e
}

func diskBytes(tb testing.TB, dir string) (size int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // gone meanwhile
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return size
}

// resident is the memory of the process, with what the storage engine takes
// outside of Go's heap.
func resident(tb testing.TB) float64 {
	tb.Helper()
	runtime.GC()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		tb.Fatal(err)
	}
	return float64(kB) / 1024
}

// BenchmarkStore_rewrites is b.N updates over so many records in batches of 200,
// each on disk before the next. The whole figure:
//
//	go test ./registry/store -run '^$' -bench rewrites -benchtime 1000000x
func BenchmarkStore_rewrites(b *testing.B) {
	for _, records := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(records), func(b *testing.B) { benchRewrites(b, records) })
	}
}

func benchRewrites(b *testing.B, records int) {
	dir := b.TempDir()
	s, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	ids := make([]drtc.NodeID, records)
	for i := range ids {
		random.Read(ids[i][:])
	}
	var live, peak int64
	var early float64
	for done := 0; done < b.N; {
		batch := make([]envelope.Envelope, 0, 200)
		for range min(200, b.N-done) {
			batch = append(batch, likeReal(random, ids[random.Uint64()%uint64(records)], uint64(done)))
			done++
		}
		live = int64(records * (len(batch[0].Bytes()) + 47))
		if err := write(s, batch, nil); err != nil {
			b.Fatal(err)
		}
		if done%(max(b.N/50, 200)/200*200) == 0 {
			peak = max(peak, diskBytes(b, dir))
			if early == 0 && done >= b.N/10 {
				b.StopTimer()
				early = resident(b)
				b.StartTimer()
			}
		}
	}
	b.StopTimer()
	m := s.db.Metrics()
	total := m.Total()
	b.ReportMetric(float64(live)/1e6, "MB-live")
	b.ReportMetric(float64(diskBytes(b, dir))/1e6, "MB-disk")
	b.ReportMetric(float64(peak)/1e6, "MB-disk-peak")
	b.ReportMetric(float64(total.TableBytesFlushed+total.TableBytesCompacted)/float64(m.WAL.BytesWritten), "written/logged")
	b.ReportMetric(early, "MB-memory-at-tenth")
	b.ReportMetric(resident(b), "MB-memory-at-end")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(diskBytes(b, dir))/1e6, "MB-disk-closed")
}

// BenchmarkStore_each is what reading costs a restart with 100,000 records: open,
// read, parse and close.
func BenchmarkStore_each(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	const records = 100_000
	for done := 0; done < records; {
		var batch []envelope.Envelope
		for range 500 {
			var id drtc.NodeID
			random.Read(id[:])
			batch = append(batch, likeReal(random, id, 1))
			done++
		}
		if err := s.Commit(Batch{Put: batch, NoWait: true}); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(s.db.Compact(b.Context(), []byte(recordPrefix), []byte(recordEnd), false), s.Close()); err != nil {
		b.Fatal(err)
	}
	before := cpuSeconds(b)
	for b.Loop() {
		s, err := Open(dir, "devnet", slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		var read atomic.Int64
		err = s.Each(b.Context(), runtime.GOMAXPROCS(0), func(envelope.Envelope) error {
			read.Add(1)
			return nil
		})
		if err != nil || read.Load() != records {
			b.Fatalf("%d records, %v", read.Load(), err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuSeconds(b)-before)/float64(b.N), "CPU-s/op")
}

func cpuSeconds(tb testing.TB) float64 {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
