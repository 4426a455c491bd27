package reconcile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// Frames as spec/registry.md words them, written by a partner who may lie.

var (
	rootFrame   = append([]byte{1, 1}, bytes.Repeat([]byte{0xaa}, 32)...)
	groupsFrame = append([]byte{3}, bytes.Repeat([]byte{0xaa}, 64*32)...)
	needAll     = append([]byte{4}, bytes.Repeat([]byte{0xff}, 8)...)
	needFirst   = []byte{4, 1, 0, 0, 0, 0, 0, 0, 0}
)

// leavesFrame says for each group that all its leaves have the hash.
func leavesFrame(hash [32]byte, groups ...int) []byte {
	f := []byte{5}
	for _, g := range groups {
		f = append(append(f, byte(g)), bytes.Repeat(hash[:], 64)...)
	}
	return f
}

func recordsFrame(records ...envelope.Envelope) []byte {
	f := []byte{6}
	for i := range records {
		b := records[i].Bytes()
		f = append(binary.AppendUvarint(f, uint64(len(b))), b...)
	}
	return f
}

// offerFrame offers whole leaves: pairs of a number and its items.
func offerFrame(leaf int, items ...record.Item) []byte {
	f := binary.BigEndian.AppendUint16([]byte{7}, uint16(leaf))
	f = binary.AppendUvarint(f, uint64(len(items)))
	for _, it := range items {
		f = append(f, it.ID[:]...)
		f = binary.AppendUvarint(f, it.Version.Generation)
		f = binary.AppendUvarint(f, it.Version.Seq)
		f = append(f, it.Hash[:]...)
	}
	return f
}

func wantFrame(ids ...record.ItemID) []byte {
	f := []byte{8}
	for _, id := range ids {
		f = append(f, id[:]...)
	}
	return f
}

func allGroups() (all []int) {
	for g := range record.Groups {
		all = append(all, g)
	}
	return all
}

func item(e envelope.Envelope) record.Item {
	return record.Item{ID: idOf(e), Version: e.Version(), Hash: e.Hash()}
}

func idOf(e envelope.Envelope) record.ItemID { return record.ItemOf(record.KeyOf(&e)) }

// byID returns nodes first to first+n-1 at seq, in order of their ids.
func byID(first, n int, seq uint64) []envelope.Envelope {
	var all []envelope.Envelope
	for i := range n {
		all = append(all, node(first+i, seq, 0))
	}
	sortByID(all)
	return all
}

func sortByID(records []envelope.Envelope) {
	slices.SortFunc(records, func(a, b envelope.Envelope) int {
		x, y := idOf(a), idOf(b)
		return bytes.Compare(x[:], y[:])
	})
}

