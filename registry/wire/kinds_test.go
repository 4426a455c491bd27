package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/wire"
)

func registry(t testing.TB) wire.Registry {
	k := key(t)
	return wire.Registry{
		ID: k.ID(), URL: "https://registry.example:7900", Addresses: []string{"/ip4/192.0.2.1/udp/7903/quic-v1/p2p/16Uiu2"},
		Version: "0.1.0", Geolocation: "50.11,8.68", PubKey: k.Public().Hex(),
	}
}

func TestParseRegistry_isTheReverseOfBody(t *testing.T) {
	want := registry(t)
	body, err := want.Body()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.ParseRegistry(body); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestRegistry_namesTheField(t *testing.T) {
	tests := []struct {
		field, name string
		change      func(*wire.Registry)
	}{
		{"pub_key", "none", func(r *wire.Registry) { r.PubKey = "" }},
		{"pub_key", "another's", func(r *wire.Registry) { r.ID = drtc.NodeID{1} }},
		{"url", "none", func(r *wire.Registry) { r.URL = "" }},
		{"url", "another scheme", func(r *wire.Registry) { r.URL = "ftp://registry.example" }},
		{"url", "no host", func(r *wire.Registry) { r.URL = "http://:7900" }},
		{"url", "a user", func(r *wire.Registry) { r.URL = "http://me@registry.example" }},
		{"url", "long", func(r *wire.Registry) { r.URL += "/" + strings.Repeat("a", 256) }},
		{"addresses", "nine", func(r *wire.Registry) { r.Addresses = strings.Split("a,b,c,d,e,f,g,h,i", ",") }},
		{"addresses", "empty", func(r *wire.Registry) { r.Addresses = []string{""} }},
		{"addresses", "long", func(r *wire.Registry) { r.Addresses = []string{strings.Repeat("a", 257)} }},
		{"addresses", "a new line", func(r *wire.Registry) { r.Addresses = []string{"a\nb"} }},
		{"version", "long", func(r *wire.Registry) { r.Version = strings.Repeat("1", 65) }},
		{"geolocation", "no place", func(r *wire.Registry) { r.Geolocation = "here" }},
	}
	for _, tt := range tests {
		r := registry(t)
		tt.change(&r)
		if _, err := r.Body(); !errors.Is(err, wire.ErrRecord) || !strings.Contains(err.Error(), tt.field) {
			t.Errorf("%s, %s: got %v, want ErrRecord that names the field", tt.field, tt.name, err)
		}
	}
}

func TestCheckRegistry(t *testing.T) {
	good, err := registry(t).Body()
	if err != nil {
		t.Fatal(err)
	}
	checks(t, wire.CheckRegistry, []check{
		{"a Registry", func(e *envelope.Envelope) { e.Body = good }, true},
		{"a tombstone", func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, nil }, true},
		{"a full tombstone", func(e *envelope.Envelope) { e.Flags, e.Body = envelope.Tombstone, good }, false},
		{"no body", func(e *envelope.Envelope) { e.Body = nil }, false},
		{"garbage", func(e *envelope.Envelope) { e.Body = []byte("garbage") }, false},
		{"another subject", func(e *envelope.Envelope) { e.Body, e.Subject = good, drtc.NodeID{1} }, false},
		{"a field of the future", func(e *envelope.Envelope) { e.Body = append(bytes.Clone(good), 0xf8, 1, 1) }, true},
	})
}

type check struct {
	name   string
	change func(*envelope.Envelope)
	good   bool
}

func checks(t *testing.T, rule func(*envelope.Envelope) error, tests []check) {
	t.Helper()
	for _, tt := range tests {
		e := signed(t, tt.change)
		if err := rule(&e); tt.good && err != nil || !tt.good && !errors.Is(err, wire.ErrRecord) {
			t.Errorf("%s: got %v, good is %v", tt.name, err, tt.good)
		}
	}
}

// ids are n addresses in rising order.
func ids(n int) (all [][]byte) {
	for i := range n {
		id := drtc.NodeID{1, byte(i >> 8), byte(i)}
		all = append(all, id[:])
	}
	return all
}

func TestCheckAdmission(t *testing.T) {
	body := func(b *registryv1.AdmissionBody) func(*envelope.Envelope) {
		return func(e *envelope.Envelope) { e.Body = marshal(t, b) }
	}
	falling := func() [][]byte { a := ids(2); a[0], a[1] = a[1], a[0]; return a }
	checks(t, wire.CheckAdmission, []check{
		{"lists", body(&registryv1.AdmissionBody{Serial: 7, Orchestrators: ids(3), Registries: ids(2)}), true},
		{"anybody", body(&registryv1.AdmissionBody{AnyOrchestrator: true, Registries: ids(2)}), true},
		{"nobody", body(&registryv1.AdmissionBody{}), true},
		{"anybody and a list", body(&registryv1.AdmissionBody{AnyOrchestrator: true, Orchestrators: ids(1)}), false},
		{"an orchestrator twice", body(&registryv1.AdmissionBody{Orchestrators: append(ids(1), ids(1)...)}), false},
		{"falling registries", body(&registryv1.AdmissionBody{Registries: falling()}), false},
		{"a long id", body(&registryv1.AdmissionBody{Registries: [][]byte{append(ids(1)[0], 0)}}), false},
		{"garbage", func(e *envelope.Envelope) { e.Body = []byte("garbage") }, false},
		{"fields in another order", func(e *envelope.Envelope) {
			e.Body = append(marshal(t, &registryv1.AdmissionBody{AnyOrchestrator: true}), marshal(t, &registryv1.AdmissionBody{Serial: 1})...)
		}, false},
		{"a zero spelled out", func(e *envelope.Envelope) { e.Body = []byte{8, 0} }, false},
	})
}

