package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry/audit"
	pages "github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/store"
	"github.com/drtc-network/drtc/registry/wire"
)

var now = time.UnixMilli(1790000000000).UTC()

func rules() record.Rules {
	r := record.DefaultRules("")
	r.Kinds = wire.Kinds(receipt.Network{})
	return r
}

func key(t testing.TB, n int) *identity.Key {
	t.Helper()
	k, err := identity.ParseKey(fmt.Sprintf("0x%064x", n+1))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// node is a node's record that is as old as age; change makes it another before
// it is signed.
func node(t testing.TB, n int, age time.Duration, change func(*envelope.Envelope)) envelope.Envelope {
	t.Helper()
	k := key(t, n)
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&registryv1.NodeBody{
		NodeId: k.ID().String(), PubKey: k.Public().Hex(), Url: "http://127.0.0.1:1", Geolocation: "50,8",
	})
	if err != nil {
		t.Fatal(err)
	}
	e := envelope.Envelope{
		Kind: record.KindNode, Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: now.Add(-age), TTL: 300 * time.Second, Body: body,
	}
	if change != nil {
		change(&e)
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

func tombstone(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil }

func liveness(t testing.TB, body []byte) envelope.Envelope {
	t.Helper()
	e := envelope.Envelope{
		Kind: record.KindLiveness, Network: "devnet", Subject: pages.Page(0, 0), Seq: 1, IssuedAt: now, TTL: 60 * time.Second, Body: body,
	}
	if err := e.Sign(key(t, 0)); err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t testing.TB, records ...envelope.Envelope) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Commit(store.Batch{Put: records}); err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t testing.TB, src audit.Source) audit.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), now, rules(), src, 4, func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun_sortsRecordsByTheirState(t *testing.T) {
	s := open(t,
		node(t, 1, 0, nil), node(t, 2, 299*time.Second, nil),
		node(t, 3, 400*time.Second, nil), node(t, 4, 0, tombstone),
		node(t, 5, 2*time.Hour, nil), node(t, 6, 2*time.Hour, tombstone), node(t, 7, 2*time.Hour, nil),
		liveness(t, nil))
	var file bytes.Buffer
	if _, err := s.Backup(t.Context(), now, &file); err != nil {
		t.Fatal(err)
	}
	backup, err := store.NewBackupReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]audit.Source{"store": s, "back-up": backup} {
		r := run(t, src)
		want := []audit.Kind{{"liveness", 1, 1, 0, 0, 0}, {"node", 7, 2, 2, 3, 0}}
		if !r.Clean() || r.Network != "devnet" || r.Records != 8 || !slices.Equal(r.Kinds, want) {
			t.Errorf("%s: got %+v, want clean with %+v", name, r, want)
		}
	}
}

// spoilt is a store whose records some hand has changed.
type spoilt struct {
	*store.Store
	hand func(*store.Raw)
}

func (s spoilt) EachRaw(ctx context.Context, workers int, each func(store.Raw) error) error {
	return s.Store.EachRaw(ctx, workers, func(r store.Raw) error {
		s.hand(&r)
		return each(r)
	})
}