func TestHandle_refusesWhatAnHonestInitiatorDoesNotSend(t *testing.T) {
	held := byID(0, 3, 5) // the responder's
	others := byID(10, 3, 5)
	first := item(others[0])
	lower, upper := first, first
	lower.ID[15]--
	upper.ID[15]++
	leaf := first.ID.Leaf()
	next := func(f []byte) []byte { return f[1:] } // without the type, to append to an offer
	older := others[0]
	older.Seq--
	parted := binary.BigEndian.AppendUint16([]byte{7}, uint16(leaf)|1<<15)
	tests := []struct {
		name   string
		frames [][]byte // the last is refused
	}{
		{"nothing", [][]byte{{}}},
		{"a large frame", [][]byte{make([]byte, reconcile.MaxFrame+1)}},
		{"not the root first", [][]byte{needAll}},
		{"another version", [][]byte{append([]byte{1, 2}, rootFrame[2:]...)}},
		{"a short root", [][]byte{rootFrame[:33]}},
		{"a long root", [][]byte{append(slices.Clone(rootFrame), 0)}},
		{"an unknown type", [][]byte{rootFrame, {99}}},
		{"two roots", [][]byte{rootFrame, rootFrame}},
		{"needs no group", [][]byte{rootFrame, {4, 0, 0, 0, 0, 0, 0, 0, 0}}},
		{"a short need", [][]byte{rootFrame, needAll[:5]}},
		{"wants", [][]byte{rootFrame, needAll, wantFrame(first.ID)}},
		{"goes on unasked", [][]byte{rootFrame, needAll, {10}}},
		{"more without records", [][]byte{rootFrame, needAll, {9}}},
		{"good-bye without a reason", [][]byte{rootFrame, needAll, {11}}},
		{"good-bye for a strange reason", [][]byte{rootFrame, needAll, {11, 2}}},
		{"speaks after the end", [][]byte{rootFrame, needAll, {11, 0}, needAll}},

		{"offers nothing", [][]byte{rootFrame, needAll, {7}}},
		{"a leaf that does not exist", [][]byte{rootFrame, needAll, offerFrame(4096)}},
		{"a leaf that was not asked for", [][]byte{rootFrame, needFirst, offerFrame(64)}},
		{"a leaf twice", [][]byte{rootFrame, needAll, offerFrame(5), offerFrame(5)}},
		{"a leaf twice at once", [][]byte{rootFrame, needAll, append(offerFrame(5), next(offerFrame(5))...)}},
		{"falling leaves", [][]byte{rootFrame, needAll, offerFrame(5), offerFrame(4)}},
		{"too many leaves", [][]byte{rootFrame, needAll, func() []byte {
			f := []byte{7}
			for l := range 257 {
				f = append(f, next(offerFrame(l))...)
			}
			return f
		}()}},
		{"an item of another leaf", [][]byte{rootFrame, needAll, offerFrame(leaf^1, first)}},
		{"falling items", [][]byte{rootFrame, needAll, offerFrame(leaf, first, lower)}},
		{"an item twice", [][]byte{rootFrame, needAll, offerFrame(leaf, first, first)}},
		{"endless items", [][]byte{rootFrame, needAll, binary.AppendUvarint([]byte{7, 0, 0}, 1<<62)}},
		{"fewer items than it says", [][]byte{rootFrame, needAll, offerFrame(leaf, first, upper)[:100]}},
		{"a number spelled out", [][]byte{rootFrame, needAll, {7, 0, 0, 0x80, 0}}},
		{"a part outside its leaf", [][]byte{rootFrame, needAll, append(append(append(parted, lower.ID[:]...), bytes.Repeat([]byte{0xff}, 16)...), 0)}},
		{"a part that ends before it begins", [][]byte{rootFrame, needAll, append(append(append(parted, first.ID[:]...), lower.ID[:]...), 0)}},

		{"a record of a leaf that is not empty", [][]byte{rootFrame, needAll, recordsFrame(held[0])}},
		{"an empty page", [][]byte{rootFrame, needAll, {6}}},
		{"a record twice", [][]byte{rootFrame, needAll, recordsFrame(others[0], others[0])}},
		{"falling records", [][]byte{rootFrame, needAll, recordsFrame(others[1]), recordsFrame(others[0])}},
		{"half a record", [][]byte{rootFrame, needAll, recordsFrame(others[0])[:200]}},
		{"a record of 2^40 bytes", [][]byte{rootFrame, needAll, binary.AppendUvarint([]byte{6}, 1<<40)}},
		{"bytes that are no record", [][]byte{rootFrame, needAll, {6, 3, 1, 2, 3}}},
		{"a fifth page", func() [][]byte {
			frames := [][]byte{rootFrame, needAll}
			for _, e := range byID(100, 5, 1) {
				frames = append(frames, recordsFrame(e))
			}
			return frames
		}()},
		{"records after an offer that were not wanted", [][]byte{rootFrame, needAll, offerFrame(leaf, first), recordsFrame(others[1])}},
		{"an older one than it offered", [][]byte{rootFrame, needAll, offerFrame(leaf, first), recordsFrame(older)}},
		{"another one than it offered", func() [][]byte {
			offered := first
			offered.Hash = [32]byte(bytes.Repeat([]byte{0xff}, 32))
			return [][]byte{rootFrame, needAll, offerFrame(leaf, offered), recordsFrame(others[0])}
		}()},
		{"what was wanted twice", [][]byte{rootFrame, needAll, offerFrame(leaf, first), recordsFrame(others[0]), recordsFrame(others[0])}},
		{"empty leaves after an offer", [][]byte{rootFrame, needAll, offerFrame(0), recordsFrame(others[0])}},
	}
	for _, tt := range tests {
		set := newSet(t)
		merge(t, set, held...)
		refuses(t, tt.name, reconcile.Answer(set, reconcile.DefaultLimits()), tt.frames)
	}
}