func TestCheckEquivocation(t *testing.T) {
	other, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{2}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	// pair is two records that differ in their bodies, sorted; change spoils the
	// second before it is signed.
	pair := func(change func(*envelope.Envelope)) (a, b envelope.Envelope) {
		a = signed(t, func(e *envelope.Envelope) { e.Body = []byte("a") })
		b = signed(t, func(e *envelope.Envelope) {
			e.Body = []byte("b")
			if change != nil {
				change(e)
			}
		})
		if x, y := a.Hash(), b.Hash(); bytes.Compare(x[:], y[:]) > 0 {
			a, b = b, a
		}
		return a, b
	}
	proof := func(a, b envelope.Envelope) func(*envelope.Envelope) {
		body, err := wire.EquivocationBody(&a, &b)
		if err != nil {
			t.Fatal(err)
		}
		return func(e *envelope.Envelope) { e.Kind, e.Body = "equivocation", body }
	}
	a, b := pair(nil)
	twice := a // another valid signature is not at hand; the fields count
	twice.Signature[0] ^= 1
	same, twin := a, twice
	if x, y := same.Hash(), twin.Hash(); bytes.Compare(x[:], y[:]) > 0 {
		same, twin = twin, same
	}
	spoilt := func(change func(*envelope.Envelope)) func(*envelope.Envelope) { return proof(pair(change)) }
	forged, forgery := pair(nil)
	for i := byte(0); ; i++ { // one that keeps the order
		forgery.Body = []byte{i}
		if x, y := forged.Hash(), forgery.Hash(); bytes.Compare(x[:], y[:]) < 0 {
			break
		}
	}
	byOther := func(e envelope.Envelope) envelope.Envelope {
		e.Subject = other.ID()
		if err := e.Sign(other); err != nil {
			t.Fatal(err)
		}
		return e
	}
	c, d := byOther(a), byOther(b)
	if x, y := c.Hash(), d.Hash(); bytes.Compare(x[:], y[:]) > 0 {
		c, d = d, c
	}
	checks(t, wire.CheckEquivocation, []check{
		{"a proof", proof(a, b), true},
		{"the greater hash first", proof(b, a), false},
		{"one record twice", proof(a, a), false},
		{"the same content twice", proof(same, twin), false},
		{"another seq", spoilt(func(e *envelope.Envelope) { e.Seq = 2 }), false},
		{"another generation", spoilt(func(e *envelope.Envelope) { e.Generation = 2 }), false},
		{"another kind", spoilt(func(e *envelope.Envelope) { e.Kind = "registry" }), false},
		{"another subject", spoilt(func(e *envelope.Envelope) { e.Subject = other.ID() }), false},
		{"another network", spoilt(func(e *envelope.Envelope) { e.Network = "main" }), false},
		{"a forgery", proof(forged, forgery), false},
		{"of somebody else", proof(c, d), false},
		{"no record", func(e *envelope.Envelope) { e.Body = nil }, false},
		{"garbage", func(e *envelope.Envelope) { e.Body = []byte("garbage") }, false},
		{"half", func(e *envelope.Envelope) { e.Body = marshal(t, &registryv1.EquivocationBody{First: a.Bytes()}) }, false},
	})
	first, second, err := wire.Equivocation(func() []byte { var e envelope.Envelope; proof(a, b)(&e); return e.Body }())
	if err != nil || first.Hash() != a.Hash() || second.Hash() != b.Hash() {
		t.Errorf("read back: got %v, %v, %v", first, second, err)
	}
}

// FuzzChecks gives any bytes as the body of each kind: the rule ends, and refuses
// with its own error.
func FuzzChecks(f *testing.F) {
	reg, err := registry(f).Body()
	if err != nil {
		f.Fatal(err)
	}
	a := signed(f, nil)
	proof, err := wire.EquivocationBody(&a, &a)
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{reg, proof, {}, []byte("garbage"),
		marshal(f, &registryv1.LivenessBody{Sightings: []*registryv1.Sighting{{Node: ids(1)[0], Down: true}}}),
		marshal(f, &registryv1.AdmissionBody{Serial: 1, Orchestrators: ids(2), Registries: ids(1)})} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := envelope.Envelope{Kind: "any", Network: "devnet", Subject: key(t).ID(), Body: body, TTL: time.Minute}
		for _, rule := range []func(*envelope.Envelope) error{wire.CheckRegistry, wire.CheckAdmission, wire.CheckEquivocation} {
			if err := rule(&e); err != nil && !errors.Is(err, wire.ErrRecord) {
				t.Fatalf("foreign error %v", err)
			}
		}
		if r, err := wire.ParseRegistry(body); err == nil {
			if again, err := r.Body(); err != nil || proto.Unmarshal(again, &registryv1.RegistryBody{}) != nil {
				t.Fatalf("read what it does not write: %v", err)
			}
		}
	})
}
