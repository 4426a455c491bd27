package receipt_test

import (
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/receipt"
)

// replayed is a Till of what is whole in a journal.
func replayed(t testing.TB, journal []byte, now time.Time) *receipt.Till {
	t.Helper()
	till := newTill(t, nil)
	payloads, _ := receipt.Frames(journal)
	for _, p := range payloads {
		if err := till.Replay(p); err != nil {
			t.Fatal(err)
		}
	}
	till.Resume(now)
	return till
}

// Cut anywhere, a journal gives what some moment had: receipts never go back
// behind those whose frame is whole.
func TestJournal_cutAnywhere(t *testing.T) {
	till := newTill(t, nil)
	journal := receipt.AppendFrame(nil, till.Snapshot())
	type moment struct {
		size int
		last uint64
	}
	moments := []moment{{len(journal), 0}}
	for i := range uint64(5) {
		till.Count(genesis, payer.ID(), shop, clientBytes(100))
		if err := till.Accept(genesis, payer.ID(), signed(t, i+1, clientBytes(100*i+50))); err != nil {
			t.Fatal(err)
		}
		journal = receipt.AppendFrame(journal, till.Flush())
		moments = append(moments, moment{len(journal), 100*i + 50})
	}
	if got := till.Flush(); got != nil {
		t.Errorf("%d bytes were flushed twice", len(got))
	}
	for size := range len(journal) + 1 {
		var want uint64
		for _, m := range moments {
			if m.size <= size {
				want = m.last
			}
		}
		var got uint64
		for _, c := range replayed(t, journal[:size], genesis).Claims(genesis, payer.ID()) {
			got = c.Last.Client
			if c.Counted.Client < got {
				t.Fatalf("cut at %d: counted %d, signed for %d", size, c.Counted.Client, got)
			}
		}
		if got != want {
			t.Fatalf("cut at %d: the last receipt is of %d bytes, want %d", size, got, want)
		}
	}
	again := replayed(t, journal, genesis)
	if !slices.Equal(again.Snapshot(), till.Snapshot()) {
		t.Error("what was replayed is not what was written")
	}
}

func TestJournal_carriesEpochsEvidenceAndEnds(t *testing.T) {
	till := newTill(t, nil)
	till.Count(genesis, payer.ID(), shop, clientBytes(100))
	till.Count(genesis, payer.ID(), school, clientBytes(5))
	if err := till.Accept(genesis, payer.ID(), signed(t, 1, clientBytes(60))); err != nil {
		t.Fatal(err)
	}
	_ = till.Accept(genesis, payer.ID(), signed(t, 1, clientBytes(61)))
	journal := receipt.AppendFrame(nil, till.Snapshot())
	later := genesis.Add(2 * time.Hour)
	till.Judge(later, payer.ID()) // closes the epoch: 45 bytes are carried over
	journal = receipt.AppendFrame(journal, till.Flush())
	for name, again := range map[string]*receipt.Till{"after": replayed(t, journal, later), "before the end was written": replayed(t, journal[:len(journal)-1], later)} {
		claims := again.Claims(later, payer.ID())
		var owed uint64
		for _, c := range claims {
			owed += c.Counted.Sum()
		}
		if len(claims) != 2 || owed != 45 || claims[0].Epoch != 2 {
			t.Errorf("%s: claims %+v, want 45 bytes of epoch 2", name, claims)
		}
		if len(again.Evidence()) != 1 {
			t.Errorf("%s: %d contradictions, want one", name, len(again.Evidence()))
		}
		if p := again.Pages(0); len(p) != 1 || p[0].Receipts[0].Client != 60 {
			t.Errorf("%s: pages of epoch 0 are %+v", name, p)
		}
	}
	// A debt of before is as old as the restart.
	if s := replayed(t, journal, later).Judge(later.Add(10*time.Second), payer.ID()); s.Owed != 45 || s.Lag != 10*time.Second {
		t.Errorf("stands %+v, want 45 bytes since the restart", s)
	}
}

func TestJournal_refusesWhatNobodySigned(t *testing.T) {
	till := newTill(t, nil)
	if err := till.Accept(genesis, payer.ID(), signed(t, 1, clientBytes(60))); err != nil {
		t.Fatal(err)
	}
	payload := till.Snapshot()
	for i := range payload {
		bad := slices.Clone(payload)
		bad[i] ^= 1
		again := newTill(t, nil)
		if again.Replay(bad) != nil {
			continue
		}
		again.Resume(genesis)
		for _, p := range again.Pages(0) {
			if err := p.Verify(domain); err != nil {
				t.Fatalf("byte %d: a receipt that nobody signed: %v", i, err)
			}
		}
	}
	foreign, err := receipt.NewTill(drtc.NodeID{1}, tillRules())
	if err != nil {
		t.Fatal(err)
	}
	if err := foreign.Replay(payload); err == nil {
		t.Error("the journal of another node was read")
	}
}