// refuses hands the frames to s: the last is refused, and all that come after.
func refuses(t *testing.T, name string, s *reconcile.Session, frames [][]byte) {
	t.Helper()
	for i, f := range frames[:len(frames)-1] {
		if _, err := s.Handle(f); err != nil {
			t.Errorf("%s: frame %d: %v", name, i, err)
			return
		}
	}
	step, err := s.Handle(frames[len(frames)-1])
	if !errors.Is(err, reconcile.ErrProtocol) || len(step.Send)+len(step.Records) > 0 {
		t.Errorf("%s: got %d frames, %d records and %v, want only ErrProtocol", name, len(step.Send), len(step.Records), err)
	}
	if _, again := s.Handle([]byte{11, 0}); err != nil && again == nil {
		t.Errorf("%s: the session goes on", name)
	}
}

func TestHandle_refusesWhatAnHonestResponderDoesNotSend(t *testing.T) {
	held := byID(0, 3, 5) // the initiator's
	offered := []record.ItemID{item(held[0]).ID, item(held[1]).ID}
	others := byID(10, 3, 5)
	lies := leavesFrame([32]byte{1}, allGroups()...)
	opened := [][]byte{groupsFrame, lies}
	after := func(frames ...[]byte) [][]byte { return append(slices.Clone(opened), frames...) }
	older, newer := held[0], held[0]
	older.Seq--
	newer.Seq++
	// The first offer covers the leaves from 0 to 255.
	inside := func(e envelope.Envelope) bool { return idOf(e).Leaf() < 256 }
	near := slices.DeleteFunc(byID(1000, 100, 5), func(e envelope.Envelope) bool { return !inside(e) })
	far := slices.DeleteFunc(byID(1000, 100, 5), inside)
	tests := []struct {
		name   string
		frames [][]byte
	}{
		{"a root", [][]byte{rootFrame}},
		{"short groups", [][]byte{groupsFrame[:100]}},
		{"leaves before groups", [][]byte{lies}},
		{"a group that does not exist", [][]byte{groupsFrame, leavesFrame([32]byte{1}, 64)}},
		{"a group twice", [][]byte{groupsFrame, leavesFrame([32]byte{1}, 0, 0)}},
		{"falling groups", [][]byte{groupsFrame, leavesFrame([32]byte{1}, 1, 0)}},
		{"no leaves", [][]byte{groupsFrame, {5}}},
		{"half a group", [][]byte{groupsFrame, leavesFrame([32]byte{1}, 0)[:1000]}},
		{"groups after leaves", after(groupsFrame)},
		{"an offer", after(offerFrame(0))},
		{"more without records", after([]byte{9})},
		{"goes on unasked", after([]byte{10})},
		{"a record outside the offer", after(recordsFrame(far[0]))},
		{"a record twice", after(recordsFrame(near[0], near[0]))},
		{"falling records", after(recordsFrame(near[1], near[0]))},
		{"wants what was not offered", after(wantFrame(item(others[0]).ID))},
		{"half an id", after(wantFrame(item(held[0]).ID)[:9])},
		{"a fifth page", after(recordsFrame(near[0]), recordsFrame(near[1]), recordsFrame(near[2]), recordsFrame(near[3]), recordsFrame(near[4]))},
	}
	for _, tt := range tests {
		set := newSet(t)
		merge(t, set, held...)
		s, _ := reconcile.Begin(set, reconcile.DefaultLimits())
		refuses(t, tt.name, s, tt.frames)
	}

	// The same with an offer of all that is held: one leaf, all others agree.
	alone := newSet(t)
	merge(t, alone, held[0])
	leaf := offered[0].Leaf()
	differs := leavesFrame(record.EmptyLeaf(), leaf/64)
	differs[2+32*(leaf%64)] ^= 1
	emptyGroup := newSet(t).Group(0)
	groups := append([]byte{3}, bytes.Repeat(emptyGroup[:], 64)...)
	groups[1+32*(leaf/64)] ^= 1
	for name, last := range map[string][]byte{
		"the record that was offered": recordsFrame(held[0]),
		"an older one":                recordsFrame(older),
		"wants twice":                 wantFrame(offered[0], offered[0]),
	} {
		s, _ := reconcile.Begin(alone, reconcile.DefaultLimits())
		refuses(t, name, s, [][]byte{groups, differs, last})
	}
	s, _ := reconcile.Begin(alone, reconcile.DefaultLimits())
	for i, f := range [][]byte{groups, differs, recordsFrame(newer), wantFrame(offered[0])} {
		if step, err := s.Handle(f); err != nil || i == 2 && len(step.Records) != 1 {
			t.Errorf("an honest partner, frame %d: got %d records and %v", i, len(step.Records), err)
		}
	}
}

