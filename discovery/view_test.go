package discovery

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

var epoch = time.UnixMilli(1790000000000).UTC()

const (
	one = "http://one.example"
	two = "http://two.example"
)

func testConfig(registries ...string) Config {
	c := DefaultConfig()
	c.Registries, c.Network = registries, "devnet"
	return c
}

func newKey(t interface{ Fatal(...any) }) *identity.Key {
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes the record of a node, changed before signing.
func sign(t interface{ Fatal(...any) }, k *identity.Key, at time.Time, change func(*envelope.Envelope, *registryv1.NodeBody)) envelope.Envelope {
	body := &registryv1.NodeBody{
		NodeId: k.ID().String(), PubKey: k.Public().Hex(), Url: "https://10.0.0.1:7901", Region: "EU",
		Geolocation: "50.11,8.68", TlsFingerprint: bytes.Repeat([]byte{7}, 32), CapacityMbps: 1000,
		PlaceName: "Frankfurt", Version: "0.1.0", Owner: "0x00000000000000000000000000000000000000aa",
	}
	e := envelope.Envelope{
		Kind: "node", Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: at, TTL: 300 * time.Second,
	}
	if change != nil {
		change(&e, body)
	}
	if !e.IsTombstone() && e.Body == nil {
		var err error
		if e.Body, err = proto.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

func tombstone(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Flags, e.Seq = envelope.Tombstone, 2 }

func claim(e envelope.Envelope) listed { return listed{e.Subject, e.Version()} }

func ids(nodes []Node) []drtc.NodeID {
	out := []drtc.NodeID{}
	for _, n := range nodes {
		out = append(out, n.ID)
	}
	return out
}

func TestView_readsTheWholeRecord(t *testing.T) {
	v, k := newView(testConfig(one, two)), newKey(t)
	e := sign(t, k, epoch, nil)
	if learned, err := v.add(epoch, k.ID(), e.Bytes()); !learned || err != nil {
		t.Fatalf("got %v, %v", learned, err)
	}
	v.listedBy(two, epoch, []listed{claim(e)}, false)
	v.listedBy(one, epoch, []listed{claim(e)}, false)
	got := v.nodes(epoch)
	if len(got) != 1 {
		t.Fatalf("got %v, want one node", got)
	}
	n := got[0]
	if n.ID != k.ID() || n.PublicKey != k.Public() || n.URL != "https://10.0.0.1:7901" || n.TLSFingerprint != [32]byte(bytes.Repeat([]byte{7}, 32)) ||
		n.Region != drtc.Europe || *n.Place != (drtc.Place{Lat: 50.11, Lon: 8.68}) || n.PlaceName != "Frankfurt" || n.CapacityMbps != 1000 ||
		n.Owner != (drtc.NodeID{19: 0xaa}) || n.Record != e.Version() || !n.ExpiresAt.Equal(e.ExpiresAt()) || !slices.Equal(n.VouchedBy, []string{one, two}) {
		t.Errorf("got %+v", n)
	}
}

func TestView_refuses(t *testing.T) {
	k, other := newKey(t), newKey(t)
	of := func(change func(*envelope.Envelope, *registryv1.NodeBody)) []byte {
		e := sign(t, k, epoch, change)
		return e.Bytes()
	}
	altered := sign(t, k, epoch, nil)
	altered.Body = append(slices.Clone(altered.Body), 0x78, 9) // max_sessions: 9
	stolen := sign(t, other, epoch, nil)
	tests := map[string]struct {
		raw  []byte
		want error
	}{
		"garbage":        {[]byte("garbage"), envelope.ErrMalformed},
		"nothing":        {nil, envelope.ErrField},
		"altered":        {altered.Bytes(), envelope.ErrSignature},
		"another node's": {stolen.Bytes(), errAnother},
		"about this by another": {func() []byte {
			e := sign(t, other, epoch, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Subject = k.ID() })
			return e.Bytes()
		}(), errAnother},
		"of another network": {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Network = "main" }), errForeign},
		"of another kind":    {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Kind = "registry" }), errForeign},
		"too long a life":    {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.TTL = 901 * time.Second }), errSize},
		"too large":          {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.PlaceName = strings.Repeat("x", 5000) }), errSize},
		"from the future":    {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.IssuedAt = epoch.Add(31 * time.Second) }), errFuture},
		"expired":            {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.IssuedAt = epoch.Add(-330 * time.Second) }), errExpired},
		"tombstone of long ago": {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) {
			tombstone(e, nil)
			e.IssuedAt = epoch.Add(-990 * time.Second)
		}), errExpired},
		"body says another id":    {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.NodeId = other.ID().String() }), errBody},
		"body has another's key":  {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.PubKey = other.Public().Hex() }), errBody},
		"no key":                  {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.PubKey = "" }), errBody},
		"no body":                 {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Body = []byte{} }), errBody},
		"body is garbage":         {of(func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Body = []byte("garbage") }), errBody},
		"url of another scheme":   {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Url = "file:///etc/passwd" }), errBody},
		"https without print":     {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.TlsFingerprint = nil }), errBody},
		"long fingerprint":        {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.TlsFingerprint = make([]byte, 33) }), errBody},
		"place off the globe":     {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Geolocation = "91,0" }), errBody},
		"no such region":          {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Region = "MOON" }), errBody},
		"owner is no address":     {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Owner = "me" }), errBody},
		"name that moves cursors": {of(func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.PlaceName = "\x1b[2J" }), errBody},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := newView(testConfig(one))
			if learned, err := v.add(epoch, k.ID(), tt.raw); learned || !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v, want %v", learned, err, tt.want)
			}
			v.listedBy(one, epoch, []listed{{id: k.ID()}}, false)
			if got := v.nodes(epoch); len(got) != 0 {
				t.Errorf("shown: %v", got)
			}
		})
	}
}

