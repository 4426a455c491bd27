package reconcile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

var epoch = time.UnixMilli(1790000000000).UTC()

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newSet(t fataler) *record.Set {
	t.Helper()
	rules := record.DefaultRules("devnet")
	rules.Kinds = []record.Kind{record.NodeKind(nil), record.AdmissionKind(nil)}
	s, err := record.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// node is an unsigned record of 416 bytes; reconcile verifies nothing.
func node(i int, seq uint64, body byte) envelope.Envelope {
	return unsigned(record.KindNode, i, seq, bytes.Repeat([]byte{body}, 271))
}

func unsigned(kind string, i int, seq uint64, body []byte) envelope.Envelope {
	var id drtc.NodeID
	binary.BigEndian.PutUint64(id[:], uint64(i)+1)
	e := envelope.Envelope{
		Kind: kind, Network: "devnet", Subject: id, Issuer: id, Seq: 1790000000000 + seq,
		IssuedAt: epoch, TTL: 300 * time.Second, Body: body,
	}
	e.Signature[64] = 27
	return e
}

func merge(t fataler, s *record.Set, records ...envelope.Envelope) {
	t.Helper()
	for _, e := range records {
		if outcome, err := s.Merge(epoch, e, record.Synced); err != nil {
			t.Fatal(outcome, err)
		}
	}
}

// link carries frames between two sessions, one at a time.
type link struct {
	limits    [2]reconcile.Limits
	stopAfter int       // frames; 0 carries all
	between   func(int) // called before each frame with its number
	seen      [][]byte  // every frame
	to        []int     // and who it went to
	refused   [2]int    // records that were not merged
	stats     [2]reconcile.Stats
}

// run lets a begin and b answer, and reports whether both ended.
func (l *link) run(t fataler, a, b *record.Set) bool {
	t.Helper()
	for i := range l.limits {
		if l.limits[i] == (reconcile.Limits{}) {
			l.limits[i] = reconcile.DefaultLimits()
		}
	}
	sets := [2]*record.Set{a, b}
	first, frames := reconcile.Begin(a, l.limits[0])
	sessions := [2]*reconcile.Session{first, reconcile.Answer(b, l.limits[1])}
	var done [2]bool
	type sent struct {
		to    int
		frame []byte
	}
	var queue []sent
	push := func(to int, frames [][]byte) {
		for _, f := range frames {
			queue = append(queue, sent{to, f})
		}
	}
	push(1, frames)
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if l.stopAfter > 0 && len(l.seen) == l.stopAfter {
			break
		}
		if l.between != nil {
			l.between(len(l.seen))
		}
		l.seen, l.to = append(l.seen, next.frame), append(l.to, next.to)
		if len(l.seen) > 100_000 {
			t.Fatal("does not end")
		}
		step, err := sessions[next.to].Handle(next.frame)
		if err != nil {
			t.Fatalf("frame %d, type %d: %v", len(l.seen)-1, next.frame[0], err)
		}
		for _, e := range step.Records {
			if outcome, _ := sets[next.to].Merge(epoch, e, record.Synced); outcome == record.Refused {
				l.refused[next.to]++
			}
		}
		done[next.to] = done[next.to] || step.Done
		push(1-next.to, step.Send)
	}
	l.stats = [2]reconcile.Stats{sessions[0].Stats(), sessions[1].Stats()}
	// Whoever says good-bye is done before the other.
	return done[0] && done[1]
}

func (l *link) bytes() int { return l.stats[0].BytesIn + l.stats[0].BytesOut }

func drawNode(t *rapid.T) envelope.Envelope {
	if rapid.IntRange(0, 9).Draw(t, "large") == 0 { // so that turns have several pages
		return unsigned(record.KindAdmission, rapid.IntRange(0, 30).Draw(t, "issuer"), rapid.Uint64Range(0, 2).Draw(t, "seq"),
			bytes.Repeat([]byte{1}, rapid.IntRange(0, 64<<10).Draw(t, "size")))
	}
	return node(rapid.IntRange(0, 60).Draw(t, "node"), rapid.Uint64Range(0, 2).Draw(t, "seq"), byte(rapid.IntRange(0, 1).Draw(t, "body")))
}

func drawSet(t *rapid.T, name string) *record.Set {
	s := newSet(t)
	merge(t, s, rapid.SliceOfN(rapid.Custom(drawNode), 0, 60).Draw(t, name)...)
	return s
}

