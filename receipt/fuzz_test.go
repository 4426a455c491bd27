package receipt_test

import (
	"slices"
	"testing"

	"github.com/drtc-network/drtc/receipt"
)

func FuzzParse(f *testing.F) {
	f.Add(signed(f, 7, receipt.Counters{Client: 1, Relay: 2}).Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := receipt.Parse(b)
		if err == nil && !slices.Equal(s.Append(nil), b) {
			t.Errorf("%x was read as %+v, which writes other bytes", b, s)
		}
	})
}

func FuzzParsePage(f *testing.F) {
	a, b := signed(f, 1, clientBytes(1)), signed(f, 1, clientBytes(2))
	f.Add(receipt.Page{Node: node, Receipts: []receipt.Signed{a}, Evidence: []receipt.Contradiction{{First: a, Second: b}}}.Bytes())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := receipt.ParsePage(b)
		if err == nil && !slices.Equal(p.Bytes(), b) {
			t.Errorf("%x was read as %+v, which writes other bytes", b, p)
		}
		if err == nil {
			_ = p.Verify(domain)
		}
	})
}

func FuzzParsePurse(f *testing.F) {
	p := newPurse(nil)
	see(p, genesis, "a", clientBytes(100))
	see(p, genesis, "b", receipt.Counters{Relay: 6}, true)
	answer(f, p, genesis, claim(clientBytes(40)))
	f.Add(p.Bytes())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := receipt.ParsePurse(b, payer.ID(), node, purseRules())
		if err != nil {
			return
		}
		again := p.Bytes()
		if q, err := receipt.ParsePurse(again, payer.ID(), node, purseRules()); err != nil || !slices.Equal(q.Bytes(), again) {
			t.Errorf("%x: what is written is read otherwise: %v", b, err)
		}
		see(p, genesis, "a", clientBytes(1000))
		p.Answer(genesis, []receipt.Claim{claim(clientBytes(1 << 40))})
	})
}

// Whatever a file holds: no receipt comes out of it that was not signed.
func FuzzReplay(f *testing.F) {
	till := newTill(f, nil)
	till.Count(genesis, payer.ID(), shop, clientBytes(100))
	if err := till.Accept(genesis, payer.ID(), signed(f, 1, clientBytes(60))); err != nil {
		f.Fatal(err)
	}
	_ = till.Accept(genesis, payer.ID(), signed(f, 1, clientBytes(61)))
	f.Add(receipt.AppendFrame(nil, till.Snapshot()))
	f.Add(receipt.AppendFrame(nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		till := newTill(t, nil)
		payloads, whole := receipt.Frames(b)
		if whole > len(b) {
			t.Fatalf("%d of %d bytes are whole", whole, len(b))
		}
		for _, p := range payloads {
			if till.Replay(p) != nil {
				return
			}
		}
		till.Resume(genesis)
		for _, e := range till.Epochs() {
			for _, p := range till.Pages(e) {
				if err := p.Verify(domain); err != nil {
					t.Errorf("epoch %d: %v", e, err)
				}
			}
		}
		till.Judge(genesis, payer.ID())
	})
}

func FuzzParseUsage(f *testing.F) {
	f.Add([]byte(`[{"day":"2026-01-01","application":"shop","key":"k","room":"r","client_bytes":1,"relay_bytes":2}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := receipt.NewUsage()
		if u.Load(receipt.UsagePage{Day: "2026-01-01"}, b) != nil {
			return
		}
		if _, err := u.Page(receipt.UsagePage{Day: "2026-01-01"}); err != nil {
			t.Error(err)
		}
	})
}