func TestRun_namesEachBadRecordAndItsCause(t *testing.T) {
	good := node(t, 1, 0, nil)
	tests := map[string]struct {
		record envelope.Envelope
		hand   func(*store.Raw)
		cause  string
	}{
		"foreign network":    {node(t, 2, 0, func(e *envelope.Envelope) { e.Network = "main" }), nil, "network"},
		"forged":             {func() envelope.Envelope { e := node(t, 2, 0, nil); e.Seq++; return e }(), nil, "signature"},
		"forged and expired": {func() envelope.Envelope { e := node(t, 2, 2*time.Hour, nil); e.Seq++; return e }(), nil, "signature"},
		"unsigned":           {func() envelope.Envelope { e := node(t, 2, 0, nil); e.Signature = identity.Signature{}; return e }(), nil, "signature"},
		"another's subject":  {node(t, 2, 0, func(e *envelope.Envelope) { e.Subject = good.Subject }), nil, "issuer"},
		"unknown kind":       {node(t, 2, 0, func(e *envelope.Envelope) { e.Kind = "gossip" }), nil, "kind"},
		"too long a life":    {node(t, 2, 0, func(e *envelope.Envelope) { e.TTL = time.Hour }), nil, "ttl_s"},
		"too large":          {node(t, 2, 0, func(e *envelope.Envelope) { e.Body = make([]byte, 5000) }), nil, "body: too large"},
		"from the future":    {node(t, 2, -time.Hour, nil), nil, "in the future"},
		"body not its own":   {node(t, 2, 0, func(e *envelope.Envelope) { e.Body = good.Body }), nil, "node_id"},
		"no body":            {node(t, 2, 0, func(e *envelope.Envelope) { e.Body = []byte{0xff} }), nil, "body"},
		"flipped bit":        {node(t, 2, 0, nil), func(r *store.Raw) { r.Value[len(r.Value)-20] ^= 1 }, "signature"},
		"not canonical":      {node(t, 2, 0, nil), func(r *store.Raw) { r.Value = append(r.Value, 0x30, 1) }, "canonical"},
		"garbage":            {node(t, 2, 0, nil), func(r *store.Raw) { r.Value = []byte("garbage") }, "corrupt"},
		"another's place":    {node(t, 2, 0, nil), func(r *store.Raw) { r.Value = good.Bytes() }, "another key's record"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var src audit.Source = open(t, good, tt.record)
			if tt.hand != nil {
				src = spoilt{open(t, good, tt.record), func(r *store.Raw) {
					if r.Where() == record.KeyOf(&tt.record) {
						tt.hand(r)
					}
				}}
			}
			r := run(t, src)
			if r.Clean() || r.Records != 2 || r.Bad != 1 || len(r.Listed) != 1 {
				t.Fatalf("got %+v, want one bad record of two", r)
			}
			b := r.Listed[0]
			if b.Kind != tt.record.Kind || b.Subject != tt.record.Subject || b.Issuer != tt.record.Issuer || !strings.Contains(b.Cause, tt.cause) {
				t.Errorf("got %+v, want the %s record about %s by %s with a cause that says %q", b, tt.record.Kind, tt.record.Subject, tt.record.Issuer, tt.cause)
			}
		})
	}
}

func TestRun_cutBackupIsNotClean(t *testing.T) {
	s := open(t, node(t, 1, 0, nil), node(t, 2, 0, nil))
	var file bytes.Buffer
	if _, err := s.Backup(t.Context(), now, &file); err != nil {
		t.Fatal(err)
	}
	in, err := store.NewBackupReader(bytes.NewReader(file.Bytes()[:file.Len()-1]))
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, in); r.Clean() || r.Bad != 0 || !strings.Contains(r.Stopped, "cut short") {
		t.Errorf("got %+v, want stopped because it is cut short", r)
	}
}

func TestRun_countsAllAndListsSome(t *testing.T) {
	var records []envelope.Envelope
	body := node(t, 0, 0, nil).Body
	for n := range audit.MaxListed + 5 {
		records = append(records, envelope.Envelope{
			Kind: record.KindNode, Network: "devnet", Subject: drtc.NodeID{byte(n >> 8), byte(n), 1}, Issuer: drtc.NodeID{byte(n >> 8), byte(n), 1},
			Seq: 1, IssuedAt: now, TTL: time.Minute, Body: body,
		})
	}
	r := run(t, open(t, records...))
	if r.Bad != audit.MaxListed+5 || len(r.Listed) != audit.MaxListed {
		t.Errorf("got %d bad and %d listed, want %d and %d", r.Bad, len(r.Listed), audit.MaxListed+5, audit.MaxListed)
	}
}

func TestRun_endsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Run(ctx, now, rules(), open(t, node(t, 1, 0, nil)), 2, func(uint64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// BenchmarkRun is the audit of b.N nodes' records with two workers.
func BenchmarkRun(b *testing.B) {
	records := make([]envelope.Envelope, b.N)
	for n := range records {
		records[n] = node(b, n, 0, nil)
	}
	s := open(b, records...)
	b.ResetTimer()
	r, err := audit.Run(b.Context(), now, rules(), s, 2, func(uint64) {})
	if err != nil || !r.Clean() {
		b.Fatalf("%+v, %v", r, err)
	}
}