// A partner that says everything differs, or that it has nothing, is told what is
// held, once.
func TestSession_lyingAboutHashesCostsOneSetAtMost(t *testing.T) {
	set := newSet(t)
	merge(t, set, byID(0, 2000, 1)...)
	for name, hash := range map[string][32]byte{"all differs": {1}, "all is empty": record.EmptyLeaf()} {
		s, _ := reconcile.Begin(set, reconcile.DefaultLimits())
		send := [][]byte{groupsFrame, leavesFrame(hash, allGroups()...)}
		for turns := 0; len(send) > 0; turns++ {
			step, err := s.Handle(send[0])
			if err != nil || turns > 100 {
				t.Fatalf("%s: turn %d: %v", name, turns, err)
			}
			if send = send[1:]; step.Done {
				break
			}
			if n := len(step.Send); n > 0 {
				switch step.Send[n-1][0] {
				case 7:
					send = append(send, wantFrame())
				case 9:
					send = append(send, []byte{10})
				}
			}
		}
		if st := s.Stats(); st.BytesOut > live(2000)*12/10 || !st.Complete {
			t.Errorf("%s: got %+v, want the end within %d bytes", name, st, live(2000)*12/10)
		}
	}
}

// Made-up records without end are cut off at MaxBytes, whoever begins.
func TestSession_endlessRecordsAreCutOff(t *testing.T) {
	limits := reconcile.Limits{MaxBytes: 2 << 20, MaxMessage: 128 << 10, MaxLeaves: 256}
	body := make([]byte, 30<<10)
	var flood []envelope.Envelope // in the leaves of the first offer
	for i := 0; len(flood) < 200; i++ {
		if e := unsigned(record.KindAdmission, i, 1, body); idOf(e).Leaf() < 256 {
			flood = append(flood, e)
		}
	}
	sortByID(flood)
	answering := reconcile.Answer(newSet(t), limits)
	beginning, _ := reconcile.Begin(newSet(t), limits)
	for name, partner := range map[string]struct {
		session *reconcile.Session
		open    [][]byte
	}{
		"a responder":  {answering, [][]byte{rootFrame, needAll}},
		"an initiator": {beginning, [][]byte{groupsFrame, leavesFrame([32]byte{1}, allGroups()...)}},
	} {
		turn, left := partner.open, flood
		for done := false; !done; {
			for _, f := range turn {
				step, err := partner.session.Handle(f)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				done = done || step.Done
			}
			turn = nil
			for range 4 {
				turn = append(turn, recordsFrame(left[:7]...))
				left = left[7:]
			}
			turn = append(turn, []byte{9})
		}
		stats := partner.session.Stats()
		if most := limits.MaxBytes + 5*reconcile.MaxFrame; stats.BytesIn > most || stats.Complete {
			t.Errorf("%s took %+v, want at most %d bytes, and not complete", name, stats, most)
		}
	}
}
