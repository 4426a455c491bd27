package simulation_test

import (
	"bytes"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/internal/netsim"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/simulation"
)

var epoch = time.UnixMilli(1790000000000).UTC()

// nodeBytes is about what a Media Node says of itself.
const nodeBytes = 300

func newSet(b *testing.B) *record.Set {
	b.Helper()
	rules := record.DefaultRules("simnet")
	rules.Kinds = []record.Kind{record.NodeKind(nil)}
	s, err := record.New(rules)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// unsigned is a record of node n that only a Set that does not verify would take.
func unsigned(n int, version uint64, at time.Time) envelope.Envelope {
	id := drtc.NodeID{0: byte(n >> 16), 1: byte(n >> 8), 2: byte(n), 19: 1}
	return envelope.Envelope{
		Kind: record.KindNode, Network: "simnet", Subject: id, Issuer: id, Seq: version,
		IssuedAt: at, TTL: 5 * time.Minute, Body: bytes.Repeat([]byte{byte(version)}, nodeBytes),
	}
}

func keys(b *testing.B, n int) []*identity.Key {
	b.Helper()
	all := make([]*identity.Key, n)
	for i := range all {
		seed := [32]byte{0: 'b', 29: byte(i >> 16), 30: byte(i >> 8), 31: byte(i)}
		key, err := identity.Generate(bytes.NewReader(seed[:]))
		if err != nil {
			b.Fatal(err)
		}
		all[i] = key
	}
	return all
}

func signed(b *testing.B, key *identity.Key, version uint64, at time.Time) envelope.Envelope {
	b.Helper()
	e := unsigned(0, version, at)
	e.Subject = key.ID()
	if err := e.Sign(key); err != nil {
		b.Fatal(err)
	}
	return e
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpu is what this process has used so far, in all threads.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A million updates of 10,000 records, each every 100 s of virtual time, leave
// the heap as it was after the first round.
func BenchmarkMerge_aMillionUpdates(b *testing.B) {
	const nodes, rounds = 10_000, 100
	for b.Loop() {
		s, now := newSet(b), epoch
		base := heap()
		var first, last uint64
		begin := cpu(b)
		for round := range uint64(rounds) {
			for n := range nodes {
				e := unsigned(n, round+1, now)
				if outcome, err := s.Judge(now, &e, record.Gossiped); outcome != record.Stored || err != nil {
					b.Fatalf("round %d: %s, %v", round, outcome, err)
				}
				if outcome, err := s.Merge(now, e, record.Gossiped); outcome != record.Stored || err != nil {
					b.Fatalf("round %d: %s, %v", round, outcome, err)
				}
				now = now.Add(10 * time.Millisecond)
			}
			s.Expire(now)
			s.Root()
			if round == 0 {
				first = heap() - base
			}
		}
		spent := cpu(b) - begin
		last = heap() - base
		if s.Len() != nodes {
			b.Fatalf("it holds %d records, want %d", s.Len(), nodes)
		}
		if float64(last) > 1.1*float64(first) {
			b.Errorf("the heap grew from %d to %d bytes", first, last)
		}
		b.ReportMetric(float64(first)/nodes, "heap-B/record-first")
		b.ReportMetric(float64(last)/nodes, "heap-B/record-last")
		b.ReportMetric(spent.Seconds(), "CPU-s")
	}
}

// 100,000 updates of 10,000 records as a Registry takes them from others.
func BenchmarkVerify_100000Updates(b *testing.B) {
	const nodes, rounds = 10_000, 10
	issuers := keys(b, nodes)
	for b.Loop() {
		s, now := newSet(b), epoch
		var spent time.Duration
		for round := range uint64(rounds) {
			batch := make([]envelope.Envelope, nodes)
			for n := range batch {
				batch[n] = signed(b, issuers[n], round+1, now)
			}
			begin := cpu(b)
			for n := range batch {
				if _, err := s.Judge(now, &batch[n], record.Gossiped); err != nil {
					b.Fatal(err)
				}
				if err := s.Genuine(&batch[n]); err != nil {
					b.Fatal(err)
				}
				if outcome, err := s.Merge(now, batch[n], record.Gossiped); outcome != record.Stored {
					b.Fatalf("%s, %v", outcome, err)
				}
			}
			spent += cpu(b) - begin
			now = now.Add(100 * time.Second)
		}
		b.ReportMetric(spent.Seconds(), "CPU-s")
		b.ReportMetric(spent.Seconds()/nodes/rounds*1e6, "CPU-us/update")
	}
}

// Two Registries that hold 20,000 records, of which each has updated 1,000 that
// the other has not heard of. The frames go by without a network; CPU is that of
// both, verification of what came included.
func BenchmarkHeal_2000Of20000(b *testing.B) {
	const held, each = 20_000, 1_000
	issuers := keys(b, 2*each)
	for b.Loop() {
		sides := [2]*record.Set{newSet(b), newSet(b)}
		restore := func(s *record.Set, e envelope.Envelope) int {
			if outcome, err := s.Restore(epoch.Add(time.Minute), e, e.Hash()); outcome != record.Stored {
				b.Fatalf("%s, %v", outcome, err)
			}
			return len(e.Bytes())
		}
		differing := 0
		for n := range held - 2*each {
			restore(sides[0], unsigned(n, 1, epoch))
			restore(sides[1], unsigned(n, 1, epoch))
		}
		for n, key := range issuers {
			old := signed(b, key, 1, epoch)
			restore(sides[0], old)
			restore(sides[1], old)
			differing += restore(sides[n%2], signed(b, key, 2, epoch.Add(time.Minute)))
		}
		begin := cpu(b)
		crossed, turns := heal(b, sides)
		spent := cpu(b) - begin
		if sides[0].Root() != sides[1].Root() {
			b.Fatal("the roots differ")
		}
		b.ReportMetric(spent.Seconds(), "CPU-s")
		b.ReportMetric(float64(crossed)/float64(differing), "bytes/differing-byte")
		b.ReportMetric(float64(turns)/2, "round-trips")
	}
}

func heal(b *testing.B, sets [2]*record.Set) (crossed, turns int) {
	b.Helper()
	first, frames := reconcile.Begin(sets[0], reconcile.DefaultLimits())
	sessions := [2]*reconcile.Session{first, reconcile.Answer(sets[1], reconcile.DefaultLimits())}
	now := epoch.Add(2 * time.Minute)
	for side := 1; len(frames) > 0; side = 1 - side {
		var answer [][]byte
		for _, f := range frames {
			crossed += len(f)
			step, err := sessions[side].Handle(f)
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range step.Records {
				if err := sets[side].Genuine(&e); err != nil {
					b.Fatal(err)
				}
				if _, err := sets[side].Merge(now, e, record.Synced); err != nil {
					b.Fatal(err)
				}
			}
			answer = append(answer, step.Send...)
		}
		frames = answer
		turns++
	}
	return crossed, turns
}

// The same difference between the two sides of a partition of 2 and of 5
// Registries, in virtual time from the healing to equal roots everywhere.
func BenchmarkHeal_afterPartition(b *testing.B) {
	for _, registries := range []int{2, 5} {
		b.Run(fmt.Sprintf("registries=%d", registries), func(b *testing.B) {
			var worst, sum time.Duration
			var crossed int
			runs := 0
			for b.Loop() {
				took, bytes := healPartition(b, uint64(runs), registries)
				worst, sum, crossed = max(worst, took), sum+took, crossed+bytes
				runs++
			}
			b.ReportMetric(sum.Seconds()/float64(runs), "virtual-s-mean")
			b.ReportMetric(worst.Seconds(), "virtual-s-max")
			b.ReportMetric(float64(crossed)/float64(runs), "session-bytes")
		})
	}
}

func healPartition(b *testing.B, seed uint64, registries int) (took time.Duration, crossed int) {
	b.Helper()
	w := build(b, simulation.Plan{
		Seed: seed, Registries: registries, Rules: func(r *record.Rules) { r.Bonding = nil },
		Link: netsim.Link{Delay: netsim.LongTail(30*time.Millisecond, 1.5)},
	})
	var left []int
	for id := range registries {
		if id%2 == 0 {
			left = append(left, id)
		}
	}
	w.Net().Partition(left)
	run(b, w, time.Minute)
	for id := range registries {
		for n := range 20_000 {
			version := uint64(1)
			if n < 2000 && n%2 == id%2 {
				version = 2
			}
			e := unsigned(n, version, w.Net().Now())
			w.Trust(&e)
			if outcome, err := w.Registry(id).Set().Restore(w.Net().Now(), e, e.Hash()); outcome != record.Stored {
				b.Fatalf("%s, %v", outcome, err)
			}
		}
	}
	before := w.Sessions.BytesIn
	w.Net().Heal()
	took, err := w.Converge(2 * time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	return took, w.Sessions.BytesIn - before
}