func TestView_boundsItsMemory(t *testing.T) {
	c := testConfig(one)
	c.MaxNodes = 1
	v := newView(c)
	for i, want := range []error{nil, errFull} {
		k := newKey(t)
		e := sign(t, k, epoch, nil)
		if _, err := v.add(epoch, k.ID(), e.Bytes()); !errors.Is(err, want) {
			t.Errorf("node %d: got %v, want %v", i, err, want)
		}
	}
}

func TestView_oneRegistryProvesThatANodeLeft(t *testing.T) {
	v, k := newView(testConfig(one, two)), newKey(t)
	e := sign(t, k, epoch, nil)
	gone := sign(t, k, epoch.Add(time.Second), tombstone)
	if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
		t.Fatal(err)
	}
	v.listedBy(one, epoch, []listed{claim(e)}, false)
	v.listedBy(two, epoch, []listed{claim(e)}, false)

	now := epoch.Add(2 * time.Second)
	if got := v.wanted(one, nil); !slices.Equal(got, []drtc.NodeID{k.ID()}) {
		t.Fatalf("when it is no longer listed, wanted %v, want its record", got)
	}
	if learned, err := v.add(now, k.ID(), gone.Bytes()); !learned || err != nil {
		t.Fatalf("tombstone: got %v, %v", learned, err)
	}
	v.listedBy(one, now, nil, false)
	if got := v.nodes(now); len(got) != 0 {
		t.Errorf("shown although it left: %v", got)
	}
	if learned, err := v.add(now, k.ID(), e.Bytes()); learned || err != nil {
		t.Errorf("the old record again: got %v, %v, want nothing new", learned, err)
	}
	v.listedBy(two, now, []listed{claim(e)}, false)
	if got := v.nodes(now); len(got) != 0 {
		t.Errorf("brought back by the other Registry: %v", got)
	}
	if got := v.wanted(one, nil); len(got) != 0 {
		t.Errorf("wanted %v, want nothing more", got)
	}
}

func TestView_whatASilentRegistrySaidCountsForAWhile(t *testing.T) {
	v, k := newView(testConfig(one, two)), newKey(t)
	e := sign(t, k, epoch, nil)
	if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	check := func(when string, now time.Time, want ...string) {
		t.Helper()
		var got []string
		if nodes := v.nodes(now); len(nodes) == 1 {
			got = nodes[0].VouchedBy
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: vouched for by %v, want %v", when, got, want)
		}
	}
	check("before anybody lists it", at(0))
	v.listedBy(one, at(0), []listed{claim(e)}, false)
	v.listedBy(two, at(0), []listed{claim(e)}, false)
	check("both list it", at(0), one, two)
	v.listedBy(two, at(10), nil, false)
	check("one still does", at(10), one)
	check("and fell silent a while ago", at(60), one)
	v.listedBy(two, at(61), nil, false)
	check("and fell silent long ago", at(61))
	check("and so did the other: the last answers count", at(200), one)
	check("until the record ends", at(330))
}

// The rule of the contract: at least half of those who answer.
func TestView_minorityNeitherHidesNorShows(t *testing.T) {
	registries := []string{"a", "b", "c", "d", "e"}
	k := newKey(t)
	e := sign(t, k, epoch, nil)
	for answers := 1; answers <= len(registries); answers++ {
		for list := 0; list <= answers; list++ {
			v := newView(testConfig(registries...))
			if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
				t.Fatal(err)
			}
			for i, r := range registries[:answers] {
				var says []listed
				if i < list {
					says = []listed{claim(e)}
				}
				v.listedBy(r, epoch, says, false)
			}
			got, want := len(v.nodes(epoch)) == 1, list > 0 && list >= answers-list
			if got != want {
				t.Errorf("%d of %d list it: shown %v, want %v", list, answers, got, want)
			}
		}
	}
}

