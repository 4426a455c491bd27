package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/receipt"
)

// pageRecord is a page of receipts as a node publishes it.
func pageRecord(t testing.TB, n *mediaNode, p receipt.Page) *registryv1.Record {
	t.Helper()
	n.seq++
	e := envelope.Envelope{
		Kind: "receipt", Network: "devnet", Subject: p.Subject(), Seq: n.seq, IssuedAt: time.Now(), TTL: time.Hour, Body: p.Bytes(),
	}
	if err := e.Sign(n.Key); err != nil {
		t.Fatal(err)
	}
	var r registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func (p *process) publish(r *registryv1.Record) error {
	a, err := p.Publish(p.t.Context(), connect.NewRequest(&registryv1.PublishRequest{Record: r}))
	if err == nil && !a.Msg.GetAccepted() {
		return fmt.Errorf("held: %v", a.Msg.GetHeld().GetSeq())
	}
	return err
}

// The largest page goes in, over a restart and to another Registry; what is forged,
// another node's or of another kind does not.
func TestRegistry_holdsReceipts(t *testing.T) {
	network := receipt.Network{
		ChainID: 5, Contract: drtc.NodeID{19: 9}, Genesis: time.Now().Add(-time.Hour).Truncate(time.Second), EpochLength: 24 * time.Hour,
	}
	c := testConfig(t)
	c.Receipts = network
	p := start(t, c)
	n, payer := newNode(t), newNode(t)
	var receipts []receipt.Signed
	for i := range receipt.MaxReceipts {
		s, err := receipt.Signed{
			Account:  receipt.Account{Application: receipt.Application{17: 1, 18: byte(i >> 8), 19: byte(i)}, Orchestrator: payer.ID(), Node: n.ID()},
			Sequence: 1, Counters: receipt.Counters{Client: uint64(i)},
		}.Sign(payer.Key, network.Domain())
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, s)
	}
	pages := receipt.Pages(n.ID(), 0, receipts, nil)
	if len(pages) != 1 {
		t.Fatalf("got %d pages", len(pages))
	}
	if err := p.publish(pageRecord(t, n, pages[0])); err != nil {
		t.Fatalf("a page of %d bytes: %v", len(pages[0].Bytes()), err)
	}

	forged := pages[0]
	forged.Receipts = append([]receipt.Signed{}, forged.Receipts...)
	forged.Receipts[3].Client++
	other := newNode(t)
	for name, r := range map[string]*registryv1.Record{
		"forged":            pageRecord(t, n, forged),
		"another node's":    pageRecord(t, other, pages[0]),
		"of another kind":   n.record(t, nil),
		"of another number": pageRecord(t, n, receipt.Page{Node: n.ID(), Number: receipt.MaxPages, Receipts: receipts[:1]}),
		"not a record":      {},
	} {
		if err := p.publish(r); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: got %v, want %v", name, err, connect.CodeInvalidArgument)
		}
	}
	held := func(p *process, id drtc.NodeID) [][]byte {
		t.Helper()
		resp, err := http.Get(p.URL() + "/receipts?epoch=0&ids=" + id.String())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Records []struct {
				Record []byte `json:"record"`
			} `json:"records"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		var records [][]byte
		for _, r := range answer.Records {
			records = append(records, r.Record)
		}
		return records
	}
	check := func(what string, p *process) {
		t.Helper()
		records := held(p, n.ID())
		if len(records) != 1 {
			t.Fatalf("%s: %d records, want the page", what, len(records))
		}
		e, err := envelope.Parse(records[0])
		if err != nil {
			t.Fatal(err)
		}
		if identity.Keccak256(e.Body) != identity.Keccak256(pages[0].Bytes()) {
			t.Errorf("%s: the page is another", what)
		}
	}
	check("at once", p)
	if got := held(p, other.ID()); len(got) != 0 {
		t.Errorf("%d records of another node", len(got))
	}
	d := testConfig(t)
	d.Receipts, d.Bootstrap = network, []string{p.URL()}
	q := start(t, d)
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for len(held(q, n.ID())) == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("another Registry did not get the page")
		}
	}
	check("at another Registry", q)
	p.stop()
	check("after a restart", start(t, c))

	e := testConfig(t)
	if err := start(t, e).publish(pageRecord(t, n, pages[0])); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a Registry without receipts: got %v, want %v", err, connect.CodeInvalidArgument)
	}
}