func drawLimits(t *rapid.T, name string) reconcile.Limits {
	return reconcile.Limits{
		MaxBytes:   64 << 20,
		MaxMessage: rapid.SampledFrom([]int{66 << 10, 100 << 10, 256 << 10}).Draw(t, name+" message"),
		MaxLeaves:  rapid.SampledFrom([]int{1, 7, 256}).Draw(t, name+" leaves"),
	}
}

// difference counts the ids under which two Sets hold different things.
func difference(a, b *record.Set) int {
	n := 0
	for l := range record.Leaves {
		if a.Leaf(l) == b.Leaf(l) {
			continue
		}
		held := map[record.ItemID][32]byte{}
		for _, it := range a.Items(l) {
			held[it.ID] = it.Hash
		}
		for _, it := range b.Items(l) {
			if h, ok := held[it.ID]; !ok || h != it.Hash {
				n++
			}
			delete(held, it.ID)
		}
		n += len(held)
	}
	return n
}

func TestSession_leavesBothSetsEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSet(t, "a"), drawSet(t, "b")
		l := link{limits: [2]reconcile.Limits{drawLimits(t, "a"), drawLimits(t, "b")}}
		if !l.run(t, a, b) || !l.stats[0].Complete || !l.stats[1].Complete {
			t.Fatalf("did not end: %+v", l.stats)
		}
		if a.Root() != b.Root() {
			t.Fatalf("roots differ in %d records, %+v", difference(a, b), l.stats)
		}
		if l.stats[0].RecordsIn != l.stats[1].RecordsOut || l.stats[0].RecordsOut != l.stats[1].RecordsIn || l.stats[0].BytesIn != l.stats[1].BytesOut {
			t.Fatalf("the sides count differently: %+v", l.stats)
		}
	})
}

func TestSession_ofChangingSetsEndsAndTheNextMakesThemEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSet(t, "a"), drawSet(t, "b")
		l := link{limits: [2]reconcile.Limits{drawLimits(t, "a"), drawLimits(t, "b")}}
		l.between = func(n int) {
			if n > 200 {
				return
			}
			for _, s := range []*record.Set{a, b} {
				switch rapid.IntRange(0, 5).Draw(t, "change") {
				case 0:
					merge(t, s, rapid.Custom(drawNode).Draw(t, "new"))
				case 1:
					if rapid.IntRange(0, 9).Draw(t, "forget") == 0 {
						s.Expire(epoch.Add(time.Hour))
					}
				}
			}
		}
		if !l.run(t, a, b) {
			t.Fatalf("did not end: %+v", l.stats)
		}
		next := link{}
		if !next.run(t, a, b) || a.Root() != b.Root() {
			t.Fatalf("roots differ in %d records, %+v", difference(a, b), next.stats)
		}
	})
}

func TestSession_brokenOffKeepsItsProgress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSet(t, "a"), drawSet(t, "b")
		before := difference(a, b)
		for range 4 {
			l := link{stopAfter: rapid.IntRange(1, 12).Draw(t, "frames"), limits: [2]reconcile.Limits{drawLimits(t, "a"), drawLimits(t, "b")}}
			l.run(t, a, b)
			after := difference(a, b)
			if after > before {
				t.Fatalf("differed in %d records, now in %d, after %+v", before, after, l.stats)
			}
			before = after
		}
		last := link{}
		if last.run(t, a, b); a.Root() != b.Root() {
			t.Fatalf("roots differ in %d records", difference(a, b))
		}
	})
}

func TestSession_brokenOffHalfWayHasDoneHalf(t *testing.T) {
	const each = 2_000
	for _, share := range []int{4, 2} {
		a, b := newSet(t), newSet(t)
		for i := range each {
			merge(t, a, node(i, 1, 0))
			merge(t, b, node(each+i, 1, 0))
		}
		whole := link{}
		whole.run(t, clone(t, a), clone(t, b))
		part := link{stopAfter: len(whole.seen) / share}
		part.run(t, a, b)
		if left, want := difference(a, b), 2*each-each/share; left > want {
			t.Errorf("1/%d of the frames: %d records still differ of %d, want at most %d", share, left, 2*each, want)
		}
	}
}

