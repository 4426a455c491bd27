package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry/record"
)

func testKey(t *testing.T, n int) *identity.Key {
	t.Helper()
	k, err := identity.ParseKey(fmt.Sprintf("0x%064x", n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Nothing is stored of a page in which anything is not as it should be.
func TestCheckReceipts_verifiesAllOfAPage(t *testing.T) {
	genesis := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	network := receipt.Network{ChainID: 72010, Contract: drtc.NodeID{19: 9}, Genesis: genesis, EpochLength: time.Hour}
	node, payer := testKey(t, 7), testKey(t, 1)
	sign := func(epoch, bytes uint64, change func(*receipt.Signed)) receipt.Signed {
		s := receipt.Signed{
			Account: receipt.Account{Application: receipt.Application{1}, Orchestrator: payer.ID(), Node: node.ID(), Epoch: epoch}, Sequence: 1,
			Counters: receipt.Counters{Client: bytes},
		}
		if change != nil {
			change(&s)
		}
		s, err := s.Sign(payer, network.Domain())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	page := func(epoch uint64, receipts ...receipt.Signed) receipt.Page {
		return receipt.Page{Node: node.ID(), Epoch: epoch, Receipts: receipts}
	}
	envelopeOf := func(p receipt.Page) *envelope.Envelope {
		e := &envelope.Envelope{
			Kind: record.KindReceipt, Network: "devnet", Subject: p.Subject(), IssuedAt: genesis.Add(90 * time.Minute), TTL: time.Hour, Body: p.Bytes(),
		}
		if err := e.Sign(node); err != nil {
			t.Fatal(err)
		}
		return e
	}
	forged := sign(1, 100, nil)
	forged.Client++
	contradiction := page(1, sign(1, 100, nil))
	contradiction.Evidence = []receipt.Contradiction{{First: sign(1, 99, nil), Second: sign(1, 100, nil)}}
	lie := contradiction
	lie.Evidence = []receipt.Contradiction{{First: sign(1, 99, nil), Second: forged}}
	foreign := page(1, sign(1, 100, nil))
	foreign.Node = drtc.NodeID{1}
	displaced := envelopeOf(page(1, sign(1, 100, nil)))
	displaced.Subject = drtc.NodeID{2}
	cut := envelopeOf(page(1, sign(1, 100, nil)))
	cut.Body = cut.Body[:len(cut.Body)-1]
	elsewhere := page(1, sign(1, 100, nil))
	elsewhere.Receipts[0].Signature = sign(0, 100, nil).Signature
	for name, c := range map[string]struct {
		e    *envelope.Envelope
		says string // empty: it is taken
	}{
		"a receipt":                {envelopeOf(page(1, sign(1, 100, nil))), ""},
		"of the epoch before":      {envelopeOf(page(0, sign(0, 100, nil))), ""},
		"with evidence":            {envelopeOf(contradiction), ""},
		"forged bytes":             {envelopeOf(page(1, forged)), "signature"},
		"signed for another epoch": {envelopeOf(elsewhere), "signature"},
		"of a node that is not it": {envelopeOf(foreign), "issuer"},
		"in the place of another":  {displaced, "subject"},
		"of an epoch to come":      {envelopeOf(page(2, sign(2, 100, nil))), "epoch"},
		"evidence that is none":    {envelopeOf(lie), "signature"},
		"cut off":                  {cut, "malformed"},
	} {
		err := CheckReceipts(network)(c.e)
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	if err := CheckReceipts(receipt.Network{})(envelopeOf(page(1, forged))); err != nil {
		t.Errorf("without the network's parameters: got %v, want that signatures are not looked at", err)
	}
	if n := len(Kinds(network)) - len(Kinds(receipt.Network{})); n != 1 {
		t.Errorf("%d kinds more with receipts, want one", n)
	}
}
