package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/wire"
)

func key(t testing.TB) *identity.Key {
	t.Helper()
	k, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// body has no field at its zero value.
func body(t testing.TB) *registryv1.NodeBody {
	k := key(t)
	return &registryv1.NodeBody{
		NodeId: k.ID().String(), Region: "EU", Geolocation: "50.11,8.68", Url: "https://192.0.2.1:7901", DiscoveryUrl: "http://192.0.2.1",
		Ip: "192.0.2.1", MetricsUrl: "http://192.0.2.1/metrics", PubKey: k.Public().Hex(), Version: "0.1.0", CapacityMbps: 1, Cores: 2,
		Features: []string{"vp8"}, TlsFingerprint: bytes.Repeat([]byte{7}, 32), MediaAddresses: []string{"192.0.2.1:7902"},
		MaxSessions: 3, Sessions: 4, LoadMbps: 5, PlaceName: "Frankfurt", Owner: "0x00000000000000000000000000000000000000aa", Draining: true,
	}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signed(t testing.TB, change func(*envelope.Envelope)) envelope.Envelope {
	t.Helper()
	k := key(t)
	e := envelope.Envelope{
		Kind: "node", Network: "devnet", Subject: k.ID(), Seq: 1,
		IssuedAt: time.UnixMilli(1790000000000), TTL: time.Minute, Body: marshal(t, body(t)),
	}
	if change != nil {
		change(&e)
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNode_carriesEveryField(t *testing.T) {
	b := body(t)
	fields := b.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); !b.ProtoReflect().Has(f) {
			t.Errorf("the test leaves out %s", f.Name())
		}
	}
	got, err := wire.Node(marshal(t, b))
	if err != nil {
		t.Fatal(err)
	}
	want := node.Payload{
		NodeID: key(t).ID(), Region: drtc.Europe, Geolocation: "50.11,8.68", URL: "https://192.0.2.1:7901", DiscoveryURL: "http://192.0.2.1",
		IP: "192.0.2.1", MetricsURL: "http://192.0.2.1/metrics", PubKey: key(t).Public().Hex(), Version: "0.1.0", CapacityMbps: 1, Cores: 2,
		Features: []string{"vp8"}, TLSFingerprint: strings.Repeat("07", 32), MediaAddresses: []string{"192.0.2.1:7902"},
		MaxSessions: 3, Sessions: 4, LoadMbps: 5, PlaceName: "Frankfurt", Owner: "0x00000000000000000000000000000000000000aa", Draining: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestFromProto_isTheReverseOfToProto(t *testing.T) {
	e := signed(t, nil)
	r, err := wire.ToProto(&e)
	if err != nil {
		t.Fatal(err)
	}
	back, err := wire.FromProto(r)
	if err != nil || !bytes.Equal(back.Bytes(), e.Bytes()) || back.Verify() != nil {
		t.Errorf("got %+v, %v, want %+v", back, err, e)
	}
}

func TestFromProto_refuses(t *testing.T) {
	tests := map[string]func(*registryv1.Record){
		"short subject":    func(r *registryv1.Record) { r.Subject = r.Subject[1:] },
		"long issuer":      func(r *registryv1.Record) { r.Issuer = append(r.Issuer, 1) },
		"no signature":     func(r *registryv1.Record) { r.Signature = nil },
		"time before 1970": func(r *registryv1.Record) { r.IssuedAtMs = -1 },
		"no life":          func(r *registryv1.Record) { r.TtlS = 0 },
		"unknown flag":     func(r *registryv1.Record) { r.Flags = 4 },
		"capital kind":     func(r *registryv1.Record) { r.Kind = "Node" },
		"not UTF-8":        func(r *registryv1.Record) { r.Kind = "\xff" },
		"unknown field":    func(r *registryv1.Record) { r.ProtoReflect().SetUnknown(protoreflect.RawFields{0x78, 1}) },
	}
	for name, change := range tests {
		e := signed(t, nil)
		r, err := wire.ToProto(&e)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if got, err := wire.FromProto(r); !errors.Is(err, envelope.ErrField) && !errors.Is(err, envelope.ErrMalformed) && !errors.Is(err, wire.ErrRecord) {
			t.Errorf("%s: got %+v, %v, want a refusal", name, got, err)
		}
	}
	if _, err := wire.FromProto(nil); !errors.Is(err, wire.ErrRecord) {
		t.Errorf("none: got %v, want ErrRecord", err)
	}
}

func TestCheckNode(t *testing.T) {
	tests := map[string]struct {
		change func(*envelope.Envelope)
		want   error
	}{
		"a node":           {nil, nil},
		"a tombstone":      {func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil }, nil},
		"a full tombstone": {func(e *envelope.Envelope) { e.Flags = envelope.Tombstone }, wire.ErrRecord},
		"no body":          {func(e *envelope.Envelope) { e.Body = nil }, wire.ErrRecord},
		"garbage":          {func(e *envelope.Envelope) { e.Body = []byte("garbage") }, wire.ErrRecord},
		"another subject":  {func(e *envelope.Envelope) { e.Subject = drtc.NodeID{1} }, wire.ErrRecord},
		"a bad field": {func(e *envelope.Envelope) {
			b := body(t)
			b.Region = "MOON"
			e.Body = marshal(t, b)
		}, node.ErrPayload},
	}
	for name, tt := range tests {
		e := signed(t, tt.change)
		if err := wire.CheckNode(&e); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestCheckNodeKey(t *testing.T) {
	e := signed(t, nil)
	signer, err := e.Signer()
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.CheckNodeKey(&e, signer); err != nil {
		t.Errorf("the signer's key: got %v, want nil", err)
	}
	if err := wire.CheckNodeKey(&e, identity.PublicKey{}); !errors.Is(err, node.ErrPayload) {
		t.Errorf("another key: got %v, want ErrPayload", err)
	}
	e.Flags, e.Body = envelope.Tombstone, nil
	if err := wire.CheckNodeKey(&e, signer); err != nil {
		t.Errorf("a tombstone: got %v, want nil", err)
	}
}

func FuzzNode(f *testing.F) {
	f.Add(marshal(f, body(f)))
	f.Add([]byte{})
	f.Add([]byte("garbage"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := wire.Node(b)
		if err != nil {
			if !errors.Is(err, wire.ErrRecord) && !errors.Is(err, node.ErrPayload) {
				t.Fatalf("foreign error %v", err)
			}
			return
		}
		if err := p.Check(); err != nil {
			t.Fatalf("returned what it would refuse: %v", err)
		}
	})
}