func clone(t fataler, s *record.Set) *record.Set {
	c := newSet(t)
	merge(t, c, s.All(epoch)...)
	return c
}

func TestSession_ofEqualSetsCostsOneRoot(t *testing.T) {
	a, b := newSet(t), newSet(t)
	merge(t, a, node(1, 1, 0))
	merge(t, b, node(1, 1, 0))
	var l link
	if !l.run(t, a, b) || l.bytes() > 64 || !l.stats[0].Complete || !l.stats[1].Complete {
		t.Errorf("got %+v, want the end within 64 bytes", l.stats)
	}
}

// Of an equivocation of which each side holds one half, the initiator gets the
// proof; it passes it on as a record.
func TestSession_findsAnEquivocation(t *testing.T) {
	for _, bodies := range []string{"ab", "ba"} {
		a, b := newSet(t), newSet(t)
		merge(t, a, node(1, 1, bodies[0]))
		merge(t, b, node(1, 1, bodies[1]))
		var l link
		if !l.run(t, a, b) || a.Root() != b.Root() {
			t.Fatalf("roots differ after %+v", l.stats)
		}
		x, y := a.Equivocations(), b.Equivocations()
		if len(x) != 1 || len(y) > 1 {
			t.Errorf("%s: found %d and %d, want the initiator's and perhaps the responder's", bodies, len(x), len(y))
		}
	}
}

// live is the bytes of n records of node.
func live(n int) int { e := node(0, 1, 0); return n * len(e.Bytes()) }

func TestSession_healsWithinBytes(t *testing.T) {
	const common, each = 18_000, 1_000
	a, b := newSet(t), newSet(t)
	for i := range common {
		merge(t, a, node(i, 1, 0))
		merge(t, b, node(i, 1, 0))
	}
	for i := range each {
		merge(t, a, node(common+i, 1, 0))
		merge(t, b, node(common+each+i, 1, 0))
	}
	var l link
	if !l.run(t, a, b) || a.Root() != b.Root() {
		t.Fatalf("roots differ after %+v", l.stats)
	}
	bound := 4*live(2*each) + 64<<10
	t.Logf("%d bytes for %d that differ, %d frames", l.bytes(), live(2*each), len(l.seen))
	if l.bytes() > bound {
		t.Errorf("%d bytes, want at most %d", l.bytes(), bound)
	}
}

func TestSession_newSetGetsAllWithinBytes(t *testing.T) {
	const n = 20_000
	full := newSet(t)
	for i := range n {
		merge(t, full, node(i, 1, 0))
	}
	for name, begins := range map[string]bool{"begun by the new": true, "begun by the full": false} {
		fresh := newSet(t)
		var l link
		ended := false
		if begins {
			ended = l.run(t, fresh, full)
		} else {
			ended = l.run(t, full, fresh)
		}
		if !ended || fresh.Root() != full.Root() {
			t.Fatalf("%s: roots differ after %+v", name, l.stats)
		}
		t.Logf("%s: %d bytes for %d live, %d frames", name, l.bytes(), live(n), len(l.seen))
		if bound := live(n) * 12 / 10; l.bytes() > bound {
			t.Errorf("%s: %d bytes, want at most %d", name, l.bytes(), bound)
		}
	}
}

// A session that reaches its bound ends in good order, and enough of them do it.
func TestSession_isCutShortAtItsBytes(t *testing.T) {
	full := newSet(t)
	for i := range 10_000 {
		merge(t, full, node(i, 1, 0))
	}
	small := reconcile.Limits{MaxBytes: 1 << 20, MaxMessage: 66 << 10, MaxLeaves: 16}
	for side := range 2 {
		for _, begins := range []int{0, 1} {
			fresh := newSet(t)
			for sessions := 1; fresh.Root() != full.Root(); sessions++ {
				var l link
				l.limits[side] = small
				sets := [2]*record.Set{fresh, full}
				if !l.run(t, sets[begins], sets[1-begins]) {
					t.Fatal("did not end")
				}
				most := small.MaxBytes + 5*reconcile.MaxFrame
				if l.bytes() > most || sessions > 20 {
					t.Fatalf("session %d took %d bytes, want at most %d and 20 sessions", sessions, l.bytes(), most)
				}
				if cut := fresh.Root() != full.Root(); cut == l.stats[side].Complete {
					t.Fatalf("session %d: roots differ: %v, complete: %+v", sessions, cut, l.stats)
				}
			}
		}
	}
}