func TestView_openAnswerIsTrueUntilItEnds(t *testing.T) {
	v, k := newView(testConfig(one, two)), newKey(t)
	e := sign(t, k, epoch, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.TTL = 900 * time.Second })
	if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
		t.Fatal(err)
	}
	shown := func(at int) bool { return len(v.nodes(epoch.Add(time.Duration(at)*time.Second))) == 1 }
	v.listedBy(one, epoch, nil, true)
	v.listedBy(two, epoch.Add(700*time.Second), nil, false)
	if v.change(one, k.ID(), false) || !v.change(one, k.ID(), true) || v.change(one, k.ID(), true) || v.change("three", k.ID(), true) {
		t.Error("what is news and what is not is told wrongly")
	}
	if !shown(701) {
		t.Error("not shown although an open answer shows it, and half is enough")
	}
	v.ended(one, epoch.Add(600*time.Second))
	if shown(701) {
		t.Error("shown although the stream ended long ago and the other Registry does not list it")
	}
	v.ask([]string{one})
	if !shown(800) || len(v.lists) != 1 {
		t.Errorf("the last answers of those who are asked count: shown %v, %d answers kept", shown(800), len(v.lists))
	}
}

func TestView_wantsWhatIsNewer(t *testing.T) {
	v, k := newView(testConfig(one)), newKey(t)
	e := sign(t, k, epoch, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Seq = 5 })
	if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
		t.Fatal(err)
	}
	for seq, want := range map[uint64]bool{4: false, 5: false, 6: true, math.MaxUint64: true} {
		got := v.wanted(one, []listed{{k.ID(), envelope.Version{Seq: seq}}})
		if (len(got) == 1) != want {
			t.Errorf("seq %d: wanted %v, want %v", seq, got, want)
		}
	}
}

func TestView_forgetsWhatNoLongerMatters(t *testing.T) {
	v, k := newView(testConfig(one)), newKey(t)
	e := sign(t, k, epoch, tombstone)
	if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
		t.Fatal(err)
	}
	v.nodes(epoch.Add(989 * time.Second))
	if len(v.held) != 1 {
		t.Error("forgot while an older record could be alive")
	}
	v.nodes(epoch.Add(990 * time.Second))
	if len(v.held) != 0 {
		t.Error("did not forget")
	}
}

// Whatever order Registries tell records in, the result is the newest of each.
func TestView_anyOrderGivesTheNewest(t *testing.T) {
	keys := []*identity.Key{newKey(t), newKey(t)}
	rapid.Check(t, func(t *rapid.T) {
		v := newView(testConfig(one))
		newest := map[drtc.NodeID]envelope.Envelope{}
		for range rapid.IntRange(1, 12).Draw(t, "records") {
			k := rapid.SampledFrom(keys).Draw(t, "node")
			e := sign(t, k, epoch, func(e *envelope.Envelope, b *registryv1.NodeBody) {
				e.Generation, e.Seq = rapid.Uint64Range(0, 1).Draw(t, "generation"), rapid.Uint64Range(0, 3).Draw(t, "seq")
				b.LoadMbps = rapid.Uint32Range(0, 1).Draw(t, "load")
				if rapid.Bool().Draw(t, "leaves") {
					e.Flags = envelope.Tombstone
				}
			})
			if _, err := v.add(epoch, k.ID(), e.Bytes()); err != nil {
				t.Fatal(err)
			}
			old, known := newest[k.ID()]
			x, y := old.Hash(), e.Hash()
			if !known || old.Version().Less(e.Version()) || old.Version() == e.Version() && bytes.Compare(x[:], y[:]) < 0 {
				newest[k.ID()] = e
			}
		}
		want := []drtc.NodeID{}
		var answer []listed
		for _, e := range newest {
			answer = append(answer, claim(e))
			if !e.IsTombstone() {
				want = append(want, e.Subject)
			}
		}
		slices.SortFunc(want, compareIDs)
		v.listedBy(one, epoch, answer, false)
		got := v.nodes(epoch)
		if !slices.Equal(ids(got), want) {
			t.Fatalf("got %v, want %v", ids(got), want)
		}
		for _, n := range got {
			if e := newest[n.ID]; n.Record != e.Version() {
				t.Fatalf("%s: got version %v, want %v", n.ID, n.Record, e.Version())
			}
		}
	})
}

func FuzzAdd(f *testing.F) {
	k := newKey(f)
	good := sign(f, k, epoch, nil)
	f.Add(good.Bytes())
	gone := sign(f, k, epoch, tombstone)
	f.Add(gone.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := newView(testConfig(one))
		learned, err := v.add(epoch, k.ID(), raw)
		if learned && !bytes.Equal(raw, good.Bytes()) && !bytes.Equal(raw, gone.Bytes()) {
			t.Fatalf("believed %x, %v", raw, err)
		}
	})
}
