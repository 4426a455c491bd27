package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/index"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/wire"
)

// fullNode has every field of a node.
func fullNode() node.Payload {
	return node.Payload{
		NodeID: nodeID(1), Region: drtc.Asia, Geolocation: "1.5,2", URL: "https://[2001:db8::1]:1/a?b=<c>&d", DiscoveryURL: "http://a", IP: "::1",
		MetricsURL: "http://b", PubKey: "0x02", Version: "0.1.0-\"rc\\1\"", CapacityMbps: 1000, LoadMbps: 7, Cores: 8,
		Features: []string{"vp8", "Ünicode\u2028"}, TLSFingerprint: strings.Repeat("ab", 32), MediaAddresses: []string{"192.0.2.1:1"},
		MaxSessions: 5, Sessions: 3, PlaceName: "São Paulo", Owner: nodeID(9).String(), Draining: true,
	}
}

// written is the JSON of a body as the API writes it, of the node's own fields.
func written(t *testing.T, body []byte) map[string]any {
	t.Helper()
	w := newNodeWriter()
	b := append(append([]byte{'{'}, w.append(nil, &index.Entry{ID: nodeID(1), Body: body}, -1)...), '}')
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	for _, own := range []string{"generation", "seq", "issuedAt", "expiresAt", "quality", "availability", "state"} {
		if _, there := got[own]; !there {
			t.Errorf("%s is missing", own)
		}
		delete(got, own)
	}
	return got
}

// encoded is the JSON of a payload as encoding/json writes it.
func encoded(t *testing.T, p node.Payload) map[string]any {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestNodeWriter_agreesWithThePayload(t *testing.T) {
	full := fullNode()
	for _, v := range reflect.ValueOf(full).Fields() {
		if v.IsZero() {
			t.Fatal("a field of the full node is empty")
		}
	}
	for _, p := range []node.Payload{full, {NodeID: nodeID(1)}} {
		e := recordOf(p, 1)
		if got, want := written(t, e.Body), encoded(t, p); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestNodeWriter_whatTheRegistrySays(t *testing.T) {
	p, e := signedNode(1)
	entry := index.NewEntry(p, &e)
	entry.Quality, entry.Availability, entry.State = 0.25, 1e-7, index.Suspect
	entry.PlaceVerdict, entry.PlaceReasons = "refuted", []string{"too \"far\"", "twice"}
	w := newNodeWriter()
	got := string(w.append(nil, entry, 12.34567))
	for _, want := range []string{`"quality":0.25,"availability":0.0000001,"state":"suspect"`,
		`"placeVerdict":"refuted","placeReasons":["too \"far\"","twice"]`, `"distanceKm":12.346`,
		`"issuedAt":"` + e.IssuedAt.Format(time.RFC3339Nano) + `"`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
}

// Every body that protobuf reads is written as protobuf reads it.
func FuzzNodeWriter(f *testing.F) {
	e := recordOf(fullNode(), 1)
	f.Add(e.Body)
	f.Add(append(e.Body, e.Body...)) // every field twice
	f.Add([]byte{0x12, 1, 'a', 0x10, 5, 0x12, 0, 0x50, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x65, 1, 2, 3, 4})
	f.Add([]byte{0x62, 0, 0x62, 1, 'x', 0xa0, 1, 7, 0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, body []byte) {
		var b registryv1.NodeBody
		if proto.Unmarshal(body, &b) != nil {
			written(t, body) // anything, as long as it is JSON
			return
		}
		b.NodeId = nodeID(1).String()
		whole, err := proto.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := wire.Node(whole) // its judgement does not matter here
		if got, want := written(t, body), encoded(t, p); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func BenchmarkNodeWriter(b *testing.B) {
	p := fullNode()
	e := recordOf(p, 1)
	entry, w := index.NewEntry(p, &e), newNodeWriter()
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = w.append(out[:0], entry, 1)
	}
}