// crowd is a Source with many items in one leaf, of which it holds no records.
type crowd struct {
	items  []record.Item
	looked map[record.ItemID]int
}

func newCrowd(n int, from, seq uint64) *crowd {
	c := &crowd{looked: map[record.ItemID]int{}}
	for i := range uint64(n) {
		it := record.Item{ID: record.ItemID{4, 0xd0}, Version: envelope.Version{Generation: 1 << 40, Seq: seq}, Hash: [32]byte{byte(seq)}}
		binary.BigEndian.PutUint64(it.ID[8:], from+i)
		c.items = append(c.items, it)
	}
	return c
}

func (c *crowd) Root() [32]byte     { return c.Leaf(77) }
func (c *crowd) Group(int) [32]byte { return c.Leaf(77) }
func (c *crowd) Leaf(l int) [32]byte {
	if l != 77 {
		return record.EmptyLeaf()
	}
	return [32]byte{c.items[0].Hash[0], 1}
}
func (c *crowd) Items(l int) []record.Item {
	if l != 77 {
		return nil
	}
	return c.items
}
func (c *crowd) Lookup(id record.ItemID) (envelope.Envelope, bool) {
	c.looked[id]++
	return envelope.Envelope{}, false
}

// Somebody may search for keys that share a leaf. It then takes several offers,
// and every item is wanted or answered once.
func TestSession_crowdedLeaf(t *testing.T) {
	small := reconcile.Limits{MaxBytes: 64 << 20, MaxMessage: 66 << 10, MaxLeaves: 4}
	// Of the ids from 0 to 8999 the initiator has the first 6000, the responder the
	// last 6000; of those that both have the responder's are newer.
	a, b := newCrowd(6000, 0, 1), newCrowd(6000, 3000, 2)
	first, frames := reconcile.Begin(a, small)
	second := reconcile.Answer(b, small)
	sides := [2]*reconcile.Session{first, second}
	offers, to := 0, 1
	for n := 0; len(frames) > 0; n++ {
		var answer [][]byte
		for _, f := range frames {
			if len(f) > small.MaxMessage {
				t.Fatalf("a frame of %d bytes, want at most %d", len(f), small.MaxMessage)
			}
			if f[0] == 7 {
				offers++
			}
			step, err := sides[to].Handle(f)
			if err != nil {
				t.Fatal(err)
			}
			answer = append(answer, step.Send...)
		}
		frames, to = answer, 1-to
	}
	if !first.Stats().Complete || !second.Stats().Complete || offers < 6 {
		t.Errorf("%d offers, %+v, %+v, want the end after at least 6", offers, first.Stats(), second.Stats())
	}
	if len(a.looked) != 3000 || len(b.looked) != 6000 {
		t.Errorf("looked up %d and %d records to send, want 3000 and 6000", len(a.looked), len(b.looked))
	}
	for id, n := range a.looked {
		if n != 1 || b.looked[id] != 0 {
			t.Fatalf("%x was looked up %d times by the one and %d by the other", id, n, b.looked[id])
		}
	}
}

func TestValidate_namesTheField(t *testing.T) {
	if err := reconcile.DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	for field, change := range map[string]func(*reconcile.Limits){
		"MaxBytes":   func(l *reconcile.Limits) { l.MaxBytes = 1 },
		"MaxMessage": func(l *reconcile.Limits) { l.MaxMessage = 64 << 10 },
		"MaxLeaves":  func(l *reconcile.Limits) { l.MaxLeaves = 257 },
	} {
		l := reconcile.DefaultLimits()
		change(&l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func BenchmarkHeal(b *testing.B) {
	const common, each = 18_000, 1_000
	for b.Loop() {
		b.StopTimer()
		x, y := newSet(b), newSet(b)
		for i := range common {
			merge(b, x, node(i, 1, 0))
			merge(b, y, node(i, 1, 0))
		}
		for i := range each {
			merge(b, x, node(common+i, 1, 0))
			merge(b, y, node(common+each+i, 1, 0))
		}
		b.StartTimer()
		var l link
		if !l.run(b, x, y) || x.Root() != y.Root() {
			b.Fatal(fmt.Sprint("roots differ after ", l.stats))
		}
	}
}
